"""Definitions, matching, conversion to text, and evaluation within its budgets."""

from __future__ import annotations

import asyncio
import json
import threading
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from headrace import expr
from headrace.clock import SystemClock
from headrace.errors import InvalidDefinition, InvalidValue
from headrace.events.envelope import Envelope, envelope_of
from headrace.expr import Duration, KeyedMap, Time
from headrace.journal.records import Trigger
from headrace.triggers import expressions
from headrace.triggers.definition import parse_definition
from headrace.triggers.expressions import EvaluationFailed, Evaluator, LinkRefused, Programs, no_links
from headrace.triggers.firing import Firing, VariablesFailed
from headrace.triggers.matching import MAX_RAW_VALUES, causes, is_on, is_same_version
from headrace.triggers.variable_text import NotText, text_of

MINIMAL = {"event": "E", "workflowID": "w"}


def problems(**members: Any) -> dict[str, str]:
    with pytest.raises(InvalidDefinition) as caught:
        parse_definition({**MINIMAL, **members})
    return {problem.path: problem.reason for problem in caught.value.problems}


def trigger(**members: Any) -> Trigger:
    row = {"id": "t", "name": "", "event": "E", "workflow_id": "w", "version": None, "filter": None, "created_at": 1}
    variables = members.pop("vars", None)
    return Trigger(**{**row, **members}, vars=None if variables is None else json.dumps(variables))


def envelope(**members: Any) -> Envelope:
    return envelope_of({"type": "E", "payload": {}, **members})


# definitions


def test_a_definition_is_read_with_empty_members_as_absent() -> None:
    made = parse_definition({**MINIMAL, "name": "", "filter": "", "version": "", "vars": {}})
    assert (made.name, made.filter, made.version, made.vars_text) == ("", None, None, "{}")
    assert parse_definition(MINIMAL).vars_text is None


def test_everything_that_is_wrong_is_named_with_its_place() -> None:
    found = problems(event="", filter="event.a +", vars={"a": "1 + 'x'", "b": "evnt.id", "c": 7}, filters="x")
    assert set(found) == {"event", "filter", "vars.a", "vars.b", "vars.c", "filters"}
    assert "(1:9)" in found["filter"] and "(1:3)" in found["vars.a"]
    assert "unknown name evnt (1:1)" in found["vars.b"]


@pytest.mark.parametrize(
    "members",
    [
        {"filter": "event.a == '" + "x" * 8_192 + "'"},
        {"filter": "event.a" + "+1" * 4_100},
        {"filter": "((" * 400},
        {"vars": {"a": "''.__class__"}},
        {"vars": {"a\0": "1"}},
        {"vars": {f"v{n}": "1" for n in range(1_001)}},
        {"vars": {f"v{n}": "'" + "x" * 8_000 + "'" for n in range(40)}},
        {"vars": {f"v{n}": "1" + "+1" * 4_000 for n in range(120)}},
        {"vars": ["1"]},
        {"filter": 1},
        {"name": "x" * 1_025},
        {"event": "\ud800"},
        {"workflowID": None},
    ],
)
def test_hostile_definitions_are_refused(members: dict[str, Any]) -> None:
    assert problems(**members)


@pytest.mark.parametrize("value", [None, [], "x", 1])
def test_a_trigger_is_an_object(value: Any) -> None:
    with pytest.raises(InvalidValue):
        parse_definition(value)


# matching


@pytest.mark.parametrize(
    ("wanted", "given", "is_same"),
    [
        ("v2", "2.0.0", True),
        ("2", "v2.1", True),
        ("v2.0.0", "v2", True),
        ("V2.0", "2.0.9", True),
        ("v2", "v20", False),
        ("v2.1", "v2.0.0", False),
        ("v2", "", False),
        ("v1", "v2", False),
    ],
)
def test_versions_compare_as_far_as_the_shorter_goes(wanted: str, given: str, is_same: bool) -> None:
    assert is_same_version(wanted, given) is is_same


def test_an_event_is_named_by_its_bare_type_or_by_app_and_type_in_any_case() -> None:
    paid = envelope(type="SAVED_PAYMENT", app="payments", version="v3.0.0")
    assert is_on(trigger(event="SAVED_PAYMENT"), paid)
    assert is_on(trigger(event="payments.saved_payment"), paid)
    assert is_on(trigger(event="Payments.SAVED_Payment", version="3"), paid)
    assert not is_on(trigger(event="saved_payment"), paid)
    assert not is_on(trigger(event="ledger.saved_payment"), paid)
    assert not is_on(trigger(event="SAVED_PAYMENT", version="v2"), paid)
    assert not is_on(trigger(event="SAVED_PAYMENT", version="v2"), envelope(type="SAVED_PAYMENT"))


def test_older_ledger_messages_have_no_app_and_no_version() -> None:
    old = envelope(type="COMMITTED_TRANSACTIONS", ledger="main", date="2020-01-01T00:00:00Z")
    assert is_on(trigger(event="ledger.committed_transactions"), old)
    assert is_on(trigger(event="COMMITTED_TRANSACTIONS"), old)


def encoded_id(reference: str) -> str:
    return urlsafe_b64encode(f'{{"ConnectorID":{{"Provider":"wise"}},"Reference":"{reference}"}}'.encode()).decode()


@pytest.mark.parametrize("name", ["paymentInitiationID", "transferInitiationID", "id"])
@pytest.mark.parametrize("padding", ["", "=", "=="])
def test_the_id_of_an_initiation_names_its_cause(name: str, padding: str) -> None:
    identity = encoded_id("headrace:01a2-b:0:1").rstrip("=") + padding
    told = envelope(app="payments", type="E", payload={name: identity})
    assert causes(told) == {"01a2-b"}
    assert causes(envelope(app="ledger", type="E", payload={name: identity})) == set()


@pytest.mark.parametrize(
    "identity",
    [
        "",
        "x",
        "=" * 20,
        "A" * 17,
        "A" * 5_000,
        encoded_id("order:1"),
        encoded_id("headrace::0:1"),
        "\u00e9" * 20,
        7,
        None,
    ],
)
def test_an_id_not_made_by_headrace_names_no_cause(identity: Any) -> None:
    assert causes(envelope(app="payments", type="E", payload={"paymentInitiationID": identity})) == set()


@pytest.mark.parametrize(
    "value",
    [None, [], {"type": "E"}, {"payload": {}}, {"type": "", "payload": {}}, {"type": 1, "payload": {}},
     {"type": "E", "payload": None}, {"type": "E", "payload": []}, {"type": "E", "payload": {}, "app": 1},
     {"type": "E", "payload": {}, "id": "x" * 513}, {"type": "E", "payload": {}, "id": True},
     {"type": "E", "payload": {}, "idempotency_key": 1.5},
     {"type": "E" * 1_025, "payload": {}}],
)  # fmt: skip
def test_what_is_no_envelope_is_refused(value: Any) -> None:
    with pytest.raises(InvalidValue):
        envelope_of(value)


def test_an_event_names_the_instances_that_caused_it() -> None:
    transactions = [
        {"reference": "headrace:i-1:0:0"},
        {"reference": "order-7", "metadata": {"headrace_effect": "headrace:i-2:3:1"}},
        {"reference": "headrace:ingest:abc"},
        None,
        {"metadata": "x"},
    ]
    assert causes(envelope(payload={"transactions": transactions})) == {"i-1", "i-2"}
    assert causes(envelope(app="orchestration", payload={"instanceID": "i-3"})) == {"i-3"}
    assert causes(envelope(payload={"instanceID": "i-3", "transactions": "x"})) == set()
    assert causes(envelope(payload={"reference": "headrace:i-4:2:0", "amount": 5})) == {"i-4"}, "an initiation"
    raw = {"a": [1, None, {"merchantReference": "x headrace:i-6:0:1"}], "b": "headrace:i-7:10:2"}
    assert causes(envelope(app="payments", payload={"reference": "psp-1", "rawData": raw})) == {"i-6", "i-7"}
    assert causes(envelope(app="ledger", payload={"rawData": raw})) == set()
    deep: Any = "headrace:i-8:0:0"
    for _ in range(MAX_RAW_VALUES):
        deep = [deep]
    assert causes(envelope(app="payments", payload={"rawData": deep})) == set(), "the search is bounded"
    assert causes(envelope(payload={"reference": 7, "metadata": {"headrace_effect": "headrace:i-5:0:0"}})) == {"i-5"}


# text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (25_000, "25000"),
        (10**40, str(10**40)),
        (-7, "-7"),
        (True, "true"),
        ("a b", "a b"),
        ("", ""),
        (4199.0, "4199"),
        (1e20, "100000000000000000000"),
        (1e22, "1e+22"),
        (0.1, "0.1"),
        (1234567.5, "1234567.5"),
        ([1, "a", None, 2.0, [True]], '[1,"a",null,2,[true]]'),
        ({"b": 10**30, "a": {}}, '{"b":' + str(10**30) + ',"a":{}}'),
        (KeyedMap([("k", [1])]), '{"k":[1]}'),
        (Time(0), "1970-01-01T00:00:00Z"),
        (Duration(90 * 10**9), "1m30s"),
    ],
)
def test_results_become_text_exactly(value: Any, text: str) -> None:
    assert text_of(value) == text


@pytest.mark.parametrize(
    "value",
    [None, float("nan"), float("inf"), [float("nan")], b"x", KeyedMap([(1, 2)]), "\udc80", {"\udc80": 1}, object()],
)
def test_what_is_no_text_is_refused(value: Any) -> None:
    with pytest.raises(NotText):
        text_of(value)


def test_a_deep_result_is_refused() -> None:
    deep: Any = []
    for _ in range(300):
        deep = [deep]
    with pytest.raises(NotText):
        text_of(deep)


# evaluation


@pytest.fixture
def evaluator() -> Iterator[Evaluator]:
    made = Evaluator(SystemClock(), no_links)
    yield made
    made.close()


async def test_only_true_fires(evaluator: Evaluator) -> None:
    async def fires(source: str | None) -> bool:
        return await Firing(evaluator, trigger(filter=source), {"a": 1, "t": True}).matches()

    assert [await fires(source) for source in (None, "event.t", "event.a == 1")] == [True, True, True]
    assert [await fires(source) for source in ("event.a", "event.b", "'true'", "event.a == '1'")] == [False] * 4
    with pytest.raises(EvaluationFailed):
        await fires("event.b.c == 1")


async def test_every_variable_that_fails_is_named(evaluator: Evaluator) -> None:
    firing = Firing(evaluator, trigger(vars={"a": "event.x", "b": "event.n + 1", "c": "1 / event.x"}), {"n": 2**63 - 1})
    with pytest.raises(VariablesFailed) as caught:
        await firing.variables()
    assert "a: gives nil" in str(caught.value)
    assert "b: " in str(caught.value), "what would wrap around 64 bits is an error (X2)"
    assert "c: " in str(caught.value)


async def test_integers_of_any_size_pass_through(evaluator: Evaluator) -> None:
    firing = Firing(
        evaluator, trigger(vars={"amount": "event.amount", "name": "'a' + event.b"}), {"amount": 10**40, "b": "c"}
    )
    assert await firing.variables() == {"amount": str(10**40), "name": "ac"}


async def test_a_variable_has_a_size(evaluator: Evaluator) -> None:
    firing = Firing(evaluator, trigger(vars={"a": "repeat('x', 70000)"}), {})
    with pytest.raises(VariablesFailed, match="65536"):
        await firing.variables()


async def test_an_endless_expression_is_stopped_and_delays_no_other(evaluator: Evaluator) -> None:
    """It runs beside the loop: others go on meanwhile."""
    source = "all(1..1000, all(1..1000, all(1..1000, true)))"
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    going = asyncio.ensure_future(others())
    with pytest.raises(EvaluationFailed) as caught:
        await evaluator.over({}).value(source)
    going.cancel()
    assert caught.value.is_over_budget
    assert turns > 10


async def test_programs_are_compiled_once_and_the_oldest_leave(evaluator: Evaluator) -> None:
    programs = Programs(max_characters=30)
    first = expr.compile("event.a + 1")
    programs.keep(first)
    programs.keep(expr.compile("event.a + 1"))
    assert programs.of("event.a + 1") is first
    for number in range(5):
        programs.keep(expr.compile(f"event.b + {number}"))
    assert programs.of("event.a + 1") is None
    assert await evaluator.over({"a": 1}).value("event.a + 1") == await evaluator.over({"a": 1}).value("event.a + 1")


ENDLESS = "all(1..1000, all(1..1000, all(1..1000, true)))"


async def test_all_expressions_of_a_trigger_have_one_budget(evaluator: Evaluator) -> None:
    """A thousand of them, each within its own, would take minutes."""
    many = trigger(vars={f"v{number}": f"{ENDLESS} or {number} == 1" for number in range(1_000)})
    begun_s = SystemClock().monotonic_s()
    trial = await Firing(evaluator, many, {}).trial()
    assert SystemClock().monotonic_s() - begun_s < 10
    assert len(trial.errors) == 1_000
    assert "together" in trial.errors["v999"]


async def test_the_first_event_after_a_start_has_the_same_budget_as_the_next(
    evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compiling what a trigger may have takes longer than that, on a busy machine: no event fails over it."""
    monkeypatch.setattr(expressions, "ALL_S", 0.1)
    skipped = " || ".join(f"event.abc == {number}" for number in range(25))
    sources = {f"v{number}": f"event.n == {number} || true || {skipped}" for number in range(60)}
    firing = Firing(evaluator, trigger(vars=sources), {"n": 1})
    assert len(await firing.variables()) == 60


async def test_many_short_expressions_let_others_have_their_turn(evaluator: Evaluator) -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    going = asyncio.ensure_future(others())
    await evaluator.over({}).value("1")
    before = turns
    await Firing(evaluator, trigger(vars={f"v{n}": f"len(map(1..1500, # + {n}))" for n in range(200)}), {}).trial()
    going.cancel()
    assert turns - before >= 5


async def test_a_long_expression_is_compiled_beside_the_event_loop(evaluator: Evaluator) -> None:
    threads: set[int] = set()
    compiling = expressions._compile  # pyright: ignore[reportPrivateUsage]

    def seen(source: str) -> expr.Program:
        threads.add(threading.get_ident())
        return compiling(source)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(expressions, "_compile", seen)
        assert await evaluator.over({}).value("1" + "+1" * 3_000) == 3_001
    assert threads and threading.get_ident() not in threads


@pytest.mark.parametrize(
    "source",
    [
        "let s = repeat('x', 900000); map(1..30000, s)",
        "1..400000",
        "let s = repeat('x', 60000); {a: s, b: s}",
        "map(1..100, 1..1000)",
    ],
)
async def test_a_value_that_would_be_gigabytes_as_text_is_refused(evaluator: Evaluator, source: str) -> None:
    value = await evaluator.over({}).value(source)
    with pytest.raises(NotText, match="65536 bytes"):
        text_of(value)


# links


class Links:
    """Follows links; counts."""

    def __init__(self, answer: Callable[[str], Any]) -> None:
        self._answer = answer
        self.seen: list[str] = []

    async def __call__(self, uri: str, /) -> Any:
        self.seen.append(uri)
        await asyncio.sleep(0)
        return self._answer(uri)


LINKED: dict[str, Any] = {
    "links": [
        {"name": "source_account", "uri": "http://a/1"},
        {"name": "target", "uri": "http://a/2"},
        None,
        {"name": 1},
    ],
    "kind": "plain",
}


async def test_a_link_is_followed_where_an_expression_asks_for_it_and_once() -> None:
    links = Links(lambda uri: {"role": f"of {uri}"})
    evaluator = Evaluator(SystemClock(), links)
    rule = trigger(
        filter='event.kind == "other" and link(event, "source_account").role == "x"',
        vars={
            "a": 'link(event, "source_account").role',
            "b": 'get(link(event, "source_account"), "none") ?? "nothing"',
        },
    )
    firing = Firing(evaluator, rule, LINKED)
    assert not await firing.matches()
    assert links.seen == []
    assert await firing.variables() == {"a": "of http://a/1", "b": "nothing"}
    assert links.seen == ["http://a/1"]
    evaluator.close()


async def test_a_link_that_leads_nowhere_is_an_error() -> None:
    def refuse(uri: str) -> Any:
        raise LinkRefused("its origin is not on the list")

    evaluator = Evaluator(SystemClock(), Links(refuse))
    for source, reason in (
        ('link(event, "target").x', "not on the list"),
        ('link(event, "missing").x', "no link 'missing'"),
        ("link(event).x", "requires an event"),
        ("link(1, 'x')", "no link"),
    ):
        with pytest.raises(EvaluationFailed, match=reason):
            await evaluator.over(LINKED).value(source)
    evaluator.close()


async def test_links_are_bounded() -> None:
    links = Links(lambda uri: 1)
    evaluator = Evaluator(SystemClock(), links)
    many = {
        "links": [{"name": str(n), "uri": f"http://a/{n}"} for n in range(50)],
        "names": [str(n) for n in range(50)],
    }
    with pytest.raises(EvaluationFailed, match="more than 10 links"):
        await evaluator.over(many).value("map(event.names, link(event, #))")
    assert len(links.seen) == 10
    evaluator.close()
