"""Look-ups end, rightly, whatever a service makes of filters, order, cursors and clocks (decisions C3, M5, M6b)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.effects.port import Absent, Found, FoundOther, LookUp, Request, Response, Undecided, Unknown
from headrace.effects.services import look_up, prepare
from headrace.money import posting
from headrace.workflows.activities import CreateTransferInitiation, CreditWallet, DebitWallet
from headrace.workflows.durations import moment_text

KEY = "headrace:01890a5d-ac96-774b-bcce-b302099a8057:0:0"
STARTED_AT = 1_714_557_600_000_000
HOUR_US = 3_600 * 1_000_000
MOST_PAGES = 100
JSON = {"content-type": "application/json"}
Json = dict[str, Any]

PAYOUT = CreateTransferInitiation("stripe", 5, "USD/2", "d", source="s")
PAYOUT_REQUEST = prepare(PAYOUT, KEY, STARTED_AT)
NOT_OURS = {"reference": "another", "metadata": {"headrace_effect": "another"}}


def initiation(number: int, made_at: int, shape: str = "r", **members: Any) -> Json:
    values = {"amount": 5, "initialAmount": 5, "asset": "USD/2", "type": "TRANSFER"}
    accounts = {"sourceAccountID": "s", "destinationAccountID": "d"}
    identity = {"id": f"i{number}", "reference": f"{shape}{number}", "createdAt": moment_text(made_at)}
    return {**identity, **values, **accounts, **members}


def page(items: list[Json], following: str | None) -> Response:
    cursor: Json = {"pageSize": 100, "hasMore": following is not None, "data": items}
    if following is not None:
        cursor["next"] = following
    return Response(200, msgspec.json.encode({"cursor": cursor}), JSON)


REFUSED = Response(400, b'{"errorCode":"VALIDATION","errorMessage":"unknown key when building query"}', JSON)

Filter = Callable[["Payments", str], Response]


def honoured(payments: Payments, reference: str) -> Response:
    return page([item for item in payments.items if item["reference"] == reference], None)


def refused(payments: Payments, reference: str) -> Response:
    return REFUSED


def ignored(payments: Payments, reference: str) -> Response:
    return payments.listed(0)


def empty(payments: Payments, reference: str) -> Response:
    """A key that it does not know matches nothing."""
    return page([], None)


def on_the_first_page_only(payments: Payments, reference: str) -> Response:
    return page([item for item in payments.items[:100] if item["reference"] == reference], None)


def by_prefix(payments: Payments, reference: str) -> Response:
    return page([item for item in payments.items if item["reference"][:1] == reference[:1]][:100], "200")


def unless_it_has_colons(payments: Payments, reference: str) -> Response:
    """It finds references of another form; ours match nothing, but the list holds them."""
    return page([item for item in payments.items if item["reference"] == reference and ":" not in reference], None)


def broken(payments: Payments, reference: str) -> Response:
    return Response(404, b"404 page not found\n", {"content-type": "text/plain"})


FILTERS: list[Filter] = [honoured, refused, ignored, empty, on_the_first_page_only, by_prefix, unless_it_has_colons]


@dataclass
class Payments:
    """A payments service as a look-up sees it. `arrivals`: how many initiations come in between two questions."""

    items: list[Json]
    filter: Filter
    arrivals: int = 0
    is_newest_first: bool = True
    has_keyset: bool = False
    asked: list[str] = field(default_factory=list[str])

    def answer(self, question: Request) -> Response:
        assert (question.service, question.method, question.body, question.key) == ("payments", "GET", None, "")
        self.asked.append(question.path)
        query = parse_qs(urlsplit(question.path).query)
        response = self._response(query)
        for _ in range(self.arrivals):
            number = 1_000_000 + len(self.items)
            fresh = initiation(number, STARTED_AT + 2 * HOUR_US)
            self.items.insert(0 if self.is_newest_first else len(self.items), fresh)
        return response

    def _response(self, query: dict[str, list[str]]) -> Response:
        if "query" in query:
            return self.filter(self, msgspec.json.decode(query["query"][0])["$match"]["reference"])
        return self.listed(self._place(query["cursor"][0]) if "cursor" in query else 0)

    def _place(self, cursor: str) -> int:
        if not self.has_keyset:
            return int(cursor)
        return next(place for place, item in enumerate(self.items) if item["id"] == cursor) + 1

    def listed(self, place: int) -> Response:
        items = self.items[place : place + 100]
        if place + 100 >= len(self.items):
            return page(items, None)
        return page(items, items[-1]["id"] if self.has_keyset else str(place + 100))


def searched(name: str, request: Request, answer: Callable[[Request], Response]) -> LookUp:
    search = look_up(name, request)
    question = next(search)
    for _ in range(MOST_PAGES + 2):
        try:
            question = search.send(answer(question))
        except StopIteration as ended:
            return ended.value
    raise AssertionError("the look-up does not end")


def books(count: int, ours_at: int | None, skew_us: int = 0, shape: str = "headrace:x:") -> list[Json]:
    """`count` initiations, newest first; ours, if it is booked, has so many newer ones before it."""
    items = [initiation(number, STARTED_AT + skew_us - number * 60_000_000, shape) for number in range(count)]
    if ours_at is not None:
        made_at = STARTED_AT + skew_us - ours_at * 60_000_000
        items.insert(ours_at, initiation(0, made_at, id="ours", reference=KEY))
    return items


@pytest.mark.parametrize("skew_us", [0, HOUR_US + 1, -HOUR_US - 1, 30 * HOUR_US, -30 * HOUR_US])
@pytest.mark.parametrize("filter_", FILTERS, ids=lambda each: each.__name__)
@pytest.mark.parametrize("ours_at", [0, 99, 100, 150, 1_200])
@pytest.mark.parametrize("shape", ["r", "headrace:x:"])
def test_a_booked_initiation_is_found_whatever_filter_and_clock_say(
    filter_: Filter, skew_us: int, ours_at: int, shape: str
) -> None:
    payments = Payments(books(1_300, ours_at, skew_us, shape), filter_)
    assert searched(PAYOUT.name, PAYOUT_REQUEST, payments.answer) == Found()


@pytest.mark.parametrize("filter_", FILTERS, ids=lambda each: each.__name__)
@pytest.mark.parametrize("count", [0, 1, 100, 101, 1_300])
def test_one_that_is_not_booked_is_absent(filter_: Filter, count: int) -> None:
    assert searched(PAYOUT.name, PAYOUT_REQUEST, Payments(books(count, None), filter_).answer) == Absent()


@pytest.mark.parametrize(
    "filter_", [refused, ignored, empty, on_the_first_page_only, unless_it_has_colons], ids=lambda each: each.__name__
)
@pytest.mark.parametrize("ours_at", [None, 11_000])
@pytest.mark.parametrize("shape", ["r", "headrace:x:"])
def test_beyond_the_bound_a_person_is_asked(filter_: Filter, ours_at: int | None, shape: str) -> None:
    payments = Payments(books(12_000, ours_at, shape=shape), filter_)
    result = searched(PAYOUT.name, PAYOUT_REQUEST, payments.answer)
    assert isinstance(result, Undecided)
    assert "not among the 10000 transfer initiations" in result.message


@pytest.mark.parametrize("ours_at", [None, 11_000])
def test_a_filter_that_works_decides_beyond_the_bound_too(ours_at: int | None) -> None:
    payments = Payments(books(12_000, ours_at), honoured)
    result = searched(PAYOUT.name, PAYOUT_REQUEST, payments.answer)
    assert result == (Absent() if ours_at is None else Found())
    assert len(payments.asked) <= 4


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(0, 450),
    place=st.none() | st.integers(0, 450),
    filter_=st.sampled_from(FILTERS),
    arrivals=st.integers(0, 120),
    is_newest_first=st.booleans(),
    has_keyset=st.booleans(),
    skew_us=st.integers(-48 * HOUR_US, 48 * HOUR_US),
    shape=st.sampled_from(["r", "headrace:x:"]),
)
def test_a_list_that_moves_while_it_is_read(
    count: int,
    place: int | None,
    filter_: Filter,
    arrivals: int,
    is_newest_first: bool,
    has_keyset: bool,
    skew_us: int,
    shape: str,
) -> None:
    items = books(count, None if place is None else min(place, count), skew_us, shape)
    payments = Payments(items if is_newest_first else items[::-1], filter_, arrivals, is_newest_first, has_keyset)
    result = searched(PAYOUT.name, PAYOUT_REQUEST, payments.answer)
    if place is not None:
        assert isinstance(result, Found | Undecided)
    else:
        assert isinstance(result, Absent | Undecided)
    assert len(payments.asked) <= MOST_PAGES + 2


def test_other_values_under_our_reference_are_told_from_the_list_too() -> None:
    items = books(300, None)
    items.insert(250, initiation(0, STARTED_AT, id="ours", reference=KEY, initialAmount=6))
    for filter_ in (refused, empty):
        result = searched(PAYOUT.name, PAYOUT_REQUEST, Payments(items, filter_).answer)
        assert isinstance(result, FoundOther)
        assert "amount" in result.message


def test_a_filter_that_answers_badly_proves_nothing() -> None:
    payments = Payments(books(300, 299), broken)
    assert isinstance(searched(PAYOUT.name, PAYOUT_REQUEST, payments.answer), Unknown)


# wallets

SOURCE = [{"type": "ACCOUNT", "identifier": "world"}]
CREDIT = CreditWallet("w", 5, "USD/2", SOURCE, "main")
DEBIT = DebitWallet("w", 5, "USD/2", ["main"])


@dataclass
class Wallets:
    """`ours_at`: how many newer transactions there are. `count` None: a list without an end."""

    count: int | None
    ours_at: int | None = None
    same_cursor: bool = False
    asked: int = 0

    def answer(self, question: Request) -> Response:
        self.asked += 1
        query = parse_qs(urlsplit(question.path).query)
        place = int(query["cursor"][0]) if "cursor" in query and not self.same_cursor else 0
        items = [self._item(number) for number in range(place, min(place + 100, self.count or place + 100))]
        has_more = self.count is None or place + 100 < self.count
        return page(items, str(place + 100) if has_more else None)

    def _item(self, number: int) -> Json:
        mark = {"reference": KEY, "metadata": {"headrace_effect": KEY}} if number == self.ours_at else NOT_OURS
        dated = "0001-01-01T00:00:00Z" if number % 2 else "2099-01-01T00:00:00Z"  # their authors chose these
        return {"id": 10**6 - number, "postings": [posting("a", "b", 5, "USD/2")], "timestamp": dated, **mark}


@pytest.mark.parametrize("activity", [CREDIT, DEBIT], ids=lambda each: each.name)
@pytest.mark.parametrize("ours_at", [0, 100, 9_999])
def test_a_wallets_transaction_is_found_among_many(activity: CreditWallet | DebitWallet, ours_at: int) -> None:
    request = prepare(activity, KEY, STARTED_AT)
    for count in (10_000, 50_000, None):
        assert searched(activity.name, request, Wallets(count, ours_at).answer) == Found()


@pytest.mark.parametrize("activity", [CREDIT, DEBIT], ids=lambda each: each.name)
@pytest.mark.parametrize("wallets", [Wallets(None), Wallets(10_001), Wallets(50_000, 20_000)], ids=repr)
def test_a_wallets_look_up_ends(activity: CreditWallet | DebitWallet, wallets: Wallets) -> None:
    wallets.asked = 0
    result = searched(activity.name, prepare(activity, KEY, STARTED_AT), wallets.answer)
    assert result == Undecided("wallets: not among the 10000 transactions of the wallet that were listed first")
    assert wallets.asked == MOST_PAGES


def test_all_of_a_wallets_transactions_prove_absence() -> None:
    assert searched(CREDIT.name, prepare(CREDIT, KEY, STARTED_AT), Wallets(10_000).answer) == Absent()


def test_a_cursor_that_leads_in_a_circle_ends_the_look_up() -> None:
    wallets = Wallets(None, same_cursor=True)
    assert isinstance(searched(CREDIT.name, prepare(CREDIT, KEY, STARTED_AT), wallets.answer), Undecided)
    assert wallets.asked == 2
    circle = page([initiation(1, STARTED_AT)], "c")
    assert isinstance(searched(PAYOUT.name, PAYOUT_REQUEST, lambda _: circle), Undecided)


def test_more_without_a_way_to_it_ends_the_look_up() -> None:
    cut_off = Response(200, b'{"cursor":{"hasMore":true,"data":[]}}', JSON)
    for activity in (CREDIT, DEBIT, PAYOUT):
        request = prepare(activity, KEY, STARTED_AT)
        assert isinstance(searched(activity.name, request, lambda _: cut_off), Undecided)
