"""Searches by text, on every journal: what is found is what a reader of all instances would find, page by page."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest

from headrace.errors import Conflict, InvalidValue
from headrace.journal.lists import NEWEST, STATUSES, InstanceSearch, Place
from headrace.journal.port import Required, Unit
from headrace.journal.writes import (
    AddInstance,
    AddLookups,
    AddVariables,
    AddWorkflow,
    ClaimVersion,
    EndInstance,
    MoveInstance,
    NoteAmount,
)
from headrace.usecases import searching
from headrace.usecases.searching import added_up, count_and_sum, search_instances
from headrace.workflows.search_terms import (
    account_term,
    amount_term,
    fingerprints,
    payment_term,
    sortable_amount,
    transaction_term,
    value_terms,
)
from tests.support.journals import JOURNALS, adapter

SEED = 20261201
INSTANCES = 300
VALUES = (*map(str, range(12)), "129EUR", "000000000042")
ASSETS = ("EUR", "EUR/2", "JPY", "EURX/4")


@dataclass
class Stored:
    """An instance, as a reader of all would know it."""

    id: str
    created_at: int
    workflow_id: str
    status: str
    variables: dict[str, str]
    accounts: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    payments: set[str] = field(default_factory=set[str])
    transactions: set[tuple[int, str]] = field(default_factory=set[tuple[int, str]])
    amounts: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])

    @property
    def place(self) -> Place:
        return Place(self.created_at, self.id)


def drawn(chance: random.Random) -> list[Stored]:
    found: list[Stored] = []
    for number in range(INSTANCES):
        each = Stored(
            id=f"{chance.getrandbits(32):08x}-0000-7000-8000-{number:012x}",
            created_at=1_000 + number // 3,
            workflow_id=chance.choice("xy"),
            status=chance.choice(("running", "waiting", "succeeded", "failed", "aborted")),
            variables={name: chance.choice(VALUES) for name in chance.sample(("order", "user", "a b"), 2)},
        )
        for _ in range(chance.randrange(3)):
            user = f"users:{chance.randrange(40)}:{chance.choice(('main', 'held'))}"
            each.accounts |= {(chance.choice((user, "shop", "7")), chance.choice(("main", "eur")))}
            each.transactions.add((chance.randrange(30), chance.choice(("main", "eur"))))
            each.amounts.append((chance.choice((1, 9, 10, 99, 100, 129_00, 10**25)), chance.choice(ASSETS)))
        if chance.random() < 0.2:
            each.payments.add(chance.choice(("pay-1", "7", "a:b/c")))
        found.append(each)
    return found


def unit_of(each: Stored) -> Unit:
    terms = [account_term(address, ledger) for address, ledger in each.accounts]
    terms += value_terms(each.variables, terms)
    terms += [payment_term(payment) for payment in each.payments]
    terms += [transaction_term(number, ledger) for number, ledger in each.transactions]
    terms += [amount_term(amount, asset) for amount, asset in each.amounts]
    unit = Unit(
        (
            AddInstance(
                instance_id=each.id,
                workflow_id=each.workflow_id,
                config="{}",
                variables=msgspec.json.encode(each.variables).decode(),
                created_at=each.created_at,
                by_trigger=False,
            ),
            AddVariables(
                created_at=each.created_at, instance_id=each.id, fingerprints=str(fingerprints(each.variables))
            ),
            AddLookups(created_at=each.created_at, instance_id=each.id, terms=(*terms, *terms[:1])),
        )
    )
    if each.amounts:
        first = sortable_amount(*each.amounts[0])
        unit += [NoteAmount(instance_id=each.id, amount=first), NoteAmount(instance_id=each.id, amount="EUR 0001 7")]
    if each.status == "waiting":
        unit.add(MoveInstance(at=each.created_at, next_at=None, instance_id=each.id))
    elif each.status != "running":
        error = {"succeeded": None, "failed": "A: NO_MONEY: x", "aborted": "canceled"}[each.status]
        unit.add(EndInstance(at=each.created_at, error=error, instance_id=each.id, version=0))
    return unit


@pytest.fixture(params=JOURNALS)
async def journal(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Any]:
    async with adapter(request.param).open(tmp_path / "journal.db") as opened:
        for workflow_id in "xy":
            unit = Unit()
            unit.add(AddWorkflow(workflow_id=workflow_id, name=workflow_id, config="{}", created_at=1, updated_at=1))
            await opened.commit(unit)
        yield opened


@pytest.fixture
async def stored(journal: Any) -> list[Stored]:
    found = drawn(random.Random(SEED))
    for each in found:
        await journal.commit(unit_of(each))
    return found


def has_account(each: Stored, address: str, ledger: str = "") -> bool:
    return any(one == address and ledger in ("", where) for one, where in each.accounts)


def has_number(each: Stored, number: str) -> bool:
    return any(str(one) == number for one, _ in each.transactions)


def has_amount(each: Stored, code: str, low: float, high: float) -> bool:
    """Within these bounds, in units of the asset's code, whatever its precision."""
    for amount, asset in each.amounts:
        name, _, precision = asset.partition("/")
        if name == code and low <= amount / 10 ** int(precision or 0) <= high:
            return True
    return False


WANTED: dict[str, Any] = {
    "7": lambda each: (
        "7" in each.variables.values() or has_account(each, "7") or "7" in each.payments or has_number(each, "7")
    ),
    "order=7": lambda each: each.variables.get("order") == "7",
    " a b = 7 ": lambda each: each.variables.get("a b") == "7",
    "shop": lambda each: has_account(each, "shop"),
    "users:3:main": lambda each: has_account(each, "users:3:main"),
    "main/users:3:main": lambda each: has_account(each, "users:3:main", "main"),
    "main/17": lambda each: (17, "main") in each.transactions,
    "users:3": lambda each: False,
    "users:3:*": lambda each: any(one.startswith("users:3:") for one, _ in each.accounts),
    "users:*": lambda each: any(one.startswith("users:") for one, _ in each.accounts),
    "*": lambda each: bool(each.accounts),
    "pay-1": lambda each: "pay-1" in each.payments,
    "a:b/c": lambda each: "a:b/c" in each.payments,
    "129 EUR": lambda each: has_amount(each, "EUR", 129, 129),
    "129.00EUR": lambda each: has_amount(each, "EUR", 129, 129),
    "129,00 EUR": lambda each: has_amount(each, "EUR", 129, 129),
    "= 10.000.000.000.000.000.000.000.000,00 EUR": lambda each: has_amount(each, "EUR", 1e25, 1e25),
    "129EUR": lambda each: "129EUR" in each.variables.values(),
    "000000000042": lambda each: each.id.endswith("000000000042") or "000000000042" in each.variables.values(),
    "1.001 EUR": lambda each: False,
    "12900 EUR/2": lambda each: (12900, "EUR/2") in each.amounts,
    ">= 0.10 EUR": lambda each: has_amount(each, "EUR", 0.1, 1e30),
    "> 1 EUR": lambda each: has_amount(each, "EUR", 1.000001, 1e30),
    "<= 1 EUR": lambda each: has_amount(each, "EUR", 0, 1),
    "< 0.105 EUR": lambda each: has_amount(each, "EUR", 0, 0.10499),
    "> 1'000 JPY": lambda each: has_amount(each, "JPY", 1_001, 1e30),
    "nothing": lambda each: False,
}
FILTERS: tuple[dict[str, Any], ...] = (
    {},
    {"status": "failed"},
    {"status": "unfinished", "workflow_id": "x"},
    {"since_at": 1_060},
    {"error_code": "NO_MONEY", "workflow_id": "y", "since_at": 1_010},
)


def is_kept(each: Stored, filters: dict[str, Any]) -> bool:
    status = filters.get("status", each.status)
    is_status = each.status in ("running", "waiting") if status == "unfinished" else each.status == status
    return (
        is_status
        and each.workflow_id == filters.get("workflow_id", each.workflow_id)
        and each.created_at >= filters.get("since_at", 0)
        and ("error_code" not in filters or each.status == "failed")
    )


async def walked(journal: Any, rows: InstanceSearch, limit: int) -> tuple[list[str], int]:
    """The ids of all pages, and how many pages there were."""
    place, ids = NEWEST, list[str]()
    for number in count(1):
        found = await search_instances(journal, rows, place, limit)
        assert len(found.rows) <= limit and not found.is_cut
        ids += [row.id for row in found.rows]
        if found.next is None:
            return ids, number
        assert found.next < place
        place = found.next
    raise AssertionError("unreachable")


async def test_a_search_finds_what_a_reader_of_all_would_find(journal: Any, stored: list[Stored]) -> None:
    hits = 0
    for text, matches in WANTED.items():
        for filters in FILTERS:
            expected = [
                each.id
                for each in sorted(stored, key=lambda each: each.place, reverse=True)
                if matches(each) and is_kept(each, filters)
            ]
            ids, _ = await walked(journal, InstanceSearch(text=text, **filters), 7)
            assert ids == expected, (text, filters)
            hits += len(ids)
    assert hits > 1_500


async def test_an_id_its_end_and_the_key_of_an_effect_find_their_instance(
    journal: Any, stored: list[Stored], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "MANY", 7)
    for each in stored[::50]:
        for text in (each.id, each.id.upper(), each.id[-12:], f"headrace:{each.id}:0:1"):
            (row,) = (await search_instances(journal, InstanceSearch(text=text), NEWEST, 5)).rows
            assert (row.id, row.status, row.workflow_name) == (each.id, each.status, each.workflow_id)
            amount = sortable_amount(*each.amounts[0]) if each.amounts else None
            assert row.amount == amount
    missing = "00000000-0000-7000-8000-ffffffffffff"
    for text in (missing, missing[-12:]):
        assert (await search_instances(journal, InstanceSearch(text=text), NEWEST, 5)).rows == []


async def test_a_scan_that_finds_little_ends_and_says_where_to_go_on(
    journal: Any, stored: list[Stored], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pages of a walk are short then, and still hold every instance once."""
    monkeypatch.setattr(searching, "CHUNK", 10)
    monkeypatch.setattr(searching, "MAX_SCANNED", 20)
    rows = InstanceSearch(text="shop", status="failed")
    ids, pages = await walked(journal, rows, 50)
    wanted = [each for each in stored if has_account(each, "shop")]
    assert ids == [
        each.id
        for each in sorted(wanted, key=lambda each: each.place, reverse=True)
        if is_kept(each, {"status": "failed"})
    ]
    assert pages >= len(wanted) // 20 > 1


async def test_a_range_with_too_many_terms_says_that_it_is_cut(
    journal: Any, stored: list[Stored], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "MAX_SCANNED", 30)
    found = await search_instances(journal, InstanceSearch(text="users:*"), NEWEST, 10)
    assert found.is_cut and len(found.rows) == 10
    places = [Place(row.created_at, row.id) for row in found.rows]
    assert places == sorted(places, reverse=True)


async def test_counts_and_sums_are_those_of_the_list(journal: Any, stored: list[Stored]) -> None:
    listed, sums = list[Any](), dict[str, int]()
    variable: dict[str, Any] = {"fingerprint": fingerprints({"order": "7"})[0]}
    others: tuple[dict[str, Any], ...] = (
        {"error_code": "NO_MONEY"},
        variable,
        {"status": "succeeded", "workflow_id": "y"},
    )
    for filters in (*FILTERS[:4], *others):
        rows = InstanceSearch(**filters)
        listed = await journal.summaries_after(rows, NEWEST, 1_000)
        sums = added_up([row.amount for row in listed])
        assert await count_and_sum(journal, rows, 1_000) == (len(listed), sums), filters
        assert await count_and_sum(journal, rows, 2) == ((2, {}) if len(listed) >= 2 else (len(listed), sums))
    assert len(listed) > 10 and sums
    counts = [await journal.lookups.count(InstanceSearch(status=each), 999) for each in STATUSES]
    assert sum(counts) == INSTANCES


async def test_a_unit_that_fails_leaves_no_term_behind(journal: Any) -> None:
    """Also beside others in its commit."""
    units: list[Unit] = []
    for number in range(6):
        unit = Unit((AddLookups(created_at=number, instance_id=f"i{number}", terms=("value a", f"value {number}")),))
        if number % 2:
            lost = ClaimVersion(instance_id="none", version=3)
            unit.add(Required(lost, partial(Conflict, "none")))
        units.append(unit)
    outcomes = await asyncio.gather(*(journal.commit(unit) for unit in units), return_exceptions=True)
    assert [isinstance(each, Conflict) for each in outcomes] == [False, True] * 3
    assert [place.id for place in await journal.lookups.places(["value a"], NEWEST, 9)] == ["i4", "i2", "i0"]
    assert await journal.lookups.terms("value ", "value!", 9) == ["value 0", "value 2", "value 4", "value a"]


@pytest.mark.parametrize("text", ["", "  ", "a\0b", "\ud800", "x" * 400, "a=" + "b" * 300, "1.50 EUR/2"])
async def test_a_text_that_nothing_can_have_is_refused(journal: Any, text: str) -> None:
    with pytest.raises(InvalidValue, match=r"^q: "):
        await search_instances(journal, InstanceSearch(text=text), NEWEST, 5)
