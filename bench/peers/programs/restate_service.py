"""The services that the Restate server calls: an ASGI application served by hypercorn (HTTP/2)."""

from __future__ import annotations

import os

import restate

from bench.peers.programs.common import Poster

poster = Poster(os.environ["BENCH_POST_URL"], os.environ["BENCH_POST_BODY"])
one_post = restate.Service("one_post")
three_posts = restate.Workflow("three_posts")


@one_post.handler()
async def run(ctx: restate.Context, key: str) -> None:
    await ctx.run_typed("post", poster.post, key=f"{key}:0")


@three_posts.main("run")
async def run_three(ctx: restate.WorkflowContext, key: str) -> None:
    await ctx.run_typed("post", poster.post, key=f"{key}:0")
    await ctx.promise("go", type_hint=str).value()
    await ctx.run_typed("post", poster.post, key=f"{key}:1")
    await ctx.run_typed("post", poster.post, key=f"{key}:2")


@three_posts.handler("go")
async def go(ctx: restate.WorkflowSharedContext) -> None:
    await ctx.promise("go", type_hint=str).resolve("go")


app = restate.app([one_post, three_posts])
