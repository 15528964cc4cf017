"""A list without pages is streamed: the server reads no further than the caller does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from starlette.types import Message

from headrace.api.responses import list_response

PAGES = 1_000


async def test_a_slow_caller_of_a_long_list_holds_three_pages_at_most() -> None:
    read = 0
    sent: list[bytes] = []
    may_send = asyncio.Semaphore(0)

    async def pages() -> AsyncIterator[bytes]:
        nonlocal read
        for number in range(PAGES):
            read += 1
            yield b"[%d]" % number

    async def send(message: Message) -> None:
        await may_send.acquire()
        sent.append(message.get("body", b""))

    sending = asyncio.create_task((await list_response(pages())).send(send))
    for taken in range(1, 50):
        may_send.release()
        await _settled()
        assert len(sent) == taken
        assert read - taken <= 3
    for _ in range(PAGES + 10):
        may_send.release()
    await sending
    assert b"".join(sent) == b'{"data":[' + b",".join(b"%d" % number for number in range(PAGES)) + b"]}"


async def _settled() -> None:
    """Let the response go on until it waits for its caller."""
    for _ in range(10):
        await asyncio.sleep(0)
