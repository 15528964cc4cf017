"""The table of an instance's stages, and the message of a failed instance."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from headrace.cli.display import moment, table_lines
from headrace.cli.errors import REFUSED, Failure

Json = dict[str, Any]


def stage_lines(instance: Json, workflow: Json) -> list[str]:
    """A row for each stage that has started, named by its keyword in the definition."""
    names = [next((key for key in stage if key != "when"), "") for stage in workflow["config"]["stages"]]
    rows = [
        [
            names[status["stage"]] if status["stage"] < len(names) else str(status["stage"]),
            moment(status["startedAt"]),
            moment(status.get("terminatedAt")),
            status.get("error", ""),
        ]
        for status in instance.get("status", [])
    ]
    return table_lines(["Name", "Started at", "Terminated at", "Error"], rows)


def success_text(instance: Json) -> str:
    """Sentence about an instance that has succeeded, with its duration."""
    took = datetime.fromisoformat(instance["terminatedAt"]) - datetime.fromisoformat(instance["createdAt"])
    seconds = took.total_seconds()
    return f"Succeeded after {f'{seconds:.1f} s' if seconds < 60 else timedelta(seconds=round(seconds))}."


def failed(instance: Json) -> Failure:
    hint = f"headrace instances describe {instance['id']}"
    return Failure(f"the instance ended with an error: {instance['error']}", code=REFUSED, hint=hint)
