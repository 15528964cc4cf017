"""Rows of the journal as responses of V1. Stored JSON is copied unread; times become text."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from msgspec import UNSET, Raw, UnsetType

from headrace.api.v1 import schemas
from headrace.clock import date_time
from headrace.journal.records import ActivityRow, Instance, Occurrence, Stage, Trigger, Workflow
from headrace.json_text import encode


def _maybe(at: int | None) -> str | UnsetType:
    return UNSET if at is None else date_time(at)


def _text(text: str | None) -> str | UnsetType:
    return UNSET if text is None else text


# workflows


def workflow(row: Workflow) -> schemas.Workflow:
    return schemas.Workflow(
        id=row.id,
        config=Raw(row.config),
        created_at=date_time(row.created_at),
        updated_at=date_time(row.updated_at),
    )


def workflow_response(row: Workflow) -> bytes:
    return encode(schemas.WorkflowResponse(data=workflow(row)))


async def workflow_pages(pages: AsyncIterator[list[Workflow]]) -> AsyncIterator[bytes]:
    async for rows in pages:
        if rows:
            yield encode([workflow(row) for row in rows])


# instances


def instance(row: Instance) -> schemas.Instance:
    return schemas.Instance(
        id=row.id,
        workflow_id=row.workflow_id,
        created_at=date_time(row.created_at),
        updated_at=date_time(row.updated_at),
        terminated=row.is_terminal,
        terminated_at=_maybe(row.terminated_at),
        error=_text(row.error),
        status=[_status(stage) for stage in row.stages],
    )


def _status(row: Stage) -> schemas.StageStatus:
    return schemas.StageStatus(
        stage=row.number,
        instance_id=row.instance_id,
        started_at=date_time(row.started_at),
        terminated_at=_maybe(row.terminated_at),
        error=_text(row.error),
    )


def instance_response(row: Instance) -> bytes:
    return encode(schemas.InstanceResponse(data=instance(row)))


async def instance_pages(pages: AsyncIterator[list[Instance]]) -> AsyncIterator[bytes]:
    async for rows in pages:
        if rows:
            yield encode([instance(row) for row in rows])


# histories


def history_response(stages: Sequence[Stage]) -> bytes:
    return encode(schemas.HistoryResponse(data=[_stage(stage) for stage in stages]))


def _stage(row: Stage) -> schemas.StageHistory:
    return schemas.StageHistory(
        name=row.keyword,
        input=Raw(row.input),
        terminated=row.terminated_at is not None,
        started_at=date_time(row.started_at),
        terminated_at=_maybe(row.terminated_at),
        error=_text(row.error),
    )


def activity_history_response(activities: Sequence[ActivityRow]) -> bytes:
    return encode(schemas.ActivityHistoryResponse(data=[activity(row) for row in activities]))


def activity(row: ActivityRow) -> schemas.ActivityHistory:
    """The latest failure and the next attempt are shown while the activity is open."""
    is_open = row.terminated_at is None
    return schemas.ActivityHistory(
        name=row.name,
        input={row.name: Raw(row.input)},
        output=UNSET if row.output is None else {row.name: Raw(row.output)},
        error=_text(row.error),
        terminated=not is_open,
        started_at=date_time(row.started_at),
        terminated_at=_maybe(row.terminated_at),
        last_failure=_text(row.last_failure) if is_open else UNSET,
        attempt=max(row.attempt, 1),
        next_execution=_maybe(row.next_execution_at) if is_open else UNSET,
    )


# triggers


def trigger(row: Trigger) -> schemas.Trigger:
    """`name` is always present: the official CLI requires it."""
    return schemas.Trigger(
        id=row.id,
        created_at=date_time(row.created_at),
        name=row.name,
        event=row.event,
        workflow_id=row.workflow_id,
        filter=_text(row.filter),
        vars=UNSET if row.vars is None else Raw(row.vars),
        version=_text(row.version),
    )


def trigger_response(row: Trigger) -> bytes:
    return encode(schemas.TriggerResponse(data=trigger(row)))


async def trigger_pages(pages: AsyncIterator[list[Trigger]]) -> AsyncIterator[bytes]:
    async for rows in pages:
        if rows:
            yield encode([trigger(row) for row in rows])


def occurrence(row: Occurrence) -> schemas.Occurrence:
    return schemas.Occurrence(
        date=date_time(row.created_at),
        trigger_id=row.trigger_id,
        event=Raw(row.event),
        workflow_instance_id=_text(row.instance_id),
        workflow_instance=UNSET if row.instance is None else instance(row.instance),
        error=_text(row.error),
    )


async def occurrence_pages(pages: AsyncIterator[list[Occurrence]]) -> AsyncIterator[bytes]:
    async for rows in pages:
        if rows:
            yield encode([occurrence(row) for row in rows])
