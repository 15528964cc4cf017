"""Duties: work in the background that one process at a time does, however many servers share a journal.

A `Leadership` gives each duty to one process. Correctness never depends on it: a position moves by compare-and-set, an
occurrence is stored once for each trigger and event, and events are published under fixed ids. While two processes
have one duty, for example because one of them was paused, some of the work is done twice and nothing is lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Protocol

from headrace.clock import Clock

TRY_EVERY_S = 2.0
"""Time between two attempts at a duty that another process has."""

Work = Callable[[], Coroutine[None, None, None]]
"""The work of a duty from one taking over to the loss of it; nothing of an earlier time may be left in its memory."""


class Leadership(Protocol):
    """Gives each duty to one process at a time."""

    async def take(self, duty: str) -> asyncio.Event | None:
        """Take a duty; None while another process has it. The event is set when this process has lost the duty."""
        ...

    async def give_back(self, duty: str) -> None:
        """Give up a duty, so that another process can take it. Nothing happens where it was lost."""
        ...


class SoleProcess:
    """The leadership of a journal that one process owns: it has every duty at once and loses none."""

    async def take(self, duty: str) -> asyncio.Event | None:
        return asyncio.Event()

    async def give_back(self, duty: str) -> None: ...


class Duties:
    """Does the work of duties in this process, each whenever the leadership has given it to the process."""

    def __init__(self, leadership: Leadership, clock: Clock) -> None:
        self._leadership = leadership
        self._clock = clock

    async def run(self, duty: str, work: Work) -> None:
        """Do the work whenever this process has the duty; run until cancelled.

        Work is cancelled, and awaited, when the duty is lost. Work that returns or fails gives the duty back, so that
        another process can do better; what it raises is raised here.
        """
        while True:
            lost = await self._leadership.take(duty)
            if lost is not None:
                try:
                    await _do_until(lost, work)
                finally:
                    await self._leadership.give_back(duty)
            await self._clock.sleep(TRY_EVERY_S)


async def _do_until(lost: asyncio.Event, work: Work) -> None:
    doing, losing = asyncio.ensure_future(work()), asyncio.ensure_future(lost.wait())
    try:
        await asyncio.wait((doing, losing), return_when=asyncio.FIRST_COMPLETED)
    finally:
        doing.cancel()
        losing.cancel()
        await asyncio.wait((doing, losing))
    if not doing.cancelled():
        doing.result()
