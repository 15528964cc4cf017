"""The schema for editors and the parser agree: what it refuses is refused, and what it lets through is listed here."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.errors import InvalidDefinition, Problem
from headrace.workflows.config import parse_config
from headrace.workflows.rules import RULES
from headrace.workflows.schema import DRAFT, workflow_schema
from headrace.workflows.stages import STAGES
from headrace.workflows.stages.formats import AMOUNT, Kind
from headrace.workflows.stages.send.body import normalise
from headrace.workflows.stages.send.parties import send_of
from headrace.workflows.stages.shape import Leaf, Object, Shape, TextMap
from tests.support import schema_file

Json = dict[str, Any]

ROOT = Path(__file__).resolve().parents[3]
SCHEMA = workflow_schema()
VALIDATOR = jsonschema_rs.Draft202012Validator(SCHEMA)

DIFFERENCES: dict[str, tuple[str, ...]] = {
    "amount": ("not float",),
    "approvals": ("not float",),
    "booking-date": ("is not a date: ", "is in year 1"),
    "date": ("is not a date: ",),
    "duration": ("longer than 100 years",),
    "label": ("at most 1024 bytes",),
    "metadata-key": ("at most 255 bytes",),
    "metadata-value": ("at most 65536 bytes",),
    "name": ("at most 1024 bytes",),
}
"""What only the parser finds, by rule: parts of what it says then."""


def fits(document: object) -> bool:
    return VALIDATOR.is_valid(document)


def problems(document: object) -> list[Problem]:
    try:
        parse_config(document)
    except InvalidDefinition as invalid:
        return invalid.problems
    return []


def is_difference(problem: Problem) -> bool:
    return any(part in problem.reason for part in DIFFERENCES.get(problem.rule, ()))


def assert_alike(is_accepted: bool, found: list[Problem], value: object) -> None:
    if is_accepted:
        assert all(is_difference(problem) for problem in found), (value, found)
    else:
        assert found, (value, [error.message for error in VALIDATOR.iter_errors(value)])


# the document


def test_it_is_a_schema_and_names_its_draft() -> None:
    jsonschema_rs.meta.validate(SCHEMA)
    assert SCHEMA["$schema"] == DRAFT


def test_the_file_in_the_package_is_up_to_date() -> None:
    assert schema_file.PATH.read_text(encoding="utf-8") == schema_file.rendered(), "run `make schema`"


def parts(schema: Any, path: str = "") -> Iterator[tuple[str, Json]]:
    """Every schema that an editor may show, by the path of its value."""
    yield path, schema
    for name, member in schema.get("properties", {}).items():
        yield from parts(member, f"{path}.{name}")
    if "items" in schema:
        yield from parts(schema["items"], f"{path}[]")


def test_everything_tells_what_it_is_for() -> None:
    found = dict(parts(SCHEMA))
    assert len(found) > 50
    assert [path for path, schema in found.items() if len(schema.get("description", "")) < 15] == []
    leaves = {path: schema for path, schema in found.items() if "properties" not in schema and "items" not in schema}
    without = {path.rsplit(".", 1)[-1] for path, schema in leaves.items() if not schema.get("examples")}
    assert without == set()


@pytest.mark.parametrize("spelling", ['"${order}"', '"users:${user}:main"', '"${payment.id}"', 'amount: "${amount}"'])
def test_every_spelling_of_a_variable_is_told(spelling: str) -> None:
    assert spelling in SCHEMA["description"]
    assert spelling in SCHEMA["properties"]["stages"]["description"]


def test_it_means_the_same_in_the_older_draft_that_editors_read() -> None:
    old = jsonschema_rs.Draft7Validator({key: value for key, value in SCHEMA.items() if key != "$schema"})
    for document in [*map(case_document, spec_cases()), *map(loaded, examples())]:
        assert old.is_valid(document) == fits(document)


# the examples and the specs


def examples() -> list[Path]:
    found = sorted((ROOT / "examples").glob("*/workflow.yaml"))
    assert len(found) >= 14
    return found


def loaded(path: Path) -> Any:
    return yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)  # as safe as safe_load, ten times as fast


@cache
def spec_cases() -> list[Json]:
    return [case for path in sorted((ROOT / "tests/specs/stages").rglob("*.yaml")) for case in loaded(path)]


def case_document(case: Json) -> Json:
    return {"name": "case", "stages": [case["stage"]]}


@pytest.mark.parametrize("path", examples(), ids=lambda path: path.parent.name)
def test_every_example_fits(path: Path) -> None:
    VALIDATOR.validate(loaded(path))


@pytest.mark.parametrize("case", spec_cases(), ids=lambda case: case["title"])
def test_every_spec_is_judged_as_the_parser_judges_it(case: Json) -> None:
    document = case_document(case)
    assert bool(problems(document)) == ("problems" in case)
    assert_alike(fits(document), problems(document), document)


# what is generated


VALID: list[Json] = [
    {"name": "x", "stages": [stage]}
    for stage in [
        *[case["stage"] for case in spec_cases() if "problems" not in case],
        {"wait_event": {"event": "x"}},
        {"delay": {"until": "2030-01-01T00:00:00Z", "duration": None}},
    ]
]
WORDS = [
    *("", ".", "..", "world", "_", "main", "${a}", "a${a}", "${", "${}", "$a", "{a}", "USD/2", "usd", "USD/1234567"),
    *("100", "007", "-1", "+5s", "5s", "1h30m", "1.5h", ".5s", ".s", "7d", "5", "0", "+0", "99999w", "true", "True"),
    *(
        "PAYOUT",
        "payout",
        "a:b",
        "a::b",
        "a b",
        "é",
        "\u0661",
        "a\nb",
        "a\n",
        "\t",
        "\x7f",
        "\0",
        "../x",
        "a/../b",
        "a/b",
    ),
    *("headrace_x", "2030-01-01T00:00:00Z", "2030-02-30T00:00:00Z", "2030-13-01T00:00:00Z", "2030-01-01"),
    *("2030-01-01T24:00:00Z", "2030-01-01T00:00:60Z", "2030-01-01T00:00:00.123456789+23:59", "0000-01-01T00:00:00Z"),
    *("0001-01-01T00:00:00Z", "0001-12-31T23:59:59-01:00", "0002-01-01T00:30:00+01:00"),
    *("x" * 64, "x" * 255, "x" * 256, "x" * 257, "x" * 1_024, "x" * 1_025, "1" * 1_000, "1" * 1_001, "é" * 600),
]
NAMES = sorted(
    {name for path, _ in parts(SCHEMA) for name in re.findall(r"\w+", path)} | {"x", "headrace_x", "a b", ""}
)
SCALARS = st.sampled_from(WORDS) | st.none() | st.booleans() | st.integers(-2, 10**30) | st.sampled_from([1.0, 1.5])
VALUES = SCALARS | st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
ANYTHING = st.recursive(
    VALUES,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
    max_leaves=8,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from places(child, (*path, key))


def changed(document: Any, path: tuple[Any, ...], change: str, key: str, value: Any) -> Any:
    if not path:
        return value if change == "replace" else {**document, key: value}
    target = document
    for step in path[:-1]:
        target = target[step]
    if change == "remove":
        del target[path[-1]]
    elif change == "add" and isinstance(target[path[-1]], dict):
        target[path[-1]][key] = value
    else:
        target[path[-1]] = value
    return document


@given(st.data())
@settings(max_examples=3 * settings().max_examples)
def test_one_or_two_changes_to_what_is_valid_are_judged_alike(data: st.DataObject) -> None:
    document = copy.deepcopy(data.draw(st.sampled_from(VALID)))
    for _ in range(data.draw(st.integers(1, 2))):
        path = data.draw(st.sampled_from(list(places(document))))
        change = data.draw(st.sampled_from(["replace", "remove", "add"]))
        key = data.draw(st.sampled_from(NAMES))
        document = changed(document, path, change, key, data.draw(ANYTHING))
        if not isinstance(document, dict):
            break
    assert_alike(fits(document), problems(document), document)


def shapes(shape: Shape, path: str) -> Iterator[tuple[str, Shape]]:
    yield path, shape
    if isinstance(shape, Object):
        for name, member in shape.members.items():
            yield from shapes(member, f"{path}.{name}")


SHAPES = [found for keyword, stage in STAGES.items() for found in shapes(stage.shape, keyword)]
KINDS = {shape.kind.rule + str(shape.kind.schema): shape.kind for _, shape in SHAPES if isinstance(shape, Leaf)}


TEXTS = st.lists(st.sampled_from(sorted({*"".join(WORDS), *WORDS})), max_size=6).map("".join)


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.rule)
def test_a_kind_of_value_and_its_schema_agree(kind: Kind) -> None:
    validator = jsonschema_rs.Draft202012Validator(kind.schema)
    for word in WORDS:
        assert_alike(validator.is_valid(word), list(Leaf(kind, "").problems(word, "x")), word)

    @given(TEXTS | VALUES)
    def judge(value: object) -> None:
        assert_alike(validator.is_valid(value), list(Leaf(kind, "").problems(value, "x")), value)

    judge()


def test_every_difference_exists() -> None:
    """One that is closed is taken off the list."""
    account = {"id": "a", "ledger": "main"}

    def sent(**more: Any) -> Json:
        send: Json = {"source": {"account": account}, "destination": {"account": account}}
        return {"stages": [{"send": {**send, "amount": {"amount": 1, "asset": "USD"}, **more}}]}

    documents = [
        sent(amount={"amount": 1.0, "asset": "USD"}),
        sent(timestamp="2030-02-30T00:00:00Z"),
        sent(timestamp="0002-01-01T00:30:00+01:00"),
        {"stages": [{"approve": {"approvals": 1.0}}]},
        {"stages": [{"delay": {"until": "2030-02-30T00:00:00Z"}}]},
        sent(metadata={"é" * 200: "x"}),
        sent(metadata={"x": "x" * 70_000}),
        {"stages": [{"delay": {"duration": "99999w"}}]},
        {"stages": [{"wait_event": {"event": "é" * 600}}]},
        {"name": "é" * 600, "stages": [{"wait_event": {"event": "x"}}]},
    ]
    seen: set[str] = set()
    for document in documents:
        assert fits(document)
        (problem,) = problems(document)
        assert is_difference(problem), problem
        seen.add(problem.rule)
    assert seen == set(DIFFERENCES)


# rules, defaults, examples


def test_every_problem_names_a_rule_that_is_listed() -> None:
    documents = [*map(case_document, spec_cases()), {"stages": []}, {}, [], {"stages": [{}, {"x": 1}]}, {"name": 5}]
    found = {problem.rule for document in documents for problem in problems(document)}
    assert found <= set(RULES)
    assert {"unknown-key", "missing", "account-address", "wallet-reference", "stage", "exactly-one"} <= found
    for _, shape in SHAPES:
        if isinstance(shape, Leaf):
            assert shape.kind.rule in RULES
        if isinstance(shape, Object):
            assert {rule.name for rule in shape.rules} <= set(RULES)


@pytest.mark.parametrize(("path", "shape"), SHAPES, ids=lambda value: value if isinstance(value, str) else "")
def test_what_is_shown_as_an_example_is_valid(path: str, shape: Any) -> None:
    if isinstance(shape, Object):
        return
    for example in shape.examples:
        assert list(shape.problems(example, path)) == []
    if isinstance(shape, TextMap):
        return
    assert any("${" in str(example) for example in shape.examples) or shape.kind is AMOUNT or "through" in path


def test_defaults_are_those_that_are_used() -> None:
    def sent(source: Json, destination: Json) -> Any:
        return send_of(normalise({"source": source, "destination": destination, "amount": {"amount": 1, "asset": "X"}}))

    account, wallet, payment = (
        {"account": {"id": "a", "ledger": "l"}},
        {"wallet": {"id": "w"}},
        {"payment": {"id": "p"}},
    )
    members = STAGES["send"].shape.schema()["properties"]

    def defaults(side: str, kind: str) -> Json:
        described = members[side]["properties"][kind]["properties"]
        return {name: member["default"] for name, member in described.items() if "default" in member}

    send = sent(payment, account)
    assert defaults("source", "payment") == {
        "ledger": send.source.ledger,
        "throughAccount": send.source.through,
        "allowOverdraft": send.source.allows_overdraft,
    }
    assert defaults("destination", "account") == {
        "throughAccount": send.destination.through,
        "allowOverdraft": send.destination.allows_overdraft,
    }
    send = sent(wallet, {"payment": {"psp": "x"}})
    assert defaults("source", "wallet") == {"balance": send.source.balance}
    assert defaults("destination", "payment") == {
        "type": send.destination.type,
        "metadata": send.destination.key,
        "waitingValidation": send.destination.is_waiting_validation,
    }
