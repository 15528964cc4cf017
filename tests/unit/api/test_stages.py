"""What the description says of stages is what `workflows` checks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from headrace.api import openapi, yaml
from headrace.api.app import TABLE
from headrace.workflows.config import parse_config
from headrace.workflows.stages import STAGES
from headrace.workflows.stages.shape import Leaf, Object, TextMap

ROOT = Path(__file__).resolve().parents[3]
COMPONENTS: dict[str, Any] = openapi.describe(TABLE)["components"]["schemas"]
CHECKED = {stage.shape.name: stage.shape for stage in STAGES.values()}


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    return COMPONENTS[schema["$ref"].rsplit("/", 1)[-1]] if "$ref" in schema else schema


@pytest.mark.parametrize("name", CHECKED)
def test_members_and_requirements_agree(name: str) -> None:
    assert list(differences(CHECKED[name], COMPONENTS[name], name)) == []


def differences(shape: Any, schema: dict[str, Any], path: str) -> Iterator[str]:
    described = resolved(schema)
    match shape:
        case Object():
            if set(described["properties"]) != set(shape.members):
                yield f"{path}: {set(described['properties']) ^ set(shape.members)}"
                return
            if set(described["required"]) != set(shape.required):
                yield f"{path}: required {set(described['required']) ^ set(shape.required)}"
            if described["additionalProperties"] is not False:
                yield f"{path}: open"
            if (described.get("maxProperties") == 1) != any(rule.name == "exactly-one" for rule in shape.rules):
                yield f"{path}: exactly one"
            for member, inner in shape.members.items():
                yield from differences(inner, described["properties"][member], f"{path}.{member}")
        case TextMap():
            if described.get("additionalProperties") != {"type": "string"}:
                yield f"{path}: not texts"
        case Leaf():
            if described.get("type") == "object":
                yield f"{path}: an object"
        case _:
            yield f"{path}: {shape!r}"


def test_the_names_that_clients_generate_classes_from_stay() -> None:
    counts = {
        name: (COMPONENTS[name].get("minProperties"), COMPONENTS[name].get("maxProperties"))
        for name in list(COMPONENTS)[list(COMPONENTS).index("Stage") :]
    }
    assert counts == {
        "Stage": (1, 2),
        "Send": (None, None),
        "SendSource": (1, 1),
        "SendAccount": (None, None),
        "SendWallet": (1, None),
        "SendPaymentSource": (None, None),
        "SendDestination": (1, 1),
        "SendPaymentDestination": (None, None),
        "Monetary": (None, None),
        "Delay": (1, 1),
        "WaitEvent": (None, None),
        "Update": (None, None),
        "UpdateAccount": (None, None),
        "Approve": (None, None),
    }
    amount = COMPONENTS["Monetary"]["properties"]["amount"]
    assert amount["anyOf"] == [{"type": "integer"}, {"type": "string"}]
    assert COMPONENTS["SendAccount"]["properties"]["throughAccount"]["default"] == "world"


def test_the_keywords_agree() -> None:
    assert set(COMPONENTS["Stage"]["properties"]) == {*STAGES, "when"}


def test_every_example_fits_the_description() -> None:
    validator = jsonschema_rs.validator_for({**COMPONENTS["WorkflowConfig"], "components": {"schemas": COMPONENTS}})
    examples = sorted((ROOT / "examples").glob("*/workflow.yaml"))
    assert len(examples) >= 10
    for path in examples:
        document = yaml.decode(path.read_bytes()).value
        parse_config(document)
        validator.validate(document)
