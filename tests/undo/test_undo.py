"""Undo restores every balance but for the legs that are kept (MS-7), and what it computes, case by case."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from headrace.errors import InvalidDefinition
from headrace.workflows.config import parse_config
from headrace.workflows.undo import Case, DoneEffect, undo_of
from tests.undo.__main__ import RESULTS
from tests.undo.cases import World, check_case, difference, run
from tests.undo.kills import Counts, check_case_with_kills

Json = dict[str, Any]
SEEDS = range(12)


@pytest.mark.parametrize("seed", SEEDS)
def test_generated_cases_cut_at_every_effect(seed: int) -> None:
    """`python -m tests.undo` does more of them."""
    check_case(seed, faults=0.2 if seed % 2 else 0.0)


def test_generated_cases_are_undone_by_the_runner_and_killed_at_each_point() -> None:
    counts = Counts()
    for seed in (*range(8), 18, 19, 43):  # before these three banks report, and receivers spend
        check_case_with_kills(seed, counts)
    assert counts.violations == [], counts.violations[0]
    assert counts.undone and counts.kept and counts.kills >= 40, counts
    assert counts.spent and counts.by_hand and counts.reported and counts.stopped, counts


def test_a_payout_that_had_failed_and_is_paid_before_its_funding_is_looked_at_is_listed_too() -> None:
    counts = Counts()
    check_case_with_kills(212, counts, kills=False)
    assert counts.violations == []
    assert counts.kept_activities["CreateTransferInitiation"] and counts.reported, "a bank has reported"


def test_the_full_run_that_is_kept_restored_every_balance() -> None:
    kept = [json.loads(line) for line in RESULTS.read_text("utf-8").splitlines()]
    full = [each["runner"] for each in kept if each["runner"]["cases"] >= 2_000]
    assert full and all(each["runner"]["violations"] == 0 for each in kept)
    met = ("cuts", "kills", "undone", "kept", "stopped", "spent", "by_hand", "reported", "nothing")
    assert all(each[name] > 0 for each in full for name in met), full


@pytest.fixture
def world() -> Iterator[World]:
    made = World(random.Random(1))
    yield made
    made.close()


def send(source: Json, destination: Json, amount: int = 100) -> Json:
    return {"send": {"source": source, "destination": destination, "amount": {"asset": "USD/2", "amount": amount}}}


def account(name: str, ledger: str = "main", **more: Any) -> Json:
    return {"account": {"id": name, "ledger": ledger, **more}}


PAYOUT = {"payment": {"psp": "stripe"}}
KEY = "headrace:case:{}:{}"


def undone(world: World, stages: list[Json], external: Any = "keep", **more: Any) -> tuple[Any, Any, Any]:
    """The undo of a whole run, the run of it, and how the balances differ from those before."""
    initial = world.balances()
    ran = run(world, stages, "case")
    assert ran.error is None, ran.error
    undo = undo_of(Case(ran.effects, stages, {}, ran.wallet_ledgers, **more), external)
    result = run(world, undo.stages, "undo")
    return undo, result, difference(world.balances(), initial)


def test_the_last_effect_is_reverted_first(world: World) -> None:
    """What was passed on is back before the one that passed it on gives it back."""
    stages = [send(account("a"), account("new")), send(account("new"), account("b"))]
    undo, result, left = undone(world, stages)
    references = [stage["revert"]["transaction"]["reference"] for stage in undo.stages]
    assert references == [KEY.format(1, 0), KEY.format(0, 0)]
    assert (result.error, left) == (None, {})


def test_a_second_undo_finds_everything_reverted_and_sends_no_effect(world: World) -> None:
    stages = [send(account("a"), account("b", "other"))]
    undo, _, _ = undone(world, stages)
    again = run(world, undo.stages, "again")
    assert (again.effects, again.error) == ([], None)


@pytest.mark.parametrize("stages", [[send(account("a"), account("b"))]])
def test_another_transaction_under_the_same_id_is_not_reverted(world: World, stages: list[Json]) -> None:
    ran = run(world, stages, "case")
    (stage,) = undo_of(Case(ran.effects, stages, {})).stages
    stage["revert"]["transaction"]["id"] = 1
    assert "has the reference ''" in (run(world, [stage], "undo").error or "")


def test_money_that_was_spent_stops_an_undo_and_earlier_effects_stay(world: World) -> None:
    stages = [send(account("a"), account("new"))]
    ran = run(world, stages, "case")
    world.book("main", "new", "world", 100)
    result = run(world, undo_of(Case(ran.effects, stages, {})).stages, "undo")
    assert "INSUFFICIENT_FUND" in (result.error or "")


def test_force_only_where_the_definition_lets_the_case_overdraw(world: World) -> None:
    """A credit to an account that is below zero cannot be reverted otherwise."""
    stages = [send(account("a", allowOverdraft=True), account("b"), 5_000), send(account("c"), account("a"))]
    undo, result, left = undone(world, stages)
    forced = [stage["revert"]["transaction"].get("force", False) for stage in undo.stages]
    assert forced == [True, False]
    assert (result.error, left) == (None, {})


def test_a_payment_that_came_in_is_kept_on_its_holding_account(world: World) -> None:
    payment = world.payments[0]
    stages = [send({"payment": {"id": payment, "ledger": "main"}}, account("a"))]
    undo, result, left = undone(world, stages)
    assert [each.effect.ordinal for each in undo.kept] == [0]
    assert result.error is None
    assert left == {("main", "world"): -300, ("main", f"payment:{payment}"): 300}


def test_metadata_is_kept_and_its_values_are_listed(world: World) -> None:
    stages = [{"update": {"account": {"id": "a", "ledger": "main", "metadata": {"k": "v"}}}}]
    undo, _, _ = undone(world, stages)
    assert undo.stages == [] and "k=v" in undo.kept[0].reason


def test_wallets(world: World) -> None:
    first, second = ({"wallet": {"id": wallet}} for wallet in world.wallets)
    stages = [send(account("a"), first), send(first, second), send(second, account("b"))]
    undo, result, left = undone(world, stages)
    assert all(stage["revert"].get("wallet") or stage["revert"].get("transaction") for stage in undo.stages)
    assert (result.error, left) == (None, {})


def test_a_paid_payout_keeps_what_funded_it(world: World) -> None:
    stages = [send(account("b"), account("c")), send(account("a"), PAYOUT)]
    undo, result, left = undone(world, stages, statuses={KEY.format(1, 1): "PROCESSED"})
    assert [each.effect.key for each in undo.kept] == [KEY.format(1, 1), KEY.format(1, 0)]
    assert result.error is None
    assert left == {("main", "a"): -100, ("main", "world"): 100}


def test_a_payout_that_turns_out_paid_keeps_what_funded_it(world: World) -> None:
    """Its status was not read, or has changed since: the stages read it again."""
    stages = [send(account("a"), PAYOUT)]
    undo, result, left = undone(world, stages, statuses={KEY.format(0, 1): "PROCESSING"})
    assert len(undo.stages) == 2 and undo.kept == []
    assert result.error is None and result.effects == []
    assert left == {("main", "a"): -100, ("main", "world"): 100}


def test_a_paid_payout_is_reversed_where_that_is_asked_for(world: World) -> None:
    stages = [send(account("a"), PAYOUT)]
    _, result, left = undone(world, stages, "reverse", statuses={KEY.format(0, 1): "PROCESSED"})
    assert (result.error, left) == (None, {})
    assert world.initiation(KEY.format(0, 1))["status"] == "REVERSED"
    assert [each.activity for each in result.effects] == ["ReverseTransferInitiation", "RevertTransaction"]


def test_a_payout_that_waits_for_validation_is_rejected(world: World) -> None:
    stages = [send(account("a"), {"payment": {"psp": "stripe", "waitingValidation": True}})]
    _, result, left = undone(world, stages)
    assert (result.error, left) == (None, {})
    assert world.initiation(KEY.format(0, 1))["status"] == "REJECTED"


@pytest.mark.parametrize("decided", ["PROCESSED", "FAILED", "REVERSED"])
@pytest.mark.parametrize("status", ["VALIDATED", "PROCESSING", "ASK_RETRIED", "ASK_REVERSED", "REVERSE_PROCESSING"])
def test_a_bank_that_works_on_it_is_waited_for(world: World, status: str, decided: str) -> None:
    stages = [send(account("a"), PAYOUT)]
    initial = world.balances()
    ran = run(world, stages, "case")
    reference = KEY.format(0, 1)
    world.report(reference, status)
    world.decides[world.initiation(reference)["id"]] = decided
    result = run(world, undo_of(Case(ran.effects, stages, {}, statuses={reference: status})).stages, "undo")
    assert result.error is None and world.now_s > 0
    left = difference(world.balances(), initial)
    assert bool(left) == (decided == "PROCESSED")


@pytest.mark.parametrize("status", ["PARTIALLY_REVERSED", "REVERSE_FAILED"])
def test_a_half_reversed_payout_is_for_a_person(world: World, status: str) -> None:
    stages = [send(account("a"), PAYOUT)]
    initial = world.balances()
    ran = run(world, stages, "case")
    reference = KEY.format(0, 1)
    read = undo_of(Case(ran.effects, stages, {}, statuses={reference: status}))
    assert [each.effect.key for each in read.blocked] == [reference]
    world.report(reference, status)
    result = run(world, undo_of(Case(ran.effects, stages, {})).stages, "undo")
    assert "a person must decide" in (result.error or "") and result.effects == []
    assert difference(world.balances(), initial)


@pytest.mark.parametrize("external", ["keep", "reverse"])
def test_a_failed_payout_that_is_retried_meanwhile_keeps_what_funded_it(world: World, external: Any) -> None:
    stages = [send(account("a"), PAYOUT)]
    ran = run(world, stages, "case")
    undo = undo_of(Case(ran.effects, stages, {}, statuses={KEY.format(0, 1): "FAILED"}), external)
    result = run(world, undo.stages, "undo")  # by now it is PROCESSED
    assert (result.error, result.effects) == (None, [])


def test_what_a_person_attested_without_an_id_is_kept() -> None:
    data = {"reference": KEY.format(0, 0), "postings": [], "metadata": {}}
    moved = DoneEffect(KEY.format(0, 0), 0, 0, "CreateTransaction", {"ledger": "main", "data": data}, None, True)
    amount = {"amount": 1, "asset": "USD/2"}
    credit = DoneEffect(KEY.format(0, 1), 0, 1, "CreditWallet", {"id": "w", "data": {"amount": amount}}, None, True)
    undo = undo_of(Case([moved, credit], [], {}))
    assert undo.stages == [] and all("person" in each.reason for each in undo.kept) and len(undo.kept) == 2


def test_an_initiation_is_found_where_the_service_does_not_filter(world: World) -> None:
    stages = [send(account("a"), {"payment": {"psp": "stripe", "waitingValidation": True}})]
    ran = run(world, stages, "case")
    handle = world.sandbox.handle

    def without_filter(request: Any) -> Any:
        if "?query=" in request.path and request.service == "payments":
            return type(handle(request))(400, b'{"errorCode":"VALIDATION","errorMessage":"no"}', {})
        return handle(request)

    world.sandbox.handle = without_filter  # type: ignore[method-assign]
    result = run(world, undo_of(Case(ran.effects, stages, {})).stages, "undo")
    assert result.error is None
    assert [each.activity for each in result.effects] == ["RejectTransferInitiation", "RevertTransaction"]


def test_nobody_can_write_a_revert_stage() -> None:
    body = {"transaction": {"id": 1, "ledger": "main"}}
    with pytest.raises(InvalidDefinition) as refused:
        parse_config({"stages": [{"revert": body}]})
    (problem,) = refused.value.problems
    assert problem.path == "stages[0].revert" and "unknown stage" in problem.reason
