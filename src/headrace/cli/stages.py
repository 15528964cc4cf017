"""The status of an instance, the table of its stages, and the message of a failed instance."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from headrace.cli.display import LEAST_TEXT, moment, table_lines
from headrace.cli.errors import REFUSED, Failure

Json = dict[str, Any]


def status_text(instance: Json, description: Json, stages: list[Json]) -> str:
    """How an instance has ended, and whether it was undone then; or what it waits for. `stages`: of its definition."""
    from headrace.workflows.conditions import parts_of
    from headrace.workflows.interpreter import CANCELED
    from headrace.workflows.stages import STAGES
    from headrace.workflows.variables import has_placeholder

    if instance["terminated"]:
        error = instance.get("error")
        ended = "succeeded" if not error else "aborted" if error == CANCELED else "failed"
        is_undone = description.get("successor", {}).get("kind") == "undo"  # an undo itself has a report, too
        return ended + (_UNDONE[description["undo"]["state"]] if is_undone else "")
    if "approval" in description:
        return "waiting for approvals"
    started: list[Json] = instance.get("status") or []
    number: int = started[-1]["stage"] if started else len(stages)
    if number >= len(stages) or started[-1].get("terminatedAt"):
        return "running"
    keyword, body = parts_of(stages[number])
    if keyword == "delay":
        return "waiting for the end of a delay"
    event = STAGES[keyword].awaited_event(body) if keyword in STAGES else None
    if not event:
        return "running"
    return "waiting for an event" if has_placeholder(event) else f"waiting for event {event}"


_UNDONE = {
    "undoing": ", now being undone",
    "undone": ", then undone",
    "undone_but": ", then undone except for what is kept",
    "undo_failed": ", then an undo of it has failed",
}


def stage_lines(instance: Json, workflow: Json, *, shown_error: str = "") -> list[str]:
    """A row for each stage that has started, named by its keyword in the definition.

    A stage whose error is `shown_error`, which stands above the table, has no long text of its own.
    """
    names = [next((key for key in stage if key != "when"), "") for stage in workflow["config"]["stages"]]
    rows = [
        [
            names[status["stage"]] if status["stage"] < len(names) else str(status["stage"]),
            moment(status["startedAt"]),
            moment(status.get("terminatedAt")),
            error if (error := status.get("error", "")) != shown_error or len(error) <= LEAST_TEXT else "see above",
        ]
        for status in instance.get("status", [])
    ]
    return table_lines(["Name", "Started at", "Ended at", "Error"], rows)


def success_text(instance: Json) -> str:
    """Sentence about an instance that has succeeded, with its duration."""
    took = datetime.fromisoformat(instance["terminatedAt"]) - datetime.fromisoformat(instance["createdAt"])
    seconds = took.total_seconds()
    return f"Succeeded after {f'{seconds:.1f} s' if seconds < 60 else timedelta(seconds=round(seconds))}."


def failed(instance: Json) -> Failure:
    hint = f"headrace instances describe {instance['id']}"
    return Failure(f"the instance ended with an error: {instance['error']}", code=REFUSED, hint=hint)
