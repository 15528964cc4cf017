"""History of an instance: one entry per stage that has started, and one per activity of a stage."""

from __future__ import annotations

from typing import Any

import msgspec

from headrace_client.activity_types import (
    V2WorkflowInstanceHistoryStageInput,
    V2WorkflowInstanceHistoryStageOutput,
    WorkflowInstanceHistoryStageInput,
    WorkflowInstanceHistoryStageOutput,
)
from headrace_client.models import Model, Timestamp
from headrace_client.stages import Stage, read_stage


class WorkflowInstanceHistory(Model):
    """A stage that has started. `name` is its keyword, `input` its body in the class of that stage."""

    name: str
    input: Stage
    terminated: bool
    started_at: Timestamp
    terminated_at: Timestamp | None = None
    error: str | None = None


class _StageEntry(Model):
    """A stage entry before its input is decoded: msgspec cannot decode a union without a discriminator."""

    name: str
    input: dict[str, Any]
    terminated: bool
    started_at: Timestamp
    terminated_at: Timestamp | None = None
    error: str | None = None


class WorkflowInstanceHistoryStage(Model):
    """An activity of a stage.

    During retries, `last_failure` is the reason and `next_execution` the time of the next.
    """

    name: str
    input: WorkflowInstanceHistoryStageInput
    terminated: bool
    started_at: Timestamp
    attempt: int
    output: WorkflowInstanceHistoryStageOutput | None = None
    error: str | None = None
    terminated_at: Timestamp | None = None
    last_failure: str | None = None
    next_execution: Timestamp | None = None


class V2WorkflowInstanceHistoryStage(Model):
    """An activity in V2's form: `output.create_transaction.data` is a list of transactions with `txid`."""

    name: str
    input: V2WorkflowInstanceHistoryStageInput
    terminated: bool
    started_at: Timestamp
    attempt: int
    output: V2WorkflowInstanceHistoryStageOutput | None = None
    error: str | None = None
    terminated_at: Timestamp | None = None
    last_failure: str | None = None
    next_execution: Timestamp | None = None


def read_history(value: object) -> list[WorkflowInstanceHistory]:
    entries = msgspec.convert(value, list[_StageEntry])
    return [_read_entry(index, entry) for index, entry in enumerate(entries)]


def _read_entry(index: int, entry: _StageEntry) -> WorkflowInstanceHistory:
    try:
        stage = read_stage(entry.name, entry.input)
    except msgspec.ValidationError as error:
        raise msgspec.ValidationError(f"{error} (within $[{index}].input)") from error
    return WorkflowInstanceHistory(
        name=entry.name,
        input=stage,
        terminated=entry.terminated,
        started_at=entry.started_at,
        terminated_at=entry.terminated_at,
        error=entry.error,
    )
