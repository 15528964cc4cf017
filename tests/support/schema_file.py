"""Writes `workflow.schema.json` anew: `make schema`. A test fails while it is not what the checks say."""

from __future__ import annotations

import json
from pathlib import Path

from headrace import workflows
from headrace.workflows.schema import FILE_NAME, workflow_schema

PATH = Path(workflows.__file__).parent / FILE_NAME


def rendered() -> str:
    return json.dumps(workflow_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    PATH.write_text(rendered(), encoding="utf-8")
