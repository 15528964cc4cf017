"""Every activity against the sandbox, which keeps the rules of the real services: sent, sent again, looked up."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from headrace.clock import RandomIds, SystemClock
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
    Search,
)
from headrace.effects.services import create_ledger, look_up, outcome, prepare
from headrace.money import posting
from headrace.sandbox import Sandbox
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

KEY = "headrace:i:0:{}"
BIG = 10**30


def found_by(search: Search, answer: Callable[[Request], Response]) -> LookUp:
    question = next(search)
    while True:
        try:
            question = search.send(answer(question))
        except StopIteration as ended:
            return ended.value


class Desk:
    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.clock = SystemClock()

    def ask(self, activity: Activity, ordinal: int = 0) -> tuple[Request, Outcome]:
        key = KEY.format(ordinal) if activity.is_effect else ""
        request = prepare(activity, key, self.clock.now_at())
        return request, outcome(activity.name, request, self.sandbox.handle(request))

    def look(self, activity: Activity, request: Request) -> LookUp:
        """As an engine does it."""
        return found_by(look_up(activity.name, request), self.sandbox.handle)

    def post(self, service: Any, path: str, body: dict[str, Any]) -> Any:
        response = self.sandbox.handle(Request(service, "POST", path, msgspec.json.encode(body)))
        assert response.status < 300, response
        return msgspec.json.decode(response.body)["data"] if response.body else None


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    sandbox = Sandbox(None, clock=SystemClock(), ids=RandomIds())
    yield Desk(sandbox)
    await sandbox.close()


@pytest.fixture
def wallet(desk: Desk) -> str:
    """A wallet named Ann that holds 10^30 and a little."""
    wallet_id = desk.post("wallets", "/wallets", {"name": "Ann", "metadata": {}})["id"]
    credit = CreditWallet(wallet_id, BIG + 100, "USD/2", [{"type": "ACCOUNT", "identifier": "world"}], "main")
    assert desk.ask(credit, 9_999)[1] == Done()
    return wallet_id


def main(desk: Desk) -> None:
    assert desk.ask(GetAccount("a", "main"))[1] != Done()
    request = create_ledger("main")
    assert outcome("CreateLedger", request, desk.sandbox.handle(request)) == Done()
    again = outcome("CreateLedger", request, desk.sandbox.handle(request))
    assert isinstance(again, Refused)
    assert again.code == "LEDGER_ALREADY_EXISTS"


def settled(desk: Desk, activity: Activity, other: Activity) -> None:
    """Absent, then done, the same when sent again, found by look-up, and not found with other values."""
    request = prepare(activity, KEY.format(0), desk.clock.now_at())
    assert desk.look(activity, request) == Absent()
    first = outcome(activity.name, request, desk.sandbox.handle(request))
    assert isinstance(first, Done), first
    if activity.service != "payments":
        assert outcome(activity.name, request, desk.sandbox.handle(request)) == first
    assert desk.look(activity, request) == Found(first.output)
    changed = prepare(other, KEY.format(0), desk.clock.now_at())
    found = desk.look(other, changed)
    assert isinstance(found, Absent if activity.name == "AddAccountMetadata" else FoundOther)


@pytest.mark.parametrize("allow_overdraft", [False, True])
@pytest.mark.parametrize("payment_id", [None, "p1"])
def test_transactions(desk: Desk, allow_overdraft: bool, payment_id: str | None) -> None:
    main(desk)
    source = "users:1" if allow_overdraft else "world"
    activity = CreateTransaction(
        "main",
        posting(source, "users:2", BIG, "USD/2"),
        {"b": "1", "a": "é"},
        "2020-01-02T03:04:05Z",
        allow_overdraft,
        payment_id,
    )
    settled(desk, activity, replace(activity, posting=posting(source, "users:2", BIG + 1, "USD/2")))


def test_refusals_of_the_ledger(desk: Desk) -> None:
    poor = CreateTransaction("main", posting("users:1", "users:2", 1, "USD/2"))
    request, missing = desk.ask(poor)
    assert isinstance(missing, Refused)
    assert missing.code == "LEDGER_NOT_FOUND"
    assert desk.look(poor, request) == Absent(ledger_is_missing=True)
    main(desk)
    no_funds = desk.ask(poor)[1]
    assert isinstance(no_funds, Refused)
    assert no_funds.code == "INSUFFICIENT_FUND"
    assert isinstance(desk.ask(replace(poor, posting=posting("world", "users:2", 1, "USD/2")), 1)[1], Done)
    taken = prepare(replace(poor, posting=posting("world", "x", 1, "USD/2")), KEY.format(1), 0)
    conflict = outcome(poor.name, taken, desk.sandbox.handle(replace(taken, key="another")))
    assert isinstance(conflict, Refused)
    assert conflict.code == "CONFLICT"


def test_account_metadata(desk: Desk) -> None:
    main(desk)
    activity = AddAccountMetadata("users:1", "main", {"k": "v"})
    settled(desk, activity, replace(activity, metadata={"k": "w"}))
    result = desk.ask(GetAccount("users:1", "main"))[1]
    assert result == Done({"data": {"address": "users:1", "metadata": {"k": "v"}}})


def test_credits_and_debits(desk: Desk, wallet: str) -> None:
    credit = CreditWallet(wallet, BIG, "USD/2", [{"type": "ACCOUNT", "identifier": "world"}], "main", {"k": "v"})
    settled(desk, credit, replace(credit, amount=BIG + 1))


def test_a_debit_is_found_by_its_metadata(desk: Desk, wallet: str) -> None:
    debit = DebitWallet(wallet, BIG, "USD/2", ["main"], {"type": "ACCOUNT", "identifier": "users:1"}, {"k": "v"})
    settled(desk, debit, replace(debit, amount=1))
    request, refused = desk.ask(debit, 1)
    assert isinstance(refused, Refused)
    assert refused.code == "INSUFFICIENT_FUND"
    assert desk.look(debit, request) == Absent()


def test_a_debit_is_found_behind_many_others(desk: Desk, wallet: str) -> None:
    debit = DebitWallet(wallet, 7, "USD/2", ["main"])
    request, done = desk.ask(debit)
    assert done == Done()
    for ordinal in range(1, 231):
        assert desk.ask(CreditWallet(wallet, 1, "USD/2", [], "main"), ordinal)[1] == Done()
    assert desk.look(debit, request) == Found()


def test_wallets(desk: Desk, wallet: str) -> None:
    result = desk.ask(GetWallet(wallet))[1]
    assert isinstance(result, Done)
    assert result.output["data"]["balances"] == {"main": {"assets": {"USD/2": BIG + 100}}}
    listed = desk.ask(ListWallets("Ann"))[1]
    assert isinstance(listed, Done)
    assert [found["id"] for found in listed.output["cursor"]["data"]] == [wallet]
    nobody = desk.ask(ListWallets("ann&name=Ann"))[1]
    assert isinstance(nobody, Done)
    assert nobody.output["cursor"]["data"] == []
    assert desk.ask(GetWallet("nobody"))[1] == Refused("NOT_FOUND", "wallet nobody does not exist")


def test_payments(desk: Desk) -> None:
    pay_in = {
        "reference": "r1",
        "connectorID": "DUMMY-PAY",
        "createdAt": "2024-05-01T10:00:00Z",
        "amount": BIG,
        "type": "PAY-IN",
        "status": "SUCCEEDED",
        "scheme": "visa",
        "asset": "USD/2",
    }
    payment_id = desk.post("payments", "/payments", pay_in)["id"]
    result = desk.ask(GetPayment(payment_id))[1]
    assert isinstance(result, Done), result
    assert (result.output["data"]["initialAmount"], result.output["data"]["status"]) == (BIG, "SUCCEEDED")
    missing = desk.ask(GetPayment("nothing"))[1]
    assert isinstance(missing, Refused)
    assert missing.code == "NOT_FOUND"


def test_initiations(desk: Desk) -> None:
    activity = CreateTransferInitiation("stripe", BIG, "USD/2", "acct_1", source="acct_0", metadata={"k": "v"})
    settled(desk, activity, replace(activity, amount=1))
    repeated = desk.ask(activity)[1]  # payments takes no key: a resend is refused, and settled by the look-up
    assert isinstance(repeated, Refused)


def test_an_initiation_is_found_in_the_list_where_the_filter_is_refused(desk: Desk) -> None:
    activity = CreateTransferInitiation("stripe", 5, "USD/2", "acct_1")
    request, done = desk.ask(activity)
    assert done == Done()
    for ordinal in range(1, 151):
        assert desk.ask(activity, ordinal)[1] == Done()
    asked: list[str] = []

    def answer(question: Request) -> Response:
        asked.append(question.path)
        refused = Response(400, b'{"errorCode":"VALIDATION","errorMessage":"unknown key"}')
        return refused if "query=" in question.path else desk.sandbox.handle(question)

    assert found_by(look_up(activity.name, request), answer) == Found()
    assert len(asked) == 3
    unsent = prepare(activity, KEY.format(999), desk.clock.now_at())
    assert found_by(look_up(activity.name, unsent), answer) == Absent()


def test_an_initiation_that_is_not_booked_is_proven_so_by_the_filter(desk: Desk) -> None:
    activity = CreateTransferInitiation("stripe", 5, "USD/2", "acct_1")
    for ordinal in range(250):
        assert desk.ask(activity, ordinal)[1] == Done()
    asked: list[str] = []

    def answer(question: Request) -> Response:
        asked.append(question.path)
        return desk.sandbox.handle(question)

    unsent = prepare(activity, KEY.format(999), desk.clock.now_at())
    assert found_by(look_up(activity.name, unsent), answer) == Absent()
    assert len(asked) == 4  # ours by the filter, two pages, one of the second page by the filter
