"""One instance: where it stands, and what the journal must learn when it moves on.

Each method decides and adds typed writes to a unit; it waits for nothing. What it has decided is true once the unit is
committed. A runner whose unit was not committed, or may not have been, must not be used again: restore another one from
the journal. A start, a normal step, an abort and a recovery go through the same code.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from headrace.effects.port import Done, Refused, Request
from headrace.effects.protocol import NotBooked
from headrace.effects.requests import prepare
from headrace.errors import Conflict, InvalidValue, NotFound
from headrace.journal import writes
from headrace.journal.lists import STATUSES
from headrace.journal.port import Unit
from headrace.journal.records import ActivityRow, Standing, Workflow
from headrace.journal.searches import fingerprints
from headrace.runner.activities import CurrentActivity
from headrace.runner.announcements import Announcements
from headrace.runner.policy import Policy
from headrace.runner.stored import decode, json_text, stages_in
from headrace.workflows.activities import ACTIVITIES, Activity, Json
from headrace.workflows.commands import Amend, SleepUntil, WaitEvent
from headrace.workflows.interpreter import CANCELED, JournalMismatch, StageRunner

RETRYING = STATUSES.index("retrying")
NEEDS_ATTENTION = STATUSES.index("attention")


@dataclass(frozen=True, slots=True)
class RunnerContext:
    """The parts that runners share. `now` reads the wall clock, in microseconds since the epoch."""

    now: Callable[[], int]
    policy: Policy
    announcements: Announcements


class InstanceRunner:
    """An instance that is being worked on. `open` is the activity that it performs; `stage` runs its last stage."""

    __slots__ = (
        "_context",
        "_has_claimed",
        "by_trigger",
        "created_at",
        "ended_at",
        "error",
        "id",
        "last_at",
        "open",
        "stage",
        "stage_is_stored",
        "stage_started_at",
        "stages",
        "variables",
        "version",
        "workflow_id",
    )

    def __init__(
        self,
        instance_id: str,
        workflow_id: str,
        stages: list[Json],
        variables: dict[str, str],
        created_at: int,
        context: RunnerContext,
        *,
        by_trigger: bool,
    ) -> None:
        self.id = instance_id
        self.workflow_id = workflow_id
        self.stages = stages
        self.variables = variables
        self.created_at = created_at
        self.by_trigger = by_trigger
        self.last_at = created_at
        self.ended_at: int | None = None
        self.error: str | None = None
        self.stage: StageRunner
        self.stage_started_at = created_at
        self.stage_is_stored = False
        self.open: CurrentActivity | None = None
        self.version = 0
        self._has_claimed = False
        self._context = context

    def now_at(self) -> int:
        """The wall clock, never running backwards within one instance (decision E4)."""
        self.last_at = max(self.last_at, self._context.now())
        return self.last_at

    # start

    @classmethod
    def start(
        cls,
        unit: Unit,
        instance_id: str,
        workflow: Workflow,
        stages: list[Json],
        variables: dict[str, str],
        context: RunnerContext,
        *,
        by_trigger: bool,
        sends: bool,
    ) -> InstanceRunner:
        """Add a new instance, up to its first command.

        `sends`: this process sends what the unit stores at once, so the intent counts as an attempt begun.
        The unit raises NotFound where the workflow is deleted.
        """
        runner = cls(instance_id, workflow.id, stages, variables, context.now(), context, by_trigger=by_trigger)
        created_at = runner.created_at
        row = writes.AddInstance(
            instance_id=instance_id,
            workflow_id=workflow.id,
            config=workflow.config,
            variables=json_text(variables),
            created_at=created_at,
            by_trigger=by_trigger,
        )
        unit.add(row, or_raise=NotFound("workflow", workflow.id))
        if variables:
            hashes = json_text(fingerprints(variables))
            unit.add(writes.AddVariables(created_at=created_at, instance_id=instance_id, fingerprints=hashes))
        context.announcements.workflow_started(unit, created_at, workflow.id, instance_id)
        runner._open_stage(0, created_at, unit)
        runner._advance(unit, sends=sends)
        runner.version, runner._has_claimed = int(runner._has_claimed), False
        return runner

    # one step after the other

    def seal(self, unit: Unit) -> None:
        """Make the unit a compare-and-set: it fails with Conflict where the instance has moved on since it was read.

        The version is compared before anything else is written, which could fail for rows that another process added.
        """
        if self._has_claimed:
            at = next(at for at, (write, _) in enumerate(unit.entries) if isinstance(write, writes.EndInstance))
            unit.entries.insert(0, unit.entries.pop(at))
        else:
            claim = writes.ClaimVersion(instance_id=self.id, version=self.version)
            unit.entries.insert(0, (claim, Conflict(self.id)))
        self.version, self._has_claimed = self.version + 1, False

    def advance(self, unit: Unit, *, sends: bool = True) -> None:
        """Go on after a wait: to the next command that must be waited for, or to the end. `sends`: as in `start`."""
        self._advance(unit, sends=sends)

    def take_event(self, unit: Unit, *, sends: bool = True) -> None:
        """Go on with the awaited event, which the last unit has taken from the mailbox."""
        self.stage.resume()
        self._advance(unit, sends=sends)

    def record(self, unit: Unit, outcome: Done | Refused | NotBooked, *, sends: bool = True) -> None:
        """Close the open activity with its outcome and go on; the stage of an aborted instance ends with it."""
        match outcome:
            case Done(output):
                self._close_activity(unit, output, None)
                self.stage.resume(output)
            case Refused(code, text):
                message = f"{code}: {text}"
                self._close_activity(unit, None, message)
                self.stage.refuse(message)
            case NotBooked():
                self._cancel_activity(unit)
        if self.ended_at is None:
            self._advance(unit, sends=sends)
            return
        self.stage.cancel()
        self._close_stage(unit, self.now_at())
        unit.add(writes.ScheduleInstance(next_at=None, instance_id=self.id))

    def abort(self, unit: Unit) -> None:
        """End the instance now (decision E6). An effect that may have been sent keeps its activity and stage open."""
        self._end(unit, self.now_at(), CANCELED)
        if self.open is not None and self.open.activity.is_effect and self.open.was_sent:
            unit.add(writes.ScheduleInstance(next_at=0, instance_id=self.id))
            return
        self._cancel_activity(unit)
        self.stage.cancel()
        self._close_stage(unit, self.ended_at or self.last_at)

    def _advance(self, unit: Unit, *, sends: bool) -> None:
        while True:
            command = self.stage.command
            if command is None:
                if not self._next_stage(unit):
                    return
            elif isinstance(command, Amend):
                self.stage.resume()
                text = json_text(self.stage.input)
                unit.add(writes.AmendStage(input=text, instance_id=self.id, number=self.stage.number))
            elif isinstance(command, SleepUntil):
                if command.deadline_at > self.now_at():
                    self._move(unit, self.last_at, command.deadline_at)
                    return
                self.stage.resume()
            elif isinstance(command, WaitEvent):
                number = self.stage.number
                unit.add(writes.TakeEvent(stage=number, instance_id=self.id, name=command.event))
                unit.add(writes.WaitForEvent(at=self.now_at(), instance_id=self.id, stage=number))
                return
            elif self._prepare(command, unit, sends=sends):
                return

    def _next_stage(self, unit: Unit) -> bool:
        """Close the stage that has ended; open the next, or end the instance. False when the instance has ended."""
        now_at, stage = self.now_at(), self.stage
        self._close_stage(unit, now_at)
        if stage.error is None and stage.number + 1 < len(self.stages):
            self._open_stage(stage.number + 1, now_at, unit)
            self._move(unit, now_at, 0)
            return True
        self._end(unit, now_at, stage.error)
        return False

    def _move(self, unit: Unit, at: int, next_at: int) -> None:
        unit.add(writes.MoveInstance(at=at, next_at=next_at, instance_id=self.id))

    def _end(self, unit: Unit, now_at: int, error: str | None) -> None:
        self.ended_at, self.error = now_at, error
        end = writes.EndInstance(at=now_at, error=error, instance_id=self.id, version=self.version)
        unit.add(end, or_raise=Conflict(self.id))
        self._has_claimed = True
        self._context.announcements.workflow_ended(unit, now_at, self.workflow_id, self.id, error)

    # stages

    def _open_stage(self, number: int, started_at: int, unit: Unit) -> None:
        policy = self._context.policy
        may_name_world = policy.allow_world_from_trigger if self.by_trigger else policy.allow_world_from_caller
        self._run_stage(number, started_at, may_name_world=may_name_world)
        self.stage_is_stored = self.stage.command is not None
        self._context.announcements.stage_started(unit, started_at, self.workflow_id, self.id, number)
        if self.stage_is_stored:  # else it is stored together with its end
            opened = writes.OpenStage(
                instance_id=self.id,
                number=number,
                keyword=self.stage.keyword,
                input=json_text(self.stage.input),
                started_at=started_at,
            )
            unit.add(opened)

    def _run_stage(self, number: int, started_at: int, *, may_name_world: bool) -> None:
        self.stage_started_at = started_at
        self.stage = StageRunner(self.stages, number, self.variables, started_at, may_name_world=may_name_world)

    def _close_stage(self, unit: Unit, now_at: int) -> None:
        stage = self.stage
        self._context.announcements.stage_ended(unit, now_at, self.workflow_id, self.id, stage.number, stage.error)
        if self.stage_is_stored:
            unit.add(
                writes.CloseStage(terminated_at=now_at, error=stage.error, instance_id=self.id, number=stage.number)
            )
            return
        unit.add(
            writes.AddClosedStage(
                instance_id=self.id,
                number=stage.number,
                keyword=stage.keyword,
                input=json_text(stage.input),
                started_at=self.stage_started_at,
                terminated_at=now_at,
                error=stage.error,
            )
        )

    # activities

    def _prepare(self, activity: Activity, unit: Unit, *, sends: bool) -> bool:
        """Make the request of a new activity; an effect's intent is stored before anything is sent.

        False when its values are refused here: the stage has ended.
        """
        if self.open is not None:
            return True
        stage = self.stage
        key = f"headrace:{self.id}:{stage.number}:{stage.ordinal}" if activity.is_effect else ""
        now_at = self.now_at()
        try:
            request = prepare(activity, key, self.stage_started_at, self._context.policy.ledger_schemas)
        except InvalidValue as error:
            stage.refuse(str(error))
            return False
        self.open = CurrentActivity(activity, stage.number, stage.position, key, request, now_at)
        if activity.is_effect:
            self._store_activity(unit, self.open, attempt=int(sends))
        return True

    def _store_activity(self, unit: Unit, opened: CurrentActivity, attempt: int) -> None:
        opened.is_stored, opened.begun = True, attempt
        unit.add(
            writes.OpenActivity(
                instance_id=self.id,
                stage=opened.stage,
                position=opened.position,
                name=opened.activity.name,
                input=json_text(opened.activity.input(opened.key)),
                started_at=opened.started_at,
                attempt=attempt,
                key=opened.key,
                request_method=opened.request.method,
                request_path=opened.request.path,
                request_body=opened.request.body,
            )
        )

    def begin_attempt(self, unit: Unit) -> None:
        """Count an attempt as begun before it is sent. The unit fails with Conflict where another one has begun."""
        opened = self.open
        assert opened is not None
        attempt = max(opened.attempt, opened.begun) + 1
        opened.begun = attempt
        unit.add(
            writes.BeginAttempt(attempt=attempt, instance_id=self.id, stage=opened.stage, position=opened.position),
            or_raise=Conflict(self.id),
        )

    def fail_attempt(self, unit: Unit, failure: str, next_at: int | None, *, needs_attention: bool = False) -> None:
        """Record why the open activity is not done yet, and when it is tried again."""
        opened = self.open
        assert opened is not None
        if not opened.is_stored:
            self._store_activity(unit, opened, opened.attempt)
        opened.last_failure = failure
        opened.needs_attention = needs_attention
        opened.begun = max(opened.attempt, opened.begun)
        unit.add(
            writes.FailAttempt(
                attempt=opened.begun,
                failure=failure,
                next_execution_at=next_at,
                needs_attention=needs_attention,
                instance_id=self.id,
                stage=opened.stage,
                position=opened.position,
            )
        )
        unit.add(writes.MarkTrouble(trouble=NEEDS_ATTENTION if needs_attention else RETRYING, instance_id=self.id))
        if needs_attention:
            unit.add(writes.ScheduleInstance(next_at=None, instance_id=self.id))

    def _close_activity(self, unit: Unit, output: Any, error: str | None) -> None:
        opened = self.open
        assert opened is not None
        self.open = None
        if opened.last_failure is not None:
            unit.add(writes.MarkTrouble(trouble=None, instance_id=self.id))
        now_at, attempt = self.now_at(), max(opened.attempt, 1)
        text = None if output is None else json_text(output)
        if opened.is_stored:
            unit.add(
                writes.CloseActivity(
                    attempt=attempt,
                    output=text,
                    error=error,
                    terminated_at=now_at,
                    instance_id=self.id,
                    stage=opened.stage,
                    position=opened.position,
                )
            )
            return
        unit.add(
            writes.AddClosedActivity(
                instance_id=self.id,
                stage=opened.stage,
                position=opened.position,
                name=opened.activity.name,
                input=json_text(opened.activity.input(opened.key)),
                started_at=opened.started_at,
                attempt=attempt,
                key=opened.key,
                request_method=opened.request.method,
                request_path=opened.request.path,
                request_body=opened.request.body,
                output=text,
                error=error,
                last_failure=opened.last_failure,
                terminated_at=now_at,
            )
        )

    def _cancel_activity(self, unit: Unit) -> None:
        """The open activity was never sent, or is proven not to be in the books."""
        if self.open is not None and self.open.is_stored:
            self._close_activity(unit, None, CANCELED)
        self.open = None

    # recovery

    @classmethod
    def restore(cls, standing: Standing, context: RunnerContext) -> InstanceRunner:
        """The instance where the journal says it stands: its last stage, replayed up to the open activity."""
        instance, activities = standing.instance, standing.activities
        runner = cls(
            instance.id,
            instance.workflow_id,
            stages_in(instance.config),
            decode(instance.variables),
            instance.created_at,
            context,
            by_trigger=instance.started_by_trigger,
        )
        runner.ended_at, runner.error, runner.version = instance.terminated_at, instance.error, standing.version
        stage = instance.stages[-1]
        runner.last_at = max(
            instance.updated_at, stage.started_at, *(row.terminated_at or row.started_at for row in activities), 0
        )
        runner._run_stage(stage.number, stage.started_at, may_name_world=True)  # decided when the stage began
        runner.stage_is_stored = True
        for row in activities:
            if row.terminated_at is None:
                runner._reopen(row)
            else:
                runner.stage.replay(row.name, None if row.output is None else decode(row.output))
        runner.stage.skip_amendments()
        return runner

    def _reopen(self, row: ActivityRow) -> None:
        """An activity without outcome. Its stored request is what will be sent, whatever this release would build."""
        self.stage.skip_amendments()
        command = self.stage.command
        if not isinstance(command, Activity) or command.name != row.name:
            raise JournalMismatch(f"stage {row.stage}, activity {row.position}: the journal holds {row.name}")
        service = ACTIVITIES[row.name].service
        key = row.key if service != "payments" else ""
        self.open = CurrentActivity(
            command,
            row.stage,
            row.position,
            row.key,
            Request(service, row.request_method, row.request_path, row.request_body, key),
            row.started_at,
            attempt=row.attempt,
            begun=row.attempt,
            is_stored=True,
            was_sent=command.is_effect and row.attempt > 0,
            last_failure=row.last_failure,
            needs_attention=row.needs_attention,
        )

    def keep(self, known: CurrentActivity, begun: int) -> bool:
        """Go on with an activity that this process performs, where the journal holds it open with `begun` attempts.

        The process knows more than the journal: whether the latest attempt was sent, and what it was answered.
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
    def sleeps_until_at(self) -> int | None:
        command = self.stage.command
        return command.deadline_at if isinstance(command, SleepUntil) else None
