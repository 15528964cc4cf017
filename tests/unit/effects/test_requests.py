"""The exact bytes of every request (decision M3 freezes them), and what may never become one (decision M8)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import unquote

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.effects.port import Refused, Request, Response
from headrace.effects.services import create_ledger, look_up, outcome, prepare
from headrace.errors import InvalidValue
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

KEY = "headrace:01890a5d-ac96-774b-bcce-b302099a8057:0:0"
STARTED_AT = 1_714_557_600_123_456  # 2024-05-01T10:00:00.123456Z

TRANSACTION = CreateTransaction("main", posting("users:1", "world", 100, "USD/2"), {"b": "1", "a": "2"})
INGESTION = CreateTransaction(
    "main", posting("world", "payment:p1", 10**30, "EUR/2"), timestamp="2024-05-01T09:00:00Z", payment_id="p1"
)
OVERDRAFT = replace(TRANSACTION, allow_overdraft=True, metadata={})
CREDIT = CreditWallet("w 1", 5, "USD/2", [{"type": "ACCOUNT", "identifier": "world"}], "main", {"k": "v"})
DEBIT = DebitWallet("w/1", 5, "USD/2", ["main"], {"type": "WALLET", "identifier": "w2", "balance": "main"}, {"k": "v"})
INITIATION = CreateTransferInitiation(
    "stripe", 5, "USD/2", "acct_1", source="acct_0", connector_id="c", metadata={"k": "v"}
)

GOLDEN: list[tuple[Activity, Request]] = [
    (
        TRANSACTION,
        Request(
            "ledger",
            "POST",
            "/v2/main/transactions",
            b'{"metadata":{"a":"2","b":"1"},"postings":[{"source":"users:1","destination":"world","amount":100,'
            b'"asset":"USD/2"}],"reference":"headrace:01890a5d-ac96-774b-bcce-b302099a8057:0:0"}',
            KEY,
        ),
    ),
    (
        INGESTION,
        Request(
            "ledger",
            "POST",
            "/v2/main/transactions",
            b'{"metadata":{},"postings":[{"source":"world","destination":"payment:p1",'
            b'"amount":1000000000000000000000000000000,"asset":"EUR/2"}],"reference":"headrace:ingest:'
            b'f64551fcd6f07823cb87971cfb91446425da18286b3ab1ef935e0cbd7a69f68a","timestamp":"2024-05-01T09:00:00Z"}',
            KEY,
        ),
    ),
    (
        OVERDRAFT,
        Request(
            "ledger",
            "POST",
            "/v2/main/transactions",
            b'{"metadata":{},"script":{"plain":"vars {\\n  monetary $amount\\n  account $src\\n  account $dst\\n}\\n'
            b"send $amount (\\n  source = $src allowing unbounded overdraft\\n  destination = $dst\\n)\\n"
            b'","vars":{"amount":"USD/2 100","src":"users:1","dst":"world"}},'
            b'"reference":"headrace:01890a5d-ac96-774b-bcce-b302099a8057:0:0"}',
            KEY,
        ),
    ),
    (
        AddAccountMetadata("users:1", "main", {"b": "é", "a": "1"}),
        Request("ledger", "POST", "/v2/main/accounts/users:1/metadata", '{"a":"1","b":"é"}'.encode(), KEY),
    ),
    (
        CREDIT,
        Request(
            "wallets",
            "POST",
            "/wallets/w%201/credit",
            b'{"amount":{"asset":"USD/2","amount":5},"metadata":{"k":"v"},"reference":"headrace:01890a5d-ac96-774b-'
            b'bcce-b302099a8057:0:0","sources":[{"type":"ACCOUNT","identifier":"world"}],"balance":"main"}',
            KEY,
        ),
    ),
    (
        DEBIT,
        Request(
            "wallets",
            "POST",
            "/wallets/w%2F1/debit",
            b'{"amount":{"asset":"USD/2","amount":5},"metadata":{"headrace_effect":"headrace:01890a5d-ac96-774b-'
            b'bcce-b302099a8057:0:0","k":"v"},"balances":["main"],'
            b'"destination":{"type":"WALLET","identifier":"w2","balance":"main"}}',
            KEY,
        ),
    ),
    (
        INITIATION,
        Request(
            "payments",
            "POST",
            "/transfer-initiations",
            b'{"reference":"headrace:01890a5d-ac96-774b-bcce-b302099a8057:0:0",'
            b'"scheduledAt":"2024-05-01T10:00:00.123456Z","description":"Transfer by Headrace",'
            b'"sourceAccountID":"acct_0","destinationAccountID":"acct_1","type":"TRANSFER","amount":5,'
            b'"asset":"USD/2","validated":true,"provider":"STRIPE","connectorID":"c","metadata":{"k":"v"}}',
        ),
    ),
    (GetAccount("users:1", "main"), Request("ledger", "GET", "/v2/main/accounts/users:1")),
    (GetPayment("a/b?c=%2e"), Request("payments", "GET", "/payments/a%2Fb%3Fc%3D%252e")),
    (GetWallet("../w"), Request("wallets", "GET", "/wallets/..%2Fw")),
    (ListWallets("a b&c=d"), Request("wallets", "GET", "/wallets?name=a%20b%26c%3Dd&pageSize=1000")),
]


@pytest.mark.parametrize(("activity", "request_"), GOLDEN, ids=lambda value: getattr(value, "name", ""))
def test_bytes_and_keys_are_frozen(activity: Activity, request_: Request) -> None:
    assert prepare(activity, KEY if activity.is_effect else "", STARTED_AT) == request_


def test_the_internal_ledger_is_created_without_a_key() -> None:
    assert create_ledger("orchestration-000-internal") == Request(
        "ledger", "POST", "/v2/orchestration-000-internal", b"{}"
    )


def test_an_initiation_for_validation_without_source() -> None:
    activity = CreateTransferInitiation(
        "Wise", 1, "EUR/2", "d", type="PAYOUT", waiting_validation=True, description="Rent"
    )
    body = msgspec.json.decode(prepare(activity, KEY, 0).body or b"")
    assert (body["validated"], body["type"], body["provider"]) == (False, "PAYOUT", "WISE")
    assert (body["sourceAccountID"], body["description"]) == ("", "Rent")
    assert body["scheduledAt"] == "1970-01-01T00:00:00Z"
    assert "connectorID" not in body
    assert "metadata" not in body


def test_a_users_metadata_cannot_replace_the_key_of_a_debit() -> None:
    activity = replace(DEBIT, metadata={"headrace_effect": "forged"})
    assert msgspec.json.decode(prepare(activity, KEY, 0).body or b"")["metadata"]["headrace_effect"] == KEY


# the last guard

LONG = "a" * 257
HOSTILE_ADDRESSES = [
    "",
    "a\n",
    "a b",
    "users:",
    ":a",
    "a::b",
    "../x",
    "a%2fb",
    "\uff11",
    "us\u0435rs",
    LONG,
    "a)",
    "a\0",
    "\ud800",
]
HOSTILE_ASSETS = ["", "usd", "USD/2\n", "USD/2 100", "USD/1234567", "\uff35\uff33\uff24", "A" * 18, "USD\0"]
HOSTILE_LEDGERS = ["", "_", "a.b", "a/b", "..", "main\n", "x" * 64, "m\u0430in"]
HOSTILE_IDS = ["", ".", "..", "a\nb", "a\rb", "a\0b", "x" * 1025, "\ud800"]


def _with(address: str, asset: str = "USD/2") -> list[Activity]:
    good = posting("a", "b", 1, asset)
    return [
        replace(TRANSACTION, posting={**good, "source": address}),
        replace(TRANSACTION, posting={**good, "destination": address}),
        replace(OVERDRAFT, posting={**good, "source": address}),
        replace(CREDIT, sources=[{"type": "ACCOUNT", "identifier": address}]),
        replace(DEBIT, destination={"type": "ACCOUNT", "identifier": address}),
        GetAccount(address, "main"),
        AddAccountMetadata(address, "main", {}),
    ]


REFUSED: list[Activity] = [
    *(activity for address in HOSTILE_ADDRESSES for activity in _with(address)),
    *(replace(TRANSACTION, posting=posting("a", "b", 1, asset)) for asset in HOSTILE_ASSETS),
    *(replace(OVERDRAFT, posting=posting("a", "b", 1, asset)) for asset in HOSTILE_ASSETS),
    *(replace(CREDIT, asset=asset) for asset in HOSTILE_ASSETS),
    *(replace(DEBIT, asset=asset) for asset in HOSTILE_ASSETS),
    *(replace(INITIATION, asset=asset) for asset in HOSTILE_ASSETS),
    *(replace(TRANSACTION, ledger=ledger) for ledger in HOSTILE_LEDGERS),
    *(GetAccount("a", ledger) for ledger in HOSTILE_LEDGERS),
    *(AddAccountMetadata("a", ledger, {}) for ledger in HOSTILE_LEDGERS),
    *(kind(identity) for kind in (GetPayment, GetWallet) for identity in HOSTILE_IDS),
    *(replace(kind, id=identity) for kind in (CREDIT, DEBIT) for identity in HOSTILE_IDS),
    *(replace(INITIATION, destination=identity) for identity in HOSTILE_IDS),
    *(replace(INITIATION, source=identity) for identity in HOSTILE_IDS),
    *(replace(CREDIT, balance=identity) for identity in HOSTILE_IDS),
    replace(INITIATION, provider="stripe\r\nx: y"),
    replace(INITIATION, provider=""),
    replace(INITIATION, type="payout"),  # pyright: ignore[reportArgumentType]
    replace(CREDIT, sources=[{"type": "account", "identifier": "world"}]),
    replace(TRANSACTION, metadata={"k": "a\0"}),
    replace(TRANSACTION, metadata={"k\0": "a"}),
    replace(TRANSACTION, metadata={"k": "\udfff"}),
    replace(TRANSACTION, metadata={"k": 1}),  # pyright: ignore[reportArgumentType]
    replace(TRANSACTION, metadata={"k": None}),  # pyright: ignore[reportArgumentType]
    AddAccountMetadata("a", "main", {"k": "a\0"}),
    ListWallets("a\0"),
]
AMOUNTS: list[Any] = [-1, 1.0, True, "1", None, 10**1000]


@pytest.mark.parametrize("activity", REFUSED, ids=repr)
def test_hostile_values_never_become_a_request(activity: Activity) -> None:
    with pytest.raises(InvalidValue):
        prepare(activity, KEY if activity.is_effect else "", STARTED_AT)


@pytest.mark.parametrize("amount", AMOUNTS, ids=lambda value: repr(value)[:12])
@pytest.mark.parametrize("activity", [TRANSACTION, OVERDRAFT, CREDIT, DEBIT, INITIATION], ids=lambda value: value.name)
def test_amounts_are_exact_integers(activity: Any, amount: Any) -> None:
    if isinstance(activity, CreateTransaction):
        changed = replace(activity, posting={**activity.posting, "amount": amount})
    else:
        changed = replace(activity, amount=amount)
    with pytest.raises(InvalidValue):
        prepare(changed, KEY, STARTED_AT)


@pytest.mark.parametrize("key", ["", "a b", "a\r\nx: y", "a\0", "é", "k" * 256])
@pytest.mark.parametrize("activity", [TRANSACTION, CREDIT, DEBIT, INITIATION, AddAccountMetadata("a", "main", {})])
def test_a_key_is_safe_in_a_header(activity: Activity, key: str) -> None:
    with pytest.raises(InvalidValue):
        prepare(activity, key, STARTED_AT)


@given(st.text(min_size=1, max_size=40))
def test_an_id_in_a_path_is_one_segment_and_comes_back(identity: str) -> None:
    try:
        path = prepare(GetPayment(identity), "", 0).path
    except InvalidValue:
        return
    assert path.count("/") == 2
    assert path.isascii()
    assert not set(path) & set("?#&= \\")
    assert unquote(path.removeprefix("/payments/")) == identity


@given(st.integers(0, 10**1000 - 1), st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3))
def test_what_is_stored_is_exactly_what_was_asked(amount: int, metadata: dict[str, str]) -> None:
    for is_script in (False, True):
        activity = replace(
            TRANSACTION, posting=posting("a", "b", amount, "JPY"), metadata=metadata, allow_overdraft=is_script
        )
        try:
            request = prepare(activity, KEY, 0)
        except InvalidValue:
            assert any("\0" in text for pair in metadata.items() for text in pair)
            return
        body = msgspec.json.decode(request.body or b"")
        assert body["metadata"] == metadata
        assert ("postings" in body) != ("script" in body)
        if is_script:
            assert body["script"]["vars"]["amount"] == f"JPY {amount}"
        else:
            assert body["postings"] == [activity.posting]


# where to look


def test_what_a_look_up_asks_first() -> None:
    asked = {activity.name: next(look_up(activity.name, request)) for activity, request in GOLDEN if activity.is_effect}
    reference = (
        "%7B%22%24match%22%3A%7B%22reference%22%3A%22headrace%3A01890a5d-ac96-774b-bcce-b302099a8057%3A0%3A0%22%7D%7D"
    )
    first = next(look_up("CreateTransaction", GOLDEN[0][1]))
    assert first == Request("ledger", "GET", f"/v2/main/transactions?query={reference}")
    assert asked["AddAccountMetadata"] == Request("ledger", "GET", "/v2/main/accounts/users:1")
    assert asked["CreditWallet"] == Request("wallets", "GET", "/transactions?walletID=w%201&pageSize=100")
    assert asked["DebitWallet"] == Request("wallets", "GET", "/transactions?walletID=w%2F1&pageSize=100")
    assert asked["CreateTransferInitiation"] == Request("payments", "GET", f"/transfer-initiations?query={reference}")


def test_a_look_up_of_a_ledger_is_one_page() -> None:
    search = look_up("CreateTransaction", GOLDEN[0][1])
    next(search)
    with pytest.raises(StopIteration):
        search.send(Response(200, b'{"cursor":{"pageSize":15,"hasMore":true,"next":"x","data":[]}}'))


# schemas of ledgers

SCHEMAS = {"main": "v1+rc", "fees": "v2"}


def test_a_ledger_with_a_schema_is_written_to_under_its_version() -> None:
    for activity, plain in GOLDEN:
        versioned = prepare(activity, plain.key or KEY, STARTED_AT, SCHEMAS)
        if activity.name in ("CreateTransaction", "AddAccountMetadata"):
            assert versioned.path == f"{plain.path}?schemaVersion=v1%2Brc"
        else:
            assert "schemaVersion" not in versioned.path
        assert prepare(activity, plain.key or KEY, STARTED_AT, {"other": "v9"}).path == plain.path


@pytest.mark.parametrize("activity", [TRANSACTION, AddAccountMetadata("users:1", "main", {"a": "b"})])
def test_its_look_up_and_its_refusals_are_those_of_the_same_ledger(activity: Activity) -> None:
    plain, versioned = prepare(activity, KEY, STARTED_AT), prepare(activity, KEY, STARTED_AT, SCHEMAS)
    assert next(look_up(activity.name, versioned)) == next(look_up(activity.name, plain))
    for code in ("LEDGER_NOT_FOUND", "INSUFFICIENT_FUND", "SCHEMA_NOT_SPECIFIED", "OUTDATED_SCHEMA"):
        response = Response(400, b'{"errorCode":"%s","errorMessage":"no"}' % code.encode())
        refused = outcome(activity.name, versioned, response)
        assert refused == outcome(activity.name, plain, response)
        assert isinstance(refused, Refused)
        assert code == "INSUFFICIENT_FUND" or "ledger main" in refused.message


def test_a_missing_schema_version_names_the_setting() -> None:
    response = Response(400, b'{"errorCode":"SCHEMA_NOT_SPECIFIED"}')
    refused = outcome("CreateTransaction", prepare(TRANSACTION, KEY, STARTED_AT), response)
    assert isinstance(refused, Refused)
    assert "HEADRACE_LEDGER_SCHEMAS=main=VERSION" in refused.message
