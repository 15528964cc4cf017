"""Stages with a condition, on every engine: decided once as they open, stored, and never asked again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from headrace.errors import InvalidValue
from headrace.expr import Program
from headrace.journal.records import Instance
from tests.contract.test_engine import SEND, WAIT, Scripted
from tests.contract.test_undo_instance import undo
from tests.contract.test_wait_timeouts import at_rest
from tests.support.attention import PAYOUT
from tests.support.engines import every_engine
from tests.support.in_process import CrashPoint, InProcess, running
from tests.support.redrive import Refusing, redrive

__all__ = ["every_engine"]  # a fixture

LATE: dict[str, Any] = {"wait_event": {"event": "go", "timeout": "1s", "on_timeout": "continue"}}
BACK = {"send": {**SEND["send"], "source": SEND["send"]["destination"], "destination": SEND["send"]["source"]}}
STAGES: list[dict[str, Any]] = [
    PAYOUT,
    {"when": 'stages[0].reads.GetAccount.metadata.formanceAccountID == "bank-7"', **SEND},
    {"when": 'stages[1].outcome == "skipped"', **SEND},
    LATE,
    {"when": 'stages[3].outcome == "timeout" and stages[2].outcome == "skipped"', **BACK},
    {"when": 'vars.country == "DE"', **SEND},
]
DECIDED = [None, False, True, None, False, True]
BOOKED = [(0, 0), (0, 1), (1, 0), (4, 0)]
"""The effects of `STAGES` in France: stage and ordinal."""


async def started(alive: InProcess, *stages: dict[str, Any], **variables: str) -> str:
    return (await alive.start(await alive.workflow("w", list(stages)), variables)).id


def decided(instance: Instance) -> list[bool | None]:
    return [stage.skipped for stage in instance.stages]


def never_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on an expression has another value than before: who asks again gets it."""

    def failed(*_: object, **__: object) -> bool:
        raise AssertionError("a condition was evaluated again")

    monkeypatch.setattr(Program, "measured", failed)


async def test_a_condition_decides_over_variables_reads_and_outcomes(tmp_path: Path) -> None:
    services = Refusing()
    async with running(tmp_path / "j.db", services) as alive:
        instance = await alive.ended(await started(alive, *STAGES, country="FR"))
        rows = [await alive.journal.activities(instance.id, stage.number) for stage in instance.stages]
    assert (instance.error, decided(instance)) == (None, DECIDED)
    assert [len(each) for each in rows] == [3, 1, 0, 0, 1, 0], "a skipped stage is there, and empty"
    assert services.sent_keys == [f"{instance.id}:{stage}:{ordinal}" for stage, ordinal in BOOKED]
    skipped = instance.stages[2]
    assert (skipped.error, skipped.terminated_at) == (None, skipped.started_at)
    await services.close()


async def test_what_cannot_be_decided_ends_the_run_and_sends_nothing(tmp_path: Path) -> None:
    services = Scripted()
    async with running(tmp_path / "j.db", services) as alive:
        instance = await alive.ended(await started(alive, {"when": "int(vars.n) > 1", **SEND}, SEND, n="many"))
        again = await alive.ended((await redrive(alive, instance.id)).target)
        with pytest.raises(InvalidValue, match="no value for n"):
            await alive.start(await alive.workflow("w", []), {})
    for each in (instance, again):
        assert (each.failure, decided(each), len(each.stages)) == ("invalid", [None], 1)
        assert each.error == "when: invalid operation: int('many') (1:1)"
    assert services.writes == []
    await services.close()


async def test_a_server_that_starts_again_asks_nothing_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also not where the expression would say something else by now: what is stored decides."""
    services, crash = Scripted(), CrashPoint()
    stages = ({"when": 'vars.a == "y"', **SEND}, {"when": 'vars.a == "x"', **WAIT}, SEND)
    async with running(tmp_path / "j.db", services, crash) as alive:
        instance_id = await started(alive, *stages, a="x")
        await at_rest(alive)
        crash.has_struck.set()
    never_again(monkeypatch)
    async with running(tmp_path / "j.db", services) as again:
        await again.send_event(instance_id, "go")
        instance = await again.ended(instance_id)
    assert (instance.error, decided(instance), services.booked()) == (None, [True, False, None], 1)
    await services.close()


async def test_a_continuation_keeps_what_was_decided(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    services = Refusing((1, 0))
    async with running(tmp_path / "j.db", services) as alive:
        first = await alive.ended(await started(alive, *STAGES[:2]))
        services.refuses = False
        never_again(monkeypatch)
        last = await alive.ended((await redrive(alive, first.id)).target)
    assert (first.failure, last.error) == ("refused", None)
    assert decided(first) == decided(last) == DECIDED[:2]
    await services.close()


async def test_what_a_continuation_takes_over_decides_its_later_stages(tmp_path: Path) -> None:
    services = Refusing((1, 0))
    async with running(tmp_path / "j.db", services) as alive:
        first = await alive.ended(await started(alive, *STAGES[:1], SEND, *STAGES[1:2], *STAGES[3:4], country="FR"))
        services.refuses = False
        services.call("ledger", "POST", "/v2/main/accounts/alice/metadata", {"formanceAccountID": "bank-8"})
        last = await alive.ended((await redrive(alive, first.id)).target)
    assert (last.error, decided(last)) == (None, [None, None, False, None]), "by what the first instance has read"
    await services.close()


async def test_the_undo_of_a_case_reverts_what_was_done_and_no_more(tmp_path: Path) -> None:
    services = Refusing()
    stages = (SEND, {"when": 'vars.a == "x"', **SEND}, {"when": 'vars.a == "y"', **SEND})
    async with running(tmp_path / "j.db", services) as alive:
        first = await alive.ended(await started(alive, *stages, a="x"))
        assert services.balance("bob") == 200
        ended = await alive.ended((await undo(alive, first.id)).target)
    assert (ended.error, len(ended.stages), services.balance("bob")) == (None, 2, 0)
    await services.close()


@pytest.mark.needs("is_one_process")
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_kill_at_each_interaction_changes_no_decision(tmp_path: Path, after: bool) -> None:
    plain, services = CrashPoint(), Refusing()
    async with running(tmp_path / "plain.db", services, plain) as alive:
        workflow = await alive.workflow("w", STAGES)
        first = len(plain.seen)
        await alive.ended(await alive.run_once(workflow, {"country": "FR"}))
    await services.close()
    assert sum("DecideStage" in each for each in plain.seen[first:]) >= 3, "decisions are in several units"
    for at in range(first, len(plain.seen)):
        services = Refusing()
        path, crash = tmp_path / f"{at}.db", CrashPoint(at, after=after)
        async with running(path, services, crash) as alive:
            workflow = await alive.workflow("w", STAGES)

            async def live(alive: InProcess = alive, workflow: Any = workflow) -> None:
                await alive.ended(await alive.run_once(workflow, {"country": "FR"}))

            await crash.over(live())
        services.call("ledger", "POST", "/v2/main/accounts/alice/metadata", {"formanceAccountID": "bank-8"})
        async with running(path, services) as again:
            instance = await again.ended(await again.run_once(workflow, {"country": "FR"}))
            read = (await again.journal.activities(instance.id, 0))[0].output or ""
        expected = DECIDED if "bank-7" in read else [None, True, False, None, True, True]
        assert (instance.error, decided(instance)) == (None, expected), plain.seen[at]
        done = [(0, 0), (0, 1), (2, 0)] if expected != DECIDED else BOOKED
        keys = sorted(f"headrace:{instance.id}:{stage}:{ordinal}" for stage, ordinal in done)
        assert services.keys_in_books() == keys, plain.seen[at]
        await services.close()


@pytest.mark.needs("is_one_process")
async def test_a_kill_between_two_units_that_decide_changes_nothing(tmp_path: Path) -> None:
    heavy = {"when": 'all(1..9000, # > 0) and vars.country == "DE"', **SEND}
    plain, services = CrashPoint(), Scripted()
    stages = [*[heavy] * 7, SEND]
    async with running(tmp_path / "plain.db", services, plain) as alive:
        workflow = await alive.workflow("w", stages)
        first = len(plain.seen)
        await alive.ended(await alive.run_once(workflow, {"country": "FR"}))
    await services.close()
    assert sum("DecideStage" in each for each in plain.seen[first:]) >= 2, "decisions are in several units"
    for at in range(first, len(plain.seen)):
        services = Scripted()
        path, crash = tmp_path / f"{at}.db", CrashPoint(at, after=True)
        async with running(path, services, crash) as alive:
            workflow = await alive.workflow("w", stages)

            async def live(alive: InProcess = alive, workflow: Any = workflow) -> None:
                await alive.ended(await alive.run_once(workflow, {"country": "FR"}))

            await crash.over(live())
        async with running(path, services) as again:
            instance = await again.ended(await again.run_once(workflow, {"country": "FR"}))
        assert (instance.error, decided(instance)) == (None, [*[True] * 7, None]), plain.seen[at]
        assert services.booked() == 1, plain.seen[at]
        await services.close()


async def test_of_many_runs_each_has_its_own_decision(tmp_path: Path) -> None:
    services = Scripted()
    async with running(tmp_path / "j.db", services) as alive:
        workflow = await alive.workflow("w", [{"when": "int(vars.n) % 2 == 0", **SEND}])
        made = await asyncio.gather(*(alive.start(workflow, {"n": str(number)}) for number in range(6)))
        ended = [await alive.ended(each.id) for each in made]
    assert [decided(each) for each in ended] == [[number % 2 == 1] for number in range(6)]
    assert services.booked() == 3
    await services.close()
