"""What an answer proves (decision M4), and what a look-up finds (M5, M6, M6b)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.effects.port import (
    Absent,
    Done,
    Found,
    FoundOther,
    LookUp,
    Outcome,
    Refused,
    Request,
    Response,
    Undecided,
    Unknown,
)
from headrace.effects.services import READERS, create_ledger, look_up, outcome, prepare
from headrace.effects.settlement import is_idempotency_mismatch
from headrace.money import posting
from headrace.workflows.activities import (
    Activity,
    AddAccountMetadata,
    CreateTransaction,
    CreateTransferInitiation,
    CreditWallet,
    DebitWallet,
    GetAccount,
    GetPayment,
    GetWallet,
    ListWallets,
)
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

KEY = "headrace:i:0:0"
STARTED_AT = 1_714_557_600_000_000  # 2024-05-01T10:00:00Z
JSON = {"content-type": "application/json; charset=utf-8"}
TIME = "2024-05-01T10:00:00Z"

ACTIVITIES: dict[str, Activity] = {
    activity.name: activity
    for activity in (
        CreateTransaction("main", posting("a", "b", 5, "USD/2")),
        AddAccountMetadata("a", "main", {"k": "v"}),
        GetAccount("users:1", "main"),
        CreditWallet("w", 5, "USD/2", [{"type": "ACCOUNT", "identifier": "world"}], "main"),
        DebitWallet("w", 5, "USD/2", ["main"]),
        GetWallet("w"),
        ListWallets("Ann"),
        GetPayment("p"),
        CreateTransferInitiation("stripe", 5, "USD/2", "d", source="s"),
        GetTransaction(8, "main"),
        RevertTransaction(8, "main"),
        ListWalletTransactions("w"),
        ListTransferInitiations(KEY),
        GetTransferInitiation("i"),
        AwaitReversal("j"),
        RejectTransferInitiation("i"),
        ReverseTransferInitiation("i", 5, "USD/2"),
    )
}
REQUESTS: dict[str, Request] = {
    name: prepare(activity, KEY if activity.is_effect else "", STARTED_AT) for name, activity in ACTIVITIES.items()
}
REQUESTS["CreateLedger"] = create_ledger("internal")
SERVICES = {name: request.service for name, request in REQUESTS.items()}


def response(status: int, body: Any = None, **headers: str) -> Response:
    content = b"" if body is None else msgspec.json.encode(body)
    return Response(status, content, JSON | {name.replace("_", "-"): value for name, value in headers.items()})


def refusal(status: int, code: str, message: str = "why") -> Response:
    return response(status, {"errorCode": code, "errorMessage": message})


def of(name: str, answer: Response) -> Outcome:
    return outcome(name, REQUESTS[name], answer)


def found(name: str, *answers: Response) -> LookUp | Request:
    """What a look-up concludes from these answers, or what it asks next."""
    return searched(name, REQUESTS[name], *answers)


def searched(name: str, request: Request, *answers: Response) -> LookUp | Request:
    search = look_up(name, request)
    question = next(search)
    for answer in answers:
        try:
            question = search.send(answer)
        except StopIteration as ended:
            return ended.value
    return question


# refused, or not

LISTED = {
    "ledger": {
        "INSUFFICIENT_FUND", "VALIDATION", "COMPILATION_FAILED", "INTERPRETER_PARSE", "INTERPRETER_RUNTIME",
        "METADATA_OVERRIDE", "NO_POSTINGS", "BULK_SIZE_EXCEEDED", "OUTDATED_SCHEMA", "SCHEMA_ALREADY_EXISTS",
        "SCHEMA_NOT_SPECIFIED", "NOT_FOUND", "LEDGER_NOT_FOUND", "CONFLICT",
    },
    "wallets": {"VALIDATION", "INSUFFICIENT_FUND", "HOLD_CLOSED"},
    "payments": {"VALIDATION", "NOT_FOUND", "INVALID_ID", "MISSING_OR_INVALID_BODY", "CONFLICT"},
}  # fmt: skip
NOT_LISTED = {
    "INTERNAL",
    "TIMEOUT",
    "INTERNAL_ERROR",
    "REVERT_OCCURRING",
    "IMPORT",
    "ALREADY_REVERT",
    "",
    "validation",
    "X",
}
EFFECTS = sorted(name for name, activity in ACTIVITIES.items() if activity.is_effect)


@pytest.mark.parametrize("name", EFFECTS)
def test_only_listed_codes_of_that_service_are_refusals(name: str) -> None:
    listed = LISTED[SERVICES[name]]
    if name == "RevertTransaction":
        listed = {*listed, "ALREADY_REVERT"}
    for code in set().union(*LISTED.values(), NOT_LISTED):
        result = of(name, refusal(400, code))
        assert isinstance(result, Refused if code in listed else Unknown), (code, result)
        if isinstance(result, Refused):
            assert result.code == code
            assert "why" in result.message


@pytest.mark.parametrize("name", sorted(REQUESTS))
@pytest.mark.parametrize("status", [100, 301, 302, 307, 308, 401, 403, 408, 429, 500, 502, 503, 504])
def test_other_statuses_prove_nothing_whatever_they_say(name: str, status: int) -> None:
    assert isinstance(of(name, refusal(status, "VALIDATION")), Unknown)
    assert isinstance(of(name, Response(status)), Unknown)


@pytest.mark.parametrize("name", sorted(REQUESTS))
@pytest.mark.parametrize(
    "answer",
    [
        Response(400, b'{"errorCode":"VALIDATION"}', {"content-type": "text/plain"}),
        Response(400, b"404 page not found", {"content-type": "text/plain"}),
        Response(404, b"404 page not found", {"content-type": "text/plain"}),
        Response(400, b'{"errorCode":"VALIDATION"', JSON),
        Response(400, b"", JSON),
        Response(400, b'["VALIDATION"]', JSON),
        Response(400, b'{"errorCode":7}', JSON),
        Response(400, b'{"errorMessage":"no"}', JSON),
        Response(400, b"\xff\xfe", JSON),
        Response(400, b"[" * 100_000, JSON),
    ],
    ids=lambda answer: repr(answer.body[:30]),
)
def test_what_is_not_an_error_envelope_is_unknown(name: str, answer: Response) -> None:
    assert isinstance(of(name, answer), Unknown)


def test_404_without_a_body_means_something_on_get_wallet_only() -> None:
    for name in sorted(REQUESTS):
        assert isinstance(of(name, Response(404)), Refused if name == "GetWallet" else Unknown)


def test_an_unused_account_is_one_without_metadata() -> None:
    assert of("GetAccount", refusal(404, "NOT_FOUND")) == Done({"data": {"address": "users:1", "metadata": {}}})
    assert isinstance(of("GetAccount", refusal(404, "LEDGER_NOT_FOUND")), Refused)
    assert isinstance(of("CreateTransaction", refusal(404, "NOT_FOUND")), Refused)


def test_creating_a_ledger() -> None:
    assert of("CreateLedger", Response(204)) == Done()
    assert of("CreateLedger", refusal(400, "LEDGER_ALREADY_EXISTS")) == Refused("LEDGER_ALREADY_EXISTS", "why")
    assert isinstance(of("CreateTransaction", refusal(400, "LEDGER_ALREADY_EXISTS")), Unknown)


def test_the_mismatch_of_an_idempotency_key() -> None:
    mismatch = of("CreateTransaction", refusal(400, "VALIDATION", 'invalid idempotency hash when using key "k"'))
    assert isinstance(mismatch, Refused)
    assert is_idempotency_mismatch(mismatch)
    assert not is_idempotency_mismatch(Refused("VALIDATION", "invalid asset"))
    assert not is_idempotency_mismatch(Refused("CONFLICT", "invalid idempotency hash"))


def test_texts_say_what_happened() -> None:
    assert of("CreditWallet", Response(503)) == Unknown("wallets: 503")
    assert of("CreateTransaction", refusal(500, "INTERNAL", "boom\0")) == Unknown("ledger: 500 INTERNAL: boom\ufffd")
    assert of("CreditWallet", Response(302)) == Unknown("wallets: 302, a redirect, which is not followed")
    long = of("CreditWallet", refusal(400, "VALIDATION", "x" * 100_000))
    assert isinstance(long, Refused)
    assert len(long.message) == 1_000


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry_after": "7"}, 7),
        ({"retry_after": "0"}, 0),
        ({"retry_after": "Wed, 01 May 2024 10:01:00 GMT", "date": "Wed, 01 May 2024 10:00:00 GMT"}, 60),
        ({"retry_after": "Wed, 01 May 2024 09:01:00 GMT", "date": "Wed, 01 May 2024 10:00:00 GMT"}, 0),
        ({"retry_after": "Wed, 01 May 2024 10:01:00 GMT"}, None),
        ({"retry_after": "Wed, 01 May 2024 10:01:00", "date": "Wed, 01 May 2024 10:00:00 GMT"}, None),
        ({"retry_after": "soon", "date": "now"}, None),
        ({"retry_after": "-5"}, None),
        ({"retry_after": "9" * 400}, None),
        ({"retry_after": "٣"}, None),
        ({}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    for status in (429, 503):
        result = of("CreateTransaction", response(status, **headers))
        assert isinstance(result, Unknown)
        assert result.retry_after_s == seconds


LACKING = [
    (
        CreateTransaction("main", posting("users:1", "b", 10**30, "USD/2")),
        f"account users:1 of ledger main has not enough for {10**30} USD/2",
    ),
    (
        CreateTransaction("main", posting("users:1", "b", 7, "JPY"), allow_overdraft=True),
        "account users:1 of ledger main has not enough for 7 JPY",
    ),
    (DebitWallet("w1", 7, "JPY", ["gifts", "main"]), "balance gifts, main of wallet w1 has not enough for 7 JPY"),
    (
        CreditWallet("w1", 7, "JPY", [{"type": "ACCOUNT", "identifier": "a:b"}], "main"),
        "account a:b has not enough for 7 JPY",
    ),
    (
        CreditWallet("w1", 7, "JPY", [{"type": "WALLET", "identifier": "w2", "balance": "x"}], "main"),
        "balance x of wallet w2 has not enough for 7 JPY",
    ),
]


@pytest.mark.parametrize(("activity", "asked"), LACKING, ids=[asked[:40] for _, asked in LACKING])
def test_a_lack_of_funds_names_what_was_asked_for(activity: Activity, asked: str) -> None:
    request = prepare(activity, KEY, STARTED_AT)
    bare = outcome(activity.name, request, response(400, {"errorCode": "INSUFFICIENT_FUND"}))
    assert bare == Refused("INSUFFICIENT_FUND", asked)
    told = outcome(activity.name, request, refusal(400, "INSUFFICIENT_FUND", "no funds"))
    assert told == Refused("INSUFFICIENT_FUND", f"{asked} (no funds)")


@pytest.mark.parametrize("name", ["CreateTransaction", "AddAccountMetadata", "GetAccount"])
def test_a_missing_ledger_is_named(name: str) -> None:
    assert of(name, refusal(404, "LEDGER_NOT_FOUND", "gone")) == Refused(
        "LEDGER_NOT_FOUND", "ledger main does not exist (gone)"
    )


def test_what_cannot_be_read_is_named() -> None:
    assert of("GetPayment", refusal(404, "NOT_FOUND", "")) == Refused("NOT_FOUND", "payment p does not exist")
    assert of("GetWallet", Response(404)) == Refused("NOT_FOUND", "wallet w does not exist")


@pytest.mark.parametrize("name", sorted(REQUESTS))
def test_no_refusal_of_any_activity_fails_to_be_told(name: str) -> None:
    for code in set().union(*LISTED.values()):
        assert isinstance(of(name, refusal(400, code)), Done | Refused | Unknown)
    metadata = prepare(AddAccountMetadata("a", "main", {"script": "x", "postings": "y"}), KEY, STARTED_AT)
    assert outcome("AddAccountMetadata", metadata, refusal(400, "INSUFFICIENT_FUND")) == Refused(
        "INSUFFICIENT_FUND", "why"
    )


# done, or not

BOOKED = {
    "id": 7,
    "postings": [posting("a", "b", 5, "USD/2")],
    "timestamp": "2024-05-01T12:00:00.5+02:00",
    "insertedAt": TIME,
    "metadata": {},
    "reverted": False,
    "reference": KEY,
    "postCommitVolumes": {"a": {}},
}
SHOWN = {
    "id": 7,
    "postings": BOOKED["postings"],
    "timestamp": "2024-05-01T10:00:00.500000Z",
    "metadata": {},
    "reverted": False,
    "reference": KEY,
}


def test_a_booked_transaction_is_shown_in_our_schema() -> None:
    assert of("CreateTransaction", response(200, {"data": BOOKED})) == Done({"data": SHOWN})


@pytest.mark.parametrize(
    "answer",
    [
        Response(200, b"<html>log in</html>", {"content-type": "text/html"}),
        Response(200, b"", JSON),
        response(200, {}),
        response(200, {"data": None}),
        response(200, {"data": [BOOKED]}),
        response(200, {"data": BOOKED | {"reference": "another"}}),
        response(200, {"data": BOOKED | {"postings": [posting("a", "b", 6, "USD/2")]}}),
        response(200, {"data": BOOKED | {"postings": [posting("a", "b", 5, "USD/2")] * 2}}),
        response(200, {"data": BOOKED | {"postings": []}}),
        response(200, {"data": BOOKED | {"postings": [posting("a", "b", 5, "USD/2") | {"amount": 5.0}]}}),
        response(200, {"data": BOOKED | {"id": "7"}}),
        response(200, {"data": BOOKED | {"timestamp": "soon"}}),
        response(202, {"data": BOOKED}),
        response(204),
    ],
    ids=lambda answer: repr(answer.body[:60]),
)
def test_a_success_that_is_not_ours_is_unknown(answer: Response) -> None:
    assert isinstance(of("CreateTransaction", answer), Unknown)


@pytest.mark.parametrize("name", ["CreditWallet", "DebitWallet", "AddAccountMetadata"])
def test_effects_without_output(name: str) -> None:
    assert of(name, Response(204)) == Done()
    assert of(name, response(200)) == Unknown(f"{SERVICES[name]}: 200, where the service documents 204")


def test_a_hold_was_not_asked_for() -> None:
    assert isinstance(of("DebitWallet", response(201, {"data": {"id": "h"}})), Unknown)


def test_an_initiation_is_done_when_it_is_accepted_under_our_reference() -> None:
    booked = {"id": "x", "reference": KEY, "amount": 5, "asset": "USD/2", "type": "TRANSFER"}
    booked |= {"destinationAccountID": "d", "sourceAccountID": "s"}
    assert of("CreateTransferInitiation", response(200, {"data": booked})) == Done()
    for body in (
        {},
        {"data": {"id": "x"}},
        {"data": booked | {"reference": "other"}},
        {"data": booked | {"amount": 6}},
    ):
        assert isinstance(of("CreateTransferInitiation", response(200, body)), Unknown)
    assert isinstance(of("CreateTransferInitiation", response(204)), Unknown)


@given(st.sampled_from(sorted(READERS)), st.integers(100, 599), st.binary(max_size=200), st.booleans())
def test_arbitrary_bytes_never_raises(name: str, status: int, body: bytes, is_json: bool) -> None:
    answer = Response(status, body, JSON if is_json else {})
    assert isinstance(outcome(name, REQUESTS[name], answer), Done | Refused | Unknown)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
MEMBERS = [
    "id",
    "postings",
    "amount",
    "asset",
    "source",
    "reference",
    "metadata",
    "balances",
    "cursor",
    "data",
    "errorCode",
]


@given(st.sampled_from(sorted(READERS)), st.dictionaries(st.sampled_from(MEMBERS), JSON_VALUES), st.booleans())
def test_odd_json_never_raises(name: str, members: dict[str, Any], is_listed: bool) -> None:
    body = {"cursor": {"data": [members]}} if is_listed else {"data": members}
    for status in (200, 400):
        answer = response(status, body)
        assert isinstance(of(name, answer), Done | Refused | Unknown)
        if name in EFFECTS:
            assert isinstance(found(name, answer), Found | FoundOther | Absent | Undecided | Unknown | Request)
            assert isinstance(found(name, answer, answer, answer), LookUp | Request)


# look-ups


def page(*items: dict[str, Any], **members: Any) -> Response:
    return response(200, {"cursor": {"pageSize": 100, "hasMore": False, "data": list(items)} | members})


@pytest.mark.parametrize("name", EFFECTS)
def test_only_an_answer_proves_absence(name: str) -> None:
    for answer in (
        Response(500),
        Response(404),
        refusal(401, "NOT_FOUND"),
        refusal(429, "X"),
        Response(302),
        Response(200, b"x", JSON),
    ):
        assert isinstance(found(name, answer), Unknown), answer


def test_a_transaction_by_reference() -> None:
    name = "CreateTransaction"
    assert found(name, page(BOOKED)) == Found({"data": SHOWN})
    assert found(name, page()) == Absent()
    assert found(name, refusal(404, "LEDGER_NOT_FOUND")) == Absent(ledger_is_missing=True)
    assert isinstance(found(name, page(BOOKED | {"reference": "x"})), Unknown)
    assert isinstance(found(name, page(hasMore=True)), Unknown)
    reverted = found(name, page(BOOKED | {"reverted": True}))
    assert isinstance(reverted, Found)  # it was booked, whatever came after


@pytest.mark.parametrize("change", [{"amount": 6}, {"asset": "EUR/2"}, {"source": "x"}, {"destination": "x"}])
def test_other_postings_under_our_reference(change: dict[str, Any]) -> None:
    other = BOOKED | {"postings": [posting("a", "b", 5, "USD/2") | change]}
    result = found("CreateTransaction", page(other))
    assert isinstance(result, FoundOther)
    assert "transaction 7 of ledger main" in result.message


@pytest.mark.parametrize(("amount", "booked"), [(10**40, [10**40]), (0, [0]), (0, [])])
def test_a_script_is_compared_by_the_posting_it_makes(amount: int, booked: list[int]) -> None:
    activity = CreateTransaction("main", posting("a", "b", amount, "JPY"), allow_overdraft=True)
    request = prepare(activity, KEY, 0)
    item = BOOKED | {"postings": [posting("a", "b", value, "JPY") for value in booked]}
    assert isinstance(outcome(activity.name, request, response(200, {"data": item})), Done)
    assert isinstance(searched(activity.name, request, page(item)), Found)
    other = BOOKED | {"postings": [posting("a", "b", 1, "JPY")]}
    assert isinstance(searched(activity.name, request, page(other)), FoundOther)


def test_metadata_of_an_account() -> None:
    name = "AddAccountMetadata"
    account = {"address": "a", "metadata": {"k": "v", "more": "x"}}
    assert found(name, response(200, {"data": account})) == Found()
    assert found(name, response(200, {"data": account | {"metadata": {"k": "old"}}})) == Absent()
    assert isinstance(found(name, response(200, {"data": account | {"address": "b"}})), Unknown)
    assert found(name, refusal(404, "NOT_FOUND")) == Absent()


def wallet_transaction(**members: Any) -> dict[str, Any]:
    return {"id": 3, "postings": [posting("a", "b", 5, "USD/2")], "timestamp": TIME, "metadata": {}} | members


@pytest.mark.parametrize(
    ("name", "mark"),
    [("CreditWallet", {"reference": KEY}), ("DebitWallet", {"metadata": {"headrace_effect": KEY}})],
)
def test_a_wallets_transactions(name: str, mark: dict[str, Any]) -> None:
    stranger = wallet_transaction(reference="other", metadata={"headrace_effect": "other"})
    assert found(name, page(stranger, wallet_transaction(**mark))) == Found()
    assert found(name, page(stranger)) == Absent()
    split = [posting("a", "b", 2, "USD/2"), posting("c", "b", 3, "USD/2")]
    assert found(name, page(wallet_transaction(**mark, postings=split))) == Found()
    for wrong in ([posting("a", "b", 6, "USD/2")], [posting("a", "b", 5, "EUR/2")], []):
        assert isinstance(found(name, page(wallet_transaction(**mark, postings=wrong))), FoundOther)


@pytest.mark.parametrize("name", ["CreditWallet", "DebitWallet"])
def test_a_page_that_is_not_the_last_proves_no_absence(name: str) -> None:
    answer = page(wallet_transaction(), hasMore=True, next="a+b/=")
    assert found(name, answer) == Request("wallets", "GET", "/transactions?cursor=a%2Bb%2F%3D")
    ours = wallet_transaction(reference=KEY, metadata={"headrace_effect": KEY})
    assert found(name, page(ours, hasMore=True, next="c")) == Found()
    assert found(name, answer, page(ours)) == Found()
    assert found(name, answer, page()) == Absent()
    assert found(name, page(hasMore=False, next="c")) == Absent()
    assert isinstance(found(name, answer, Response(500)), Unknown)


INITIATION: dict[str, Any] = {
    "id": "i1",
    "reference": KEY,
    "createdAt": TIME,
    "amount": 2,
    "initialAmount": 5,
    "asset": "USD/2",
    "destinationAccountID": "d",
    "sourceAccountID": "s",
    "type": "TRANSFER",
    "status": "FAILED",
}


def test_an_initiation_by_reference() -> None:
    name = "CreateTransferInitiation"
    stranger = INITIATION | {"reference": "other"}
    assert found(name, page(stranger, INITIATION)) == Found()
    assert isinstance(found(name, page(stranger)), Request)  # the filter was ignored
    assert isinstance(found(name, page()), Request)  # or gives nothing, whatever stands in the books
    assert found(name, page(), page()) == Absent()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"initialAmount": 6}, "amount"),
        ({"initialAmount": None, "amount": 6}, "amount"),
        ({"asset": "EUR/2"}, "asset"),
        ({"destinationAccountID": "x"}, "destination"),
        ({"sourceAccountID": "x"}, "source"),
        ({"sourceAccountID": None}, "source"),
        ({"type": "PAYOUT"}, "type"),
        ({"type": "PAYOUT", "asset": "EUR/2"}, "asset, type"),
    ],
)
def test_an_initiation_with_other_values(change: dict[str, Any], named: str) -> None:
    result = found("CreateTransferInitiation", page(INITIATION | change))
    assert result == FoundOther(f"transfer initiation i1 stands under our reference with another {named}")
