"""What reverses an effect: the requests, what responses prove, and what look-ups find."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.effects.port import Absent, Done, Found, FoundOther, LookUp, Outcome, Refused, Request, Response, Unknown
from headrace.effects.services import look_up, outcome, prepare
from headrace.errors import InvalidValue
from headrace.workflows.activities import Activity
from headrace.workflows.reversals import (
    AwaitReversal,
    GetTransaction,
    GetTransferInitiation,
    ListTransferInitiations,
    ListWalletTransactions,
    RejectTransferInitiation,
    ReverseTransferInitiation,
    RevertTransaction,
)
from tests.unit.effects.test_responses import refusal, response, searched
from tests.unit.effects.test_transcript import exchanges, response_of

KEY = "headrace:01890a5d-ac96-774b-bcce-b302099a8057:0:0"
TIME = "2024-05-01T10:00:00Z"
REVERT = RevertTransaction(7, "main")
REJECTION = RejectTransferInitiation("a/b=")
REVERSAL = ReverseTransferInitiation("a/b=", 10**30, "USD/2")

GOLDEN: list[tuple[Activity, Request]] = [
    (REVERT, Request("ledger", "POST", "/v2/main/transactions/7/revert", None, KEY)),
    (
        RevertTransaction(2**63 - 1, "main", force=True),
        Request("ledger", "POST", f"/v2/main/transactions/{2**63 - 1}/revert?force=true", None, KEY),
    ),
    (GetTransaction(0, "main"), Request("ledger", "GET", "/v2/main/transactions/0")),
    (
        REJECTION,
        Request("payments", "POST", "/transfer-initiations/a%2Fb%3D/status", b'{"status":"REJECTED"}'),
    ),
    (
        REVERSAL,
        Request(
            "payments",
            "POST",
            "/transfer-initiations/a%2Fb%3D/reverse",
            b'{"reference":"headrace:01890a5d-ac96-774b-bcce-b302099a8057:0:0","description":"Reversal by Headrace",'
            b'"amount":1000000000000000000000000000000,"asset":"USD/2","metadata":{}}',
        ),
    ),
    (GetTransferInitiation("a/b="), Request("payments", "GET", "/transfer-initiations/a%2Fb%3D")),
    (ListTransferInitiations(), Request("payments", "GET", "/transfer-initiations?pageSize=100")),
    (ListTransferInitiations("", "c="), Request("payments", "GET", "/transfer-initiations?cursor=c%3D")),
    (
        ListTransferInitiations("headrace:i:0:1"),
        Request(
            "payments",
            "GET",
            "/transfer-initiations?query=%7B%22%24match%22%3A%7B%22reference%22%3A%22headrace%3Ai%3A0%3A1%22%7D%7D",
        ),
    ),
    (
        ListWalletTransactions("w 1"),
        Request("wallets", "GET", "/transactions?walletID=w%201&pageSize=100"),
    ),
    (ListWalletTransactions("w 1", "c&"), Request("wallets", "GET", "/transactions?cursor=c%26")),
]


@pytest.mark.parametrize(("activity", "request_"), GOLDEN, ids=lambda value: getattr(value, "name", ""))
def test_bytes_and_keys_are_frozen(activity: Activity, request_: Request) -> None:
    assert prepare(activity, KEY if activity.is_effect else "", 0) == request_


def test_a_revert_names_the_schema_version_and_never_the_effective_date() -> None:
    path = prepare(RevertTransaction(7, "main", force=True), KEY, 0, {"main": "v1+rc"}).path
    assert path == "/v2/main/transactions/7/revert?force=true&schemaVersion=v1%2Brc"
    assert prepare(REVERT, KEY, 0, {"other": "v1"}).path == "/v2/main/transactions/7/revert"


@pytest.mark.parametrize(
    "activity",
    [
        *(RevertTransaction(identity, "main") for identity in (-1, 2**63, True, 1.0, "7", None)),  # pyright: ignore[reportArgumentType]
        *(GetTransaction(identity, "main") for identity in (-1, 2**63, "7/..")),  # pyright: ignore[reportArgumentType]
        *(RevertTransaction(7, ledger) for ledger in ("", "_", "a/b", "..", "main\n", "m\u0430in")),
        *(RejectTransferInitiation(identity) for identity in ("", "..", "a\nb", "a\0b", "x" * 1025, "\ud800")),
        *(ReverseTransferInitiation("i", amount, "USD/2") for amount in (-1, 1.0, True, "1", 10**1000)),  # pyright: ignore[reportArgumentType]
        ReverseTransferInitiation("i", 1, "usd"),
        ListTransferInitiations("a b"),
        ListWalletTransactions("a\0"),
    ],
    ids=repr,
)
def test_hostile_values_never_become_a_request(activity: Activity) -> None:
    with pytest.raises(InvalidValue):
        prepare(activity, KEY if activity.is_effect else "", 0)


def of(activity: Activity, answer: Response) -> Outcome:
    return outcome(activity.name, prepare(activity, KEY if activity.is_effect else "", 0), answer)


def found(activity: Activity, *answers: Response) -> LookUp | Request:
    return searched(activity.name, prepare(activity, KEY, 0), *answers)


# reverts

REVERTING = {
    "id": 9,
    "postings": [{"source": "b", "destination": "a", "amount": 60, "asset": "USD/2"}],
    "metadata": {"com.formance.spec/state/reverts": "7"},
    "timestamp": TIME,
    "reverted": False,
}
ORIGINAL = {**REVERTING, "id": 7, "metadata": {}, "reference": "headrace:i:0:0"}


def test_a_revert_is_done_by_201_and_the_transaction_that_reverts_this_one() -> None:
    assert of(REVERT, response(201, {"data": REVERTING})) == Done({"data": REVERTING})


@pytest.mark.parametrize(
    "answer",
    [
        response(200, {"data": REVERTING}),
        response(204),
        response(201, {}),
        response(201, {"data": {**REVERTING, "metadata": {"com.formance.spec/state/reverts": "8"}}}),
        response(201, {"data": {**REVERTING, "metadata": {}}}),
        Response(201, b"<html>", {"content-type": "text/html"}),
    ],
)
def test_another_success_is_unknown(answer: Response) -> None:
    assert isinstance(of(REVERT, answer), Unknown)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (refusal(400, "INSUFFICIENT_FUND"), "transaction 7 of ledger main: what it paid has been spent (why)"),
        (refusal(404, "NOT_FOUND"), "transaction 7 of ledger main does not exist (why)"),
        (refusal(404, "LEDGER_NOT_FOUND"), "ledger main does not exist (why)"),
        (refusal(400, "ALREADY_REVERT"), "transaction 7 of ledger main was reverted before (why)"),
    ],
)
def test_refusals_of_a_revert(answer: Response, text: str) -> None:
    refused = of(REVERT, answer)
    assert isinstance(refused, Refused) and refused.message == text


@pytest.mark.parametrize("answer", [refusal(400, "REVERT_OCCURRING"), refusal(500, "INTERNAL"), Response(404)])
def test_what_proves_nothing_of_a_revert(answer: Response) -> None:
    assert isinstance(of(REVERT, answer), Unknown)


def test_already_reverted_is_a_refusal_of_a_revert_only() -> None:
    assert isinstance(of(GetTransaction(7, "main"), refusal(400, "ALREADY_REVERT")), Unknown)


def test_a_revert_is_looked_up_by_its_transaction() -> None:
    assert next(look_up("RevertTransaction", prepare(RevertTransaction(7, "main", force=True), KEY, 0))) == Request(
        "ledger", "GET", "/v2/main/transactions/7"
    )
    reverted = {**ORIGINAL, "reverted": True}
    assert found(REVERT, response(200, {"data": reverted})) == Found({"data": reverted})
    assert found(REVERT, response(200, {"data": ORIGINAL})) == Absent()
    assert found(REVERT, refusal(404, "NOT_FOUND")) == Absent()
    assert found(REVERT, refusal(404, "LEDGER_NOT_FOUND")) == Absent()
    for answer in (Response(503), Response(404), response(200, {"data": {**reverted, "id": 8}}), response(200, {})):
        assert isinstance(found(REVERT, answer), Unknown)


def test_a_transaction_is_read() -> None:
    assert of(GetTransaction(7, "main"), response(200, {"data": ORIGINAL})) == Done({"data": ORIGINAL})
    assert isinstance(of(GetTransaction(8, "main"), response(200, {"data": ORIGINAL})), Unknown)
    assert isinstance(of(GetTransaction(7, "main"), refusal(404, "NOT_FOUND")), Refused)


def recorded() -> list[tuple[dict[str, Any], Outcome]]:
    """Each recorded revert of a transaction that exists under a number of 64 bits, and what it proves."""
    read: list[tuple[dict[str, Any], Outcome]] = []
    for exchange in exchanges():
        path: list[str] = exchange["request"]["path"].split("/")
        if path[-1] == "revert" and path[-2].isdigit() and int(path[-2]) < 2**63:
            activity = RevertTransaction(
                int(path[-2]), path[2], exchange["request"].get("query", {}).get("force") == "true"
            )
            read.append((exchange, of(activity, response_of(exchange))))
    return read


def test_what_real_ledgers_answered() -> None:
    proved = recorded()
    assert len(proved) >= 20
    for exchange, result in proved:
        answer = exchange["response"]
        if answer["status"] == 201:
            assert isinstance(result, Done), exchange
            assert result.output["data"]["id"] == answer["body"]["data"]["id"]
        elif answer["status"] == 500:
            assert isinstance(result, Unknown), exchange
        else:
            assert isinstance(result, Refused) and result.code == answer["body"]["errorCode"], exchange
    codes = {result.code for _, result in proved if isinstance(result, Refused)}
    assert {"ALREADY_REVERT", "INSUFFICIENT_FUND", "NOT_FOUND"} <= codes


# transfer initiations

STATUSES = [
    "WAITING_FOR_VALIDATION",
    "PROCESSING",
    "PROCESSED",
    "FAILED",
    "REJECTED",
    "VALIDATED",
    "ASK_RETRIED",
    "ASK_REVERSED",
    "REVERSE_PROCESSING",
    "REVERSE_FAILED",
    "PARTIALLY_REVERSED",
    "REVERSED",
]
INITIATION = {"id": "a/b=", "reference": "headrace:i:0:1", "amount": 3, "initialAmount": 5, "asset": "USD/2"}
READ = {"id": "a/b=", "reference": "headrace:i:0:1", "amount": 5, "asset": "USD/2"}


def initiation(status: str) -> Response:
    return response(200, {"data": {**INITIATION, "status": status}})


@pytest.mark.parametrize("status", STATUSES)
def test_an_initiation_is_read_until_its_provider_is_done(status: str) -> None:
    result = of(GetTransferInitiation("a/b="), initiation(status))
    if status in ("PROCESSING", "VALIDATED", "ASK_RETRIED", "ASK_REVERSED", "REVERSE_PROCESSING"):
        assert result == Unknown(f"transfer initiation a/b= is {status}", is_pending=True)
    else:
        assert result == Done({"data": {**READ, "status": status}})


@pytest.mark.parametrize("status", STATUSES)
def test_a_reversal_is_awaited_until_it_shows_and_has_ended(status: str) -> None:
    result = of(AwaitReversal("a/b="), initiation(status))
    is_pending = status in ("PROCESSED", "PROCESSING", "VALIDATED", "ASK_RETRIED", "ASK_REVERSED", "REVERSE_PROCESSING")
    assert isinstance(result, Unknown) == is_pending


@pytest.mark.parametrize("status", STATUSES)
def test_a_rejection_is_settled_by_the_status(status: str) -> None:
    result = found(REJECTION, initiation(status))
    if status in ("REJECTED", "FAILED", "REVERSED"):
        assert result == Found()
    elif status == "WAITING_FOR_VALIDATION":
        assert result == Absent()
    else:
        assert isinstance(result, FoundOther) and status in result.message


@pytest.mark.parametrize("status", STATUSES)
def test_a_reversal_is_settled_by_the_status(status: str) -> None:
    result = found(REVERSAL, initiation(status))
    if status in ("REVERSED", "ASK_REVERSED", "REVERSE_PROCESSING"):
        assert result == Found()
    elif status in ("PARTIALLY_REVERSED", "REVERSE_FAILED"):
        assert isinstance(result, FoundOther) and status in result.message
    else:
        assert result == Absent()


@pytest.mark.parametrize("activity", [REJECTION, REVERSAL], ids=lambda each: each.name)
def test_look_ups_of_initiations_that_prove_nothing(activity: Activity) -> None:
    assert found(activity, refusal(404, "NOT_FOUND")) == Absent()
    other = response(200, {"data": {**INITIATION, "id": "other", "status": "REVERSED"}})
    without = response(200, {"data": INITIATION})
    for answer in (Response(404), Response(500), refusal(400, "VALIDATION"), other, without, response(200, {})):
        assert isinstance(found(activity, answer), Unknown)


@pytest.mark.parametrize("activity", [REJECTION, REVERSAL], ids=lambda each: each.name)
def test_done_by_204_alone(activity: Activity) -> None:
    assert of(activity, Response(204)) == Done()
    assert isinstance(of(activity, response(200, {})), Unknown)
    assert of(activity, refusal(400, "VALIDATION")) == Refused("VALIDATION", "why")
    assert of(activity, refusal(404, "NOT_FOUND", "")) == Refused(
        "NOT_FOUND", "transfer initiation a/b= does not exist"
    )


def test_only_initiations_of_headrace_are_listed_and_a_refused_filter_lists_none() -> None:
    items = [
        {**INITIATION, "status": "PROCESSED", "secret": "x"},
        {"id": "i2", "reference": "another", "status": "FAILED"},
    ]
    answer = response(200, {"cursor": {"pageSize": 100, "hasMore": True, "next": "c", "data": items}})
    listed = of(ListTransferInitiations(), answer)
    data = [{**READ, "status": "PROCESSED"}]
    assert listed == Done({"cursor": {"pageSize": 100, "hasMore": True, "next": "c", "data": data}})
    nothing = {"cursor": {"pageSize": 0, "hasMore": False, "data": []}}
    assert of(ListTransferInitiations("headrace:i:0:1"), refusal(400, "VALIDATION")) == Done(nothing)
    assert isinstance(of(ListTransferInitiations(), refusal(400, "VALIDATION")), Refused)
    assert isinstance(of(ListTransferInitiations("headrace:i:0:1"), Response(503)), Unknown)
    no_list = response(200, {"cursor": {"data": [{"id": "w", "name": "a wallet"}]}})
    assert isinstance(of(ListTransferInitiations(), no_list), Unknown)
    assert isinstance(of(ListWalletTransactions("w"), no_list), Unknown)


# transactions of wallets


def test_only_transactions_that_carry_a_key_are_listed() -> None:
    postings = [{"source": "world", "destination": "w", "amount": 5, "asset": "USD/2"}]
    credit = {"id": 3, "ledger": "main", "postings": postings, "reference": "headrace:i:0:0", "metadata": {}}
    debit = {"id": 4, "postings": postings, "metadata": {"headrace_effect": "headrace:i:0:1"}}
    hand = {"id": 5, "ledger": "main", "postings": postings, "reference": "by hand", "metadata": {}}
    answer = response(200, {"cursor": {"pageSize": 100, "hasMore": False, "data": [credit, debit, hand]}})
    listed = of(ListWalletTransactions("w"), answer)
    assert isinstance(listed, Done)
    assert listed.output["cursor"]["data"] == [
        {"id": 3, "ledger": "main", "key": "headrace:i:0:0", "postings": postings},
        {"id": 4, "ledger": "", "key": "headrace:i:0:1", "postings": postings},
    ]
    assert of(ListWalletTransactions("w"), refusal(400, "VALIDATION")) == Refused("VALIDATION", "why")


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "status", "data"]), inner),
    max_leaves=8,
)


@given(st.sampled_from([activity for activity, _ in GOLDEN]), JUNK, st.sampled_from([200, 201, 204, 400, 404]))
def test_whatever_a_service_answers_is_classified(activity: Activity, data: Any, status: int) -> None:
    for body in ({"data": data}, {"cursor": data}, data):
        answer = response(status, msgspec.json.decode(msgspec.json.encode(body)))
        assert isinstance(of(activity, answer), Done | Refused | Unknown)
        if activity.is_effect:
            assert isinstance(found(activity, answer), Found | FoundOther | Absent | Unknown)
