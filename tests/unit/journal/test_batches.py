"""Which statements a batch becomes: few, and with the same rows as one unit after the other."""

from __future__ import annotations

import random
from functools import partial

import pytest

from headrace.errors import Conflict
from headrace.journal.approval_writes import DecideStage
from headrace.journal.port import Later, Required, Unit, WhenWanted
from headrace.journal.postgres.batches import Plan, plan
from headrace.journal.writes import (
    AddAuditEntry,
    AddInstance,
    AddVariables,
    ClaimVersion,
    CloseActivity,
    CloseStage,
    EndInstance,
    MoveInstance,
    OpenStage,
    Probe,
    Publish,
    RememberKey,
    WaitForEvent,
    WantType,
    Write,
)


def started(name: str) -> list[Write]:
    return [
        AddInstance(instance_id=name, workflow_id="w", config="{}", variables="{}", created_at=1, by_trigger=False),
        AddVariables(created_at=1, instance_id=name, fingerprints="[]"),
        OpenStage(instance_id=name, number=0, keyword="send", input="{}", started_at=1),
    ]


def moved(name: str, version: int = 0) -> list[Write]:
    return [
        ClaimVersion(instance_id=name, version=version),
        CloseStage(terminated_at=2, error=None, instance_id=name, number=0),
        OpenStage(instance_id=name, number=1, keyword="send", input="{}", started_at=1),
        MoveInstance(at=2, next_at=0, instance_id=name),
    ]


def ended(name: str) -> list[Write]:
    return [
        CloseActivity(attempt=1, output=None, error=None, terminated_at=3, instance_id=name, stage=0, position=0),
        CloseStage(terminated_at=3, error=None, instance_id=name, number=0),
        EndInstance(at=3, error=None, instance_id=name, version=0),
    ]


def units_of(*given: list[Write]) -> list[Unit]:
    found: list[Unit] = []
    for writes in given:
        unit = Unit()
        for write in writes:
            unit.add(write)
        found.append(unit)
    return found


def kinds(made: Plan) -> list[str]:
    return [step.kind.__name__ for step in made.steps]


def test_equal_writes_of_many_units_are_one_statement() -> None:
    made = plan(units_of(*(started(f"a{n}") for n in range(9)), *(ended(f"b{n}") for n in range(5))), set())
    assert sorted(kinds(made)) == sorted(
        ["AddInstance", "AddVariables", "OpenStage", "CloseActivity", "CloseStage", "EndInstance"]
    )


def decided(name: str) -> list[Write]:
    """A stage that is skipped, and the next one, which runs by its condition."""
    return [
        ClaimVersion(instance_id=name, version=0),
        OpenStage(instance_id=name, number=1, keyword="send", input="{}", started_at=1),
        DecideStage(instance_id=name, number=1, is_skipped=True),
        CloseStage(terminated_at=2, error=None, instance_id=name, number=1),
        OpenStage(instance_id=name, number=2, keyword="send", input="{}", started_at=1),
        DecideStage(instance_id=name, number=2, is_skipped=False),
        MoveInstance(at=2, next_at=0, instance_id=name),
    ]


def test_decisions_about_stages_are_few_statements() -> None:
    made = plan(units_of(*(decided(f"a{n}") for n in range(256)), *(moved(f"b{n}") for n in range(9))), set())
    assert len(made.steps) <= 8, kinds(made)
    stored = [step for step in made.steps if step.kind is DecideStage]
    assert [len(step.writes) for step in stored] == [256, 256], "one of each unit"


def test_a_kind_that_comes_at_several_places_is_still_one_statement() -> None:
    """CloseStage and OpenStage stand first in some units and later in others."""
    made = plan(units_of(started("a"), moved("b"), ended("c"), moved("d")), set())
    assert len(kinds(made)) == len(set(kinds(made)))


@pytest.mark.parametrize("seed", range(30))
def test_a_unit_keeps_its_order_and_units_of_one_instance_follow_each_other(seed: int) -> None:
    chance = random.Random(seed)
    given = [
        chance.choice((started, moved, ended, decided))(chance.choice("abcdef"))
        + ([Probe()] if chance.random() < 0.1 else [])
        for _ in range(20)
    ]
    made = plan(units_of(*given), set())
    order = [(unit, write) for step in made.steps for unit, write in zip(step.units, step.writes, strict=True)]
    for number, writes in enumerate(given):
        assert [write for unit, write in order if unit == number] == writes
    for name in "abcdef":
        units = [unit for unit, write in order if getattr(write, "instance_id", "") == name]
        assert units == sorted(units), "one unit after the other"
    for step in made.steps:
        if step.kind not in (AddInstance, AddVariables, OpenStage, Probe):
            names = [getattr(write, "instance_id", "") for write in step.writes]
            assert names == sorted(set(names)), "each row once, in the order of their ids"


def test_units_with_events_come_last_and_late_ones_after_them() -> None:
    units = units_of([WantType(type="E")], started("a"), [])
    units[2].add(Later(lambda _: Probe()))
    event = Publish(type="E", happened_at=1, payload="{}", instance_id=None, depth=0)
    early, known, unknown = Unit(), Unit(), Unit()
    early.add(WhenWanted("E", lambda: event))
    known.add(WhenWanted("K", lambda: event))
    unknown.add(WhenWanted("U", lambda: event))
    made = plan([early, *units, known, unknown, early], {"K"})
    assert [step.kind for step in made.ordered] == [WantType, Publish]
    assert made.ordered[1].units == [4, 6], "the first one came before its type was wanted"
    assert made.late == [3] and made.asked == {"E", "U"} and made.wants == {"E"}
    assert "AddInstance" in kinds(made) and made.is_ordered


def test_what_must_change_something_is_known_of_the_whole_statement() -> None:
    units = units_of(moved("a"), [])
    units[1].add(Required(ClaimVersion(instance_id="b", version=0), partial(Conflict, "b")))
    key = RememberKey(owner="", key="k", fingerprint=b"", status=1, body=b"", operation="", target="", at=1)
    entry = AddAuditEntry(at=1, principal="p", client_id=None, operation="o", target="t")
    made = plan([*units, *units_of([key], [entry])], set())
    required = {step.kind: step.is_required for step in made.steps}
    assert required[ClaimVersion] and required[RememberKey]
    assert not required[CloseStage] and not required[AddAuditEntry]


def test_a_move_that_is_overwritten_in_its_unit_is_not_written() -> None:
    wait = WaitForEvent(at=3, instance_id="a", stage=1)
    made = plan(units_of([*moved("a"), wait], [*moved("b"), wait]), set())
    assert [write.instance_id for step in made.steps for write in step.writes if isinstance(write, MoveInstance)] == [
        "b"
    ]
    required = Unit()
    required.add(Required(MoveInstance(at=2, next_at=0, instance_id="a"), partial(Conflict, "a")))
    required.add(wait)
    assert kinds(plan([required], set())) == ["MoveInstance", "WaitForEvent"]
