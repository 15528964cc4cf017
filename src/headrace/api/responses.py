"""What a handler hands back, and how it goes out: one message for the head, one for the body."""

from __future__ import annotations

from collections.abc import AsyncIterator

from starlette.types import Send

Headers = tuple[tuple[bytes, bytes], ...]

_JSON: Headers = ((b"content-type", b"application/json"), (b"x-content-type-options", b"nosniff"))


class Response:
    """A complete answer. `headers` are all but the length."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, body: bytes = b"", headers: Headers = ()) -> None:
        self.status = status
        self.body = body
        self.headers = headers

    async def send(self, send: Send) -> None:
        headers = list(self.headers)
        if self.status != 204:
            headers.append((b"content-length", b"%d" % len(self.body)))
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


class Stream(Response):
    """An answer too long to hold: its parts are sent as they come.

    What fails once it has begun cannot change the status any more: the connection is broken off, so that
    nobody takes half a list for a whole one.
    """

    __slots__ = ("parts",)

    def __init__(self, status: int, parts: AsyncIterator[bytes], headers: Headers = _JSON) -> None:
        super().__init__(status, b"", headers)
        self.parts = parts

    async def send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status, "headers": list(self.headers)})
        async for part in self.parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def json_response(status: int, body: bytes, headers: Headers = ()) -> Response:
    """`body` is JSON already."""
    return Response(status, body, _JSON + headers if headers else _JSON)


def no_content(headers: Headers = ()) -> Response:
    return Response(204, b"", headers)


async def list_response(pages: AsyncIterator[bytes]) -> Response:
    """`{"data": [...]}` of pages, each a JSON array. One page goes out whole, more are streamed."""
    first = await anext(pages, b"[]")
    second = await anext(pages, None)
    if second is None:
        return json_response(200, b'{"data":' + first + b"}")
    return Stream(200, _joined(first, second, pages))


async def _joined(first: bytes, second: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield b'{"data":' + first[:-1]
    yield b"," + second[1:-1]
    async for page in rest:
        yield b"," + page[1:-1]
    yield b"]}"
