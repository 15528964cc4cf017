"""The table of an instance's stages."""

from __future__ import annotations

from typing import Any

from headrace.cli.display import moment

Json = dict[str, Any]


def stage_rows(instance: Json, workflow: Json) -> tuple[list[str], list[list[str]]]:
    """Columns and rows: a row for each stage that has started, named by its keyword in the definition."""
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
    return ["Name", "Started at", "Terminated at", "Error"], rows
