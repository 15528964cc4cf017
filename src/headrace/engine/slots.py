"""A limit on how many tasks do the same thing at once."""

from __future__ import annotations

import asyncio
from collections import deque


class Slots:
    """At most `limit` are held at once. Tasks that wait get one in the order in which they came.

    anyio's limiter and asyncio's semaphore do the same in six Python calls for each slot that is free; this takes two.
    """

    __slots__ = ("_waiting", "held", "limit")

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.held = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> int:
        """Tasks that wait for a slot."""
        return len(self._waiting)

    def take_free(self) -> bool:
        """Take a slot unless all are held, or others wait for one."""
        if self.held >= self.limit or self._waiting:
            return False
        self.held += 1
        return True

    async def take(self) -> None:
        """Wait for a slot and take it. A task that is cancelled meanwhile holds none."""
        if self.take_free():
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except BaseException:
            if turn.done() and not turn.cancelled():  # the task was cancelled after it was given a slot
                self.release()
            elif turn in self._waiting:
                self._waiting.remove(turn)
            raise

    def release(self) -> None:
        """Give a slot back; the next task that waits takes it over."""
        self.held -= 1
        self.admit()

    def admit(self) -> None:
        """Give free slots to those that wait. Call it after a change of `limit`."""
        while self._waiting and self.held < self.limit:
            turn = self._waiting.popleft()
            if not turn.cancelled():
                self.held += 1
                turn.set_result(None)
