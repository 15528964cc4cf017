"""What the server answers with, typed. Attributes are snake_case, the wire keeps its own names.

Unknown members are ignored, integers are exact at any size, dates carry their time zone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar, cast

import msgspec

T_co = TypeVar("T_co", covariant=True)

Timestamp = Annotated[datetime, msgspec.Meta(tz=True)]


def wire_name(attribute: str) -> str:
    """`terminated_at` is `terminatedAt` on the wire, `workflow_id` is `workflowID`."""
    first, *others = attribute.split("_")
    return first + "".join("ID" if part == "id" else part.capitalize() for part in others)


class Model(msgspec.Struct, omit_defaults=True, rename=wire_name):
    """Base of the typed documents."""


@dataclass(frozen=True, slots=True)
class Result(Generic[T_co]):
    """What a call returns. `raw` is the body as it came, `headers` ignore case."""

    data: T_co
    status_code: int
    headers: Mapping[str, str]
    raw: bytes


class ServerInfo(Model):
    version: str


class WorkflowConfig(Model):
    """A definition: each stage is an object with one key, the stage's keyword."""

    stages: list[dict[str, Any]]
    name: str | None = None


class Workflow(Model):
    id: str
    config: WorkflowConfig
    created_at: Timestamp
    updated_at: Timestamp


class StageStatus(Model):
    stage: int
    instance_id: str
    started_at: Timestamp
    terminated_at: Timestamp | None = None
    error: str | None = None


class WorkflowInstance(Model):
    """One run of a workflow. `status` has an entry for each stage that has started."""

    id: str
    workflow_id: str
    created_at: Timestamp
    updated_at: Timestamp
    terminated: bool
    terminated_at: Timestamp | None = None
    error: str | None = None
    status: list[StageStatus] = msgspec.field(default_factory=list[StageStatus])
    workflow: Workflow | None = None

    @property
    def current_stage(self) -> int | None:
        """The stage it is in, counted from 0; None before the first, between two and after the last."""
        if self.terminated or not self.status or self.status[-1].terminated_at is not None:
            return None
        return self.status[-1].stage


class LastStage(Model):
    """The last stage that has started, counted from 0; `name` is its keyword in the definition."""

    number: int
    name: str


class InstanceSummary(Model):
    """An instance as a search lists it.

    `status`: running, waiting, retrying, attention (a person has to decide), succeeded, failed or aborted.
    """

    id: str
    workflow_id: str
    status: str
    created_at: Timestamp
    updated_at: Timestamp
    workflow_name: str | None = None
    stage: LastStage | None = None
    terminated_at: Timestamp | None = None
    error: str | None = None
    error_code: str | None = None


class Event(Model, kw_only=True):
    """An event to send: triggers see its `payload`. It is known by `idempotency_key` or `id`, and then starts once."""

    type: str
    payload: dict[str, Any]
    app: str | None = None
    version: str | None = None
    date: Timestamp | None = None
    idempotency_key: str | None = msgspec.field(default=None, name="idempotency_key")
    id: str | None = None


class EventConflict(Model):
    """An event whose identity is known with another payload. `entry` is its place in the request, from 0."""

    entry: int
    key: str


class SentEvents(Model):
    """How many events of a request were accepted, and how many of those had been before (`repeated`).

    `conflicting` were not accepted: their identity is known with another payload; they start nothing. `conflicts` names
    the first 20 of them.
    """

    accepted: int
    repeated: int = 0
    conflicting: int = 0
    conflicts: list[EventConflict] = msgspec.field(default_factory=list[EventConflict])


class ReceivedEvent(Model, kw_only=True):
    """An event in the inbox. `key` is its identity; `repeats` counts how often it came again.

    `processed_at` is None until every trigger has seen it; `conflicts_with` is the identity it claims where an event
    with another payload had that identity before.
    """

    key: str
    type: str
    received_at: Timestamp
    processed_at: Timestamp | None = None
    repeats: int = 0
    last_repeat_at: Timestamp | None = None
    conflicts_with: str | None = None


class DeadLetter(Model):
    """An event that Headrace published and one publisher rejected repeatedly: it is not published again."""

    id: str
    publisher: str
    reason: str
    dead_lettered_at: Timestamp = msgspec.field(name="setAsideAt")
    event: dict[str, Any]


class AuditEntry(Model, kw_only=True):
    """One write: `principal` made it, through the program `client_id`, to the object with the id `target`.

    `operation` is the name the API has for it, such as runWorkflow. `number` grows with every entry.
    """

    number: int
    date: Timestamp
    principal: str
    client_id: str | None = msgspec.field(default=None, name="clientId")
    operation: str
    target: str


class Trigger(Model):
    """An event rule. `vars` holds an expression for each variable."""

    id: str
    created_at: Timestamp
    event: str
    workflow_id: str
    name: str = ""
    filter: str | None = None
    vars: dict[str, Any] | None = None
    version: str | None = None


class TriggerOccurrence(Model):
    """One match of a trigger and an event: the instance it started, or the error."""

    date: Timestamp
    trigger_id: str
    event: dict[str, Any]
    workflow_instance_id: str | None = None
    workflow_instance: WorkflowInstance | None = None
    error: str | None = None


class TriggerTestFilter(Model):
    match: bool | None = None
    error: str | None = None


class TriggerTestVariable(Model):
    value: str | None = None
    error: str | None = None


class TriggerTest(Model):
    """What a trigger makes of an event's payload. Nothing was started."""

    filter: TriggerTestFilter | None = None
    variables: dict[str, TriggerTestVariable] = msgspec.field(default_factory=dict[str, TriggerTestVariable])


def reader(kind: type[T_co], may_be_null: str = "") -> Callable[[object], T_co]:
    """Turns decoded JSON into `kind`. Its member `may_be_null` has its default where the server answers null."""
    return lambda value: msgspec.convert(_without_null(value, may_be_null), kind)


def rows_reader(kind: type[T_co], may_be_null: str) -> Callable[[object], T_co]:
    """The same for a list of rows that have that member."""
    return lambda value: msgspec.convert(
        [_without_null(row, may_be_null) for row in msgspec.convert(value, list[Any])], kind
    )


read_instance = reader(WorkflowInstance, "status")
read_instances = rows_reader(list[WorkflowInstance], "status")
read_trigger = reader(Trigger, "name")
read_triggers = rows_reader(list[Trigger], "name")
read_trigger_test = reader(TriggerTest, "variables")


def read_occurrences(value: object) -> list[TriggerOccurrence]:
    entries = [_with_sound_instance(entry) for entry in msgspec.convert(value, list[Any])]
    return msgspec.convert(entries, list[TriggerOccurrence])


def nothing(_value: object) -> None:
    """For operations whose success has no body."""


def _with_sound_instance(value: object) -> object:
    if not isinstance(value, dict):
        return value
    members = cast("dict[str, object]", value)
    if "workflowInstance" not in members:
        return members
    return {**members, "workflowInstance": _without_null(members["workflowInstance"], "status")}


def _without_null(value: object, name: str) -> object:
    """Servers with nil slices, maps and pointers answer null where they mean that there is nothing."""
    if not isinstance(value, dict):
        return value
    members = cast("dict[str, object]", value)
    return {key: member for key, member in members.items() if key != name or member is not None}
