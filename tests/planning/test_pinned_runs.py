"""A run that is pinned to a plan: whatever differs from what was signed is neither stored nor sent."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import pytest

from headrace.planning.document import COMMITTED
from headrace.planning.planner import Subject, Undone
from headrace.runner.runners import undo_config
from headrace.workflows.activities import ACTIVITIES, INTERNAL_LEDGER
from headrace.workflows.undo import Case, External, undo_of
from tests.planning.books import PAY_TO, Books, Json
from tests.planning.runs import planned, run
from tests.planning.test_planner import PAYOUT, account, of, send

WAITING: Json = {"payment": {"psp": "stripe", "type": "PAYOUT", "waitingValidation": True}}


def note(vip: str) -> Json:
    return {"update": {"account": {"id": "users:jane", "ledger": "main", "metadata": {"vip": vip}}}}


def new_books() -> Books:
    """The same each time, down to the ids."""
    books = Books()
    for ledger in ("main", "shop", INTERNAL_LEDGER):
        books.open_ledger(ledger)
    books.fund("main", "users:jane", 10_000, "USD/2")
    books.note("main", "users:jane", {PAY_TO: "acc_1"})
    wallet = books.open_wallet("one", "main", {PAY_TO: "acc_w"})
    books.fund("main", f"wallets:{wallet['id'].replace('-', '')}:main", 500, "USD/2")
    books.receive(400, "USD/2")
    return books


def cases(books: Books) -> dict[str, tuple[Json, ...]]:
    """Stages by name. Where that begins with `undo`, the undo of a case of them is what is planned."""
    jane, joe = account("users:jane"), account("users:joe")
    wallet = {"wallet": {"id": books.wallets[0]["id"]}}
    payment = {"payment": {"id": books.payments[0]}}
    overdrawing = send(account("users:jane", allowOverdraft=True), joe, 100)
    return {
        "transfer": (send(jane, joe, 100),),
        "metadata": (note("yes"), {"delay": {"duration": "1s"}}, note("no")),
        "credit": (send(jane, wallet, 100),),
        "debit": (send(wallet, joe, 100),),
        "ingestion": (send(payment, jane, 400),),
        "payout": ({"wait_event": {"event": "go"}}, send(jane, PAYOUT, 100)),
        "across ledgers": (send(jane, {"account": {"id": "shop:till", "ledger": "shop"}}, 100),),
        "undo of transfers": (overdrawing, send(joe, jane, 100)),  # the last one with `force`: jane may be overdrawn
        "undo on wallets": (send(jane, wallet, 100), send(wallet, joe, 100)),
        "undo of a payout that waits": (send(jane, WAITING, 100),),
        "undo of a paid payout": (send(jane, PAYOUT, 100),),
    }


NAMES = (
    "transfer",
    "metadata",
    "credit",
    "debit",
    "ingestion",
    "payout",
    "across ledgers",
    "undo of transfers",
    "undo on wallets",
    "undo of a payout that waits",
    "undo of a paid payout",
)


def begun(name: str) -> tuple[Books, Subject]:
    """Books, and what is planned over them. It is the same each time, down to the ids."""
    books = new_books()
    stages = cases(books)[name]
    if not name.startswith("undo"):
        return books, of(*stages)
    case = run(books, of(*stages))
    assert case.error is None, case.error
    initiations = books.call("payments", "GET", "/transfer-initiations")["cursor"]["data"]
    statuses = {each["reference"]: each["status"] for each in initiations}
    external: External = "reverse" if "paid" in name else "keep"
    undo = undo_of(Case(case.done, list(stages), {}, statuses=statuses), external)
    assert (undo.kept, undo.blocked) == ([], [])
    undone = Undone(case.instance_id, len(stages) - 1, 0)
    return books, Subject(undo_config(case.instance_id, undo.stages), {}, undone=undone)


def changes(value: Any) -> Iterator[Any]:
    """Every value that differs from this one in a single place."""
    match value:
        case dict():
            for name, member in value.items():
                yield from ({**value, name: changed} for changed in changes(member))
                yield {other: each for other, each in value.items() if other != name}
            yield {**value, "more": 1}
        case list():
            for number, item in enumerate(value):
                yield from ([*value[:number], changed, *value[number + 1 :]] for changed in changes(item))
                yield [*value[:number], *value[number + 1 :]]
            yield [*value, 1]
        case bool():
            yield not value
            yield int(value)
        case int():
            yield value + 1
            yield str(value)
        case str():
            yield value + "x"
            yield None
        case _:
            yield 0


def mutants(plan: Json) -> Iterator[tuple[int, Json]]:
    """Plans in each of which one place of one effect was signed otherwise, and the number of that effect."""
    for number, effect in enumerate(plan["effects"]):
        for name in COMMITTED:
            if name in ("stage", "ordinal"):
                continue
            for changed in changes(effect[name]):
                mutant = copy.deepcopy(plan)
                mutant["effects"][number][name] = changed
                yield number, mutant


def writes(books: Books, before: int) -> int:
    """How many requests other than GET were sent since then."""
    return sum(request.method != "GET" for request in books.requests[before:])


def test_every_effect_there_is_was_signed_otherwise() -> None:
    found: dict[str, list[Json]] = {}
    for name in NAMES:
        books, subject = begun(name)
        for effect in planned(books, subject)["effects"]:
            found.setdefault(effect["activity"], []).append(effect)
        books.close()
    assert found.keys() == {name for name, each in ACTIVITIES.items() if each.is_effect}
    assert {"force=true" in each["path"] for each in found["RevertTransaction"]} == {True, False}


@pytest.mark.parametrize("member", ["stage", "ordinal"])
def test_two_effects_that_were_signed_in_each_others_place_are_neither_stored_nor_sent(member: str) -> None:
    """Two that differ in this place only. The first of both ends the run."""
    count = 0
    for name in NAMES:
        books, subject = begun(name)
        plan = planned(books, subject)
        books.close()
        other = "ordinal" if member == "stage" else "stage"
        for first, second in combinations(range(len(plan["effects"])), 2):
            mutant = copy.deepcopy(plan)
            one, two = mutant["effects"][first], mutant["effects"][second]
            if one[other] != two[other]:
                continue
            one[member], two[member] = two[member], one[member]
            books, subject = begun(name)
            before = len(books.requests)
            done = run(books, subject, signed=mutant)
            sent = writes(books, before)
            books.close()
            assert done.failure == "plan" and len(done.intents) == first == sent, (name, done)
            count += 1
    assert count >= (4 if member == "stage" else 3)


@pytest.mark.parametrize("name", NAMES)
def test_whatever_was_signed_otherwise_is_neither_stored_nor_sent(name: str) -> None:
    """Each field of each effect: method and path too. What came before has happened, and nothing comes after."""
    books, subject = begun(name)
    plan = planned(books, subject)
    assert plan["verdict"] == "succeeds" and plan["effects"]
    done = run(books, subject, signed=plan)
    assert (done.error, done.failure) == (None, None) and len(done.intents) == len(plan["effects"])
    books.close()
    count = 0
    for number, mutant in mutants(plan):
        books, subject = begun(name)
        before = len(books.requests)
        done = run(books, subject, signed=mutant)
        sent = writes(books, before)
        books.close()
        signed = mutant["effects"][number]
        assert done.failure == "plan", (signed, done)
        assert len(done.intents) == len(done.effects) == number == sent, (signed, done, sent)
        assert (done.error or "").startswith(f"plan: stage {signed['stage']}, effect {signed['ordinal']}: ")
        has_booked = any(each["stage"] == signed["stage"] for each in plan["effects"][:number])
        assert ("already booked" in (done.error or "")) == has_booked, done.error
        count += 1
    assert count >= 9 * len(plan["effects"])


@pytest.mark.parametrize("name", NAMES)
def test_an_effect_that_was_not_signed_or_is_left_ends_the_stage(name: str) -> None:
    books, subject = begun(name)
    plan = planned(books, subject)
    books.close()
    for number, effect in enumerate(plan["effects"]):
        books, subject = begun(name)
        done = run(books, subject, signed={**plan, "effects": plan["effects"][:number]})
        books.close()
        assert done.failure == "plan" and len(done.intents) == number, done
        assert f"{effect['activity']} is not signed" in (done.error or "")
    last = plan["effects"][-1]
    books, subject = begun(name)
    more = {**plan, "effects": [*plan["effects"], {**last, "ordinal": last["ordinal"] + 1}]}
    done = run(books, subject, signed=more)
    books.close()
    assert done.failure == "plan" and len(done.intents) == len(plan["effects"])
    text = f"plan: stage {last['stage']}, effect {last['ordinal'] + 1}: {last['activity']} is signed"
    assert (done.error or "").startswith(text) and "already booked" in (done.error or "")


def test_the_message_names_the_place_and_both_values() -> None:
    books = new_books()
    subject = of(send(account("users:jane"), account("users:joe"), 120))
    plan = planned(books, subject)
    posting = plan["effects"][0]["body"]["postings"][0]
    posting["amount"] = 100
    assert run(books, subject, signed=plan).error == (
        "plan: stage 0, effect 0: body.postings[0].amount is 120, signed 100"
    )
    posting |= {"amount": 120, "destination": "x" * 300}
    error = run(books, subject, signed=plan).error
    books.close()
    assert error == f"plan: stage 0, effect 0: body.postings[0].destination is users:joe, signed {'x' * 80}..."


def test_a_payee_that_was_changed_after_signing_is_not_paid() -> None:
    """The debit is booked, and named; the initiation is neither stored nor sent."""
    books = new_books()
    subject = of(send(account("users:jane"), PAYOUT, 100))
    plan = planned(books, subject)
    books.note("main", "users:jane", {PAY_TO: "acc_thief"})
    done = run(books, subject, signed=plan)
    assert done.failure == "plan" and [each[1] for each in done.intents] == ["CreateTransaction"]
    assert (done.error or "").startswith(
        "plan: stage 0, effect 1: body.destinationAccountID is acc_thief, signed acc_1; already booked: "
    )
    assert not [each for each in books.requests if each.path == "/transfer-initiations"]
    books.close()


def test_what_may_change_until_the_run_does_not_end_it() -> None:
    """Balances, time, and whether a payment is on its holding account already."""
    books, subject = begun("ingestion")
    plan = planned(books, subject)
    assert not plan["assumptions"][-1]["stands"]
    books.fund("main", "users:jane", 7, "USD/2")
    books.clock.moment_at += 86_400_000_000
    done = run(books, subject)
    assert done.error is None
    done = run(books, subject, signed=plan)
    books.close()
    assert done.failure == "refused", f"the payment is spent, and that is not what was signed: {done}"
    assert len(done.intents) == 2, "the ingestion, which stood already, and the transfer that lacks funds"
