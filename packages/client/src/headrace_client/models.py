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


def read_occurrences(value: object) -> list[TriggerOccurrence]:
    entries = [_with_sound_instance(entry) for entry in msgspec.convert(value, list[Any])]
    return msgspec.convert(entries, list[TriggerOccurrence])


def _with_sound_instance(value: object) -> object:
    if not isinstance(value, dict):
        return value
    members = cast("dict[str, object]", value)
    if "workflowInstance" not in members:
        return members
    return {**members, "workflowInstance": _with_status(members["workflowInstance"])}


def read_instances(value: object) -> list[WorkflowInstance]:
    entries = msgspec.convert(value, list[Any])
    return msgspec.convert([_with_status(entry) for entry in entries], list[WorkflowInstance])


def read_instance(value: object) -> WorkflowInstance:
    return msgspec.convert(_with_status(value), WorkflowInstance)


def reader(kind: type[T_co]) -> Callable[[object], T_co]:
    """Turns decoded JSON into `kind`."""
    return lambda value: msgspec.convert(value, kind)


def nothing(_value: object) -> None:
    """For operations whose success has no body."""


def _with_status(value: object) -> object:
    """Servers with nil slices answer `"status": null` where they mean an empty list."""
    if not isinstance(value, dict):
        return value
    members = cast("dict[str, object]", value)
    return {**members, "status": []} if members.get("status", ()) is None else members
