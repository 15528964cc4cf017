"""Names of the events of orchestration that Headrace publishes."""

from __future__ import annotations

APP = "orchestration"

STARTED_WORKFLOW = "STARTED_WORKFLOW"
SUCCEEDED_WORKFLOW = "SUCCEEDED_WORKFLOW"
FAILED_WORKFLOW = "FAILED_WORKFLOW"
STARTED_STAGE = "STARTED_WORKFLOW_STAGE"
SUCCEEDED_STAGE = "SUCCEEDED_WORKFLOW_STAGE"
FAILED_STAGE = "FAILED_WORKFLOW_STAGE"
SUCCEEDED_TRIGGER = "SUCCEEDED_TRIGGER"
FAILED_TRIGGER = "FAILED_TRIGGER"

TYPES = (
    STARTED_WORKFLOW,
    SUCCEEDED_WORKFLOW,
    FAILED_WORKFLOW,
    STARTED_STAGE,
    SUCCEEDED_STAGE,
    FAILED_STAGE,
    SUCCEEDED_TRIGGER,
    FAILED_TRIGGER,
)

_TYPE_OF = {name: kind for kind in TYPES for name in (kind.lower(), f"{APP}.{kind.lower()}")}


def type_named(event: str) -> str | None:
    """Return the type for `SUCCEEDED_WORKFLOW` or `orchestration.succeeded_workflow`, in any case."""
    return _TYPE_OF.get(event.lower())
