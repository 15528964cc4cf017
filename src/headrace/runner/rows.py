"""The rows of stages and activities, as their instance writes them."""

from __future__ import annotations

import msgspec

from headrace.effects.services import scheduled_moment
from headrace.effects.settlement import Doubt
from headrace.journal import writes
from headrace.runner.activities import CurrentActivity
from headrace.workflows.interpreter import StageRunner


def stage_of(instance_id: str, stage: StageRunner, started_at: int) -> writes.OpenStage:
    """The row of a stage that has begun."""
    text = msgspec.json.encode(stage.input).decode()
    return writes.OpenStage(
        instance_id=instance_id, number=stage.number, keyword=stage.keyword, input=text, started_at=started_at
    )


def ended_at_once(instance_id: str, stage: StageRunner, started_at: int, now_at: int) -> writes.AddClosedStage:
    """The row of a stage of which nothing was stored before its end."""
    return writes.AddClosedStage(
        instance_id=instance_id,
        number=stage.number,
        keyword=stage.keyword,
        input=msgspec.json.encode(stage.input).decode(),
        started_at=started_at,
        terminated_at=now_at,
        error=stage.error,
    )


def intent_of(instance_id: str, opened: CurrentActivity, attempt: int) -> writes.OpenActivity:
    """The row of an activity before it is sent; `attempt` counts the attempts begun."""
    return writes.OpenActivity(
        instance_id=instance_id,
        stage=opened.stage,
        position=opened.position,
        name=opened.activity.name,
        input=_input(opened),
        started_at=opened.started_at,
        attempt=attempt,
        key=opened.key,
        request_method=opened.request.method,
        request_path=opened.request.path,
        request_body=opened.request.body,
        scheduled_at=scheduled_moment(opened.request) if opened.request.service == "payments" else None,
    )


def closed_at_once(
    instance_id: str, opened: CurrentActivity, attempt: int, output: str | None, error: str | None, now_at: int
) -> writes.AddClosedActivity:
    """The row of a read that has ended, of which nothing was stored while it was open. `output`: JSON text."""
    return writes.AddClosedActivity(
        instance_id=instance_id,
        stage=opened.stage,
        position=opened.position,
        name=opened.activity.name,
        input=_input(opened),
        started_at=opened.started_at,
        attempt=attempt,
        key=opened.key,
        request_method=opened.request.method,
        request_path=opened.request.path,
        request_body=opened.request.body,
        output=output,
        error=error,
        last_failure=opened.last_failure,
        terminated_at=now_at,
    )


def failed_attempt(
    instance_id: str,
    opened: CurrentActivity,
    failure: str,
    next_at: int | None,
    doubt: Doubt | None,
    attention_at: int | None,
) -> writes.FailAttempt:
    """The record of an attempt that proved nothing. `doubt`: why a person must decide, found at `attention_at`."""
    return writes.FailAttempt(
        attempt=opened.begun,
        failure=failure,
        next_execution_at=next_at,
        needs_attention=doubt is not None,
        attention=doubt,
        attention_at=attention_at,
        instance_id=instance_id,
        stage=opened.stage,
        position=opened.position,
    )


def _input(opened: CurrentActivity) -> str:
    return msgspec.json.encode(opened.activity.input(opened.key)).decode()
