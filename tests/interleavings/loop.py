"""An event loop in virtual time: a wait passes at once, and everything happens in an order that nothing else decides.

What is ready runs in the order in which it became ready, as asyncio promises; when nothing is ready, time moves on to
the next timer. So the order of two tasks follows from the lengths of their waits, which a seed draws.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextvars import ContextVar
from typing import Any, TypeVar

T = TypeVar("T")

OWNER: ContextVar[set[asyncio.Task[Any]] | None] = ContextVar("interleavings_owner", default=None)
"""The tasks of the process in which the current one runs; None: it runs in no process."""


class Stuck(Exception):
    """Nothing is ready, and no timer is set."""


class _Selector:
    """Stands where a loop waits for its files: it lets time pass instead."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise Stuck
        self._loop.now_s += timeout
        return []


class VirtualLoop(asyncio.BaseEventLoop):
    """See the module. `now_s`: seconds since it was made."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self._selector = _Selector(self)
        self.set_task_factory(_owned)
        self._clock_resolution = 1e-7

    def time(self) -> float:
        return self.now_s

    def _process_events(self, _events: object) -> None: ...

    def _write_to_self(self) -> None: ...

    def finish(self, work: Coroutine[Any, Any, T]) -> T:
        """Run until this is done, then end every task that is left."""
        try:
            return self.run_until_complete(work)
        finally:
            for _ in range(20):
                left = asyncio.all_tasks(self)
                if not left:
                    break
                for task in left:
                    task.cancel()
                self.run_until_complete(_gathered(left))
            self.close()


async def _gathered(tasks: set[asyncio.Task[Any]]) -> None:
    await asyncio.wait(tasks, timeout=1.0)
    for task in tasks:
        if task.done() and not task.cancelled():
            task.exception()


def _owned(
    loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, T] | Generator[Any, None, T], **named: Any
) -> asyncio.Task[T]:
    task = asyncio.Task(coro, loop=loop, **named)  # pyright: ignore[reportArgumentType]
    tasks = OWNER.get()
    if tasks is not None:
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    return task


def owned_by(tasks: set[asyncio.Task[Any]] | None, make: Callable[[], Coroutine[Any, Any, T]]) -> asyncio.Task[T]:
    """A task of a process, and so is every task that it makes; None: of no process, whichever asks for it."""
    token = OWNER.set(tasks)
    try:
        return asyncio.get_running_loop().create_task(make())
    finally:
        OWNER.reset(token)
