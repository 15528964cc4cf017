"""The table of an instance's stages, and how one that failed is told."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from headrace.cli.display import moment, table_lines
from headrace.cli.exits import REFUSED, Failure

Json = dict[str, Any]


def stage_lines(instance: Json, workflow: Json) -> list[str]:
    """A row for each stage that has started, named by its keyword in the definition."""
    names = [next(iter(stage), "") for stage in workflow["config"]["stages"]]
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


def verdict(instance: Json) -> str:
    """Of an instance that has ended without an error."""
    return f"Succeeded after {_took(instance)}."


def _took(instance: Json) -> str:
    took = datetime.fromisoformat(instance["terminatedAt"]) - datetime.fromisoformat(instance["createdAt"])
    seconds = took.total_seconds()
    return f"{seconds:.1f} s" if seconds < 60 else str(timedelta(seconds=round(seconds)))


def failed(instance: Json) -> Failure:
    hint = f"headrace instances describe {instance['id']}"
    return Failure(f"the instance ended with an error: {instance['error']}", code=REFUSED, hint=hint)
