"""Background tasks: supervised ones restart after an unexpected error, once it is logged and a pause has passed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any

import structlog

from headrace.clock import Clock

RESTART_S = 5.0

log = structlog.get_logger("headrace")


@contextlib.asynccontextmanager
async def in_background(work: Callable[[], Coroutine[None, None, None]], clock: Clock) -> AsyncGenerator[None]:
    """Run `work` until the block ends, and restart it whenever it fails. At the end it is cancelled and awaited."""
    task = asyncio.create_task(_supervised(work, clock))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait((task,))


async def _supervised(work: Callable[[], Coroutine[None, None, None]], clock: Clock) -> None:
    while True:
        try:
            await work()
        except Exception:
            log.exception("a background task stopped after an unexpected error; it restarts in a moment")
        await clock.sleep(RESTART_S)


async def first_of(*work: Coroutine[Any, Any, Any]) -> None:
    """Return when one of them has ended; the others are cancelled. Their results and errors are not looked at."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
