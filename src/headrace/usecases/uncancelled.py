"""Work that a caller has asked for and that must not stop half done when the caller goes away."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_under_way: set[asyncio.Task[Any]] = set()


async def completed(work: Coroutine[Any, Any, T]) -> T:
    """The result of the work, which goes on to its end even if this call is cancelled."""
    task = asyncio.create_task(work)
    _under_way.add(task)
    task.add_done_callback(_is_over)
    return await asyncio.shield(task)


def _is_over(task: asyncio.Task[Any]) -> None:
    _under_way.discard(task)
    if not task.cancelled():
        task.exception()  # the caller gets it, if there still is one
