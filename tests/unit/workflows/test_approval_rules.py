"""Rules about approvals: which sends they name, exactly, and what is refused of their file."""

from __future__ import annotations

from typing import Any

import pytest

from headrace.errors import InvalidValue
from headrace.workflows.approval_rules import MAX_RULES, NO_RULES, ApprovalRule, ApprovalRules, parse_rules

Json = dict[str, Any]

RULE: Json = {"id": "big", "workflow": "payout-*", "asset": "EUR/2", "over": 1_000_000, "approvals": 2}


def send(amount: object, asset: object = "EUR/2") -> Json:
    place = {"account": {"id": "a", "ledger": "main"}}
    return {"send": {"source": place, "destination": place, "amount": {"amount": amount, "asset": asset}}}


def rules(*given: ApprovalRule) -> ApprovalRules:
    return ApprovalRules(given, "sha256:1")


def asking(found: ApprovalRules, *stages: Json, name: str | None = "payout-jane", **variables: str) -> list[str | None]:
    """The id of the rule that asks before each stage; None: none does."""
    asked = [found.asking(name, list(stages), variables, number) for number in range(len(stages))]
    return [None if rule is None else rule.id for rule in asked]


BIG = ApprovalRule("big", "EUR/2", 1_000, 2)


def test_an_amount_over_a_rule_needs_approvals_and_one_at_it_does_not() -> None:
    assert asking(rules(BIG), send(1_000)) == [None]
    assert asking(rules(BIG), send(1_001)) == ["big"]
    assert asking(rules(ApprovalRule("every", "EUR/2", 0, 1)), send(0), send(1)) == [None, "every"]


def test_amounts_are_exact_at_any_size() -> None:
    over = 10**30
    huge = rules(ApprovalRule("huge", "EUR/2", over, 1))
    assert asking(huge, send(over)) == [None]
    assert asking(huge, send(over + 1)) == ["huge"]
    assert asking(huge, send(str(over)), send("1")) == [None, "huge"]


def test_ten_sends_just_below_are_one_send_of_their_sum() -> None:
    assert asking(rules(BIG), *[send(999)] * 10) == [None, *["big"] * 9]
    assert asking(rules(BIG), *[send(100)] * 10, send(1)) == [*[None] * 10, "big"]


def test_each_asset_is_added_up_by_itself() -> None:
    stages = [send(600), send(600, "USD/2"), send(600, "EUR/4"), send(400), {"delay": {"duration": "1s"}}, send(1)]
    assert asking(rules(BIG), *stages) == [None, None, None, None, None, "big"]


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("payout-*", "payout-jane", True),
        ("payout-*", "payout-", True),
        ("payout-*", "payout", False),
        ("payout-*", "my-payout-jane", False),
        ("payout-*", "Payout-jane", False),
        ("*", "anything", True),
        ("*", None, True),
        ("*", "", True),
        ("*-jane", "payout-jane", True),
        ("payout", "payout", True),
        ("payout-*", None, False),
    ],
)
def test_a_rule_is_about_workflows_by_their_names(pattern: str, name: str | None, fits: bool) -> None:
    found = rules(ApprovalRule("big", "EUR/2", 10, 1, pattern))
    assert asking(found, send(11), name=name) == ["big" if fits else None]


def test_placeholders_are_filled_in_before_the_sum() -> None:
    stages = [send("${amount}", "${asset}"), send("${amount}", "EUR/2")]
    assert asking(rules(BIG), *stages, amount="501", asset="EUR/2") == [None, "big"]
    assert asking(rules(BIG), *stages, amount="501", asset="USD/2") == [None, None]
    assert asking(rules(BIG), *stages, amount="1001", asset="EUR/2") == ["big", "big"]


@pytest.mark.parametrize("amount", ["-5000", "5e9", "5000.0", "", "${other}", None, 5000.0, True])
def test_a_send_that_fails_before_anything_is_sent_counts_for_nothing(amount: object) -> None:
    assert asking(rules(BIG), send(amount), send(1_000)) == [None, None]


def test_of_several_rules_the_one_that_asks_for_most_is_asked() -> None:
    found = rules(
        ApprovalRule("some", "EUR/2", 10, 1),
        ApprovalRule("most", "EUR/2", 100, 3),
        ApprovalRule("more", "EUR/2", 1_000, 2),
        ApprovalRule("other", "USD/2", 0, 5),
        ApprovalRule("elsewhere", "EUR/2", 0, 5, "refund-*"),
    )
    assert asking(found, send(5), send(10), send(100), send(5_000)) == [None, "some", "most", "most"]


def test_only_sends_are_asked_about() -> None:
    wait, approve = {"wait_event": {"event": "e"}}, {"approve": {"approvals": 1}}
    assert asking(rules(BIG), send(900), wait, approve, send(200)) == [None, None, None, "big"]
    assert asking(NO_RULES, send(10**9)) == [None]


# the file


def test_a_file_is_read_as_it_says() -> None:
    other = {"id": "any", "asset": "USD/2", "over": "500", "approvals": 1, "expires": "72h"}
    found = parse_rules({"approvals": [RULE, other]}, "sha256:2")
    assert found.rules == (
        ApprovalRule("big", "EUR/2", 1_000_000, 2, "payout-*", None),
        ApprovalRule("any", "USD/2", 500, 1, "*", 72 * 3_600_000_000),
    )
    assert found.hash == "sha256:2"


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (None, "must be an object with `approvals`"),
        ([RULE], "must be an object with `approvals`"),
        ({}, "approvals: must be a list of rules"),
        ({"approvals": []}, "approvals: must be a list of rules"),
        ({"approvals": RULE}, "approvals: must be a list of rules"),
        ({"rules": [RULE]}, "rules: is not known"),
        ({"approvals": [RULE], "more": 1}, "more: is not known"),
        ({"approvals": [RULE, 7]}, "approvals[1]: must be an object"),
        ({"approvals": [RULE, RULE]}, "approvals[1].id: big is the id of an earlier rule"),
        ({"approvals": [{**RULE, "id": str(n)} for n in range(MAX_RULES + 1)]}, "approvals: has more than 1,000 rules"),
    ],
)
def test_a_file_that_is_not_one_of_rules_is_refused(value: object, says: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        parse_rules(value, "")
    assert says in str(caught.value)


@pytest.mark.parametrize("lacking", ["id", "asset", "over", "approvals"])
def test_a_member_that_a_rule_needs_is_named(lacking: str) -> None:
    without = {name: value for name, value in RULE.items() if name != lacking}
    for rule in (without, {**RULE, lacking: None}):
        with pytest.raises(InvalidValue, match=rf"approvals\[0\]\.{lacking}: is missing"):
            parse_rules({"approvals": [rule]}, "")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("id", "a rule"),
        ("id", ""),
        ("id", 7),
        ("id", "x" * 64),
        ("workflow", ""),
        ("workflow", 7),
        ("asset", "euro"),
        ("asset", 7),
        ("over", -1),
        ("over", 1.5),
        ("over", "1e6"),
        ("over", True),
        ("approvals", 0),
        ("approvals", 6),
        ("approvals", True),
        ("approvals", "2"),
        ("expires", "soon"),
        ("expires", 72),
        ("expire", "72h"),
    ],
)
def test_a_bad_value_names_its_place(name: str, value: object) -> None:
    with pytest.raises(InvalidValue) as caught:
        parse_rules({"approvals": [{**RULE, "id": "first"}, {**RULE, name: value}]}, "")
    assert str(caught.value).startswith(f"approvals[1].{name}: ")
