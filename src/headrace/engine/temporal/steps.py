"""The step: an activity that drives one instance with the shared driver until it must wait.

It may be carried out more than once, and by two workers at a time: units are compare-and-sets, and an attempt begins
only within a short time of the commit that counts it. So the activity may be cancelled, time out or die anywhere.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import cast

import structlog
from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from headrace.clock import Clock
from headrace.effects.port import Downstream
from headrace.effects.settlement import Backoff
from headrace.engine.control import Halt, Halted
from headrace.engine.driver import Driver
from headrace.engine.limits import EngineLimits
from headrace.engine.meter import Meter
from headrace.engine.services import Services
from headrace.engine.temporal.control import NormalStepWanted, StepControl, StepJournal
from headrace.engine.temporal.workflows import Next
from headrace.errors import Conflict, Unavailable
from headrace.journal.port import Journal, Unit
from headrace.journal.writes import DropNudges
from headrace.runner.runners import Runners

log = structlog.get_logger("headrace.engine")

HEARTBEAT_EVERY_S = 1.0
JOURNAL_AWAY_S = 2.0
UNEXPECTED_S = 60.0
ENDED, AGAIN = Next("ended"), Next("again")


@dataclass(frozen=True, slots=True)
class StepLimits:
    """`hold_s`: longest back-off that a step waits for by itself; `begin_within_s`: for how long a commit permits an
    attempt.
    """

    hold_s: float = 2.0
    begin_within_s: float = 1.0


class _Drive:
    """A drive under way in this process, which outlives the activity that began it."""

    def __init__(self) -> None:
        self.control: StepControl | None = None
        self.is_interrupted = False
        self.task: asyncio.Task[Next]

    def interrupt(self) -> None:
        self.is_interrupted = True
        if self.control is not None:
            self.control.interrupt()


class Steps:
    """The activity of one worker process."""

    def __init__(
        self,
        journal: Journal,
        downstream: Downstream,
        clock: Clock,
        runners: Runners,
        limits: EngineLimits,
        step_limits: StepLimits,
        *,
        meter: Meter,
        backoff: Backoff,
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._runners = runners
        self._limits = step_limits
        self._services = Services(downstream, clock, meter, ceiling=limits.concurrency, start=limits.concurrency_start)
        seen = cast("Journal", StepJournal(journal))
        self._driver = Driver(seen, self._services, clock, runners, limits, meter, backoff, _leave_to_nudge)
        self._drives: dict[str, _Drive] = {}
        self._is_stopping = False

    @property
    def active_instances(self) -> int:
        """Instances that are driven in this process."""
        return len(self._drives)

    @property
    def driven(self) -> tuple[str, ...]:
        """Ids of the instances that are driven in this process."""
        return tuple(self._drives)

    def stop(self) -> None:
        """Begin nothing new. Attempts under way end, and each step returns soon after."""
        self._is_stopping = True
        self._services.close()
        for drive in self._drives.values():
            drive.interrupt()

    def give_up(self) -> None:
        """End what is still under way: the time for a graceful stop is over, and what was sent counts as unknown."""
        for drive in self._drives.values():
            drive.task.cancel()

    @activity.defn(name="step")
    async def step(self, instance_id: str) -> Next:
        """Drive until the instance must wait. A failure says when Temporal tries again, and holds no amount."""
        is_local = activity.info().is_local
        while (other := self._drives.get(instance_id)) is not None and not other.task.done():
            await self._follow(other, beats=not is_local)  # one that Temporal has given up: its attempt ends first
        if self._is_stopping:  # a drive that begins now would miss `stop` or `give_up`
            if is_local:
                return AGAIN
            raise _stopped()
        drive = self._drives[instance_id] = _Drive()
        drive.task = asyncio.create_task(self._drive(drive, instance_id, is_local=is_local))
        drive.task.add_done_callback(lambda _: self._forget(instance_id, drive))
        await self._follow(drive, beats=not is_local)
        try:
            if drive.task.cancelled():
                raise _stopped()
            return drive.task.result()
        except ApplicationError:
            if is_local:  # a normal step takes over, and is what Temporal tries again
                return AGAIN
            raise

    def _forget(self, instance_id: str, drive: _Drive) -> None:
        if self._drives.get(instance_id) is drive:
            del self._drives[instance_id]

    async def _follow(self, drive: _Drive, *, beats: bool) -> None:
        """Wait for the end of a drive, with heartbeats. A cancellation interrupts it; its attempt ends all the same."""
        while not drive.task.done():
            try:
                await asyncio.wait((drive.task,), timeout=HEARTBEAT_EVERY_S)
                if beats and not drive.task.done():
                    activity.heartbeat()
            except asyncio.CancelledError:
                drive.interrupt()

    async def _drive(self, drive: _Drive, instance_id: str, *, is_local: bool) -> Next:
        try:
            standing = await self._journal.standing(instance_id)
            if standing is None or standing.is_over:
                if standing is not None:
                    await self._forget_nudges(instance_id, standing.nudge_seq)
                return ENDED
            drive.control = control = StepControl(
                self._runners.restore(standing),
                standing.nudge_seq,
                self._clock,
                hold_s=self._limits.hold_s,
                permit_s=self._limits.begin_within_s,
                is_local=is_local,
                is_worker_stopping=lambda: self._is_stopping,
            )
            if drive.is_interrupted:
                control.interrupt()
            halted = await self._driver.drive(control)
            await self._forget_nudges(instance_id, control.nudge_seq)
        except (Conflict, NormalStepWanted):
            return AGAIN
        except Unavailable as error:
            log.warning("cannot read an instance; trying again", instance_id=instance_id, reason=str(error))
            raise _again("the journal is not available", JOURNAL_AWAY_S) from None
        except Exception as error:
            log.exception("unexpected error; the instance resumes later", instance_id=instance_id, seconds=UNEXPECTED_S)
            raise _again(f"unexpected {type(error).__name__}; the worker's log has it", UNEXPECTED_S) from None
        return self._after(halted, is_local=is_local)

    async def _forget_nudges(self, instance_id: str, seq: int) -> None:
        """Remove nudges that no unit of the step has removed, as it had none."""
        if seq:
            unit = Unit()
            unit.add(DropNudges(instance_id=instance_id, seq=seq))
            await self._journal.commit(unit)

    def _after(self, halted: Halted, *, is_local: bool) -> Next:
        match halted.why:
            case Halt.ENDED:
                return ENDED
            case Halt.DELAY:
                return Next("wait", halted.until_at)
            case Halt.EVENT | Halt.ATTENTION:
                return Next("wait")
            case Halt.STOPPED:
                if self._is_stopping and not is_local:
                    raise _stopped()
                return AGAIN
            case Halt.BACKOFF:
                if is_local:
                    return Next("again", halted.until_at)
                pause_s = max(0.0, (halted.until_at - self._clock.now_at()) / 1e6)
                raise _again("an attempt failed; lastFailure in the instance's history says why", pause_s)


def _leave_to_nudge(_instance_id: str) -> None:
    """An undo that a failing run has begun: its nudge, in the same commit, lets the server start it."""


def _stopped() -> ApplicationError:
    return _again("the worker stops; another one goes on", 0.1)


def _again(message: str, seconds: float) -> ApplicationError:
    """Ends this try of the activity: Temporal begins the next one after so many seconds."""
    return ApplicationError(
        message,
        type="Again",
        next_retry_delay=timedelta(seconds=seconds),
        category=ApplicationErrorCategory.BENIGN,
    )
