"""Plans of workflows whose stages have conditions, and runs that are kept to them."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest

from headrace.errors import TooLarge
from headrace.planning.document import plan_hash
from headrace.planning.planner import Beginning, Subject
from headrace.runner.policy import Policy
from headrace.workflows.approval_rules import parse_rules
from headrace.workflows.decisions import Passed
from tests.planning.books import Books, Json
from tests.planning.runs import planned, run
from tests.planning.test_pinned_runs import new_books
from tests.planning.test_planner import PAYOUT, account, of, send

PAID = send(account("users:jane"), PAYOUT, 100)
BY_READ = {
    **send(account("users:jane"), account("users:joe"), 70),
    "when": "stages[0].reads.GetAccount.metadata.vip != 'yes'",
}
ELSE = {**send(account("users:jane"), account("fees"), 5), "when": 'stages[1].outcome == "skipped"'}


@pytest.fixture
def books() -> Iterator[Books]:
    books = new_books()
    yield books
    books.close()


def subject() -> Subject:
    return of(PAID, BY_READ, ELSE)


def test_a_plan_lists_what_it_skips_and_its_hash_covers_that(books: Books) -> None:
    plan = planned(books, subject())
    assert (plan["skipped"], [effect["stage"] for effect in plan["effects"]]) == ([2], [0, 0, 1])
    assert plan["totals"]["USD/2"]["sent"] == 170
    assert plan["hash"] == plan_hash(plan) != plan_hash({**plan, "skipped": []})


def test_a_plan_sees_what_an_earlier_stage_of_it_writes(books: Books) -> None:
    note = {"update": {"account": {"id": "users:jane", "ledger": "main", "metadata": {"vip": "yes"}}}}
    later = {**BY_READ, "when": "stages[1].reads.GetAccount.metadata.vip != 'yes'"}
    assert planned(books, of(note, PAID, later))["skipped"] == [2]


def test_the_conditions_of_a_plan_are_limited_together(books: Books) -> None:
    """A plan is made without a pause."""
    heavy = {**ELSE, "when": 'all(1..15000, # > 0) and stages[0].outcome == "skipped"'}
    assert len(planned(books, of(PAID, *[heavy] * 20))["skipped"]) == 20
    with pytest.raises(TooLarge, match="its conditions take more than 400,000 steps together"):
        planned(books, of(PAID, *[heavy] * 30))


def test_a_condition_that_cannot_be_decided_ends_the_plan(books: Books) -> None:
    bad = {**BY_READ, "when": "stages[0].reads.GetAccount.metadata.vip.x == 1"}
    plan = planned(books, of(PAID, bad, ELSE))
    assert (plan["fails"]["kind"], plan["fails"]["stage"]) == ("invalid", 1)
    assert plan["fails"]["error"].startswith("when: cannot fetch x from <nil>")
    done = run(books, of(PAID, bad, ELSE))
    assert (done.error, done.failure) == (plan["fails"]["error"], "invalid")


@pytest.mark.parametrize(
    ("vip_when_signed", "message"),
    [
        (False, "plan: stage 1 is skipped, and was signed to run"),
        (True, "plan: stage 1 runs, signed to be skipped"),
    ],
)
def test_a_run_that_would_skip_others_than_was_signed_stops_before_it_sends(
    books: Books, vip_when_signed: bool, message: str
) -> None:
    def note(*, is_vip: bool) -> None:
        books.note("main", "users:jane", {"vip": "yes" if is_vip else "no"})

    note(is_vip=vip_when_signed)
    signed = planned(books, subject())
    note(is_vip=not vip_when_signed)
    done = run(books, subject(), signed=signed)
    assert (done.error, done.failure) == (message, "plan")
    assert [stage for stage, *_ in done.effects] == [stage for stage, *_ in done.intents] == [0, 0]


def test_as_signed_it_runs_and_skips(books: Books) -> None:
    signed = planned(books, subject())
    done = run(books, subject(), signed=signed)
    assert (done.error, done.skipped) == (None, [2])


def test_no_skip_can_be_signed_away(books: Books) -> None:
    """Also where its effects are left in the plan, or a stage without a condition is signed to be skipped."""
    signed = planned(books, subject())
    for skipped in ([], [1, 2], [0, 2]):
        changed: Json = {**copy.deepcopy(signed), "skipped": skipped}
        done = run(books, subject(), signed=changed)
        assert done.failure == "plan", skipped
        assert all(stage < min({0, 1, 2} & ({2} ^ set(skipped))) for stage, *_ in done.effects)


@pytest.mark.parametrize("decided", [True, False])
def test_a_plan_of_the_rest_keeps_what_was_decided(books: Books, decided: bool) -> None:
    """The rest begins with a stage whose condition would say something else by now."""
    before = (Passed("done", {"GetAccount": {"metadata": {}}}),)
    begins = Beginning("i", "i", 1, 0, {}, before=before, decided=decided)
    rest = Subject(subject().definition, {}, beginning=begins)
    plan = planned(books, rest)
    assert plan["skipped"] == ([1] if decided else [2])
    asked = Subject(subject().definition, {}, beginning=Beginning("i", "i", 1, 0, {}, before=before))
    assert planned(books, asked)["skipped"] == [2]


def test_a_rule_does_not_count_what_is_skipped(books: Books) -> None:
    rule = {"id": "big", "asset": "USD/2", "over": 100, "approvals": 1}
    policy = Policy(approval_rules=parse_rules({"approvals": [rule]}, "h"))
    definition = subject().definition
    asked = [
        policy.approval_rules.asking("w", definition["stages"], {}, number, skipped)
        for number, skipped in ((1, ()), (1, (0,)), (2, (1,)), (2, (0, 1)), (1, (1,)))
    ]
    assert [each is not None for each in asked] == [True, False, True, False, False]
