"""Plans of single workflows: what a document shows, and what stops a plan."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from headrace.effects.port import Request, Response
from headrace.errors import Silent, TooLarge
from headrace.planning import document, planner
from headrace.planning.document import plan_hash
from headrace.planning.planner import Subject, Terms, plan
from headrace.planning.questions import ATTEMPTS, Answer, Question
from headrace.workflows.activities import INTERNAL_LEDGER
from headrace.workflows.stages import RUN
from tests.planning.books import PAY_TO, Books, Json
from tests.planning.comparison import differences
from tests.planning.runs import planned, run


@pytest.fixture
def books() -> Iterator[Books]:
    books = Books()
    books.open_ledger("main")
    yield books
    books.close()


def account(address: str, **more: Any) -> Json:
    return {"account": {"id": address, "ledger": "main", **more}}


def send(source: Json, destination: Json, amount: int, asset: str = "USD/2", **more: Any) -> Json:
    return {
        "send": {"source": source, "destination": destination, "amount": {"asset": asset, "amount": amount}, **more}
    }


def of(*stages: Json, variables: dict[str, str] | None = None, origin: Any = "caller") -> Subject:
    return Subject({"stages": list(stages)}, variables or {}, origin)


PAYOUT: Json = {"payment": {"psp": "stripe", "type": "PAYOUT"}}


def test_a_payout_that_lacks_funds(books: Books) -> None:
    """The example of the specification: all of the document, but times and the hash."""
    books.fund("main", "users:jane", 3_000, "USD/2")
    books.note("main", "users:jane", {PAY_TO: "acc_1"})
    made = planned(books, of(send(account("users:jane"), PAYOUT, 4_000)))
    read_at = made["assumptions"][0]["readAt"]
    assert made["plannedAt"] <= read_at
    reference = {"reference": "headrace:plan:0:0"}
    jane = {"source": "users:jane", "destination": "world", "amount": 4_000, "asset": "USD/2"}
    assert made == {
        "format": "headrace-plan/1",
        "plannedAt": made["plannedAt"],
        "verdict": "fails",
        "origin": "caller",
        "definition": {"stages": [send(account("users:jane"), PAYOUT, 4_000)]},
        "variables": {},
        "effects": [
            {
                "stage": 0,
                "ordinal": 0,
                "activity": "CreateTransaction",
                "service": "ledger",
                "method": "POST",
                "path": "/v2/main/transactions",
                "body": {"metadata": {}, "postings": [jane], **reference},
                "reversible": "revert",
                "postings": [{"ledger": "main", **jane}],
                "balances": [
                    {
                        "ledger": "main",
                        "account": "users:jane",
                        "asset": "USD/2",
                        "before": 3_000,
                        "after": -1_000,
                        "readAt": read_at,
                    }
                ],
                "missing": 1_000,
            },
            {
                "stage": 0,
                "ordinal": 1,
                "activity": "CreateTransferInitiation",
                "service": "payments",
                "method": "POST",
                "path": "/transfer-initiations",
                "body": {
                    "reference": "headrace:plan:0:1",
                    "scheduledAt": "1970-01-01T00:00:00Z",
                    "description": "Transfer by Headrace",
                    "sourceAccountID": "",
                    "destinationAccountID": "acc_1",
                    "type": "PAYOUT",
                    "amount": 4_000,
                    "asset": "USD/2",
                    "validated": True,
                    "provider": "STRIPE",
                },
                "reversible": "kept",
                "postings": [],
                "balances": [],
            },
        ],
        "skipped": [],
        "assumptions": [
            {
                "stage": 0,
                "type": "read",
                "activity": "GetAccount",
                "input": {"id": "users:jane", "ledger": "main"},
                "value": {"address": "users:jane", "metadata": {PAY_TO: "acc_1"}},
                "readAt": read_at,
            }
        ],
        "totals": {"USD/2": {"sent": 4_000, "externalIn": 0, "externalOut": 4_000}},
        "fails": {
            "stage": 0,
            "ordinal": 0,
            "kind": "refused",
            "code": "INSUFFICIENT_FUND",
            "ledger": "main",
            "account": "users:jane",
            "asset": "USD/2",
            "missing": 1_000,
            "error": "CreateTransaction: INSUFFICIENT_FUND: account users:jane of ledger main has not enough for "
            "4000 USD/2",
        },
        "hash": plan_hash(made),
    }


def test_planning_books_nothing_and_sends_nothing_but_reads(books: Books) -> None:
    books.fund("main", "users:jane", 3_000, "USD/2")
    before = books.balance("main", "users:jane", "USD/2"), len(books.requests)
    planned(books, of(send(account("users:jane"), account("users:joe"), 100), send(account("users:jane"), PAYOUT, 1)))
    assert {request.method for request in books.requests[before[1] :]} == {"GET"}
    assert books.balance("main", "users:jane", "USD/2") == before[0]
    assert books.balance("main", "users:joe", "USD/2") == 0


@pytest.mark.parametrize(
    "request_",
    [
        Request("ledger", "POST", "/v2/main"),
        Request("ledger", "GET", "/v2/main", b"{}"),
        Request("ledger", "GET", "/v2", None, "k"),
    ],
)
def test_a_question_can_be_nothing_but_a_read(request_: Request) -> None:
    with pytest.raises(AssertionError):
        Question(request_)


def test_a_payout_sees_the_metadata_of_an_earlier_update(books: Books) -> None:
    books.fund("main", "users:jane", 100, "USD/2")
    update = {"update": {"account": {"id": "users:jane", "ledger": "main", "metadata": {PAY_TO: "acc_new"}}}}
    made = planned(books, of(update, send(account("users:jane"), PAYOUT, 100)))
    assert made["verdict"] == "succeeds"
    assert made["effects"][2]["body"]["destinationAccountID"] == "acc_new"


def test_a_plan_goes_on_as_if_it_were_funded(books: Books) -> None:
    """Once for each shortage: what was counted as missing before is not missing again."""
    sends = [send(account("a"), account("b"), amount) for amount in (10, 5)]
    back = send(account("b"), account("a"), 15)
    made = planned(books, of(*sends, back, {"wait_event": {"event": "ok"}}, send(account("a"), account("b"), 16)))
    assert [effect.get("missing") for effect in made["effects"]] == [10, 5, None, 1]
    assert [balance["after"] for balance in made["effects"][3]["balances"]] == [-16, 16]
    assert made["fails"]["stage"] == 0
    assert "ends" not in made


def test_an_overdrawn_account_gives_nothing_more(books: Books) -> None:
    """It lacks what it owes too: a payment-in of the difference alone would not do."""
    overdraft = send(account("a", allowOverdraft=True), account("b"), 100)
    subject = of(overdraft, send(account("a"), account("b"), 60))
    made = planned(books, subject)
    assert [effect.get("missing") for effect in made["effects"]] == [None, 160]
    assert list(differences(books, made, run(books, subject))) == []


def test_another_failure_after_a_shortage_ends_the_plan_and_is_named(books: Books) -> None:
    made = planned(
        books, of(send(account("a"), account("b"), 10), send(account("b"), PAYOUT, 5), {"delay": {"duration": "1h"}})
    )
    assert made["fails"]["code"] == "INSUFFICIENT_FUND"
    assert made["ends"]["kind"] == "invalid"
    assert made["ends"]["stage"] == 1
    assert "already booked" not in made["ends"]["error"]
    assert not [each for each in made["assumptions"] if each["type"] == "delay"]


def test_an_effect_that_will_be_refused_is_part_of_the_plan(books: Books) -> None:
    """A run would send it: its intent is stored before the service declines."""
    made = planned(books, of(send(account("world"), {"account": {"id": "b", "ledger": "nowhere"}}, 10)))
    assert [effect["path"] for effect in made["effects"]] == ["/v2/main/transactions", "/v2/nowhere/transactions"]
    assert made["fails"]["code"] == "LEDGER_NOT_FOUND"
    assert (made["fails"]["stage"], made["fails"]["ordinal"]) == (0, 1)


def test_waits_are_assumptions_and_time_passes(books: Books) -> None:
    stages = ({"delay": {"duration": "2h"}}, {"wait_event": {"event": "ok"}}, {"delay": {"duration": "1h"}})
    terms = Terms(1_714_557_600_000_000)
    assert planned(books, of(*stages), terms)["assumptions"] == [
        {"stage": 0, "type": "delay", "until": "2024-05-01T12:00:00Z"},
        {"stage": 1, "type": "event", "event": "ok"},
        {"stage": 2, "type": "delay", "until": "2024-05-01T13:00:00Z"},
    ]


def test_the_hash_is_of_what_must_not_change(books: Books) -> None:
    """Balances and times may: the same run, planned later over other balances, is signed by the same hash."""
    books.fund("main", "a", 100, "USD/2")
    subject = of(send(account("a"), account("b"), 60, metadata={"order": "1"}))
    first = planned(books, subject)
    run(books, subject)
    later = planned(books, subject)
    assert (first["verdict"], later["verdict"]) == ("succeeds", "fails")
    assert first["hash"] == later["hash"]
    others = [
        of(send(account("a"), account("b"), 61, metadata={"order": "1"})),
        of(send(account("a"), account("b"), 60, metadata={"order": "2"})),
        of(send(account("a"), account("b"), 60, metadata={"order": "1"}), origin="trigger"),
        of(send(account("a"), account("b"), 60, metadata={"order": "1"}), variables={"unused": "1"}),
        of(send(account("a"), account("b"), 60, metadata={"order": "1"}), {"delay": {"duration": "0s"}}),
    ]
    assert len({first["hash"], *(planned(books, other)["hash"] for other in others)}) == 6


def test_a_payment_is_ingested_once(books: Books) -> None:
    payment = {"payment": {"id": books.receive(300, "USD/2")}}
    twice = of(send(payment, account("a"), 100), send(payment, account("b"), 50))
    made = planned(books, twice)
    assert [each["stands"] for each in made["assumptions"] if each["type"] == "ingestion"] == [False, True]
    assert made["totals"] == {"USD/2": {"sent": 150, "externalIn": 300, "externalOut": 0}}
    run(books, twice)
    again = planned(books, twice)
    assert [each["stands"] for each in again["assumptions"] if each["type"] == "ingestion"] == [True, True]
    assert again["totals"]["USD/2"]["externalIn"] == 0
    assert again["effects"][0]["stands"] is True
    assert again["effects"][1]["balances"][0] | {"readAt": ""} == {
        "ledger": INTERNAL_LEDGER,
        "account": f"payment:{payment['payment']['id']}",
        "asset": "USD/2",
        "before": 150,
        "after": 50,
        "readAt": "",
    }


def test_the_money_of_a_wallet_is_counted_once_however_it_is_reached(books: Books) -> None:
    wallet = books.open_wallet("jane", "main", {})
    alias = f"wallets:{wallet['id'].replace('-', '')}:main"
    books.fund("main", alias, 100, "USD/2")
    by_account, by_wallet = account(alias), {"wallet": {"id": wallet["id"], "balance": "main"}}
    made = planned(books, of(send(by_account, account("a"), 70), send(by_wallet, account("a"), 70)))
    assert [effect.get("missing") for effect in made["effects"]] == [None, 40]


def test_the_name_world_may_not_come_from_a_variable_of_a_trigger(books: Books) -> None:
    subject = of(send(account("${payer}"), account("a"), 1), variables={"payer": "world"}, origin="trigger")
    made = planned(books, subject, Terms(0, may_name_world=False))
    assert (made["fails"]["kind"], made["effects"]) == ("invalid", [])
    assert planned(books, subject, Terms(0, may_name_world=True))["verdict"] == "succeeds"


def test_a_plan_shows_nothing_of_the_record_of_a_provider(books: Books) -> None:
    payment = {"payment": {"id": books.receive(300, "USD/2")}}
    read = planned(books, of(send(payment, account("a"), 100)))["assumptions"][0]
    assert read["value"]["initialAmount"] == 300
    assert not {"raw", "adjustments"} & read["value"].keys()


# limits and services that do not answer


@pytest.mark.parametrize("response", [None, Response(503), Response(200, b"<html>"), Response(404)])
def test_a_service_that_does_not_answer_is_asked_again_and_then_named(response: Response | None) -> None:
    asking = plan(of(send(account("a"), account("b"), 1)), Terms(0))
    next(asking)
    for _ in range(ATTEMPTS - 1):
        asking.send(Answer(response, 0))
    with pytest.raises(Silent, match="ledger: "):
        asking.send(Answer(response, 0))


def test_a_further_attempt_says_that_it_is_one(books: Books) -> None:
    asking = plan(of(send(account("a"), account("b"), 1)), Terms(0))
    assert next(asking).attempt == 0
    assert asking.send(Answer(None, 0)).attempt == 1


def test_a_plan_of_too_many_reads_is_refused(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planner, "MAX_READS", 20)
    within = of(*(send(account("world"), account(f"a{n}"), 1) for n in range(20)))
    beyond = of(*(send(account("world"), account(f"a{n}"), 1) for n in range(21)))
    assert planned(books, within)["verdict"] == "succeeds"
    with pytest.raises(TooLarge, match="more than 20 reads"):
        planned(books, beyond)


def test_a_plan_of_too_many_bytes_is_refused(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "MAX_BYTES", 10_000)
    metadata = {"note": "${long}"}
    stages = [send(account("world"), account("a"), 1, metadata=metadata)] * 3
    assert planned(books, of(*stages, variables={"long": "x" * 2_000}))["verdict"] == "succeeds"
    with pytest.raises(TooLarge, match="more than 10,000 bytes"):
        planned(books, of(*stages, variables={"long": "x" * 4_000}))


def test_the_limits_are_those_of_the_specification() -> None:
    assert (planner.MAX_READS, document.MAX_BYTES) == (5_000, 4 << 20)


@dataclass(frozen=True)
class Hold:
    """A command that no stage yields."""


def test_a_command_that_is_not_known_is_not_passed_over(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(RUN["delay"]), "run", lambda self, body, context: iter([Hold()]))  # pyright: ignore[reportUnknownLambdaType,reportUnknownArgumentType]
    with pytest.raises(AssertionError, match="Hold"):
        planned(books, of({"delay": {"duration": "1s"}}))
