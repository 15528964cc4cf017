"""Drives one instance until it must wait: shared by all engines.

An engine schedules: it says when an instance is driven, and keeps that no two tasks drive the same one. All that is
done to the instance, its activities and their attempts is done here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

import structlog

from headrace.clock import Clock
from headrace.effects.port import Done, Refused
from headrace.effects.protocol import (
    Backoff,
    CreateLedger,
    EffectProtocol,
    LookUpFirst,
    NeedsAttention,
    NotBooked,
    Pause,
    Send,
)
from headrace.effects.requests import create_ledger
from headrace.engine.limits import EngineLimits
from headrace.engine.meter import Meter
from headrace.engine.reports import report_attempt, report_call, report_closed, report_end
from headrace.engine.run import DRIVEN, OpenActivity, Run
from headrace.engine.services import Services
from headrace.errors import Conflict, Unavailable
from headrace.journal import writes
from headrace.journal.port import Journal, Unit
from headrace.workflows.activities import INTERNAL_LEDGER, CreateTransaction

log = structlog.get_logger("headrace.engine")


class Driver:
    """`is_stopping`: begin nothing new. `pausing`: how many instances wait for their next attempt."""

    def __init__(
        self,
        journal: Journal,
        services: Services,
        clock: Clock,
        limits: EngineLimits,
        meter: Meter,
        backoff: Backoff,
    ) -> None:
        self._journal = journal
        self._services = services
        self._clock = clock
        self._limits = limits
        self._meter = meter
        self._backoff = backoff
        self.is_stopping = False
        self.pausing = 0

    async def drive(self, run: Run) -> int | None:
        """Until it must wait, or has ended. Gives the end of the delay that it waits for, if it waits for one.

        Raises Conflict where the instance has moved on since it was read.
        """
        token = DRIVEN.set(run)
        try:
            return await self._until_it_waits(run)
        finally:
            DRIVEN.reset(token)  # the task's context would keep the run, and the run its task, for the collector

    async def _until_it_waits(self, run: Run) -> int | None:
        while not self.is_stopping:
            if run.open is not None:
                if not run.needs_attention or run.ended_at is not None:
                    await self._perform(run, run.open)
                if run.needs_attention:
                    return None
                continue
            if run.ended_at is not None:
                return None
            if run.waits_for_event is not None:
                if not run.is_woken:
                    return None
                run.is_woken = False
            elif run.sleeps_until_at is not None and run.sleeps_until_at > self._clock.now_at():
                return run.sleeps_until_at
            await self._move(run, None, _nothing)
        return None

    async def _move(self, run: Run, opened: OpenActivity | None, record: Callable[[Unit], None]) -> None:
        """Record the outcome of `opened` and advance to the next command, in one commit.

        An abort may commit while this waits for the lock. It has then closed an activity that was never sent, and the
        stage with it, so nothing is left to record. The outcome of one that was sent is recorded, and closes the stage.
        """
        async with run.lock:
            if run.open is not opened or (opened is None and run.ended_at is not None):
                return
            unit = Unit()
            record(unit)
            if run.ended_at is not None:
                run.settle(unit)
                await self._commit(run, unit)
                return
            run.advance(unit)
            while unit and await self._commit(run, unit):
                unit = Unit()
                run.runner.resume()
                run.advance(unit)
            if run.ended_at is not None:
                report_end(self._meter, run)

    async def _commit(self, run: Run, unit: Unit) -> bool:
        """Commit, however long the journal takes to recover. True when an awaited event was there.

        Raises Conflict where the instance has moved on since it was read.
        """
        run.seal(unit)
        while True:
            if run.is_stale:
                raise asyncio.CancelledError
            try:
                results = await self._journal.commit(unit)
            except Conflict:
                run.is_stale = True
                raise
            except Unavailable as error:
                log.warning("the journal cannot commit; trying again", instance_id=run.id, reason=str(error))
                await self._clock.sleep(1.0)
                continue
            return any(isinstance(each, writes.EventTaken) for each in results)

    # performing one activity

    async def _perform(self, run: Run, opened: OpenActivity) -> None:
        activity, limits = opened.activity, self._limits
        protocol = EffectProtocol(
            activity.settlement,
            backoff=self._backoff,
            settle_s=limits.settle_s,
            now_s=self._clock.monotonic_s(),
            was_sent=opened.was_sent,
            is_aborted=run.ended_at is not None,
            ledger=activity.ledger if isinstance(activity, CreateTransaction) else "",
        )
        try:
            await self._carry_through(run, opened, protocol)
        finally:
            if activity.is_effect:
                self._meter.effect_settled(opened.key)

    async def _carry_through(self, run: Run, opened: OpenActivity, protocol: EffectProtocol) -> None:
        activity = opened.activity
        while run.open is opened:
            if run.ended_at is not None:
                protocol.abort()
            action = protocol.next()
            if self.is_stopping and isinstance(action, Send | LookUpFirst | CreateLedger | Pause):
                return
            match action:
                case Send():
                    await self._attempt(run, opened, protocol)
                case LookUpFirst():
                    found = await self._services.look_up(activity.name, opened.request)
                    protocol.looked_up(found, self._clock.monotonic_s())
                    report_call(self._meter, run, opened, found, protocol, is_look_up=True)
                case CreateLedger():
                    await self._create_ledger(run, protocol)
                case Pause():
                    await self._pause(run, opened, action.seconds, action.failure)
                    protocol.paused()
                case Done(output):
                    await self._close(run, opened, "done", partial(run.done, output=output))
                case Refused(code, message):
                    await self._close(run, opened, "refused", partial(run.refused, message=f"{code}: {message}"))
                case NotBooked():
                    await self._close(run, opened, "canceled", run.cancel_open)
                case NeedsAttention(message):
                    await self._ask_for_attention(run, opened, message)
                    return

    async def _close(self, run: Run, opened: OpenActivity, outcome: str, record: Callable[[Unit], None]) -> None:
        def recorded(unit: Unit) -> None:
            report_closed(self._meter, opened.activity, outcome)
            record(unit)

        await self._move(run, opened, recorded)

    async def _attempt(self, run: Run, opened: OpenActivity, protocol: EffectProtocol) -> None:
        """One attempt, begun only if no abort is set: that is read as the last thing before (decision E6)."""
        async with self._services.gates[opened.activity.service]:
            if opened.activity.is_effect and not opened.has_begun:
                await self._permit(run, opened)
            if not await self._may_begin(run) or run.open is not opened:
                return
            opened.was_sent = True
            opened.attempt += 1
            begun_s = self._clock.monotonic_s()
            protocol.begin(begun_s)
            self._meter.attempt(opened.activity.service)
            result = await self._services.send(opened.activity.name, opened.request)
        ended_s = self._clock.monotonic_s()
        protocol.sent(result, ended_s)
        report_attempt(self._meter, run, opened, result, protocol, ended_s - begun_s)

    async def _permit(self, run: Run, opened: OpenActivity) -> None:
        """Count the first attempt of an intent that was stored by a process which did not send it."""
        async with run.lock:
            if run.open is opened and run.ended_at is None:
                unit = Unit()
                run.begin_attempt(unit)
                await self._commit(run, unit)

    async def _may_begin(self, run: Run) -> bool:
        """Whether no abort is set. One under way is waited for, until it is committed or has failed."""
        if run.aborts:
            async with run.lock:
                pass
        return run.ended_at is None and not self.is_stopping

    async def _create_ledger(self, run: Run, protocol: EffectProtocol) -> None:
        request = create_ledger(INTERNAL_LEDGER)
        async with self._services.gates[request.service]:
            if not await self._may_begin(run):
                return
            result = await self._services.send("CreateLedger", request)
        protocol.created(result)

    async def _pause(self, run: Run, opened: OpenActivity, seconds: float, failure: str) -> None:
        """Record the failed attempt, then wait; an abort or a stop ends the wait."""
        next_at = self._clock.now_at() + int(seconds * 1e6)
        async with run.lock:
            if run.open is not opened:
                return
            unit = Unit()
            run.failed_attempt(unit, failure, next_at if run.ended_at is None else None)
            await self._commit(run, unit)
        if opened.activity.is_effect:
            self._meter.effect_unknown(opened.key, self._clock.now_at())
        self.pausing += 1
        run.interrupt = asyncio.get_running_loop().create_future()
        sleep = asyncio.ensure_future(self._clock.sleep(seconds))
        try:
            if not run.aborts and not self.is_stopping:
                await asyncio.wait((sleep, run.interrupt), return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleep.cancel()
            run.interrupt = None
            self.pausing -= 1
        if run.aborts:
            async with run.lock:
                pass

    async def _ask_for_attention(self, run: Run, opened: OpenActivity, message: str) -> None:
        log.error("effect needs attention; its lastFailure tells why", instance_id=run.id, effect=opened.key)
        async with run.lock:
            if run.open is not opened:
                return
            unit = Unit()
            run.failed_attempt(unit, f"needs attention: {message}", None, needs_attention=True)
            unit.add(writes.ScheduleInstance(next_at=None, instance_id=run.id))
            await self._commit(run, unit)
            if run.ended_at is None:
                self._meter.needs_attention(1)
            else:
                self._meter.effect_done(opened.activity.service, "undecided")


def _nothing(unit: Unit) -> None:
    """There is nothing to record."""
