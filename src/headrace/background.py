"""Supervised background tasks: each restarts after an unexpected error, once it is logged and a pause has passed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Generator

import structlog

from headrace.clock import Clock

RESTART_S = 5.0

log = structlog.get_logger("headrace")


@contextlib.contextmanager
def in_background(work: Callable[[], Coroutine[None, None, None]], clock: Clock) -> Generator[None]:
    """Run `work` until the block ends, and restart it whenever it fails."""
    task = asyncio.create_task(_supervised(work, clock))
    try:
        yield
    finally:
        task.cancel()


async def _supervised(work: Callable[[], Coroutine[None, None, None]], clock: Clock) -> None:
    while True:
        try:
            await work()
        except Exception:
            log.exception("a background task stopped after an unexpected error; it restarts in a moment")
        await clock.sleep(RESTART_S)
