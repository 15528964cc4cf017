"""What services answer, in the orchestration's schemas: checked with the official SDK's models (traps T14 to T19)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from formance_sdk_python.models import orchestration as sdk
from hypothesis import given
from hypothesis import strategies as st

from headrace.effects.port import Done, Refused, Response, Unknown
from headrace.effects.services import outcome, prepare
from headrace.workflows.activities import Activity, CreateTransaction, GetAccount, GetPayment, GetWallet, ListWallets

JSON = {"content-type": "application/json"}
TIME = "2024-05-01T10:00:00.123456789Z"

PAYMENT: dict[str, Any] = {
    "id": "p1",
    "reference": "r",
    "connectorID": "c",
    "provider": "STRIPE",
    "type": "PAY-IN",
    "status": "SUCCEEDED",
    "scheme": "visa",
    "asset": "USD/2",
    "amount": 90,
    "initialAmount": 100,
    "createdAt": TIME,
    "sourceAccountID": "s",
    "destinationAccountID": "d",
    "raw": {"a": None, "b": [1, None, {"c": None}]},
    "adjustments": [{"reference": "x", "createdAt": TIME, "status": "REFUNDED", "amount": -10, "raw": None}],
    "metadata": {"key": "v"},
}
WALLET = {"id": "w", "name": "Ann", "metadata": {}, "createdAt": TIME, "ledger": "wallets-002"}

MODELS: dict[str, Any] = {
    "GetAccount": sdk.AccountResponse,
    "GetPayment": sdk.PaymentResponse,
    "GetWallet": sdk.GetWalletResponse,
    "ListWallets": sdk.ListWalletsResponse,
    "CreateTransaction": sdk.CreateTransactionResponse,
}


def read(activity: Activity, body: Any, status: int = 200) -> Any:
    """The outcome; where it is done, its output has passed the SDK's model and holds no null."""
    request = prepare(activity, "headrace:i:0:0" if activity.is_effect else "", 0)
    result = outcome(activity.name, request, Response(status, msgspec.json.encode(body), JSON))
    if isinstance(result, Done) and activity.name in MODELS:
        wire = msgspec.json.encode(result.output)
        MODELS[activity.name].model_validate_json(wire)
        assert_no_null(result.output)
    return result


def assert_no_null(value: Any) -> None:
    assert value is not None
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        assert_no_null(item)


def payment(**changes: Any) -> dict[str, Any]:
    result = read(GetPayment("p1"), {"data": PAYMENT | changes})
    assert isinstance(result, Done), result
    return result.output["data"]


def test_a_payment() -> None:
    assert payment() == PAYMENT | {
        "createdAt": "2024-05-01T10:00:00.123457Z",
        "raw": {"b": [1, {}]},
        "adjustments": [
            {"status": "TERMINATED", "amount": -10, "date": "2024-05-01T10:00:00.123457Z", "raw": {}, "absolute": False}
        ],
    }


@pytest.mark.parametrize("provider", ["ATLAR", "ADYEN", "GENERIC", "COLUMN", "", None, 7])
def test_an_unknown_provider_is_left_out(provider: Any) -> None:
    assert "provider" not in payment(provider=provider)


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        ("SUCCEEDED", "SUCCEEDED"),
        ("PENDING", "PENDING"),
        ("CANCELLED", "CANCELLED"),
        ("FAILED", "FAILED"),
        ("EXPIRED", "CANCELLED"),
        ("REFUNDED", "TERMINATED"),
        ("REFUNDED_FAILURE", "TERMINATED"),
        ("DISPUTE", "TERMINATED"),
        ("DISPUTE_WON", "TERMINATED"),
        ("DISPUTE_LOST", "TERMINATED"),
        ("OTHER", "TERMINATED"),
        ("succeeded", "TERMINATED"),
        (None, "TERMINATED"),
    ],
)
def test_statuses(status: Any, shown: str) -> None:
    assert payment(status=status)["status"] == shown


@pytest.mark.parametrize("scheme", ["alipay", "cup", "doku", "dragonpay", "maestro", "molpay", "VISA", None])
def test_an_unknown_scheme_is_other(scheme: Any) -> None:
    assert payment(scheme=scheme)["scheme"] == "other"


@pytest.mark.parametrize("member", ["raw", "adjustments", "metadata", "connectorID", "sourceAccountID", "reference"])
def test_nulls_and_gaps_are_filled(member: str) -> None:
    assert payment(**{member: None})[member] in ("", [], {})


def test_amounts_of_a_payment_are_exact_or_unreadable() -> None:
    assert payment(initialAmount=10**30)["initialAmount"] == 10**30
    for amount in (None, "100", 100.0, 1.5, True, -1):
        assert isinstance(read(GetPayment("p1"), {"data": PAYMENT | {"initialAmount": amount}}), Unknown)


def test_a_payment_under_another_spelling_is_refused() -> None:
    """Two spellings of one payment would be ingested twice."""
    result = read(GetPayment("P1"), {"data": PAYMENT})
    assert isinstance(result, Refused)
    assert "'p1'" in result.message


def test_a_providers_huge_record_is_not_kept() -> None:
    assert payment(raw={"x": "y" * 300_000})["raw"] == {}


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(
        [TIME, "USD/2", "REFUNDED", "ADYEN", "alipay", "2024-05-01 10:00:00", "2024-05-01T10:00:00+0200"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from([*PAYMENT, "links", "new"]), VALUES, max_size=6))
def test_no_payment_breaks_the_schema(changes: dict[str, Any]) -> None:
    result = read(GetPayment("p1"), {"data": PAYMENT | changes})
    assert isinstance(result, Done | Unknown | Refused)
    is_money_known = not changes.keys() & {"id", "asset", "initialAmount", "createdAt", "adjustments"}
    assert isinstance(result, Done) or not is_money_known


@given(st.dictionaries(st.sampled_from([*WALLET, "balances", "new"]), VALUES, max_size=4))
def test_no_wallet_breaks_the_schema(changes: dict[str, Any]) -> None:
    assert isinstance(read(GetWallet("w"), {"data": WALLET | changes}), Done | Unknown)
    assert isinstance(read(ListWallets("Ann"), {"cursor": {"data": [WALLET | changes]}}), Done | Unknown)


TRANSACTION: dict[str, Any] = {
    "id": 10**25,
    "postings": [{"source": "a", "destination": "b", "amount": 10**30, "asset": "USD/2"}],
    "timestamp": TIME,
    "metadata": {"k": "v"},
    "reverted": False,
    "reference": "headrace:i:0:0",
}


@given(st.dictionaries(st.sampled_from(["id", "timestamp", "metadata", "reverted", "template", "insertedAt"]), VALUES))
def test_no_transaction_breaks_the_schema(changes: dict[str, Any]) -> None:
    activity = CreateTransaction("main", dict(TRANSACTION["postings"][0]))
    result = read(activity, {"data": TRANSACTION | changes})
    assert isinstance(result, Done | Unknown)
    assert isinstance(result, Done) or changes.keys() & {"id", "timestamp"}


@given(st.dictionaries(st.sampled_from(["address", "metadata", "volumes", "effectiveVolumes", "firstUsage"]), VALUES))
def test_no_account_breaks_the_schema(changes: dict[str, Any]) -> None:
    account = {"address": "a", "metadata": {}, "volumes": {"USD/2": {"input": 3, "output": 5, "balance": -2}}}
    result = read(GetAccount("a", "main"), {"data": account | changes})
    assert isinstance(result, Done | Unknown)


# dates


@pytest.mark.parametrize(
    ("given_", "shown"),
    [
        ("2024-05-01T10:00:00Z", "2024-05-01T10:00:00Z"),
        ("2024-05-01T12:00:00+02:00", "2024-05-01T10:00:00Z"),
        ("2024-05-01T12:00:00+0200", "2024-05-01T10:00:00Z"),
        ("2024-05-01 10:00:00", "2024-05-01T10:00:00Z"),
        ("2024-05-01T10:00:00.5", "2024-05-01T10:00:00.500000Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
    ],
)
def test_dates_are_shown_in_utc(given_: str, shown: str) -> None:
    assert payment(createdAt=given_)["createdAt"] == shown


# wallets


def test_a_wallet_always_has_its_main_balance() -> None:
    main = {"assets": {"USD/2": 10**30}}
    for balances, shown in (
        (None, {"main": {"assets": {}}}),
        ({}, {"main": {"assets": {}}}),
        ({"main": main, "savings": {"assets": None}}, {"main": main, "savings": {"assets": {}}}),
    ):
        result = read(GetWallet("w"), {"data": WALLET | {"balances": balances}})
        assert isinstance(result, Done)
        assert result.output["data"]["balances"] == shown


def test_wallets_are_those_of_exactly_this_name() -> None:
    others = [WALLET | {"id": "w2", "name": "Anna"}, WALLET | {"id": "w3", "name": "ann"}]
    result = read(
        ListWallets("Ann"), {"cursor": {"pageSize": 15, "hasMore": False, "next": "", "data": [WALLET, *others]}}
    )
    assert isinstance(result, Done)
    assert [wallet["id"] for wallet in result.output["cursor"]["data"]] == ["w"]
    assert result.output["cursor"]["hasMore"] is False
    assert "next" not in result.output["cursor"]


def test_no_wallets_at_all() -> None:
    result = read(ListWallets("Ann"), {"cursor": {"pageSize": 15, "data": None}})
    assert result == Done({"cursor": {"pageSize": 15, "hasMore": False, "data": []}})


def test_more_wallets_than_one_page_cannot_be_told_apart() -> None:
    result = read(ListWallets("Ann"), {"cursor": {"pageSize": 1, "hasMore": True, "next": "c", "data": [WALLET]}})
    assert isinstance(result, Refused)
