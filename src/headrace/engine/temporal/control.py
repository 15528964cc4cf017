"""One drive of an instance within a step: what may happen meanwhile, and what its commits carry beside their units."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from headrace.clock import Clock
from headrace.engine.control import DRIVEN
from headrace.journal.port import Journal, Results, Unit
from headrace.journal.records import ActivityRow, Instance, ResolutionRow, Standing
from headrace.journal.writes import AddInstance, AddNudge, DropNudges, TakeEvent
from headrace.runner.instance import InstanceRunner

MOST_UNITS = 50
LONGEST_S = 5.0
"""A step gives way after so many commits, or so long: others wait for its place."""


class NormalStepWanted(Exception):
    """A local step does not wait: a normal one, which heartbeats, takes its place."""


class StepControl:
    """See `engine.control.Control`. No lock and no memory of aborts: the version of the instance keeps others away.

    `nudge_seq`: the last nudge that the step has seen and not removed; 0: none. `hold_s`: longest back-off that is
    waited for here. `is_local`: no pause is waited for at all.
    """

    def __init__(
        self,
        runner: InstanceRunner,
        nudge_seq: int,
        clock: Clock,
        *,
        hold_s: float,
        permit_s: float,
        is_local: bool,
        is_worker_stopping: Callable[[], bool],
    ) -> None:
        self.runner = runner
        self.nudge_seq = nudge_seq
        self.is_woken = True
        self._clock = clock
        self._hold_s = hold_s
        self._permit_s = permit_s
        self._is_local = is_local
        self._is_worker_stopping = is_worker_stopping
        self._interrupted = asyncio.Event()
        self._began_s = clock.monotonic_s()
        self._units = 0

    @property
    def permit_s(self) -> float | None:
        return self._permit_s

    @property
    def is_stopping(self) -> bool:
        """Also true where it gives way, but not between an attempt and its end.

        The attempt may be one of an earlier instance of the case. Its settle time counts anew in another step, so a
        step that gave way meanwhile would never see the end of it.
        """
        if self._interrupted.is_set() or self._is_worker_stopping():
            return True
        opened = self.runner.open
        return self._has_had_its_turn and (opened is None or (opened.begun == 0 and not opened.was_sent))

    @property
    def gives_way(self) -> bool:
        return self._interrupted.is_set() or self._is_worker_stopping() or self._has_had_its_turn

    @property
    def _has_had_its_turn(self) -> bool:
        return self._units >= MOST_UNITS or self._clock.monotonic_s() - self._began_s >= LONGEST_S

    def interrupt(self) -> None:
        """Begin nothing new, and end a pause: the step was cancelled, or the worker stops."""
        self._interrupted.set()

    def exclusive(self) -> AbstractAsyncContextManager[Any]:
        return contextlib.nullcontext()

    async def may_begin(self) -> bool:
        return True

    async def pause(self, seconds: float, *, is_settling: bool) -> bool:
        """Wait for a settle time and for a short back-off; Temporal waits for a long one."""
        if self._is_local and is_settling:
            raise NormalStepWanted
        if not is_settling and (self._is_local or seconds > self._hold_s):
            return False
        sleep = asyncio.ensure_future(self._clock.sleep(seconds))
        interrupt = asyncio.ensure_future(self._interrupted.wait())
        try:
            await asyncio.wait((sleep, interrupt), return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleep.cancel()
            interrupt.cancel()
        return True

    # its commits

    def before(self, unit: Unit) -> None:
        """Remove the nudges that were seen, in the step's first unit."""
        if self.nudge_seq and not any(isinstance(write, DropNudges) for write in unit.writes):
            unit.add(DropNudges(instance_id=self.runner.id, seq=self.nudge_seq))

    def after(self, unit: Unit) -> None:
        self.nudge_seq = 0
        self._units += 1
        if any(isinstance(write, TakeEvent) for write in unit.writes):
            self.is_woken = False  # an event that comes later brings a nudge


class StepJournal:
    """The journal as the driver sees it in a step. The driver needs no more of it."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def commit(self, unit: Unit) -> Results:
        control = DRIVEN.get(None)
        if not isinstance(control, StepControl):
            return await self._journal.commit(unit)
        control.before(unit)
        _nudge_undo(unit)
        results = await self._journal.commit(unit)
        control.after(unit)
        return results

    async def standing(self, instance_id: str) -> Standing | None:
        return await self._journal.standing(instance_id)

    async def instance(self, instance_id: str) -> Instance | None:
        return await self._journal.instance(instance_id)

    async def activities(self, instance_id: str, stage: int) -> list[ActivityRow]:
        return await self._journal.activities(instance_id, stage)

    async def resolutions(self, instance_id: str) -> list[ResolutionRow]:
        return await self._journal.resolutions(instance_id)


def _nudge_undo(unit: Unit) -> None:
    """Let the server start the undo that a failing run begins: it counts as overlooked, so the next sweep finds it."""
    known = {write.instance_id for write in unit.writes if isinstance(write, AddNudge)}
    for write in unit.writes:
        if isinstance(write, AddInstance) and write.instance_id not in known:
            unit.add(AddNudge(instance_id=write.instance_id, why="resume", at=0))
