"""Certificates of cases that persons approved: the decisions are in them, and a history without them is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from headrace.certificates.case import (
    Case,
    DecidedPlan,
    PersonDecision,
    RecordedGate,
    RecordedInstance,
    RecordedStage,
)
from headrace.errors import NotCertifiable
from headrace.testing.interactions import Act, Step
from headrace.testing.persons import Approval
from headrace.testing.runs import Plan
from tests.certificates import test_checks
from tests.certificates.cases import HOUR, Ran, ran
from tests.certificates.test_checks import ACROSS, PAYING, Json, refusal_of

image = test_checks.image  # a fixture

APPROVE: Json = {"approve": {"title": "Pay the shop", "approvals": 2, "timeout": "1d"}}
BOTH = (Approval(HOUR, "paul", reason="the invoice"), Approval(2 * HOUR, "eve"))


def case_of(image: bytes, *stages: Json, approvals: tuple[Approval, ...] = BOTH, steps: tuple[Step, ...] = ()) -> Any:
    return ran({"stages": list(stages)}, Plan({}, steps=steps, approvals=approvals), image, 1)


def changed(found: Ran, change: Callable[[RecordedInstance], RecordedInstance]) -> Case:
    """The case with its last instance changed."""
    return Case((*found.case.instances[:-1], change(found.case.last)))


def with_stage(instance: RecordedInstance, number: int, **members: Any) -> RecordedInstance:
    stages = [replace(stage, **members) if stage.number == number else stage for stage in instance.stages]
    return replace(instance, stages=tuple(stages))


def gate_of(stage: RecordedStage) -> RecordedGate:
    assert stage.gate is not None
    return stage.gate


def test_an_approved_case_is_certified_with_its_decisions(image: bytes) -> None:
    with case_of(image, ACROSS, APPROVE, PAYING) as found:
        payload = found.certify()
    (instance,) = payload["instances"]
    (approved,) = instance["approvals"]
    assert (instance["startedBy"], instance["plan"], instance["outcome"]) == (
        "requester",
        approved["plan"],
        "succeeded",
    )
    assert (approved["stage"], approved["isUsed"]) == (1, True) and approved["hash"].startswith("sha256:")
    assert approved["decisions"] == [
        {"principal": "paul", "verdict": "approve", "reason": "the invoice", "at": "2024-05-01T11:00:00Z"},
        {"principal": "eve", "verdict": "approve", "reason": "as the test says", "at": "2024-05-01T12:00:00Z"},
    ]
    assert instance["decisions"] == [], "those are about effects"
    assert payload["assets"]["USD/2"]["out"] == 400


def test_a_case_without_approvals_has_none(image: bytes) -> None:
    with case_of(image, ACROSS, approvals=()) as found:
        assert "approvals" not in found.certify()["instances"][0]


@pytest.mark.parametrize(
    ("approvals", "error"),
    [
        ((BOTH[0], Approval(2 * HOUR, "eve", "reject", "no invoice")), "rejected by eve: no invoice"),
        (BOTH[:1], "expired: not approved in time"),
        ((), "expired: not approved in time"),
    ],
)
def test_a_case_that_was_not_approved_is_certified_as_it_ended(
    image: bytes, approvals: tuple[Approval, ...], error: str
) -> None:
    with case_of(image, ACROSS, APPROVE, PAYING, approvals=approvals) as found:
        (instance,) = found.certify()["instances"]
        assert (instance["outcome"], instance["error"]) == ("failed", error)
        shown = [each["verdict"] for plan in instance.get("approvals", ()) for each in plan["decisions"]]
        assert shown == [each.verdict for each in approvals]
        if error.startswith("rejected"):
            other = changed(found, lambda last: replace(last, plans=()))
        else:
            other = changed(found, lambda last: replace(last, ended_at=last.started_at + HOUR))
        assert refusal_of(found, other) == "replay_differs"


def test_an_aborted_wait_is_certified(image: bytes) -> None:
    with case_of(image, APPROVE, PAYING, approvals=()) as found:
        (number,) = [number for number, each in enumerate(found.run.interactions) if each.opens_gate]
    with case_of(image, APPROVE, PAYING, approvals=(), steps=(Step(number, Act.ABORT_AFTER),)) as found:
        assert found.certify()["instances"][0]["outcome"] == "canceled"


def _gated(**members: Any) -> Callable[[RecordedInstance], RecordedInstance]:
    """A change of the gate of stage 1."""
    return lambda last: with_stage(last, 1, gate=replace(gate_of(last.stages[1]), **members))


def _planned(**members: Any) -> Callable[[RecordedInstance], RecordedInstance]:
    """A change of the plan that was approved."""
    return lambda last: replace(last, plans=tuple(replace(plan, **members) for plan in last.plans))


def _said(number: int, **members: Any) -> Callable[[RecordedInstance], RecordedInstance]:
    """A change of one decision."""

    def change(last: RecordedInstance) -> RecordedInstance:
        (plan,) = last.plans
        decisions = [replace(each, **members) if n == number else each for n, each in enumerate(plan.decisions)]
        return replace(last, plans=(replace(plan, decisions=tuple(decisions)),))

    return change


MUTANTS: dict[str, Callable[[RecordedInstance], RecordedInstance]] = {
    "no gate": lambda last: with_stage(last, 1, gate=None),
    "fewer needed": _gated(needed=1),
    "more needed": _gated(needed=3),
    "by a rule": _gated(rule="big"),
    "no deadline": _gated(deadline_at=None),
    "a later deadline": lambda last: _gated(deadline_at=(gate_of(last.stages[1]).deadline_at or 0) + 1)(last),
    "never passed": _gated(passed_at=None),
    "passed too late": lambda last: _gated(passed_at=gate_of(last.stages[1]).deadline_at)(last),
    "passed before the last approval": lambda last: _gated(passed_at=(gate_of(last.stages[1]).passed_at or 0) - 1)(
        last
    ),
    "no plan": lambda last: replace(last, plans=()),
    "a plan of the whole run": _planned(stage=None),
    "a plan of another stage": _planned(stage=2),
    "a plan that was not used": _planned(is_used=False),
    "another plan": _planned(hash="sha256:0"),
    "one decision less": lambda last: _planned(decisions=last.plans[0].decisions[:1])(last),
    "the same person": _said(1, principal="paul"),
    "the person that started it": _said(1, principal="requester"),
    "a rejection": _said(1, is_approval=False),
    "of another hash": _said(0, hash="sha256:0"),
    "decided too late": lambda last: _said(1, at=last.plans[0].decisions[1].at + 1)(last),
    "started by an approver": lambda last: replace(last, started_by="eve"),
    "expired": lambda last: with_stage(last, 1, error="expired: not approved in time"),
    "a gate before a stage that nothing asks about": lambda last: with_stage(last, 2, gate=gate_of(last.stages[1])),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_history_without_its_approvals_is_refused(image: bytes, name: str) -> None:
    with case_of(image, ACROSS, APPROVE, PAYING) as found:
        assert refusal_of(found, changed(found, MUTANTS[name])) == "replay_differs"


def test_a_send_over_a_rule_has_its_approvals(image: bytes) -> None:
    """The rules of that time are not in the case; what is stored with the stage is compared with the decisions."""
    with case_of(image, ACROSS, approvals=()) as found:
        start = found.case.root.started_at
        said = PersonDecision("paul", True, "sha256:1", "fine", start + 1)
        plan = DecidedPlan("p", "sha256:1", 0, True, (said, replace(said, principal="eve")))
        gate = RecordedGate(2, "big", start + 9, start + 2)
        gated = changed(found, lambda last: replace(with_stage(last, 0, gate=gate), plans=(plan,)))
        (instance,) = found.certify(gated)["instances"]
        assert [each["principal"] for each in instance["approvals"][0]["decisions"]] == ["paul", "eve"]
        alone = replace(plan, decisions=(said,))
        for case in (
            changed(found, lambda last: replace(with_stage(last, 0, gate=gate), plans=(alone,))),
            changed(found, lambda last: with_stage(last, 0, gate=gate)),
            changed(found, lambda last: replace(with_stage(last, 0, gate=replace(gate, rule=None)), plans=(plan,))),
        ):
            with pytest.raises(NotCertifiable):
                found.certify(case)


def test_two_waits_have_a_plan_each(image: bytes) -> None:
    one: Json = {"approve": {}}
    approvals = (Approval(0, "paul"), Approval(HOUR, "paul"))
    with case_of(image, one, ACROSS, one, PAYING, approvals=approvals) as found:
        (instance,) = found.certify()["instances"]
        assert [each["stage"] for each in instance["approvals"]] == [0, 2]
        assert instance["plan"] == instance["approvals"][1]["plan"]
        for number in (0, 1):
            lacking = changed(found, lambda last, n=number: replace(last, plans=(last.plans[n],)))
            assert refusal_of(found, lacking) == "replay_differs"
