"""The engine as API servers use it: they write to the journal, and Temporal's workers drive.

Nothing of an instance is in this process's memory, except who waits for its end. So an abort is a commit like any
other, and the time of a permit keeps attempts away from the moment at which it is answered.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Literal

import structlog

from headrace.clock import Clock
from headrace.engine.driver import report_end
from headrace.engine.meter import Meter
from headrace.engine.temporal.nudger import Nudger
from headrace.engine.temporal.sweeper import Sweeper
from headrace.errors import AlreadyEnded, NotFound, Unavailable
from headrace.journal.port import Journal
from headrace.journal.records import ActivityRow, Instance
from headrace.runner.instance import InstanceRunner
from headrace.runner.runners import Runners

log = structlog.get_logger("headrace.engine")

LOOK_EVERY_S = 2.0
SKEW_S = 0.1
"""The database's clock may be set while a permit runs; it only shortens a wait that is bounded without it."""


class TemporalEngine:
    """See `engine.port.Engine`. `begin_within_s`: for how long a commit permits an attempt, in every worker."""

    needs_nudges = True
    sends_at_once = False
    active_instances = 0

    def __init__(
        self,
        journal: Journal,
        nudger: Nudger,
        clock: Clock,
        runners: Runners,
        *,
        begin_within_s: float,
        meter: Meter,
    ) -> None:
        self._journal = journal
        self._nudger = nudger
        self._clock = clock
        self._runners = runners
        self._begin_within_s = begin_within_s
        self._meter = meter
        self._waiters: dict[str, list[asyncio.Event]] = {}
        sweeper = Sweeper(journal, nudger, clock)
        self.duties: Mapping[str, Callable[[], Coroutine[None, None, None]]] = {"repeat nudges": sweeper.run}

    async def start(self) -> None:
        """Prepare the connection; Temporal may be away. Raises InvalidValue for a certificate that cannot be read."""
        self._journal.watch_endings(self._have_ended)
        await self._nudger.open()

    async def stop(self) -> None:
        await self._nudger.stop()

    @contextlib.asynccontextmanager
    async def begin(self, runner: InstanceRunner) -> AsyncGenerator[None]:
        """See `engine.port.Engine.begin`. Where it is left with an error, a start that was stored has its nudge."""
        yield
        self._meter.instance_started(runner.workflow_id)
        if runner.ended_at is None:
            self._nudger.send(runner.id, "start")
        else:
            report_end(self._meter, runner)

    def wake(self, instance_id: str) -> None:
        self._nudger.send(instance_id, "event")

    def abort(self, instance_id: str) -> AbstractAsyncContextManager[InstanceRunner]:
        return self._held(instance_id, "abort")

    def resolve(self, instance_id: str) -> AbstractAsyncContextManager[InstanceRunner]:
        return self._held(instance_id, "resume")

    @contextlib.asynccontextmanager
    async def _held(self, instance_id: str, why: Literal["abort", "resume"]) -> AsyncGenerator[InstanceRunner]:
        """See `engine.port.Engine.abort` and `resolve`. When it is left, no permit of an attempt is valid.

        The commit within raises Conflict where a worker has moved the instance on.
        """
        standing = await self._journal.standing(instance_id)
        if standing is None:
            raise NotFound("instance", instance_id)
        if standing.instance.is_terminal and (why == "abort" or standing.is_over):
            raise AlreadyEnded(instance_id)
        try:
            runner = self._runners.restore(standing)
        except Exception as error:  # noqa: BLE001  # whatever it is, the log says it and the caller gets an answer
            log.error("instance cannot go on", instance_id=instance_id, reason=repr(error))
            raise Unavailable("the instance cannot be restored; the log says why") from None
        last = standing.activities[-1] if standing.activities else None
        had_ended, needed_attention = runner.ended_at is not None, runner.needs_attention
        yield runner
        committed_s = self._clock.monotonic_s()
        if needed_attention and not had_ended:
            self._meter.needs_attention(-1)  # the person has decided
        self._nudger.send(instance_id, why)
        if runner.ended_at is not None and not had_ended:
            report_end(self._meter, runner)
            self._have_ended([instance_id])
        if last is not None and last.terminated_at is None and last.key and last.attempt:
            await self._outlast_permit(last, committed_s)

    async def _outlast_permit(self, row: ActivityRow, committed_s: float) -> None:
        """Wait until no attempt of an effect can begin by a permit from before the abort's commit.

        Such a permit was asked for before that commit, so the whole time after it is always enough. Where the database
        noted when the permit was given, most of the time has passed, or all of it.
        """
        until_s = committed_s + self._begin_within_s
        if row.permitted_at is not None:
            with contextlib.suppress(Unavailable):
                age_s = (await self._journal.clock_at() - row.permitted_at) / 1e6
                until_s = min(until_s, self._clock.monotonic_s() + self._begin_within_s + SKEW_S - max(age_s, 0.0))
        left_s = until_s - self._clock.monotonic_s()
        if left_s > 0:
            await self._clock.sleep(left_s)

    async def ended(self, instance_id: str, timeout_s: float) -> None:
        """Return when the instance has ended, or after the time-out. The journal is read now and then all the same."""
        give_up_s = self._clock.monotonic_s() + timeout_s
        news = asyncio.Event()
        self._waiters.setdefault(instance_id, []).append(news)
        try:
            while not _is_over(await self._journal.instance(instance_id)):
                left_s = give_up_s - self._clock.monotonic_s()
                if left_s <= 0:
                    return
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(news.wait(), min(left_s, LOOK_EVERY_S))
                news.clear()
        finally:
            waiters = self._waiters[instance_id]
            waiters.remove(news)
            if not waiters:
                del self._waiters[instance_id]

    def _have_ended(self, instance_ids: Sequence[str]) -> None:
        """Let those look who wait for these instances; all of them where it is not known which have ended."""
        for instance_id in instance_ids or tuple(self._waiters):
            for news in self._waiters.get(instance_id, ()):
                news.set()


def _is_over(instance: Instance | None) -> bool:
    return instance is None or instance.is_terminal
