"""What a document says that the services hold is what they respond; a mistake in it is named with its place."""

from __future__ import annotations

import json
from typing import Any

import pytest

from headrace.api import yaml
from headrace.effects.port import Request
from headrace.errors import InvalidValue
from headrace.sandbox import Sandbox, read_given
from tests.sandbox.conftest import CountedIds, ManualClock

BIG = 10**40

DOCUMENT = f"""
ledgers:
  main:
    users:jane: {{balance: {{USD/2: 5000, JPY: "{BIG}"}}, metadata: {{formanceAccountID: acc_1}}}}
    users:joe: {{balance: {{USD/2: -250}}}}
    empty: {{}}
  spare:
wallets:
  - {{id: w-1, name: jane, ledger: main, balances: {{main: {{USD/2: 100}}, gifts: {{USD/2: 7}}}},
     metadata: {{kind: vip}}}}
  - id: w2
payments:
  - {{id: p1, amount: 4199, asset: USD/2}}
  - {{id: "p/2", amount: 1, asset: JPY, type: PAYOUT, status: PENDING, reference: other, sourceAccountID: acc_9}}
"""


@pytest.fixture
def sandbox() -> Any:
    filled = Sandbox(None, clock=ManualClock(), ids=CountedIds())
    filled.fill(read_given(yaml.decode(DOCUMENT.encode()).value))
    return filled


def read(sandbox: Sandbox, service: Any, path: str) -> Any:
    response = sandbox.handle(Request(service, "GET", path))
    assert response.status == 200, response
    return json.loads(response.body)


def test_accounts(sandbox: Sandbox) -> None:
    jane = read(sandbox, "ledger", "/v2/main/accounts/users:jane?expand=volumes")["data"]
    assert {asset: volume["balance"] for asset, volume in jane["volumes"].items()} == {"USD/2": 5000, "JPY": BIG}
    assert jane["metadata"] == {"formanceAccountID": "acc_1"}
    joe = read(sandbox, "ledger", "/v2/main/accounts/users:joe?expand=volumes")["data"]
    assert joe["volumes"]["USD/2"]["balance"] == -250
    assert read(sandbox, "ledger", "/v2/spare/aggregate/balances")["data"] == {}
    assert read(sandbox, "ledger", "/v2/main/aggregate/balances")["data"] == {"USD/2": 0, "JPY": 0}


def test_wallets(sandbox: Sandbox) -> None:
    wallet = read(sandbox, "wallets", "/wallets/w-1")["data"]
    assert (wallet["name"], wallet["ledger"], wallet["metadata"]) == ("jane", "main", {"kind": "vip"})
    assert wallet["balances"] == {"main": {"assets": {"USD/2": 100}}, "gifts": {"assets": {"USD/2": 7}}}
    other = read(sandbox, "wallets", "/wallets/w2")["data"]
    assert (other["name"], other["ledger"]) == ("w2", "wallets-002")
    assert other["balances"] == {"main": {"assets": {}}}
    booked = read(sandbox, "ledger", "/v2/main/accounts/wallets:w1:gifts?expand=volumes")["data"]
    assert booked["volumes"]["USD/2"]["balance"] == 7


def test_payments(sandbox: Sandbox) -> None:
    payment = read(sandbox, "payments", "/payments/p1")["data"]
    shown = {name: payment[name] for name in ("type", "status", "amount", "initialAmount", "asset", "reference")}
    assert shown == {
        "type": "PAY-IN",
        "status": "SUCCEEDED",
        "amount": 4199,
        "initialAmount": 4199,
        "asset": "USD/2",
        "reference": "p1",
    }
    other = read(sandbox, "payments", "/payments/p%2F2")["data"]
    assert (other["type"], other["status"], other["sourceAccountID"]) == ("PAYOUT", "PENDING", "acc_9")


def test_nothing_given() -> None:
    given = read_given(None)
    assert (given.ledgers, given.wallets, given.payments) == ({}, (), ())


@pytest.mark.parametrize(
    ("document", "field", "reason"),
    [
        ("accounts: {}", "given.accounts", "is not known here; known are ledgers, wallets, payments"),
        ("ledgers: [main]", "given.ledgers", "must be an object, not a list"),
        ("ledgers: {ma in: {}}", 'given.ledgers["ma in"]', "is not a ledger name"),
        ("ledgers: {main: {'a b': {}}}", 'given.ledgers.main["a b"]', "is not an account address"),
        ("ledgers: {main: {a:b: {ballance: {}}}}", 'given.ledgers.main["a:b"].ballance', "is not known here"),
        ("ledgers: {main: {a: {balance: {usd: 1}}}}", "given.ledgers.main.a.balance.usd", "is not an asset"),
        ("ledgers: {main: {a: {balance: {USD/2: 1.5}}}}", 'given.ledgers.main.a.balance["USD/2"]', "is an integer"),
        ("ledgers: {main: {a: {balance: {USD/2: '-5'}}}}", 'given.ledgers.main.a.balance["USD/2"]', "digits only"),
        ("ledgers: {main: {a: {balance: {USD/2: true}}}}", 'given.ledgers.main.a.balance["USD/2"]', "not bool"),
        ("ledgers: {main: {a: {balance: 5}}}", "given.ledgers.main.a.balance", "must be an object, not a number"),
        ("ledgers: {main: {world: {balance: {JPY: 1}}}}", "given.ledgers.main.world.balance", "follows from"),
        ("ledgers: {main: {a: {metadata: {n: 5}}}}", "given.ledgers.main.a.metadata.n", 'write "5"'),
        ("wallets: {id: w1}", "given.wallets", "must be a list, not an object"),
        ("wallets: [{name: jane}]", "given.wallets[0].id", "is required"),
        ("wallets: [{id: 5}]", "given.wallets[0].id", 'write "5"'),
        ("wallets: [{id: a:b}]", "given.wallets[0].id", "has 1 to 128 of"),
        ("wallets: [{id: '--'}]", "given.wallets[0].id", "needs a letter"),
        ("wallets: [{id: w-1}, {id: w1}]", "given.wallets[1].id", "is that of an earlier one"),
        ("wallets: [{id: w1, balances: {main: {USD/2: -1}}}]", 'given.wallets[0].balances.main["USD/2"]', "negative"),
        ("wallets: [{id: w1, balance: {}}]", "given.wallets[0].balance", "is not known here"),
        ("payments: [null]", "given.payments[0]", "must be an object"),
        ("payments: [{id: p1, asset: USD/2}]", "given.payments[0].amount", "is required"),
        ("payments: [{id: p1, amount: 1}]", "given.payments[0].asset", "is required"),
        ("payments: [{id: p1, amount: 1, asset: JPY, type: PAYIN}]", "given.payments[0].type", "one of PAY-IN"),
        ("payments: [{id: p1, amount: 1, asset: JPY, createdAt: now}]", "given.payments[0].createdAt", "not a time"),
        (
            "payments: [{id: p1, amount: 1, asset: JPY}, {id: p2, reference: p1, amount: 1, asset: JPY}]",
            "given.payments[1].reference",
            "is that of an earlier one",
        ),
    ],
)
def test_mistakes(document: str, field: str, reason: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        read_given(yaml.decode(document.encode()).value)
    assert caught.value.field == field
    assert reason in caught.value.reason
