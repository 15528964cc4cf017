"""Rows of the journal as responses of V1. Stored JSON is copied unread; times become text."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from msgspec import UNSET, Raw, UnsetType

from headrace.api.v1 import schemas
from headrace.clock import date_time
from headrace.journal.records import ActivityRow, Instance, Occurrence, Stage, Trigger, Workflow
from headrace.json_text import encode
from headrace.workflows.activities import ACTIVITIES


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
    """An instance with the status of its started stages."""
    shown = schemas.Instance(
        id=row.id,
        workflow_id=row.workflow_id,
        created_at=date_time(row.created_at),
        updated_at=date_time(row.updated_at),
        terminated=row.terminated_at is not None,
        terminated_at=UNSET if row.terminated_at is None else date_time(row.terminated_at),
        error=UNSET if row.error is None else row.error,
        status=[],
    )
    for stage in row.stages:
        status = schemas.StageStatus(
            stage=stage.number,
            instance_id=stage.instance_id,
            started_at=date_time(stage.started_at),
            terminated_at=UNSET if stage.terminated_at is None else date_time(stage.terminated_at),
            error=UNSET if stage.error is None else stage.error,
        )
        shown.status.append(status)
    return shown


def instance_response(row: Instance) -> bytes:
    return encode(schemas.InstanceResponse(data=instance(row)))


async def instance_pages(pages: AsyncIterator[list[Instance]]) -> AsyncIterator[bytes]:
    async for rows in pages:
        if rows:
            yield encode([instance(row) for row in rows])


# histories


def history_response(stages: Sequence[Stage]) -> bytes:
    """The started stages of an instance, with their inputs."""
    history = [
        schemas.StageHistory(
            name=row.keyword,
            input=Raw(row.input),
            terminated=row.terminated_at is not None,
            started_at=date_time(row.started_at),
            terminated_at=_maybe(row.terminated_at),
            error=_text(row.error),
        )
        for row in stages
    ]
    return encode(schemas.HistoryResponse(data=history))


def activity_history_response(activities: Sequence[ActivityRow]) -> bytes:
    return encode(schemas.ActivityHistoryResponse(data=[activity(row) for row in activities]))


def activity(row: ActivityRow, version: str = "v1") -> schemas.ActivityHistory:
    """The latest failure and the next attempt are shown while the activity is open.

    An activity that this version of the API does not describe has an empty input and no output.
    """
    is_open = row.terminated_at is None
    is_described = row.name not in ACTIVITIES or version in ACTIVITIES[row.name].versions
    return schemas.ActivityHistory(
        name=row.name,
        input={row.name: Raw(row.input)} if is_described else {},
        output={row.name: Raw(row.output)} if row.output is not None and is_described else UNSET,
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
