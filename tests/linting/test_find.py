"""The linter as a whole: what is right has no findings, and any valid definition can be linted."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.cli.definitions import check_definitions
from headrace.cli.linting import lint
from headrace.cli.trigger_files import check_triggers
from headrace.errors import InvalidDefinition
from headrace.linting.partial import UNKNOWN, PartialText, Record, Value
from headrace.linting.published import published_events
from headrace.linting.registry import find
from headrace.linting.rule import Level
from headrace.linting.workflow import Trigger, Workflow
from headrace.workflows.config import parse_config
from headrace.workflows.variables import expand, shown
from tests.linting.samples import trigger
from tests.unit.workflows.test_schema import ANYTHING, NAMES, VALID, changed, places, spec_cases

Json = dict[str, Any]

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*/workflow.yaml"))
DEFECTIVE = {
    "every documented key is known, and what holds a placeholder is not looked at": {"overdraft-from-variable"},
    "a flag may come from a variable": {"overdraft-from-variable"},
    "a flag that is neither true nor false": {"overdraft-from-variable"},
    "an account without a ledger is accepted and ends its stage before anything is read": {"ledger-missing"},
    "a destination account without a ledger likewise": {"ledger-missing"},
}
"""Specifications of the very thing that a rule calls an error, by title."""
SPECS = [case for case in spec_cases() if "problems" not in case]


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda path: path.parent.name)
def test_examples_have_no_findings(file: Path) -> None:
    other = file.with_name("trigger.json")
    checked = list(check_definitions(str(file)))
    triggers = list(check_triggers(str(other))) if other.exists() else []
    assert all(each.definition for each in [*checked, *triggers])
    noted = {"not-portable"} if file.parent.name >= "15" else set[str]()
    assert {found.rule for found in lint(checked, triggers) if not found.is_allowed} == noted


def test_the_starter_has_no_findings() -> None:
    found = lint(list(check_definitions(str(ROOT / "src/headrace/cli/starter.yaml"))), [])
    assert [each for each in found if not each.is_allowed] == []


@pytest.mark.parametrize("case", SPECS, ids=lambda case: case["title"])
def test_specified_definitions_have_no_errors(case: Json) -> None:
    found = find({"name": "case", "stages": [case["stage"]]})
    assert {each.rule.name for each in found if each.rule.level is Level.ERROR} == DEFECTIVE.get(case["title"], set())


STAGES = [stage for document in VALID for stage in document["stages"]]
FILTERS = [
    None,
    'event.type == "PAY-IN" and event.status == "SUCCEEDED"',
    "event.transactions[0].postings[0].source in ['a', 'users:1']",
    "any(event.transactions, any(.postings, .amount > 5)) ? event?.x : false",
    'let x = event.metadata; x["state"] matches "^a" or not (x?.b ?? true)',
]
EVENTS = ["SAVED_PAYMENT", "COMMITTED_TRANSACTIONS", "ledger.saved_metadata", "SUCCEEDED_WORKFLOW", "x"]
EXPRESSIONS = ["event.id", "event.amount", "event.amount / 2", '"world"', "'a' + event.b", "[event]", "3"]
TRIGGERS = st.builds(
    Trigger,
    st.sampled_from(EVENTS),
    st.sampled_from(FILTERS),
    st.dictionaries(st.sampled_from(["a", "b", "5", "a.b", "x y"]), st.sampled_from(EXPRESSIONS), max_size=3),
)


@given(st.data(), st.lists(st.sampled_from(STAGES), min_size=1, max_size=4), st.lists(TRIGGERS, max_size=2))
def test_any_valid_definition_can_be_linted(data: st.DataObject, stages: list[Json], triggers: list[Trigger]) -> None:
    document = {"stages": copy.deepcopy(stages)}
    for _ in range(data.draw(st.integers(0, 3))):
        before = copy.deepcopy(document)
        path = data.draw(st.sampled_from([each for each in places(document) if each]))
        change = data.draw(st.sampled_from(["replace", "remove", "add"]))
        document = changed(document, path, change, data.draw(st.sampled_from(NAMES)), data.draw(ANYTHING))
        try:
            parse_config(document)
        except InvalidDefinition:
            document = before
    before = copy.deepcopy(document)
    found = find(document, triggers)
    assert document == before
    known = set(paths(document))
    for each in found:
        if each.remark.trigger is None:
            assert each.remark.path in known, each.remark
        else:
            names = {f"vars.{shown(name)}" for name in each.remark.trigger.variables}
            assert each.remark.path in {"", "event", "filter", "vars"} | names


def paths(value: Any, path: str = "") -> Iterator[str]:
    yield path
    if isinstance(value, dict):
        for key, member in value.items():
            yield from paths(member, f"{path}.{shown(key)}" if path else shown(key))
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from paths(item, f"{path}[{index}]")


WRITING = [case for case in SPECS if "commands" in case and ("send" in case["stage"] or "update" in case["stage"])]


@pytest.mark.parametrize("case", WRITING, ids=lambda case: case["title"])
def test_published_events_cover_what_a_stage_writes(case: Json) -> None:
    """The specifications hold the requests of each stage; the ledger's events repeat them."""
    events = list(published_events(Workflow({"stages": [case["stage"]]}), {}))
    for command in case["commands"]:
        ((name, body),) = command.items()
        if name == "CreateTransaction":
            written = {"ledger": body["ledger"], "transactions": [body["data"]]}
            kind = "COMMITTED_TRANSACTIONS"
        elif name in ("CreditWallet", "DebitWallet"):
            written, kind = {"ledger": "any", "transactions": [{}]}, "COMMITTED_TRANSACTIONS"
        elif name == "AddAccountMetadata":
            written = {"ledger": body["ledger"], "targetType": "ACCOUNT", "targetId": body["id"]}
            written["metadata"], kind = body["metadata"], "SAVED_METADATA"
        elif name == "CreateTransferInitiation":
            written, kind = {"type": body["type"], "asset": body["asset"]}, "SAVED_PAYMENT"
        else:
            continue
        assert any(each.type == kind and covers(each.payload, written) for each in events), (name, body)


def covers(known: Value, value: Any) -> bool:
    if known is UNKNOWN:
        return True
    if isinstance(known, PartialText):
        return isinstance(value, str) and known.may_be(value)
    if isinstance(known, Record):
        if not isinstance(value, dict):
            return False
        names = known.members.keys() | (set() if known.is_open else set(value))
        return all(covers(known.member(name), value.get(name)) for name in names)
    if isinstance(known, list):
        return isinstance(value, list) and len(known) == len(value) and all(map(covers, known, value))
    return known == value


def test_an_unbound_variable_is_one_for_which_a_run_fails() -> None:
    """The rule agrees with the expansion that a run performs."""
    stages = [{"wait_event": {"event": "${a.b.c}:${d}:${e.f}"}}]
    made = trigger(**{"a.b": "event", "d": "event.d"})
    (remark,) = [each.remark for each in find({"stages": stages}, [made]) if each.rule.name == "unbound-variable"]
    assert "`e.f`" in remark.message
    values = {"a.b": '{"c": "1"}', "d": "2", "e": '{"f": "3"}'}
    assert expand(stages, values) == [{"wait_event": {"event": "1:2:3"}}]
