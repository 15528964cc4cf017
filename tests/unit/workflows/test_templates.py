"""A template gives what expanding and reading a body gives, or nothing where that refuses it."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from headrace.errors import InvalidValue, StageError
from headrace.workflows import interpreter
from headrace.workflows.activities import Json
from headrace.workflows.interpreter import StageRunner, filled_in
from headrace.workflows.stages import STAGES
from headrace.workflows.stages.stage import StageContext
from headrace.workflows.variables import MAX_EXPANDED_CHARACTERS, expand

ACCOUNT: Json = {"account": {"id": "users:${id}", "ledger": "${ledger}", "allowOverdraft": "${flag}"}}
MONEY: Json = {"amount": "${amount}", "asset": "USD/2"}
BODIES: list[tuple[str, Json]] = [
    ("send", {"source": ACCOUNT, "destination": {"wallet": {"name": "${name}"}}, "amount": MONEY}),
    ("send", {"source": ACCOUNT, "destination": {"wallet": {"id": "${blank}", "name": "${name}"}}, "amount": MONEY}),
    ("send", {"source": {"wallet": {"id": "${name}"}}, "destination": {"payment": {"psp": "p"}}, "amount": MONEY}),
    (
        "send",
        {
            "amount": {"asset": "${asset}", "amount": 100},
            "timestamp": "${at}",
            "metadata": {"order": "${id}", "kind": "x", "empty": ""},
            "destination": {"account": {"id": "m", "throughAccount": "${id}", "ledger": None}},
            "source": {"payment": {"id": "${id}", "holdingAccount": "h:${id}"}},
        },
    ),
    ("update", {"account": {"id": "${id}", "ledger": "main", "metadata": {"a": "${id} and ${name}", "b": "c"}}}),
    ("delay", {"duration": "${length}"}),
    ("delay", {"until": "${at}"}),
    ("wait_event", {"event": "paid:${person.id}"}),
]
GOOD = {
    "id": "u1",
    "ledger": "main",
    "flag": "true",
    "amount": "100",
    "name": "n",
    "blank": "",
    "asset": "EUR/2",
    "at": "2030-01-01T00:00:00Z",
    "length": "5s",
    "person": '{"id": "p1"}',
    "person.name": "whole",
}
TEXTS = ["", "0", "01", "100", "true", "${id}", "a:b", "world", "é", "\0", "\ud800", "x" * 2_000, '{"id": 7}', "5s"]
PLACED: list[Any] = [None, 5, -1, True, 1.5, "", "world", "${", "${}", "${none}", "${person.id}", "${person.name}"]
PLACED += ["${id}${name}", "x${amount}", "headrace_x", [], ["${id}"], {}, {"id": "${id}"}, {"a": None}]


def plain_way(keyword: str, raw: Json, variables: dict[str, str]) -> Json | None:
    stage = STAGES[keyword]
    try:
        return stage.normalise(expand(raw, variables), StageContext(0, raw))
    except (InvalidValue, StageError):
        return None


def expanded(raw: Json, variables: dict[str, str]) -> Json:
    """What history shows of a body that is refused: as far as it could be filled in."""
    try:
        return expand(raw, variables)
    except InvalidValue:
        return raw


def places(value: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    members: Json = value if isinstance(value, dict) else {}
    return [place for name, member in members.items() for place in ((*path, name), *places(member, (*path, name)))]


def changed(body: Json, path: tuple[str, ...], value: object) -> Json:
    name, rest = path[0], path[1:]
    return {**body, name: changed(body[name], rest, value) if rest else value}


@st.composite
def bodies(draw: st.DrawFn) -> tuple[str, Json]:
    keyword, body = draw(st.sampled_from(BODIES))
    for _ in range(draw(st.integers(0, 2))):
        path = draw(st.sampled_from(places(body)))
        name = draw(st.sampled_from([path[-1], "unknown", "headrace_x", "id", "name", "wallet"]))
        body = changed(body, (*path[:-1], name), draw(st.sampled_from(PLACED)))
    return keyword, body


@given(bodies(), st.fixed_dictionaries({}, optional=dict.fromkeys(GOOD, st.sampled_from(TEXTS))))
@settings(max_examples=10 * settings().max_examples)
@example(BODIES[1], {"blank": "w1"})
@example(BODIES[1], {"name": ""})
def test_it_gives_the_same_as_the_plain_way(case: tuple[str, Json], hostile: dict[str, str]) -> None:
    keyword, raw = case
    for variables in (GOOD, GOOD | hostile, hostile):
        found, wanted = filled_in(STAGES[keyword], raw, variables), plain_way(keyword, raw, variables)
        assert json.dumps(found) == json.dumps(wanted)  # the order of the members, too
        shown = StageRunner([{keyword: raw}], 0, variables, 0).input
        assert json.dumps(shown) == json.dumps(expanded(raw, variables) if wanted is None else wanted)


def test_every_body_has_a_template_that_is_used() -> None:
    for keyword, raw in BODIES:
        assert filled_in(STAGES[keyword], raw, GOOD) is not None


def test_a_body_may_be_changed_without_changing_the_next() -> None:
    for keyword, raw in BODIES:
        first = filled_in(STAGES[keyword], raw, GOOD)
        assert first is not None
        before = json.dumps(first)
        for path in places(first):
            owner: Any = first
            for name in path[:-1]:
                owner = owner[name]
            owner["planted"] = "x"
        assert json.dumps(filled_in(STAGES[keyword], raw, GOOD)) == before


def test_variables_beyond_the_limit_are_refused() -> None:
    raw: Json = {"event": "${a}" * 30}
    large = {"a": "x" * (MAX_EXPANDED_CHARACTERS // 29)}
    assert filled_in(STAGES["wait_event"], raw, large) is None
    runner = StageRunner([{"wait_event": raw}], 0, large, 0)
    assert runner.error is not None and "the expanded stage has more than" in runner.error


def test_the_oldest_templates_are_forgotten() -> None:
    kept: list[Json] = [{"event": f"{number} ${{id}}"} for number in range(interpreter.MAX_TEMPLATES + 10)]
    for raw in (*kept, kept[0]):
        assert filled_in(STAGES["wait_event"], raw, GOOD) == {"event": raw["event"].replace("${id}", "u1")}
    assert len(interpreter._templates) == interpreter.MAX_TEMPLATES
