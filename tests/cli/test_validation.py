"""`workflows validate` and `workflows schema`: several files, several documents, places in JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.cli.json_places import places_of
from headrace.json_text import MAX_DEPTH
from headrace.workflows.rules import RULES
from headrace.workflows.schema import workflow_schema

Headrace = Callable[..., Any]

ROOT = Path(__file__).resolve().parents[2]
VALID = 'name: x\nstages:\n  - delay: {duration: "${which}"}\n'
WRONG_JSON = '{"stages": [{"delay": {}},\n  {"wait_event": {"event": 5,\n    "a b": 1}}]}'


def test_every_document_of_every_file_is_checked(headrace: Headrace, tmp_path: Path) -> None:
    several, other = tmp_path / "several.yaml", tmp_path / "other.json"
    several.write_text(f"stages: []\n---\n{VALID}---\n---\nstages:\n  - nap: 1\n")
    other.write_text(WRONG_JSON)
    ran = headrace("workflows", "validate", str(several), str(other), "-", stdin=VALID)
    assert ran.code == 1
    assert ran.out.splitlines() == [
        f"{several}:1:1: stages: must not be empty [stages]",
        f"{several}, document 2: valid, 1 stage",
        "Needs --variable which",
        (
            f"{several}:9:5: stages[0].nap: unknown stage; a stage is one of "
            "send, delay, wait_event, update, approve [stage]"
        ),
        f"{other}:1:14: stages[0].delay: must hold exactly one of `duration`, `until`, not none [exactly-one]",
        f"{other}:2:19: stages[1].wait_event.event: must be text, not a number [label]",
        (
            f"{other}:3:5: stages[1].wait_event.'a b': unknown key; known are `event`, `timeout`, `on_timeout` "
            "[unknown-key]"
        ),
        "<stdin>: valid, 1 stage",
        "Needs --variable which",
    ]
    assert ran.err == "5 problems in 3 of 5 definitions\n"


def test_a_document_that_cannot_be_read_hides_none_before_it(headrace: Headrace) -> None:
    ran = headrace("workflows", "validate", "-", "-o", "json", stdin=f"{VALID}---\na: &b 1\n---\n{VALID}")
    assert ran.code == 1
    found = json.loads(ran.out)["data"]
    assert found["valid"] is False
    first, second = found["definitions"]
    assert first == {
        "file": "<stdin>",
        "document": 1,
        "valid": True,
        "name": "x",
        "stages": 1,
        "variables": ["which"],
        "problems": [],
        "findings": [],
    }
    assert (second["document"], second["valid"]) == (2, False)
    (problem,) = second["problems"]
    assert (problem["line"], problem["column"], problem["rule"], problem["path"]) == (5, 4, "syntax", "")
    assert "anchor" in problem["reason"]


def test_a_program_reads_every_problem_with_place_and_rule(headrace: Headrace, tmp_path: Path) -> None:
    file = tmp_path / "w.json"
    file.write_text(WRONG_JSON)
    ran = headrace("-o", "json", "workflows", "validate", str(file))
    assert (ran.code, ran.err) == (1, "")
    (checked,) = json.loads(ran.out)["data"]["definitions"]
    places = [(each["line"], each["column"], each["rule"], each["path"]) for each in checked["problems"]]
    assert places == [
        (1, 14, "exactly-one", "stages[0].delay"),
        (2, 19, "label", "stages[1].wait_event.event"),
        (3, 5, "unknown-key", "stages[1].wait_event.'a b'"),
    ]
    assert {each["rule"] for each in checked["problems"]} <= set(RULES)


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "---\n---\n"])
def test_an_empty_file_is_no_workflow(headrace: Headrace, text: str) -> None:
    ran = headrace("workflows", "validate", "-", stdin=text)
    assert ran.code == 1
    assert ran.out.startswith("<stdin>:1:1: a workflow is an object") and ran.out.endswith("[workflow]\n")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{"stages": [],\n "stages": []}', "2:2"),
        ('{"stages": [{"delay": {"duration": "5s", "duration": "6s"}}]}', "1:42"),
        ('{"stages": [\n', "2:1"),
        ('{"name": "\\ud800"}', "1:1"),
    ],
)
def test_json_that_cannot_be_read(headrace: Headrace, text: str, place: str) -> None:
    ran = headrace("workflows", "validate", "-", stdin=text)
    assert ran.code == 1
    assert ran.out.startswith(f"<stdin>:{place}: ") and ran.out.endswith("[syntax]\n")


def test_a_file_that_is_not_there_hides_none_of_the_others(headrace: Headrace, tmp_path: Path) -> None:
    ran = headrace("workflows", "validate", str(tmp_path / "gone.yaml"), "-", stdin=VALID)
    assert ran.code == 2
    assert "gone.yaml" in ran.err
    assert "<stdin>: valid" in ran.out


def test_every_example_is_valid(headrace: Headrace) -> None:
    files = sorted(map(str, (ROOT / "examples").glob("*/workflow.yaml")))
    assert len(files) >= 14
    assert headrace("workflows", "validate", *files).code == 0


def test_create_refuses_what_validate_refuses(headrace: Headrace) -> None:
    """With several documents, too: nothing is sent while one of them is not valid."""
    text = f"{VALID}---\nstages: []\n"
    told = headrace("workflows", "validate", "-", stdin=text)
    ran = headrace("workflows", "create", "-", "--server", "http://127.0.0.1:1", stdin=text)
    assert (told.code, ran.code) == (1, 1)
    assert told.out.count("<stdin>:5:") == ran.err.count("<stdin>:5:") == 1
    for option in ("--name", "--idempotency-key"):
        many = headrace("workflows", "create", "-", option, "x", stdin=f"{VALID}---\n{VALID}")
        assert many.code == 2 and f"{option} is for one definition" in many.err


def test_the_schema_is_printed_as_it_is(headrace: Headrace) -> None:
    ran = headrace("workflows", "schema")
    assert ran.code == 0
    assert json.loads(ran.out) == workflow_schema()


def paths(value: Any, path: str = "") -> dict[str, Any]:
    found = {path: value}
    if isinstance(value, dict):
        for key, member in value.items():
            found |= paths(member, f"{path}.{key}" if path else key)
    if isinstance(value, list):
        for index, item in enumerate(value):
            found |= paths(item, f"{path}[{index}]")
    return found


KEYS = st.sampled_from(["a", "b", "stages", "c-d"])
VALUES = st.recursive(
    st.none() | st.integers() | st.sampled_from(["x", "\n{", '"', "\\", "},["]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)


@given(VALUES, st.sampled_from([None, 2]))
def test_a_place_is_where_the_value_or_its_key_stands(value: Any, indent: int | None) -> None:
    text = json.dumps(value, indent=indent)
    found = places_of(text)
    assert found.repeated is None
    expected = paths(value)
    assert found.marks.keys() == expected.keys()
    lines = text.split("\n")
    for path, (line, column) in found.marks.items():
        rest = lines[line - 1][column - 1 :]
        key = path.rsplit(".", 1)[-1]
        is_item = not path or path.endswith("]")
        assert rest.startswith(json.dumps(expected[path], indent=indent).split("\n")[0] if is_item else f'"{key}":')


def test_places_are_looked_for_no_deeper_than_values() -> None:
    """A path for each of many levels would take memory by their square: 200 KB of brackets took all memory."""
    assert max(path.count("[") for path in places_of("[" * 1_000).marks) == MAX_DEPTH


def test_rules_are_documented() -> None:
    page = (ROOT / "docs/how-to/validate-in-the-editor.md").read_text(encoding="utf-8")
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| `")]
    assert {rule.strip("`"): meaning.replace(r"\|", "|") for rule, meaning in rows} == RULES
