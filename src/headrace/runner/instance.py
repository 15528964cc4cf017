"""One instance: where it stands, and what the journal must learn when it moves on.

Each method decides and returns a unit of typed writes; it waits for nothing. What it has decided is true once the unit
is committed, which fails with Conflict where the instance has moved on since it was read. A runner whose unit was not
committed, or may not have been, must not be used again: restore another one from the journal. A start, a normal step,
an abort and a recovery go through the same code.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import msgspec

from headrace.buses.event_types import (
    FAILED_STAGE,
    FAILED_WORKFLOW,
    STARTED_STAGE,
    STARTED_WORKFLOW,
    SUCCEEDED_STAGE,
    SUCCEEDED_WORKFLOW,
)
from headrace.effects.earlier import EarlierEffect
from headrace.effects.port import Done, Refused
from headrace.effects.services import prepare
from headrace.effects.settlement import Doubt, NotBooked, Unbooked
from headrace.errors import Conflict, InvalidValue, NotFound
from headrace.journal import writes
from headrace.journal.approval_writes import DecideStage, PassGate, PinInstance
from headrace.journal.lists import STATUSES
from headrace.journal.port import Entry, Required, Unit, WhenWanted
from headrace.journal.records import Plan, Workflow
from headrace.runner import rows
from headrace.runner.activities import CurrentActivity
from headrace.runner.context import Definition, RunnerContext
from headrace.runner.gate import Gate, gate_before, gate_of
from headrace.runner.inheritance import NOTHING
from headrace.runner.pin import Pin, pin_of
from headrace.workflows.activities import Activity
from headrace.workflows.commands import Amend, SleepUntil, WaitApproval, WaitEvent
from headrace.workflows.conditions import SKIPPED, WHEN
from headrace.workflows.decisions import RUNS, Passed, Verdict, decide
from headrace.workflows.failures import ABORTED, EXPIRED, EXPIRED_TEXT, INVALID, NOT_BOOKED, Failure
from headrace.workflows.interpreter import CANCELED, StageRunner

encode = msgspec.json.Encoder().encode
decode = msgspec.json.decode

RETRYING = STATUSES.index("retrying")
NEEDS_ATTENTION = STATUSES.index("attention")
UNIT_STEPS = 20_000
"""Steps that the conditions of one unit may take, some 0.1 s. Beyond them the stage is stored, another unit goes on."""
UNBOOKED = "UNBOOKED: a person decided that it was not booked"
"""The error of an effect that a person closed. It begins with a code, by which instances are searched."""


class InstanceRunner:
    """An instance that is being worked on. `open` is the activity that it performs; `stage` runs its last stage.

    `gate`: the approvals that this stage waits for, until `deadline_at` or without a limit; None: it waits for none.
    `approvals`: how many persons have approved the plan of `pin`. `before`: the stages before this one, as conditions
    see them; empty where the definition has none.
    """

    __slots__ = (
        "_claim",
        "_context",
        "_steps",
        "approvals",
        "before",
        "by_trigger",
        "created_at",
        "deadline_at",
        "definition",
        "earlier",
        "ended_at",
        "error",
        "findable",
        "gate",
        "id",
        "last_at",
        "open",
        "pin",
        "root_id",
        "stage",
        "stage_is_stored",
        "stage_started_at",
        "variables",
        "version",
        "workflow_id",
    )

    def __init__(
        self,
        instance_id: str,
        workflow_id: str,
        definition: Definition,
        variables: dict[str, str],
        created_at: int,
        context: RunnerContext,
        *,
        by_trigger: bool,
        root_id: str | None = None,
        earlier: Mapping[int, EarlierEffect] = NOTHING,
    ) -> None:
        self.id = instance_id
        self.root_id = root_id or instance_id
        self.earlier = earlier
        self.before: list[Passed] = []
        self.workflow_id = workflow_id
        self.definition = definition
        self.variables = variables
        self.created_at = created_at
        self.by_trigger = by_trigger
        self.last_at = created_at
        self.ended_at: int | None = None
        self.error: str | None = None
        self.pin: Pin | None = None
        self.approvals = 0
        self.gate: Gate | None = None
        self.deadline_at: int | None = None
        self.stage: StageRunner
        self.stage_started_at = created_at
        self.stage_is_stored = False
        self.open: CurrentActivity | None = None
        self.version = 0
        self._claim: Required | None = None
        self._context = context
        self._steps = 0
        self.findable = rows.Findable(instance_id, created_at)

    @property
    def undoes_failure(self) -> bool:
        """True where the definition says that a run which fails is undone."""
        return self.definition.on_failure == "undo"

    def now_at(self) -> int:
        """Read the wall clock, once for each unit; it never runs backwards within one instance (decision E4)."""
        self.last_at = max(self.last_at, self._context.now())
        return self.last_at

    # start

    @classmethod
    def start(
        cls,
        unit: Unit,
        instance_id: str,
        created_at: int,
        workflow: Workflow,
        definition: Definition,
        variables: dict[str, str],
        context: RunnerContext,
        *,
        by_trigger: bool,
        sends: bool,
        plan: Plan | None = None,
        approvals: int = 0,
    ) -> InstanceRunner:
        """Add a new instance, up to its first command.

        `sends`: this process sends the stored request right after the commit, so the intent counts as an attempt begun.
        `plan`: it has no effect but those of this plan, which has so many `approvals`.
        Committing the unit raises NotFound where the workflow is deleted.
        """
        runner = cls(instance_id, workflow.id, definition, variables, created_at, context, by_trigger=by_trigger)
        if plan is not None:
            runner.pin, runner.approvals = pin_of(plan.document), approvals
        row = writes.AddInstance(
            instance_id=instance_id,
            workflow_id=workflow.id,
            config=workflow.config,
            variables=encode(variables).decode(),
            created_at=created_at,
            by_trigger=by_trigger,
            plan_id=None if plan is None else plan.id,
        )
        runner.begin(unit, Required(row, partial(NotFound, "workflow", workflow.id)), 0, sends=sends)
        return runner

    def begin(
        self,
        unit: Unit,
        stored: Required,
        stage: int,
        *,
        sends: bool,
        skips: bool = False,
        decided: bool | None = None,
    ) -> None:
        """Start a new instance at `stage`, or after it if it `skips` that. `stored` inserts its row.

        `decided`: what the condition of the stage has said in an earlier instance of the case; it is not asked again.
        """
        place = len(unit)
        unit.add(stored)
        self._announce(unit, STARTED_WORKFLOW, self.created_at)
        self._open_stage(stage, self.created_at, unit, decided)
        if skips:
            self.stage.skip()
        self._advance(unit, self.created_at, sends=sends)
        self.findable.start(unit, place, self.variables)
        if self._claim is not None:
            unit.add(self._claim)
            self.version, self._claim = 1, None

    # one step after the other

    def advance(self, *, sends: bool = True) -> Unit:
        """Go on after a wait: to the next command that must be waited for, or to the end. `sends`: as in `start`."""
        unit = Unit()
        self._advance(unit, self.now_at(), sends=sends)
        return self._sealed(unit) if unit else unit

    def take_event(self, *, sends: bool = True) -> Unit:
        """Go on with the awaited event, which the last unit has taken from the mailbox."""
        self.stage.resume()
        return self.advance(sends=sends)

    def end_wait(self, *, sends: bool = True) -> Unit:
        """Go on without the awaited event, which has not come in time. `sends`: as in `start`.

        The unit fails with Conflict where the mailbox holds such an event by now.
        """
        command, unit, now_at = self.stage.command, Unit(), self.now_at()
        assert isinstance(command, WaitEvent) and command.deadline_at is not None and command.deadline_at <= now_at
        ended = writes.EndWait(instance_id=self.id, number=self.stage.number, name=command.event)
        unit.add(Required(ended, partial(Conflict, self.id)))
        self.stage.time_out(command)
        self._advance(unit, now_at, sends=sends)
        return self._sealed(unit)

    def record(self, outcome: Done | Refused | NotBooked | Unbooked, *, sends: bool = True) -> Unit:
        """Close the open activity with its outcome and go on; the stage of an aborted instance ends with it."""
        unit, now_at = Unit(), self.now_at()
        match outcome:
            case Done(output):
                opened = self._close_activity(unit, now_at, output, None)
                self.findable.terms += opened.activity.made(opened.shown, output or {})
                self.stage.resume(output)
            case Refused(code, text):
                message = f"{code}: {text}"
                self._close_activity(unit, now_at, None, message)
                self.stage.refuse(message, Failure("conflict" if outcome.is_conflict else "refused", code))
            case Unbooked() if self.ended_at is None:
                self._close_activity(unit, now_at, None, UNBOOKED)
                self.stage.refuse(UNBOOKED, NOT_BOOKED)
            case NotBooked() | Unbooked():
                self._cancel_activity(unit, now_at)
        if self.ended_at is None:
            self._advance(unit, now_at, sends=sends)
            return self._sealed(unit)
        self.stage.cancel()
        self._close_stage(unit, now_at)
        unit.add(writes.ScheduleInstance(next_at=None, instance_id=self.id))
        return self._sealed(unit)

    def resolve(self, outcome: Done | Unbooked, decided: Required) -> Unit:
        """Close the open effect as a person decided, and go on; never send it again.

        `decided` stores the decision where the effect still needs attention; else the unit fails with its error.
        """
        unit = self.record(outcome, sends=False)
        first: list[Entry] = [decided]
        if self.ended_at is None:  # an effect that needs attention is not due, and this one's successor is
            first.append(writes.ScheduleInstance(next_at=0, instance_id=self.id))
        unit[1:1] = first
        return unit

    def pass_gate(self, plan: Plan, approvals: int) -> Unit:
        """Let the stage go on: persons have approved this plan of the rest, which the instance may not leave."""
        unit, now_at = Unit(), self.now_at()
        self.gate = self.deadline_at = None
        self.pin, self.approvals = pin_of(plan.document), approvals
        passed = PassGate(instance_id=self.id, number=self.stage.number, at=now_at)
        unit += [Required(passed, partial(Conflict, self.id)), PinInstance(instance_id=self.id, plan_id=plan.id)]
        self._move(unit, now_at, 0)
        return self._sealed(unit)

    def stay_at_gate(self) -> Unit:
        """Go on waiting for approvals. The unit fails with Conflict where the instance has moved on."""
        return self._sealed(Unit())

    def deny(self, message: str, failure: Failure) -> Unit:
        """End the instance: the approvals that its stage waits for are not given."""
        unit, now_at = Unit(), self.now_at()
        self._deny(message, failure)
        self._advance(unit, now_at, sends=False)
        return self._sealed(unit)

    def _deny(self, message: str, failure: Failure) -> None:
        self.gate = self.deadline_at = None
        self.stage.deny(message, failure)

    def abort(self) -> Unit:
        """End the instance now (decision E6). An effect that may have been sent keeps its activity and stage open."""
        unit, now_at = Unit(), self.now_at()
        self._end(unit, now_at, CANCELED, ABORTED)
        if self.open is not None and self.open.activity.is_effect and self.open.was_sent:
            unit.add(writes.ScheduleInstance(next_at=0, instance_id=self.id))
            return self._sealed(unit)
        self._cancel_activity(unit, now_at)
        self.stage.cancel()
        self._close_stage(unit, now_at)
        return self._sealed(unit)

    def _sealed(self, unit: Unit) -> Unit:
        """Make the unit a compare-and-set: it fails with Conflict where the instance has moved on since it was read.

        The version is compared first: a later write could fail on another process's row, with an error that says
        nothing about the version.
        """
        self.findable.store(unit)
        claim = self._claim
        if claim is None:
            compared = writes.ClaimVersion(instance_id=self.id, version=self.version)
            claim = Required(compared, partial(Conflict, self.id))
        unit.insert(0, claim)
        self.version, self._claim = self.version + 1, None
        return unit

    def _advance(self, unit: Unit, now_at: int, *, sends: bool) -> None:
        self._steps = 0
        while True:
            if self.gate is not None:
                if self.deadline_at is None or self.deadline_at > now_at:
                    self._move(unit, now_at, self.deadline_at)
                    return
                self._deny(EXPIRED_TEXT, EXPIRED)
            command = self.stage.command
            if command is None:
                if not self._next_stage(unit, now_at):
                    return
            elif isinstance(command, Amend):
                self.stage.resume()
                text = encode(self.stage.input).decode()
                unit.add(writes.AmendStage(input=text, instance_id=self.id, number=self.stage.number))
            elif isinstance(command, SleepUntil):
                if command.deadline_at > now_at:
                    self._move(unit, now_at, command.deadline_at)
                    return
                self.stage.resume()
            elif isinstance(command, WaitApproval):
                self.stage.resume()  # its gate is passed
            elif isinstance(command, WaitEvent):
                self._wait(command, unit, now_at)
                return
            elif self._prepare(command, unit, now_at, sends=sends):
                return

    def _wait(self, wait: WaitEvent, unit: Unit, now_at: int) -> None:
        """Take the awaited event if it has come, else wait for it; where its time is over, `end_wait` follows."""
        number, until_at = self.stage.number, wait.deadline_at
        unit.add(writes.TakeEvent(stage=number, instance_id=self.id, name=wait.event))
        if until_at is not None and until_at <= now_at:
            until_at = 0
        unit.add(writes.WaitForEvent(at=now_at, instance_id=self.id, stage=number, until_at=until_at))

    def _next_stage(self, unit: Unit, now_at: int) -> bool:
        """Close the stage that has ended; open the next, or end the instance. False where the unit ends with that."""
        stage = self.stage
        pin = None if stage.is_skipped else self.pin
        if stage.error is None and pin is not None and (left := pin.left(stage.number, stage.ordinal)):
            stage.leave_plan(left)
        self._close_stage(unit, now_at)
        self.earlier = NOTHING
        if self.definition.has_conditions:
            self.before.append(stage.passed())
        if stage.error is None and stage.number + 1 < len(self.definition.stages):
            self._open_stage(stage.number + 1, now_at, unit)
            command = self.stage.command
            at = command.deadline_at if isinstance(command, SleepUntil) else 0
            is_left = (command is None or 0 < at <= now_at) and self.stage_is_stored and self._steps >= UNIT_STEPS
            self._move(unit, now_at, at if is_left else 0)  # a clock that is set back may have to reach it again
            return not is_left
        self._end(unit, now_at, stage.error, stage.failure)
        return False

    def _move(self, unit: Unit, at: int, next_at: int | None) -> None:
        unit.add(writes.MoveInstance(at=at, next_at=next_at, instance_id=self.id))

    def _end(self, unit: Unit, now_at: int, error: str | None, failure: Failure | None) -> None:
        """End the instance. The write of its end is also the claim of the unit."""
        assert (error is None) == (failure is None), "an error has a kind, which is stored with it"
        self.ended_at, self.error = now_at, error
        end = writes.EndInstance(
            at=now_at,
            error=error,
            instance_id=self.id,
            version=self.version,
            failure=None if failure is None else failure.kind,
            failure_code=None if failure is None else failure.code,
        )
        self._claim = Required(end, partial(Conflict, self.id))
        self._announce(unit, SUCCEEDED_WORKFLOW if error is None else FAILED_WORKFLOW, now_at, error=error)

    def _announce(
        self, unit: Unit, type_: str, at: int, *, number: int | None = None, error: str | None = None
    ) -> None:
        """Publish an event of the instance, or of its stage of this number."""
        publish = self._context.announce
        unit.add(WhenWanted(type_, partial(publish, type_, at, self.workflow_id, self.id, number, error)))

    # stages

    def _open_stage(self, number: int, started_at: int, unit: Unit, decided: bool | None = None) -> None:
        """Open a stage. Its condition is evaluated here and nowhere else, and what it says is stored in this unit."""
        policy = self._context.policy
        may_name_world = policy.allow_world_from_trigger if self.by_trigger else policy.allow_world_from_caller
        verdict = RUNS if decided is None else Verdict(decided)
        if decided is None and WHEN in self.definition.stages[number]:
            verdict = decide(self.definition.stages[number], self.variables, self.before)
            self._steps += verdict.steps
        self.run_stage(number, started_at, may_name_world=may_name_world, verdict=verdict)
        pin = self.pin if verdict.error is None else None
        if pin is not None and (left := pin.skip_deviation(number, is_skipped=self.stage.is_skipped)) is not None:
            self.stage.leave_plan(left)
        is_left = self._steps >= UNIT_STEPS and self.stage.is_skipped and self.stage.error is None
        self.stage_is_stored = self.stage.command is not None or is_left
        self._announce(unit, STARTED_STAGE, started_at, number=number)
        if self.stage_is_stored:  # else it is stored together with its end
            unit.add(rows.stage_of(self.id, self.stage, started_at))
            self._store_decision(unit)
            rules = policy.approval_rules
            if rules.rules or isinstance(self.stage.command, WaitApproval):
                skipped = [place for place, each in enumerate(self.before) if each.outcome == SKIPPED]
                gate = gate_before(
                    self.stage, started_at, self.definition, self.variables, rules, self.approvals, skipped
                )
                if gate is not None:
                    self.gate, self.deadline_at = gate
                    unit.add(gate_of(self.id, number, gate))

    def _store_decision(self, unit: Unit) -> None:
        """Store what the condition of the stage has said, behind the row of the stage."""
        if (skips := self.stage.skips) is not None:
            unit.add(DecideStage(instance_id=self.id, number=self.stage.number, is_skipped=skips))

    def run_stage(self, number: int, started_at: int, *, may_name_world: bool, verdict: Verdict = RUNS) -> None:
        self.stage_started_at = started_at
        stages, given = self.definition.stages, self.variables
        self.stage = StageRunner(stages, number, given, started_at, may_name_world=may_name_world, verdict=verdict)

    def _close_stage(self, unit: Unit, now_at: int) -> None:
        stage, error = self.stage, self.stage.error
        ended = SUCCEEDED_STAGE if error is None else FAILED_STAGE
        self._announce(unit, ended, now_at, number=stage.number, error=error)
        if self.stage_is_stored:
            unit.add(writes.CloseStage(terminated_at=now_at, error=error, instance_id=self.id, number=stage.number))
        else:
            unit.add(rows.ended_at_once(self.id, stage, self.stage_started_at, now_at))
            self._store_decision(unit)

    # activities

    def _prepare(self, activity: Activity, unit: Unit, now_at: int, *, sends: bool) -> bool:
        """Make the request of a new activity; an effect's intent is stored before anything is sent.

        False if there is nothing to send: its values are invalid or depart from the plan, and the stage has ended; or
        an earlier instance of the case has booked it already.
        """
        if self.open is not None:
            return True
        stage = self.stage
        key = f"headrace:{self.root_id}:{stage.number}:{stage.ordinal}" if activity.is_effect else ""
        schemas, deviation = self._context.policy.ledger_schemas, None
        earlier = self.earlier.get(stage.ordinal) if activity.is_effect else None
        is_done = earlier is not None and earlier.is_done  # compared with what was booked: a plan of the rest lacks it
        try:
            request = prepare(activity, key, self.stage_started_at, schemas)
            if self.pin is not None and activity.is_effect and not is_done:
                deviation = self.pin.deviation(activity, stage.number, stage.ordinal, schemas)
        except InvalidValue as error:
            stage.refuse(str(error), INVALID)
            return False
        if deviation is not None:
            stage.leave_plan(deviation)
            return False
        if earlier is not None and (objection := earlier.objection(activity, request)):
            stage.leave_plan(f"stage {stage.number}, effect {stage.ordinal}: {objection}")
            return False
        if earlier is not None and earlier.is_done:
            stage.resume(earlier.output)
            return False
        if earlier is not None:
            request = earlier.to_send(request)
        self.open = CurrentActivity(activity, stage.number, stage.position, key, activity.input(key), request, now_at)
        self.open.was_sent = earlier is not None and earlier.settled_by_look_up(activity)
        if activity.is_effect:
            self._store_activity(unit, self.open, attempt=int(sends))
        return True

    def _store_activity(self, unit: Unit, opened: CurrentActivity, attempt: int) -> None:
        opened.is_stored, opened.begun = True, attempt
        self.findable.opened.append(opened)
        unit.add(rows.intent_of(self.id, opened, attempt))

    def begin_attempt(self) -> Unit:
        """Count an attempt as begun before it is sent. The unit fails with Conflict where another one has begun."""
        opened, unit = self.open, Unit()
        assert opened is not None
        opened.begun = attempt = max(opened.attempt, opened.begun) + 1
        begin = writes.BeginAttempt(attempt=attempt, instance_id=self.id, stage=opened.stage, position=opened.position)
        unit.add(Required(begin, partial(Conflict, self.id)))
        return self._sealed(unit)

    def fail_attempt(self, failure: str, next_at: int | None, *, doubt: Doubt | None = None) -> Unit:
        """Record why the open activity is not done yet, and when it is tried again. `doubt`: a person must decide."""
        opened, unit = self.open, Unit()
        assert opened is not None
        if not opened.is_stored:
            self._store_activity(unit, opened, opened.attempt)
        needs_attention = doubt is not None
        opened.last_failure = failure
        opened.needs_attention = needs_attention
        opened.begun = max(opened.attempt, opened.begun)
        unit.add(
            rows.failed_attempt(self.id, opened, failure, next_at, doubt, self.now_at() if needs_attention else None)
        )
        unit.add(writes.MarkTrouble(trouble=NEEDS_ATTENTION if needs_attention else RETRYING, instance_id=self.id))
        if needs_attention:
            unit.add(writes.ScheduleInstance(next_at=None, instance_id=self.id))
        return self._sealed(unit)

    def _close_activity(self, unit: Unit, now_at: int, output: Any, error: str | None) -> CurrentActivity:
        opened = self.open
        assert opened is not None
        self.open = None
        if opened.last_failure is not None:
            unit.add(writes.MarkTrouble(trouble=None, instance_id=self.id))
        attempt = max(opened.attempt, 1)
        text = None if output is None else encode(output).decode()
        if opened.is_stored:
            unit.add(rows.ended_activity(self.id, opened, attempt, text, error, now_at))
            return opened
        self.findable.opened.append(opened)
        unit.add(rows.closed_at_once(self.id, opened, attempt, text, error, now_at))
        return opened

    def _cancel_activity(self, unit: Unit, now_at: int) -> None:
        """Close the open activity as canceled. Only for one never sent, or proven not booked."""
        if self.open is not None and self.open.is_stored:
            self._close_activity(unit, now_at, None, CANCELED)
        self.open = None

    # recovery: see `recovery.restored`

    def keep(self, known: CurrentActivity, begun: int) -> bool:
        """Replace the restored activity by the one in this process.

        Returns False if the journal does not hold it open with `begun` attempts. The process knows more than the
        journal: whether the latest attempt was sent, and what it was answered.
        """
        found = self.open
        if found is None or (found.stage, found.position, found.begun) != (known.stage, known.position, begun):
            return False
        known.begun, known.last_failure, known.needs_attention = begun, found.last_failure, found.needs_attention
        self.open = known
        return True

    # what it waits for

    @property
    def needs_attention(self) -> bool:
        return self.open is not None and self.open.needs_attention

    @property
    def has_begun_attempt(self) -> bool:
        """True where the journal counts an attempt of the open effect that this process has not sent yet."""
        return self.open is not None and self.open.begun > self.open.attempt

    @property
    def waits_for_event(self) -> str | None:
        command = self.stage.command
        return command.event if isinstance(command, WaitEvent) else None

    @property
    def wait_is_over(self) -> bool:
        """True where the time for the awaited event is over, at the moment of the last unit."""
        command = self.stage.command
        return (
            isinstance(command, WaitEvent) and command.deadline_at is not None and command.deadline_at <= self.last_at
        )

    @property
    def waits_without_end(self) -> bool:
        """True where the stage waits for approvals, and gives up at no time."""
        return self.gate is not None and self.deadline_at is None

    @property
    def sleeps_until_at(self) -> int | None:
        command = self.stage.command
        return command.deadline_at if isinstance(command, SleepUntil | WaitEvent) else self.deadline_at
