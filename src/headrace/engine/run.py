"""One instance in memory: where it stands, and what the journal must learn when it moves on.

Every method here is synchronous and only decides; the engine commits the unit and performs what `command` asks.
The same steps serve a fresh start, normal running and recovery.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Protocol

import msgspec
from msgspec import structs

from headrace.effects.port import Request
from headrace.effects.requests import prepare
from headrace.errors import Conflict, InvalidValue
from headrace.events.outbox import Outbox
from headrace.journal import writes
from headrace.journal.lists import STATUSES
from headrace.journal.port import Unit
from headrace.journal.records import ActivityRow, Instance, Stage, Standing
from headrace.workflows.activities import ACTIVITIES, Activity, Json
from headrace.workflows.commands import Amend, SleepUntil, WaitEvent
from headrace.workflows.interpreter import CANCELED, JournalMismatch, StageRunner

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.decode

RETRYING = STATUSES.index("retrying")
NEEDS_ATTENTION = STATUSES.index("attention")


def json_text(value: Any) -> str:
    return _encode(value).decode()


@lru_cache(maxsize=256)
def stages_in(config: str) -> list[Json]:
    """The stages of a stored definition; shared by its instances, and never changed by one."""
    return _decode(config)["stages"]


@dataclass(frozen=True, slots=True)
class Rules:
    """Whose variables may name `world` as a source account (decision M9), and schema versions by ledger."""

    allow_world_from_trigger: bool = False
    allow_world_from_caller: bool = True
    ledger_schemas: Mapping[str, str] = field(default_factory=dict[str, str])


class Now(Protocol):
    def __call__(self) -> int: ...


@dataclass(slots=True)
class OpenActivity:
    """The activity under way. `is_stored`: the journal has a row for it; `has_begun`: and an attempt may be sent."""

    activity: Activity
    position: int
    key: str
    request: Request
    started_at: int
    attempt: int = 0
    is_stored: bool = False
    has_begun: bool = False
    was_sent: bool = False
    last_failure: str | None = None
    needs_attention: bool = False


class Run:
    """An instance that is being worked on."""

    __slots__ = (
        "_has_claimed",
        "_now",
        "_outbox",
        "_rules",
        "aborts",
        "by_trigger",
        "created_at",
        "ended_at",
        "error",
        "id",
        "interrupt",
        "is_stale",
        "is_woken",
        "last_at",
        "lock",
        "open",
        "runner",
        "shown",
        "stage_is_stored",
        "stage_started_at",
        "stages",
        "task",
        "updated_at",
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
        now: Now,
        rules: Rules,
        outbox: Outbox,
        *,
        by_trigger: bool = False,
    ) -> None:
        self.id = instance_id
        self.workflow_id = workflow_id
        self.stages = stages
        self.variables = variables
        self.created_at = created_at
        self.by_trigger = by_trigger
        self.last_at = created_at
        self.updated_at = created_at
        self.shown: list[Stage] = []  # stages begun since the start, where this process saw it
        self.ended_at: int | None = None
        self.error: str | None = None
        self.runner: StageRunner
        self.stage_started_at = created_at
        self.stage_is_stored = False
        self.open: OpenActivity | None = None
        self.aborts = 0  # callers that are aborting it now
        self.is_stale = False  # what stands here may not be what stands in the journal
        self.is_woken = False
        self.interrupt: asyncio.Future[None] | None = None
        self.lock = asyncio.Lock()
        self.task: asyncio.Task[None] | None = None
        self.version = 0
        self._has_claimed = False
        self._now = now
        self._rules = rules
        self._outbox = outbox

    def now_at(self) -> int:
        """The wall clock, never running backwards within one instance (decision E4)."""
        self.last_at = max(self.last_at, self._now())
        return self.last_at

    # start

    def begin(self, unit: Unit, *, sends: bool = True) -> None:
        """`sends`: this process sends what it has stored at once, so the intent counts as an attempt begun."""
        self._outbox.workflow_started(unit, self.created_at, self.workflow_id, self.id)
        self._open_stage(0, self.created_at, unit)
        self.advance(unit, sends=sends)
        self.version, self._has_claimed = int(self._has_claimed), False

    def seal(self, unit: Unit) -> None:
        """Make the unit a compare-and-set: it fails with Conflict where the instance has moved on since it was read."""
        if not self._has_claimed:
            unit.add(writes.ClaimVersion(instance_id=self.id, version=self.version), or_raise=Conflict(self.id))
        self.version, self._has_claimed = self.version + 1, False

    def as_instance(self, config: str, variables: str) -> Instance:
        """The instance as the journal holds it once the unit of its start is committed. Asked for once."""
        shown, self.shown = tuple(self.shown), []
        return Instance(
            self.id,
            self.workflow_id,
            config,
            variables,
            self.created_at,
            self.updated_at,
            self.ended_at,
            self.error,
            self.by_trigger,
            shown,
        )

    def _open_stage(self, number: int, started_at: int, unit: Unit) -> None:
        self._take_stage(number, started_at, may_name_world=self._may_name_world)
        self.stage_is_stored = self.runner.command is not None
        self._outbox.stage_started(unit, started_at, self.workflow_id, self.id, number)
        if not self.stage_is_stored:
            return  # it is stored together with its end
        text = json_text(self.runner.input)
        unit.add(
            writes.OpenStage(
                instance_id=self.id, number=number, keyword=self.runner.keyword, input=text, started_at=started_at
            )
        )
        self.shown.append(Stage(self.id, number, self.runner.keyword, text, started_at))

    def _take_stage(self, number: int, started_at: int, *, may_name_world: bool) -> None:
        self.stage_started_at = started_at
        self.runner = StageRunner(
            self.stages,
            number,
            self.variables,
            started_at,
            may_name_world=may_name_world,
        )

    @property
    def _may_name_world(self) -> bool:
        return self._rules.allow_world_from_trigger if self.by_trigger else self._rules.allow_world_from_caller

    # moving on

    def advance(self, unit: Unit, *, sends: bool = True) -> None:
        """From where the runner stands to the next command that has to be waited for, or to the end."""
        while True:
            command = self.runner.command
            if command is None:
                if not self._next_stage(unit):
                    return
            elif isinstance(command, Amend):
                self.runner.resume()
                text = json_text(self.runner.input)
                unit.add(writes.AmendStage(input=text, instance_id=self.id, number=self.runner.number))
            elif isinstance(command, SleepUntil):
                if command.deadline_at > self.now_at():
                    self._move(unit, self.last_at, command.deadline_at)
                    return
                self.runner.resume()
            elif isinstance(command, WaitEvent):
                number, self.updated_at = self.runner.number, self.now_at()
                unit.add(writes.TakeEvent(stage=number, instance_id=self.id, name=command.event))
                unit.add(writes.WaitForEvent(at=self.updated_at, instance_id=self.id, stage=number))
                return
            elif self._prepare(command, unit, sends=sends):
                return

    def _next_stage(self, unit: Unit) -> bool:
        """Close the stage that has ended; open the next, or end the instance. False when the instance has ended."""
        now_at, runner = self.now_at(), self.runner
        self._close_stage(unit, now_at)
        if runner.error is None and runner.number + 1 < len(self.stages):
            self._open_stage(runner.number + 1, now_at, unit)
            self._move(unit, now_at, 0)
            return True
        self._end(unit, now_at, runner.error)
        return False

    def _move(self, unit: Unit, at: int, next_at: int) -> None:
        self.updated_at = at
        unit.add(writes.MoveInstance(at=at, next_at=next_at, instance_id=self.id))

    def _close_stage(self, unit: Unit, now_at: int) -> None:
        runner = self.runner
        self._outbox.stage_ended(unit, now_at, self.workflow_id, self.id, runner.number, runner.error)
        if self.stage_is_stored:
            unit.add(
                writes.CloseStage(terminated_at=now_at, error=runner.error, instance_id=self.id, number=runner.number)
            )
            if self.shown:
                self.shown[-1] = structs.replace(self.shown[-1], terminated_at=now_at, error=runner.error)
            return
        text = json_text(runner.input)
        unit.add(
            writes.AddClosedStage(
                instance_id=self.id,
                number=runner.number,
                keyword=runner.keyword,
                input=text,
                started_at=self.stage_started_at,
                terminated_at=now_at,
                error=runner.error,
            )
        )
        self.shown.append(
            Stage(self.id, runner.number, runner.keyword, text, self.stage_started_at, now_at, runner.error)
        )

    def _end(self, unit: Unit, now_at: int, error: str | None) -> None:
        self.ended_at, self.error, self.updated_at = now_at, error, now_at
        end = writes.EndInstance(at=now_at, error=error, instance_id=self.id, version=self.version)
        unit.add(end, or_raise=Conflict(self.id))
        self._has_claimed = True
        self._outbox.workflow_ended(unit, now_at, self.workflow_id, self.id, error)

    def _prepare(self, activity: Activity, unit: Unit, *, sends: bool) -> bool:
        """Make the request of a new activity; an effect's intent is stored before anything is sent.

        False when its values are refused here: the stage has ended.
        """
        if self.open is not None:
            return True
        runner = self.runner
        key = f"headrace:{self.id}:{runner.number}:{runner.ordinal}" if activity.is_effect else ""
        now_at = self.now_at()
        try:
            request = prepare(activity, key, self.stage_started_at, self._rules.ledger_schemas)
        except InvalidValue as error:
            runner.refuse(str(error))
            return False
        self.open = OpenActivity(activity, runner.position, key, request, now_at)
        if activity.is_effect:
            self._store_open(unit, attempt=int(sends))
            self.open.has_begun = sends
        return True

    def _store_open(self, unit: Unit, attempt: int) -> None:
        opened = self.open
        assert opened is not None
        opened.is_stored = True
        unit.add(
            writes.OpenActivity(
                instance_id=self.id,
                stage=self.runner.number,
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

    # activities

    def begin_attempt(self, unit: Unit) -> None:
        """The first attempt of an effect whose intent was stored by a process that did not send it."""
        opened = self.open
        assert opened is not None
        opened.has_begun = True
        unit.add(
            writes.BeginAttempt(attempt=1, instance_id=self.id, stage=self.runner.number, position=opened.position),
            or_raise=Conflict(self.id),
        )

    def failed_attempt(self, unit: Unit, failure: str, next_at: int | None, *, needs_attention: bool = False) -> None:
        opened = self.open
        assert opened is not None
        if not opened.is_stored:
            self._store_open(unit, opened.attempt)
        opened.last_failure = failure
        opened.needs_attention = needs_attention
        unit.add(
            writes.FailAttempt(
                attempt=max(opened.attempt, int(opened.has_begun)),
                failure=failure,
                next_execution_at=next_at,
                needs_attention=needs_attention,
                instance_id=self.id,
                stage=self.runner.number,
                position=opened.position,
            )
        )
        unit.add(writes.MarkTrouble(trouble=NEEDS_ATTENTION if needs_attention else RETRYING, instance_id=self.id))

    def done(self, unit: Unit, output: Any) -> None:
        self._close_activity(unit, output, None)
        self.runner.resume(output)

    def refused(self, unit: Unit, message: str) -> None:
        self._close_activity(unit, None, message)
        self.runner.refuse(message)

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
                    stage=self.runner.number,
                    position=opened.position,
                )
            )
            return
        unit.add(
            writes.AddClosedActivity(
                instance_id=self.id,
                stage=self.runner.number,
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

    # abort

    def cancel(self, unit: Unit) -> None:
        """End the instance now (decision E6). An effect that may have been sent keeps its activity and stage open."""
        self._end(unit, self.now_at(), CANCELED)
        if self.open is not None and self.open.activity.is_effect and self.open.was_sent:
            unit.add(writes.ScheduleInstance(next_at=0, instance_id=self.id))
            return
        self.cancel_open(unit)
        self.runner.cancel()
        self._close_stage(unit, self.ended_at or self.last_at)

    def cancel_open(self, unit: Unit) -> None:
        """The open activity was never sent, or is proven not to be in the books."""
        if self.open is not None and self.open.is_stored:
            self._close_activity(unit, None, CANCELED)
        self.open = None

    def settle(self, unit: Unit) -> None:
        """Close the stage of an aborted instance, now that nothing of it is out there any more."""
        self.runner.cancel()
        self._close_stage(unit, self.now_at())
        unit.add(writes.ScheduleInstance(next_at=None, instance_id=self.id))

    # recovery

    @classmethod
    def restore(cls, standing: Standing, now: Now, rules: Rules, outbox: Outbox) -> Run:
        """Where the journal says it stands: the last stage, replayed up to its open activity."""
        instance, activities = standing.instance, standing.activities
        run = cls(
            instance.id,
            instance.workflow_id,
            stages_in(instance.config),
            _decode(instance.variables),
            instance.created_at,
            now,
            rules,
            outbox,
            by_trigger=instance.started_by_trigger,
        )
        run.ended_at, run.error, run.version = instance.terminated_at, instance.error, standing.version
        stage: Stage = instance.stages[-1]
        run.last_at = max(
            instance.updated_at, stage.started_at, *(row.terminated_at or row.started_at for row in activities), 0
        )
        run._take_stage(stage.number, stage.started_at, may_name_world=True)  # decided when the stage began
        run.stage_is_stored = run.is_woken = True
        for row in activities:
            if row.terminated_at is None:
                run._take_up(row)
            else:
                run.runner.replay(row.name, None if row.output is None else _decode(row.output))
        run.runner.skip_amendments()
        return run

    def _take_up(self, row: ActivityRow) -> None:
        """An activity without outcome. Its stored request is what will be sent, whatever this release would build."""
        self.runner.skip_amendments()
        command = self.runner.command
        if not isinstance(command, Activity) or command.name != row.name:
            raise JournalMismatch(f"stage {row.stage}, activity {row.position}: the journal holds {row.name}")
        service = ACTIVITIES[row.name].service
        self.open = OpenActivity(
            command,
            row.position,
            row.key,
            Request(
                service,
                row.request_method,
                row.request_path,
                row.request_body,
                row.key if service != "payments" else "",
            ),
            row.started_at,
            attempt=row.attempt,
            is_stored=True,
            has_begun=row.attempt > 0,
            was_sent=command.is_effect and row.attempt > 0,
            last_failure=row.last_failure,
            needs_attention=row.needs_attention,
        )

    def interrupt_pause(self) -> None:
        """End the pause before the next attempt, if one is under way."""
        if self.interrupt is not None and not self.interrupt.done():
            self.interrupt.set_result(None)

    @property
    def needs_attention(self) -> bool:
        return self.open is not None and self.open.needs_attention

    @property
    def waits_for_event(self) -> str | None:
        command = self.runner.command
        return command.event if isinstance(command, WaitEvent) else None

    @property
    def sleeps_until_at(self) -> int | None:
        command = self.runner.command
        return command.deadline_at if isinstance(command, SleepUntil) else None


DRIVEN: ContextVar[Run] = ContextVar("headrace_driven")
"""The run that the current task drives: whose call a call is."""
