"""Drives one instance until it must wait: shared by all engines.

An engine schedules: it says when an instance is driven, and through `Control` what may happen meanwhile. All that is
done to the instance, its activities and their attempts is done here.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from headrace.clock import Clock
from headrace.effects.port import Done, LookUp, Refused, Unknown
from headrace.effects.services import create_ledger
from headrace.effects.settlement import (
    Action,
    Backoff,
    CreateLedger,
    EffectProtocol,
    LookUpFirst,
    NeedsAttention,
    NotBooked,
    Pause,
    Send,
)
from headrace.engine.control import DRIVEN, Control, Halt, Halted
from headrace.engine.limits import EngineLimits
from headrace.engine.meter import FailedCall, Meter
from headrace.engine.sagas import add_undo
from headrace.engine.services import Services
from headrace.errors import Conflict, Unavailable
from headrace.journal.port import Journal, Unit
from headrace.journal.records import Standing
from headrace.journal.writes import EventTaken
from headrace.runner.activities import CurrentActivity
from headrace.runner.instance import InstanceRunner
from headrace.runner.runners import Runners
from headrace.workflows.activities import INTERNAL_LEDGER, CreateTransaction
from headrace.workflows.interpreter import CANCELED

log = structlog.get_logger("headrace.engine")

JOURNAL_RETRY_S = 1.0
LABELS = {Done: "done", Refused: "refused", Unknown: "unknown", NotBooked: "canceled"}
"""Outcomes of attempts and effects, as metrics name them."""


class Driver:
    """Performs the commands of instances; `Control` says what may happen meanwhile."""

    def __init__(
        self,
        journal: Journal,
        services: Services,
        clock: Clock,
        runners: Runners,
        limits: EngineLimits,
        meter: Meter,
        backoff: Backoff,
        begun: Callable[[str], None],
    ) -> None:
        """Make a driver. `begun`: called with the id of an undo that a failing run has begun, once it is stored."""
        self._begun = begun
        self._journal = journal
        self._services = services
        self._clock = clock
        self._runners = runners
        self._limits = limits
        self._meter = meter
        self._backoff = backoff

    async def drive(self, control: Control) -> Halted:
        """Drive the instance until it must wait or has ended.

        Raises Conflict if another process changed the instance and this drive holds no unrecorded answer.
        """
        token = DRIVEN.set(control)
        try:
            while not control.is_stopping:
                runner = control.runner
                if (opened := runner.open) is not None:
                    if not opened.needs_attention or runner.ended_at is not None:
                        halted = await self._perform(control, opened)
                        if halted is not None:
                            return halted
                    if (left := control.runner.open) is not None and left.needs_attention:
                        return Halted(Halt.ATTENTION)
                    continue
                if runner.ended_at is not None:
                    return Halted(Halt.ENDED)
                until_at = runner.sleeps_until_at
                is_early = until_at is None or until_at > self._clock.now_at()
                if runner.waits_for_event is not None and control.is_woken:
                    control.is_woken = False
                elif until_at is not None and is_early:
                    return Halted(Halt.DELAY, until_at)
                elif until_at is None and (runner.waits_for_event is not None or runner.gate is not None):
                    return Halted(Halt.EVENT)
                await self._advance(control)
            return Halted(Halt.STOPPED)
        finally:
            DRIVEN.reset(token)  # else task, context and control form a reference cycle

    async def _advance(self, control: Control) -> None:
        """Go on after a wait, unless an abort was faster."""
        async with control.exclusive():
            runner = control.runner
            if runner.open is not None or runner.ended_at is not None:
                return
            unit = runner.advance(sends=not control.gives_way)
            is_taken = bool(unit) and await self._commit(runner, unit)
            if not is_taken and runner.wait_is_over:
                is_taken = await self._commit(runner, runner.end_wait(sends=not control.gives_way))
            await self._use_events(control, is_taken)

    async def _use_events(self, control: Control, is_taken: bool) -> None:
        """Repeat while the mailbox holds the next awaited event. The caller holds `control.exclusive()`."""
        runner = control.runner
        while is_taken:
            unit = runner.take_event(sends=not control.gives_way)
            is_taken = bool(unit) and await self._commit(runner, unit)
        if runner.ended_at is not None and runner.error != CANCELED:
            report_end(self._meter, runner)

    async def _commit(self, runner: InstanceRunner, unit: Unit) -> bool:
        """Commit, however long the journal takes to recover. True when an awaited event was there.

        Raises Conflict where the instance has moved on since it was read.
        """
        undo, is_complete = None, runner.error is None
        while True:
            asked_s = self._clock.monotonic_s()
            try:
                if not is_complete:
                    undo = await add_undo(self._journal, self._runners, runner, unit)
                    is_complete = True
                results = await self._journal.commit(unit)
            except Unavailable as error:
                log.warning("the journal cannot commit; trying again", instance_id=runner.id, reason=str(error))
                await self._clock.sleep(JOURNAL_RETRY_S)
                continue
            if runner.open is not None and runner.has_begun_attempt:
                runner.open.permitted_s = asked_s
            if undo is not None:
                self._meter.instance_started(undo.workflow_id)
                self._begun(undo.id)
            return any(isinstance(each, EventTaken) for each in results)

    async def _read_again(self, control: Control, opened: CurrentActivity, begun: int) -> None:
        """Replace the runner by what the journal holds.

        Called after a Conflict, while this process holds an answer that is not recorded yet.

        An attempt that was answered must not be sent again because another process has moved the instance on, as by an
        abort. Raises Conflict where the journal does not hold the activity open, with `begun` attempts, any more.
        """
        standing: Standing | None = None
        while True:
            try:
                standing = await self._journal.standing(control.runner.id)
                break
            except Unavailable as error:
                log.warning("cannot read an instance; trying again", instance_id=control.runner.id, reason=str(error))
                await self._clock.sleep(JOURNAL_RETRY_S)
        runner = None if standing is None else self._runners.restore(standing)
        if runner is None or not runner.keep(opened, begun):
            raise Conflict(control.runner.id)
        control.runner = runner

    # performing one activity

    async def _perform(self, control: Control, opened: CurrentActivity) -> Halted | None:
        """Bring an activity to its end.

        Returns None if the caller must look at the instance again: it goes on, or the engine stops.
        """
        activity = opened.activity
        protocol = EffectProtocol(
            activity.settlement,
            backoff=self._backoff,
            settle_s=self._limits.settle_s,
            now_s=self._clock.monotonic_s(),
            was_sent=opened.was_sent,
            is_aborted=control.runner.ended_at is not None,
            failures=opened.attempt if opened.last_failure is not None else 0,
            ledger=activity.ledger if isinstance(activity, CreateTransaction) else "",
        )
        try:
            halted = await self._carry_through(control, opened, protocol)
            if not opened.is_closed:
                await self._compare_with_decision(opened, protocol.action, control.runner.id)
            return halted
        finally:
            if activity.is_effect and opened.last_failure is not None:
                self._meter.effect_settled(opened.key)

    async def _carry_through(
        self, control: Control, opened: CurrentActivity, protocol: EffectProtocol
    ) -> Halted | None:
        while control.runner.open is opened:
            is_aborted = control.runner.ended_at is not None
            if is_aborted:
                protocol.abort()
            action = protocol.action
            if control.is_stopping and isinstance(action, Send | LookUpFirst | CreateLedger | Pause):
                return None
            match action:
                case Send():
                    await self._attempt(control, opened, protocol)
                case LookUpFirst():
                    found = await self._services.look_up(opened.activity.name, opened.request)
                    protocol.looked_up(found, self._clock.monotonic_s())
                    self._report_look_up(control.runner, opened, found, protocol.action)
                case CreateLedger():
                    await self._create_ledger(control, opened, protocol)
                case Pause():
                    halted = await self._pause(control, opened, action, is_aborted=is_aborted)
                    if halted is not None:
                        return halted
                    protocol.paused()
                case Done() | Refused() | NotBooked():
                    await self._close(control, opened, action)
                case NeedsAttention():
                    if await self._record_attention(control, opened, action, is_aborted=is_aborted):
                        return None
        return None

    async def _close(self, control: Control, opened: CurrentActivity, outcome: Done | Refused | NotBooked) -> None:
        """Record the outcome and advance to the next command, in one commit.

        An abort may commit while this waits. If the activity was never sent, the abort closed it and nothing is left.
        If it was sent, record the outcome; that closes the stage.
        """
        async with control.exclusive():
            if control.runner.open is not opened:
                return
            while True:
                begun = opened.begun
                unit = control.runner.record(outcome, sends=not control.gives_way)
                try:
                    is_taken = await self._commit(control.runner, unit)
                    break
                except Conflict:
                    try:
                        await self._read_again(control, opened, begun)
                    except Conflict:
                        await self._compare_with_decision(opened, outcome, control.runner.id)
                        raise
            opened.is_closed = True
            if opened.activity.is_effect:
                self._meter.effects_closed[opened.activity.service, LABELS[type(outcome)]] += 1
            await self._use_events(control, is_taken)

    async def _compare_with_decision(self, opened: CurrentActivity, late: Action, instance_id: str) -> None:
        """Log a late outcome that contradicts what a person decided about the effect meanwhile.

        The decision stands: the instance has gone on from it.
        """
        if not opened.activity.is_effect or not isinstance(late, Done | Refused | NotBooked):
            return
        try:
            decisions = await self._journal.resolutions(instance_id)
        except Unavailable as error:
            log.warning("cannot compare a late outcome with decisions", instance_id=instance_id, reason=str(error))
            return
        for decision in decisions:
            is_same_effect = (decision.stage, decision.position) == (opened.stage, opened.position)
            if is_same_effect and (decision.verdict == "booked") != isinstance(late, Done):
                log.error(
                    "a late outcome contradicts what a person decided",
                    instance_id=instance_id,
                    effect=opened.key,
                    decided=decision.verdict,
                    outcome=LABELS[type(late)],
                )

    async def _attempt(self, control: Control, opened: CurrentActivity, protocol: EffectProtocol) -> None:
        async with self._services.gates[opened.activity.service]:
            if opened.activity.is_effect:
                await self._permit(control, opened)
            if not await self._may_begin(control, opened):
                return
            opened.was_sent = True
            opened.attempt = max(opened.attempt + 1, opened.begun)
            begun_s = self._clock.monotonic_s()
            self._meter.attempts_begun[(opened.activity.service,)] += 1
            result = await self._services.send(opened.activity.name, opened.request)
        ended_s = self._clock.monotonic_s()
        protocol.sent(result, begun_s, ended_s)
        self._meter.attempt_ended(opened.activity.service, LABELS[type(result)], ended_s - begun_s)
        if isinstance(result, Unknown) and not result.is_pending:
            self._report_failure(control.runner, opened, result, protocol.action)

    def _report_look_up(self, runner: InstanceRunner, opened: CurrentActivity, found: LookUp, action: Action) -> None:
        if isinstance(found, Unknown):
            self._report_failure(runner, opened, found, action, is_look_up=True)
        else:
            self._meter.call_answered(opened.activity.service)

    def _report_failure(
        self,
        runner: InstanceRunner,
        opened: CurrentActivity,
        failed: Unknown,
        action: Action,
        *,
        is_look_up: bool = False,
    ) -> None:
        """Report an attempt or a look-up that proved nothing, and when the next one is planned."""
        next_s = action.seconds if isinstance(action, Pause) else None
        service, name = opened.activity.service, opened.activity.name
        self._meter.call_failed(FailedCall(service, name, failed.reason, opened.attempt, next_s, runner.id, is_look_up))

    async def _permit(self, control: Control, opened: CurrentActivity) -> None:
        """Commit that the attempt begins, unless an earlier such commit still permits it (`Control.permit_s`).

        Raises Conflict where another process was faster. Nothing is counted after an abort or while the engine stops.
        """
        while not control.is_stopping:
            if control.permit_s is None and opened.begun > 0:
                return
            if control.permit_s is not None and opened.begun > opened.attempt and opened.permitted_s is not None:
                until_s = opened.permitted_s + control.permit_s
                if self._clock.monotonic_s() <= until_s:
                    return
            async with control.exclusive():
                runner = control.runner
                if runner.open is not opened or runner.ended_at is not None:
                    return
                await self._commit(runner, runner.begin_attempt())

    async def _may_begin(self, control: Control, opened: CurrentActivity) -> bool:
        """True if a request may be sent.

        Checked immediately before sending: no abort has been committed (decision E6).
        """
        may_begin = await control.may_begin()
        is_wanted = control.runner.open is opened and control.runner.ended_at is None
        return may_begin and is_wanted and not control.is_stopping

    async def _create_ledger(self, control: Control, opened: CurrentActivity, protocol: EffectProtocol) -> None:
        request = create_ledger(INTERNAL_LEDGER)
        async with self._services.gates[request.service]:
            if not await self._may_begin(control, opened):
                return
            result = await self._services.send("CreateLedger", request)
        protocol.created(result)

    async def _pause(
        self, control: Control, opened: CurrentActivity, pause: Pause, *, is_aborted: bool
    ) -> Halted | None:
        """Record the failed attempt, then wait, unless an abort was faster.

        Returns Halted if the engine, not the driver, waits out the pause.
        """
        next_at = self._clock.now_at() + int(pause.seconds * 1e6)
        async with control.exclusive():
            runner = control.runner
            if runner.open is not opened or (runner.ended_at is not None and not is_aborted):
                return None
            unit = runner.fail_attempt(pause.failure, None if is_aborted else next_at)
            await self._commit(runner, unit)
        if opened.activity.is_effect:
            self._meter.effect_unknown(opened.key, self._clock.now_at())
        is_over = await control.pause(pause.seconds, is_settling=pause.is_settling)
        return None if is_over else Halted(Halt.BACKOFF, next_at)

    async def _record_attention(
        self, control: Control, opened: CurrentActivity, found: NeedsAttention, *, is_aborted: bool
    ) -> bool:
        """Record that the effect needs attention.

        Returns False if an abort committed first: the caller then asks the protocol again.
        """
        async with control.exclusive():
            while control.runner.open is opened and (is_aborted or control.runner.ended_at is None):
                begun = opened.begun
                unit = control.runner.fail_attempt(f"needs attention: {found.message}", None, doubt=found.doubt)
                try:
                    await self._commit(control.runner, unit)
                except Conflict:
                    await self._read_again(control, opened, begun)
                    continue
                log.error(
                    "effect needs attention; its lastFailure tells why",
                    instance_id=control.runner.id,
                    effect=opened.key,
                )
                if control.runner.ended_at is None:
                    self._meter.needs_attention(1)
                else:
                    self._meter.effects_closed[opened.activity.service, "undecided"] += 1
                return True
        return False


def report_end(meter: Meter, runner: InstanceRunner) -> None:
    """Report that an instance has ended: succeeded, failed or aborted."""
    outcome = "aborted" if runner.error == CANCELED else "failed" if runner.error else "succeeded"
    seconds = ((runner.ended_at or runner.created_at) - runner.created_at) / 1e6
    meter.instance_ended(runner.id, runner.workflow_id, outcome, seconds)
