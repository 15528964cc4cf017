"""Responses: what a handler returns, and how it is sent, one message for the head and one for the body."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
from starlette.types import Send

Headers = tuple[tuple[bytes, bytes], ...]

JSON: Headers = ((b"content-type", b"application/json"), (b"x-content-type-options", b"nosniff"))


class Response(msgspec.Struct, frozen=True):
    """A complete response. `headers` are all but the length."""

    status: int
    body: bytes = b""
    headers: Headers = ()

    async def send(self, send: Send) -> None:
        headers = list(self.headers)
        if self.status != 204:
            headers.append((b"content-length", b"%d" % len(self.body)))
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


class StreamedResponse(Response, frozen=True, kw_only=True):
    """A response too long to hold in memory: its parts are sent as they are made.

    An error after the first part cannot change the status any more: the connection is closed, so that no client takes
    half a list for a whole one.
    """

    parts: AsyncIterator[bytes]

    async def send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status, "headers": list(self.headers)})
        async for part in self.parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def json_response(status: int, body: bytes, headers: Headers = ()) -> Response:
    """`body` is JSON already."""
    return Response(status, body, JSON + headers if headers else JSON)


def no_content(headers: Headers = ()) -> Response:
    return Response(204, b"", headers)


async def list_response(pages: AsyncIterator[bytes]) -> Response:
    """`{"data": [...]}` of pages, each a JSON array. One page goes out whole, more are streamed."""
    first = await anext(pages, b"[]")
    second = await anext(pages, None)
    if second is None:
        return json_response(200, b'{"data":' + first + b"}")
    return StreamedResponse(200, headers=JSON, parts=_joined(first, second, pages))


async def _joined(first: bytes, second: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield b'{"data":' + first[:-1]
    yield b"," + second[1:-1]
    async for page in rest:
        yield b"," + page[1:-1]
    yield b"]}"
