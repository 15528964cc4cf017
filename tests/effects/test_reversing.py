"""What reverses an effect, against the sandbox: sent, sent again, looked up, and after somebody else was faster."""

from __future__ import annotations

from typing import Any

import pytest

from headrace.clock import RandomIds, SystemClock
from headrace.effects.port import Absent, Done, Found, FoundOther, Refused, Unknown
from headrace.effects.services import prepare
from headrace.money import posting
from headrace.sandbox import Releases, Sandbox
from headrace.workflows.activities import (
    CreateTransaction,
    CreateTransferInitiation,
    CreditWallet,
    DebitWallet,
)
from headrace.workflows.reversals import (
    GetTransaction,
    GetTransferInitiation,
    ListTransferInitiations,
    ListWalletTransactions,
    RejectTransferInitiation,
    ReverseTransferInitiation,
    RevertTransaction,
)
from tests.effects.test_round_trip import KEY, Desk, main

UNDO = "headrace:u:0:0"


@pytest.fixture(params=["2.2", "2.4"])
async def desk(request: pytest.FixtureRequest) -> Any:
    sandbox = Sandbox(None, clock=SystemClock(), ids=RandomIds(), releases=Releases(ledger=request.param))
    made = Desk(sandbox)
    main(made)
    yield made
    await sandbox.close()


def pay(desk: Desk, source: str, destination: str, amount: int, ordinal: int, *, overdraft: bool = False) -> int:
    moved = CreateTransaction("main", posting(source, destination, amount, "USD/2"), allow_overdraft=overdraft)
    done = desk.ask(moved, ordinal)[1]
    assert isinstance(done, Done)
    return done.output["data"]["id"]


def test_a_revert_is_settled_by_its_transaction(desk: Desk) -> None:
    paid = pay(desk, "world", "a", 100, 0)
    revert = RevertTransaction(paid, "main")
    request, done = desk.ask(revert, 1)
    assert isinstance(done, Done)
    assert done.output["data"]["postings"] == [posting("a", "world", 100, "USD/2")]
    assert desk.ask(revert, 1)[1] == done, "the ledger keeps the key"
    found = desk.look(revert, request)
    assert isinstance(found, Found) and found.output["data"]["reverted"] is True
    read = desk.ask(GetTransaction(paid, "main"))[1]
    assert isinstance(read, Done) and read.output["data"]["reverted"] is True


def test_a_revert_by_hand_is_found(desk: Desk) -> None:
    paid = pay(desk, "world", "a", 100, 0)
    desk.post("ledger", f"/v2/main/transactions/{paid}/revert", {})
    request, refused = desk.ask(RevertTransaction(paid, "main"), 1)
    assert isinstance(refused, Refused) and refused.code == "ALREADY_REVERT"
    assert isinstance(desk.look(RevertTransaction(paid, "main"), request), Found)


def test_a_revert_of_what_was_spent_needs_force(desk: Desk) -> None:
    paid = pay(desk, "world", "a", 100, 0)
    pay(desk, "a", "b", 60, 1)
    request, refused = desk.ask(RevertTransaction(paid, "main"), 2)
    assert isinstance(refused, Refused) and refused.code == "INSUFFICIENT_FUND"
    assert desk.look(RevertTransaction(paid, "main"), request) == Absent()
    assert isinstance(desk.ask(RevertTransaction(paid, "main", force=True), 2)[1], Done)


def test_a_revert_of_nothing(desk: Desk) -> None:
    request, refused = desk.ask(RevertTransaction(99, "main"), 1)
    assert isinstance(refused, Refused) and refused.code == "NOT_FOUND"
    assert desk.look(RevertTransaction(99, "main"), request) == Absent()
    refused = desk.ask(RevertTransaction(1, "nowhere"), 1)[1]
    assert isinstance(refused, Refused) and refused.code == "LEDGER_NOT_FOUND"


def initiate(desk: Desk, *, is_waiting: bool = False) -> str:
    asked = CreateTransferInitiation("stripe", 5, "USD/2", "acct_1", waiting_validation=is_waiting)
    assert desk.ask(asked, 7)[1] == Done()
    listed = desk.ask(ListTransferInitiations(KEY.format(7)))[1]
    assert isinstance(listed, Done)
    (item,) = listed.output["cursor"]["data"]
    assert item["reference"] == KEY.format(7)
    return item["id"]


def test_a_rejection(desk: Desk) -> None:
    initiation = initiate(desk, is_waiting=True)
    activity = RejectTransferInitiation(initiation)
    request = prepare(activity, UNDO, 0)
    assert desk.look(activity, request) == Absent()
    assert desk.ask(activity)[1] == Done()
    assert desk.look(activity, request) == Found()
    assert isinstance(desk.ask(activity)[1], Refused), "payments takes no key"


def test_a_rejection_that_comes_too_late(desk: Desk) -> None:
    initiation = initiate(desk)
    activity = RejectTransferInitiation(initiation)
    assert isinstance(desk.ask(activity)[1], Refused)
    assert isinstance(desk.look(activity, prepare(activity, UNDO, 0)), FoundOther)


def test_a_reversal(desk: Desk) -> None:
    initiation = initiate(desk)
    activity = ReverseTransferInitiation(initiation, 5, "USD/2")
    request, done = desk.ask(activity)
    assert done == Done()
    assert desk.ask(activity)[1] == Done(), "a reference reverses once"
    assert desk.look(activity, request) == Found()
    status = f"/transfer-initiations/{initiation}/status"
    for name, is_settled in (("REVERSE_PROCESSING", False), ("REVERSED", True)):
        desk.post("payments", status, {"status": name})
        read = desk.ask(GetTransferInitiation(initiation))[1]
        assert isinstance(read, Done) == is_settled == (not isinstance(read, Unknown))
    desk.post("payments", status, {"status": "REVERSE_FAILED"})
    assert isinstance(desk.look(activity, request), FoundOther)


def test_a_wallet_s_transactions_tell_which_one_an_effect_booked(desk: Desk) -> None:
    wallet = desk.post("wallets", "/wallets", {"name": "Ann", "metadata": {}})["id"]
    credit = CreditWallet(wallet, 100, "USD/2", [{"type": "ACCOUNT", "identifier": "world"}], "main")
    assert desk.ask(credit, 0)[1] == Done()
    assert desk.ask(DebitWallet(wallet, 30, "USD/2", ["main"]), 1)[1] == Done()
    listed = desk.ask(ListWalletTransactions(wallet))[1]
    assert isinstance(listed, Done)
    found = {item["key"]: item for item in listed.output["cursor"]["data"]}
    assert found.keys() == {KEY.format(0), KEY.format(1)}
    for ordinal in (1, 0):
        item = found[KEY.format(ordinal)]
        assert isinstance(desk.ask(RevertTransaction(item["id"], item["ledger"]), 8 + ordinal)[1], Done)
