"""Restate: a server (its log and its store are synced to disk by default), one Python service, callers over HTTP."""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp

from bench.peers.programs.common import Task, child, connectable, free_ports, measure, run, until


async def main() -> None:
    task = Task.given()
    ingress, admin, node, service = free_ports(4)
    server_log, service_log = task.folder / "restate.log", task.folder / "service.log"
    settings = {
        "RESTATE_LISTEN_MODE": "tcp",
        "RESTATE_BIND_ADDRESS": f"127.0.0.1:{node}",
        "RESTATE_INGRESS__BIND_ADDRESS": f"127.0.0.1:{ingress}",
        "RESTATE_ADMIN__BIND_ADDRESS": f"127.0.0.1:{admin}",
        "RESTATE_DISABLE_TELEMETRY": "true",
        "RESTATE_LOG_FILTER": "error",
        "DO_NOT_TRACK": "1",
    }
    server_command = [_server(), "--base-dir", str(task.folder / "restate"), "--node-name", "bench"]
    service_command = [sys.executable, "-m", "hypercorn", "--bind", f"127.0.0.1:{service}", "--log-level", "error"]
    service_command += ["--worker-class", "uvloop", "bench.peers.programs.restate_service:app"]
    posting = {"BENCH_POST_URL": task.url, "BENCH_POST_BODY": task.body}
    with (
        child(server_command, server_log, **settings) as server,
        child(service_command, service_log, **posting) as services,
    ):
        await until(lambda: connectable(service), services, service_log)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:
            target = {"uri": f"http://127.0.0.1:{service}"}
            url = f"http://127.0.0.1:{ingress}"
            await until(lambda: _post(session, f"http://127.0.0.1:{admin}/deployments", target), server, server_log)
            await until(lambda: _post(session, f"{url}/one_post/run", "ready"), server, server_log)
            one = _three_posts(session, url) if task.workload == "W2" else _one_post(session, url)
            await measure(task, one, [server.pid, services.pid])


def _one_post(session: aiohttp.ClientSession, url: str) -> Callable[[int], Awaitable[None]]:
    async def one(number: int) -> None:
        await _post(session, f"{url}/one_post/run", str(uuid.uuid4()))

    return one


def _three_posts(session: aiohttp.ClientSession, url: str) -> Callable[[int], Awaitable[None]]:
    async def one(number: int) -> None:
        key = str(uuid.uuid4())
        await _post(session, f"{url}/three_posts/{key}/run/send", key)
        await _post(session, f"{url}/three_posts/{key}/go", None)
        async with session.get(f"{url}/restate/workflow/three_posts/{key}/attach") as response:
            assert response.status < 300, f"attach: {response.status} {await response.text()}"

    return one


async def _post(session: aiohttp.ClientSession, url: str, body: object) -> None:
    content = {"skip_auto_headers": ("Content-Type",)} if body is None else {"json": body}
    async with session.post(url, **content) as response:
        assert response.status < 300, f"{url}: {response.status} {await response.text()}"
        await response.read()


def _server() -> str:
    """The server itself: npm's command of that name is a script that starts it and stays beside it."""
    found = list(Path(os.environ["BENCH_NODE_MODULES"]).glob("@restatedev/restate-server-*/bin/restate-server"))
    if not found:
        sys.exit("restate-server is not installed: python -m bench.peers --setup")
    return str(found[0])


if __name__ == "__main__":
    run(main())
