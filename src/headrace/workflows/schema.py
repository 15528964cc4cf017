"""The JSON Schema of a workflow definition, for editors: made from the shapes that check it, so it cannot drift.

An editor can know less than the server, never more: what the schema refuses, the server refuses. The server also
refuses what JSON Schema cannot say:

- lengths are counted in bytes there, in characters here, and some are not counted here at all;
- `100.0` is an integer in JSON Schema; no amount is written like that;
- days that are not in the calendar (`2030-02-30T00:00:00Z`), and durations of more than 100 years;
- a `timestamp` that is in year 1 because of its offset (`0002-01-01T00:30:00+01:00`);
- halves of surrogate pairs.

It keeps to keywords that mean the same in every draft since the sixth, as editors read one or another of them.
`workflow.schema.json` beside this file is what `workflow_schema` returns, for those who want a file; a test compares
them, and `make schema` writes it.
"""

from __future__ import annotations

from typing import cast

from headrace.workflows.activities import Json
from headrace.workflows.conditions import MAX_BYTES, WHEN
from headrace.workflows.config import MAX_NAME_BYTES, MAX_STAGES, ON_FAILURE
from headrace.workflows.stages import STAGES
from headrace.workflows.stages.shape import MARK
from headrace.workflows.stages.stage import StageType

DRAFT = "https://json-schema.org/draft/2020-12/schema"
SCHEMA_ID = "urn:headrace:workflow"
FILE_NAME = "workflow.schema.json"

_VARIABLES = """Any text of a stage may hold variables, which each run is given:

- `"${order}"`: a whole value; amounts and booleans may come from a variable, too: `amount: "${amount}"`
- `"users:${user}:main"`: a part of one
- `"${payment.id}"`: the variable named `payment.id`, else member `id` of the JSON object in the variable `payment`

A run without a value for each is refused. What a variable holds is taken as it is: a `${` in it is not looked at
again. Keys, stage keywords and the workflow's name are not expanded. In YAML, quote what holds a variable within
`{...}`."""


def workflow_schema() -> Json:
    """Draft 2020-12. A new document on each call."""
    keywords = ", ".join(f"`{keyword}`" for keyword in STAGES)
    schema = {
        "$schema": DRAFT,
        "$id": SCHEMA_ID,
        "title": "Headrace workflow",
        "description": "A workflow moves money stage by stage, in order. " + _VARIABLES,
        "type": "object",
        "properties": {
            "name": {
                "description": "What people call the workflow. It need not be unique, and holds no variables.",
                "type": ["string", "null"],
                "maxLength": MAX_NAME_BYTES,
                "pattern": r"^[^\x00]*$",
                "examples": ["order"],
            },
            "on_failure": {
                "description": "`undo`: a run that fails is undone, the last effect first; an aborted one is not. "
                "Exists in Headrace only.",
                "type": ["string", "null"],
                "enum": [*ON_FAILURE, None],
                "examples": [*ON_FAILURE],
                "x-headrace": True,
            },
            "stages": {
                "description": f"The stages, 1 to {MAX_STAGES:,}, carried out strictly in order. " + _VARIABLES,
                "type": "array",
                "minItems": 1,
                "maxItems": MAX_STAGES,
                "items": {
                    "description": f"A stage is exactly one of {keywords}, perhaps with `when` beside it.",
                    "type": "object",
                    "properties": {keyword: _stage_schema(stage) for keyword, stage in STAGES.items()}
                    | {WHEN: condition_schema()},
                    "additionalProperties": False,
                    "oneOf": [{"required": [keyword]} for keyword in STAGES],
                },
            },
        },
        "required": ["stages"],
        "additionalProperties": False,
    }
    return _with_markdown(schema)


def condition_schema() -> Json:
    return {
        "description": "Whether the stage runs: an expression of `vars`, the variables of the run, and `stages`, those "
        "before this one, that is true or false. Where it is false, the stage is skipped. Headrace only.",
        "type": "string",
        "minLength": 1,
        "maxLength": MAX_BYTES,
        "examples": ['vars.country == "DE"', 'stages[0].outcome == "timeout"'],
        MARK: True,
    }


def _stage_schema(stage: StageType) -> Json:
    return stage.shape.schema() | ({} if stage.is_portable else {MARK: True})


def _with_markdown(schema: Json) -> Json:
    """Editors escape a `description`; where it has code in it, they are given it as Markdown, too."""
    described: Json = {}
    for key, value in schema.items():
        described[key] = _with_markdown(cast("Json", value)) if isinstance(value, dict) and key != "examples" else value
        if key == "description" and isinstance(value, str) and "`" in value:
            described["markdownDescription"] = value
    return described
