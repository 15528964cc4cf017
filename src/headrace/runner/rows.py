"""The rows of activities, as their instance writes them."""

from __future__ import annotations

import msgspec

from headrace.effects.services import scheduled_moment
from headrace.journal import writes
from headrace.runner.activities import CurrentActivity


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


def _input(opened: CurrentActivity) -> str:
    return msgspec.json.encode(opened.activity.input(opened.key)).decode()
