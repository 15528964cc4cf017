"""Done means what the contract says: each reader against every other form of success."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.effects.ledger import REVERTS
from headrace.effects.port import Absent, Done, Response, Unknown
from headrace.effects.services import READERS, SEARCHES, outcome
from headrace.money import posting
from tests.unit.effects.test_responses import EFFECTS, INITIATION, JSON, KEY, REQUESTS, TIME, found

WALLET = {"id": "w", "name": "Ann", "metadata": {}, "createdAt": TIME, "ledger": "wallets-002", "balances": {}}
PAYMENT = {
    "id": "p",
    "reference": "r",
    "connectorID": "c",
    "sourceAccountID": "",
    "destinationAccountID": "",
    "raw": {},
    "asset": "USD/2",
    "type": "PAY-IN",
    "status": "SUCCEEDED",
    "initialAmount": 5,
    "scheme": "visa",
    "createdAt": TIME,
    "adjustments": [],
    "metadata": {},
}
TRANSACTION = {
    "id": 7,
    "postings": [posting("a", "b", 5, "USD/2")],
    "timestamp": TIME,
    "metadata": {},
    "reverted": False,
    "reference": KEY,
}
PAID = {"id": "i", "reference": "another", "status": "PROCESSED", "amount": 5, "asset": "USD/2"}
FORMS: dict[str, tuple[int, Any]] = {
    "CreateTransaction": (200, {"data": TRANSACTION}),
    "GetAccount": (200, {"data": {"address": "users:1", "metadata": {}}}),
    "AddAccountMetadata": (204, None),
    "CreateLedger": (204, None),
    "CreditWallet": (204, None),
    "DebitWallet": (204, None),
    "GetWallet": (200, {"data": WALLET}),
    "ListWallets": (200, {"cursor": {"pageSize": 15, "hasMore": False, "data": [WALLET]}}),
    "GetPayment": (200, {"data": PAYMENT}),
    "CreateTransferInitiation": (200, {"data": INITIATION}),
    "GetTransaction": (200, {"data": {**TRANSACTION, "id": 8, "reference": ""}}),
    "RevertTransaction": (201, {"data": {**TRANSACTION, "reference": "", "metadata": {REVERTS: "8"}}}),
    "ListWalletTransactions": (200, {"cursor": {"pageSize": 15, "hasMore": False, "data": [TRANSACTION]}}),
    "ListTransferInitiations": (200, {"cursor": {"pageSize": 15, "hasMore": False, "data": [PAID]}}),
    "GetTransferInitiation": (200, {"data": PAID}),
    "AwaitReversal": (200, {"data": {**PAID, "id": "j", "status": "REVERSED"}}),
    "RejectTransferInitiation": (204, None),
    "ReverseTransferInitiation": (204, None),
}
"""What the contract documents for a success of each, and nothing else."""

HOLD = {"data": {"id": "h", "walletID": "w", "metadata": {}, "description": "", "destination": {}}}
BODIES: list[bytes] = [
    *(msgspec.json.encode(body) for _, body in FORMS.values() if body is not None),
    *(msgspec.json.encode(body) for body in (HOLD, {}, [], "ok", None, True, 204, {"data": {}}, {"data": None})),
    *(msgspec.json.encode(body) for body in ({"data": []}, {"cursor": {}}, {"cursor": None}, {"cursor": {"data": 1}})),
    *(msgspec.json.encode(body) for body in ({"status": "maintenance"}, {"errorCode": "INTERNAL"})),
    msgspec.json.encode({"data": {"address": "users:2", "metadata": {}}}),
    msgspec.json.encode({"data": {**WALLET, "id": "w2"}}),
    msgspec.json.encode({"data": {**INITIATION, "initialAmount": 6}}),
    msgspec.json.encode({"data": {**INITIATION, "id": ""}}),
    b"",
    b"<html>We are back soon</html>",
    b"{",
]
STATUSES = [*range(200, 209), 226, 299]


def is_done(name: str, answer: Response) -> bool:
    return isinstance(outcome(name, REQUESTS[name], answer), Done)


def test_each_reader_has_its_form() -> None:
    assert FORMS.keys() == READERS.keys() == REQUESTS.keys()


@pytest.mark.parametrize("name", sorted(FORMS))
def test_the_documented_form_is_done_and_no_other(name: str) -> None:
    status, body = FORMS[name]
    content = b"" if body is None else msgspec.json.encode(body)
    assert is_done(name, Response(status, content, JSON))
    for other in STATUSES:
        for form in BODIES:
            if name == "ListWallets" and b'"data":[{' in form:
                continue  # whatever is listed: only a wallet of the name that was asked for is one
            is_form = other == status and (body is None or form == content)
            assert is_done(name, Response(other, form, JSON)) == is_form, (other, form)
            is_plain = is_form and body is None  # a 204 has no body, so no type either
            assert is_done(name, Response(other, form, {"content-type": "text/html"})) == is_plain, (other, form)


@given(st.sampled_from(EFFECTS), st.integers(200, 299), st.binary(max_size=60) | st.sampled_from(BODIES))
def test_no_effect_is_done_under_another_status(name: str, status: int, body: bytes) -> None:
    if status != FORMS[name][0]:
        result = outcome(name, REQUESTS[name], Response(status, body, JSON))
        assert isinstance(result, Unknown)
        assert str(FORMS[name][0]) in result.message


NO_PAGES: list[Any] = [
    {"cursor": {}},
    {"cursor": {"hasMore": False}},
    {"cursor": {"hasMore": "false", "data": []}},
    {"cursor": {"hasMore": None, "data": []}},
    {"cursor": {"next": 7, "data": []}},
    {"cursor": {"next": "x" * 10_000, "data": []}},
    {"cursor": {"data": {}}},
    {"data": []},
    {},
    [],
]


@pytest.mark.parametrize("name", sorted(SEARCHES))
@pytest.mark.parametrize("body", NO_PAGES, ids=lambda body: repr(body)[:50])
def test_what_is_no_page_proves_no_absence(name: str, body: Any) -> None:
    answer = Response(200, msgspec.json.encode(body), JSON)
    assert not isinstance(found(name, answer, answer), Absent)


@pytest.mark.parametrize("name", sorted(SEARCHES))
def test_a_look_up_is_answered_by_200_alone(name: str) -> None:
    empty: dict[str, Any] = {"cursor": {"pageSize": 15, "hasMore": False, "data": []}}
    bodies = {
        "AddAccountMetadata": {"data": {"address": "a", "metadata": {}}},
        "RevertTransaction": {"data": {**TRANSACTION, "id": 8}},
        "RejectTransferInitiation": {"data": {**PAID, "status": "WAITING_FOR_VALIDATION"}},
        "ReverseTransferInitiation": {"data": PAID},
    }
    body = msgspec.json.encode(bodies.get(name, empty))
    for status in STATUSES:
        answer = Response(status, body, JSON)
        assert isinstance(found(name, answer, answer), Absent) == (status == 200), status
