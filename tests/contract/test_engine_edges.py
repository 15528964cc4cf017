"""Where an engine could go wrong between two awaits: each of these once did, or nearly."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headrace.api.v1.views import instance_response
from headrace.effects.port import Request, Response
from headrace.errors import AlreadyEnded, Unavailable
from headrace.journal.sqlite import SqliteJournal
from headrace.runner.policy import Policy
from headrace.runner.runners import started_instance
from tests.contract.test_engine import SEND, WAIT, Scripted
from tests.support.engines import every_engine
from tests.support.in_process import CrashPoint, InProcess, running

__all__ = ["every_engine"]  # a fixture

PAST: dict[str, Any] = {"delay": {"until": "2020-01-01T00:00:00Z"}}
MISMATCH = Response(
    400, b'{"errorCode":"VALIDATION","errorMessage":"invalid idempotency hash"}', {"content-type": "application/json"}
)


class Gate(CrashPoint):
    """Holds the commits whose statements contain `part`, or refuses that many of them."""

    def __init__(self, part: str, *, refuses: int = 0) -> None:
        super().__init__()
        self.part = part
        self.refuses = refuses
        self.is_reached = asyncio.Event()
        self.opens = asyncio.Event()

    async def before(self, what: str) -> int:
        if what.startswith("commit") and self.part in what:
            self.is_reached.set()
            if self.refuses:
                self.refuses -= 1
                raise Unavailable("refused by the test")
            await self.opens.wait()
        return await super().before(what)


class HeldAfter(Gate):
    """Holds them once they are on disk."""

    async def before(self, what: str) -> int:
        return await CrashPoint.before(self, what)

    async def after(self, number: int) -> None:
        if self.part in self.seen[number] and self.seen[number].startswith("commit"):
            self.is_reached.set()
            await self.opens.wait()
        await super().after(number)


async def _start(alive: InProcess, stages: list[dict[str, Any]]) -> str:
    return (await alive.start(await alive.workflow(str(stages), stages), {})).id


async def _until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(30):
        while True:
            value = condition()
            if asyncio.iscoroutine(value):
                value = await value
            if value:
                return
            await asyncio.sleep(0.002)


async def _is_settled(alive: InProcess, instance_id: str) -> bool:
    instance = await alive.journal.instance(instance_id)
    return instance is not None and instance.stages[-1].terminated_at is not None


async def _has_ended(alive: InProcess, instance_id: str) -> bool:
    instance = await alive.journal.instance(instance_id)
    return instance is not None and instance.is_terminal


# an instance is in memory once


async def test_an_event_that_comes_while_an_abort_commits_does_not_revive_the_instance(tmp_path: Path) -> None:
    services = Scripted()
    gate = Gate("EndInstance")
    async with running(tmp_path / "j.db", services, gate) as alive:
        instance_id = await _start(alive, [WAIT, SEND, SEND, SEND])
        await _until(lambda: not alive.engine.active_instances)
        aborting = asyncio.ensure_future(alive.abort(instance_id))
        await gate.is_reached.wait()
        await alive.send_event(instance_id, "go")
        await asyncio.sleep(0)
        gate.opens.set()
        await aborting
        sent = len(services.writes)
        await asyncio.sleep(0.1)
        assert len(services.writes) == sent, "an attempt began after the abort was answered"
        assert (await alive.ended(instance_id)).error == "canceled"
        assert len((await alive.journal.instance(instance_id)).stages) == 1  # pyright: ignore[reportOptionalMemberAccess]
        await _until(lambda: not alive.engine.active_instances)
    await services.close()


@pytest.mark.needs("skips_time")
async def test_a_delay_that_ends_while_an_abort_commits_does_not_revive_the_instance(tmp_path: Path) -> None:
    services = Scripted()
    gate = Gate("EndInstance")
    async with running(tmp_path / "j.db", services, gate) as alive:
        instance_id = await _start(alive, [{"delay": {"duration": "10s"}}, SEND, SEND])
        await _until(lambda: not alive.engine.active_instances)
        aborting = asyncio.ensure_future(alive.abort(instance_id))
        await gate.is_reached.wait()
        await asyncio.sleep(0.15)  # 30 s of the fast clock
        gate.opens.set()
        await aborting
        await asyncio.sleep(0.1)
        assert services.writes == []
    await services.close()


async def test_an_event_that_comes_while_an_abort_fails_is_not_lost(tmp_path: Path) -> None:
    services = Scripted()
    gate = Gate("EndInstance", refuses=1)
    async with running(tmp_path / "j.db", services, gate) as alive:
        instance_id = await _start(alive, [WAIT])
        await _until(lambda: not alive.engine.active_instances)
        aborting = asyncio.ensure_future(alive.abort(instance_id))
        sending = asyncio.ensure_future(alive.send_event(instance_id, "go"))
        with pytest.raises(Unavailable):
            await aborting
        gate.opens.set()
        await sending
        assert (await alive.ended(instance_id, 400)).is_terminal
    await services.close()


async def test_instances_that_end_as_they_start_leave_no_trace_in_memory(tmp_path: Path) -> None:
    services = Scripted()
    async with running(tmp_path / "j.db", services, max_active=3) as alive:
        past = await alive.workflow("past", [PAST])
        for _ in range(5):
            assert (await alive.start(past, {})).is_terminal
        assert alive.engine.active_instances == 0
        instance = await alive.ended(await _start(alive, [SEND]), 400)
        assert instance.is_terminal
    await services.close()


# callers that go away


async def test_an_event_whose_sender_went_away_still_wakes_the_instance(tmp_path: Path) -> None:
    services = Scripted()
    gate = HeldAfter("AddEvent")
    async with running(tmp_path / "j.db", services, gate) as alive:
        instance_id = await _start(alive, [WAIT])
        await _until(lambda: not alive.engine.active_instances)
        sending = asyncio.ensure_future(alive.send_event(instance_id, "go"))
        await gate.is_reached.wait()
        sending.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sending
        gate.opens.set()
        await _until(lambda: _has_ended(alive, instance_id))
    await services.close()


async def test_an_abort_whose_caller_went_away_is_an_abort_all_the_same(tmp_path: Path) -> None:
    services = Scripted(lambda _, count: "hold" if count == 1 else None)
    gate = Gate("EndInstance")
    async with running(tmp_path / "j.db", services, gate) as alive:
        instance_id = await _start(alive, [SEND, SEND, SEND])
        await services.under_way.wait()
        aborting = asyncio.ensure_future(alive.abort(instance_id))
        await gate.is_reached.wait()
        aborting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await aborting
        await asyncio.sleep(0.01)
        gate.opens.set()
        services.gate.set()
        await _until(lambda: _is_settled(alive, instance_id))
        assert len(services.writes) == 1
        assert (await alive.ended(instance_id)).error == "canceled"
    await services.close()


# aborts that fail


class SlowToGo(Scripted):
    """Its attempts take a moment to let go when they are canceled, as a real connection does."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.open = 0
        self.most_open = 0

    async def send(self, request: Request) -> Response:
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            return await super().send(request)
        except asyncio.CancelledError:
            await asyncio.sleep(0.02)
            raise
        finally:
            self.open -= 1


async def test_an_abort_that_fails_leaves_an_instance_that_goes_on(tmp_path: Path) -> None:
    services = SlowToGo(lambda _, count: "hold" if count == 1 else None)  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
    async with running(tmp_path / "j.db", services, Gate("EndInstance", refuses=1)) as alive:
        instance_id = await _start(alive, [SEND, WAIT])
        await services.under_way.wait()
        with pytest.raises(Unavailable):
            await alive.abort(instance_id)
        services.gate.set()
        async with asyncio.timeout(5):
            while len((await alive.journal.instance(instance_id)).stages) < 2:  # pyright: ignore[reportOptionalMemberAccess]
                await asyncio.sleep(0.002)
        assert services.booked() == 1
        assert services.most_open == 1, "attempts of one effect overlapped"
        assert len(services.writes) == 1, "what was answered was sent again"
    await services.close()


async def test_an_answer_that_meets_an_abort_of_another_process_is_recorded(tmp_path: Path) -> None:
    services = Scripted(lambda _, count: "hold" if count == 1 else None)
    async with running(tmp_path / "j.db", services) as alive:
        instance_id = await _start(alive, [SEND, SEND])
        await services.under_way.wait()
        standing = await alive.journal.standing(instance_id)
        assert standing is not None
        await alive.journal.commit(alive.ports.runners.restore(standing).abort())
        services.gate.set()
        await _until(lambda: not alive.engine.active_instances)
        (activity,) = await alive.journal.activities(instance_id, 0)
        assert activity.output is not None and len(services.sent) == 1
        (stage,) = (await alive.ended(instance_id)).stages
        assert stage.error == "canceled; already booked: transaction 2 of 100 USD/2 on ledger main"
    await services.close()


async def test_an_abort_that_waited_for_one_that_failed_does_not_call_the_instance_ended(tmp_path: Path) -> None:
    services = Scripted()
    async with running(tmp_path / "j.db", services, Gate("EndInstance", refuses=1)) as alive:
        instance_id = await _start(alive, [WAIT])
        alive.crash_point.opens.set()  # pyright: ignore[reportAttributeAccessIssue]
        aborts = [alive.abort(instance_id) for _ in range(2)]
        first, second = await asyncio.gather(*aborts, return_exceptions=True)
        assert isinstance(first, Unavailable)
        ended = await _has_ended(alive, instance_id)
        assert isinstance(second, Unavailable) or (second is None and ended), (second, ended)
    await services.close()


async def test_an_abort_of_what_needs_attention_is_settled_at_once(tmp_path: Path) -> None:
    services = Scripted(lambda _, count: MISMATCH if count == 1 else None)
    async with running(tmp_path / "j.db", services) as alive:
        instance_id = await _start(alive, [SEND])
        await _until(lambda: not alive.engine.active_instances)
        await alive.abort(instance_id)
        await _until(lambda: _is_settled(alive, instance_id))
        assert len(services.writes) == 1
        await _until(lambda: not alive.engine.active_instances)
    await services.close()


async def test_an_abort_ends_a_wait_that_was_about_to_begin(tmp_path: Path) -> None:
    services = Scripted(lambda _, count: "hold and drop" if count == 1 else None)
    gate = Gate("EndInstance")
    async with running(tmp_path / "j.db", services, gate, retry_base_s=4000.0, retry_cap_s=4000.0) as alive:
        instance_id = await _start(alive, [SEND])
        await services.under_way.wait()
        aborting = asyncio.ensure_future(alive.abort(instance_id))
        await gate.is_reached.wait()
        services.gate.set()
        await asyncio.sleep(0.01)
        gate.opens.set()
        await aborting
        await _until(lambda: _is_settled(alive, instance_id))
    await services.close()


@pytest.mark.parametrize("answer", [None, Response(503)], ids=["not there", "down"])
async def test_an_aborted_effect_is_not_looked_up_without_pause(answer: Response | None, tmp_path: Path) -> None:
    services = Scripted(lambda request, _: answer if request.method == "GET" else "lose")
    async with running(tmp_path / "j.db", services, settle_s=40.0, retry_base_s=400.0, retry_cap_s=400.0) as alive:
        instance_id = await _start(alive, [SEND])
        await _until(lambda: len(services.sent) == 1)
        await alive.abort(instance_id)
        await asyncio.sleep(0.15)
        assert len(services.sent) <= 4, f"{len(services.sent)} requests"
    await services.close()


async def test_an_abort_that_meets_a_call_for_attention_is_settled_all_the_same(tmp_path: Path) -> None:
    services = Scripted(lambda request, count: MISMATCH if count == 1 else None)
    gate = Gate("FailAttempt")
    async with running(tmp_path / "j.db", services, gate) as alive:
        instance_id = await _start(alive, [SEND])
        await gate.is_reached.wait()
        aborting = asyncio.ensure_future(alive.abort(instance_id))
        await asyncio.sleep(0.01)
        gate.opens.set()
        await aborting
        await _until(lambda: _is_settled(alive, instance_id))
    await services.close()


async def test_a_call_for_attention_that_meets_an_abort_is_settled_all_the_same(tmp_path: Path) -> None:
    services = Scripted(lambda request, count: None if request.method == "GET" else "hold")
    gate = Gate("EndInstance")
    services.sandbox.handle = lambda request: (  # pyright: ignore[reportAttributeAccessIssue]
        MISMATCH if request.method == "POST" else Response(404, b'{"errorCode":"LEDGER_NOT_FOUND","errorMessage":""}')
    )
    async with running(tmp_path / "j.db", services, gate) as alive:
        instance_id = await _start(alive, [SEND])
        await services.under_way.wait()
        aborting = asyncio.ensure_future(alive.abort(instance_id))
        await gate.is_reached.wait()
        services.gate.set()
        await asyncio.sleep(0.01)
        gate.opens.set()
        await aborting
        await _until(lambda: _is_settled(alive, instance_id))
    await services.close()


# a journal that cannot be read for a moment


def _unreadable_once(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    actual = getattr(SqliteJournal, name)
    failures = [1]

    async def read(self: SqliteJournal, *arguments: Any) -> Any:
        if failures:
            failures.pop()
            raise Unavailable("unreadable in this test")
        return await actual(self, *arguments)

    monkeypatch.setattr(SqliteJournal, name, read)


@pytest.mark.needs("skips_time")
@pytest.mark.parametrize("read", ["due", "next_deadline", "standing"])
async def test_the_scheduler_outlives_a_journal_that_cannot_be_read(
    read: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = Scripted(lambda _, count: "hold and drop" if count == 1 else None)
    async with running(tmp_path / "j.db", services) as alive:
        left = await _start(alive, [SEND])
        await services.under_way.wait()
    _unreadable_once(monkeypatch, read)
    async with running(tmp_path / "j.db", services) as alive:
        delayed = await _start(alive, [{"delay": {"duration": "5s"}}])
        await _until(lambda: _has_ended(alive, left))
        await _until(lambda: _has_ended(alive, delayed))
    await services.close()


async def test_an_accepted_event_is_accepted_even_if_the_instance_cannot_be_read_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = Scripted()
    gate = HeldAfter("AddEvent")
    async with running(tmp_path / "j.db", services, gate) as alive:
        instance_id = await _start(alive, [WAIT])
        await _until(lambda: not alive.engine.active_instances)
        sending = asyncio.ensure_future(alive.send_event(instance_id, "go"))
        await gate.is_reached.wait()
        _unreadable_once(monkeypatch, "standing")
        gate.opens.set()
        await sending
        await _until(lambda: _has_ended(alive, instance_id))
    await services.close()


@pytest.mark.needs("skips_time")
async def test_an_instance_that_cannot_be_restored_does_not_hold_up_its_neighbours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from headrace.runner import runners

    services = Scripted()
    async with running(tmp_path / "j.db", services) as alive:
        bad = await _start(alive, [{"delay": {"duration": "20s"}}])
        good = await _start(alive, [{"delay": {"duration": "20s"}}])
    actual = runners.restored

    def restored(standing: Any, *arguments: Any) -> Any:
        if standing.instance.id == bad:
            raise KeyError("nonsense")
        return actual(standing, *arguments)

    monkeypatch.setattr(runners, "restored", restored)
    async with running(tmp_path / "j.db", services) as alive:
        await _until(lambda: _has_ended(alive, good))
        late = await _start(alive, [{"delay": {"duration": "5s"}}])
        await _until(lambda: _has_ended(alive, late))
    await services.close()


# what is shown, what is kept


@pytest.mark.parametrize("stages", [[SEND], [WAIT], [PAST], [PAST, SEND], [{"delay": {"duration": "1h"}}]])
async def test_a_run_is_answered_as_it_is_stored(stages: list[dict[str, Any]], tmp_path: Path) -> None:
    services = Scripted(lambda _, __: "hold")
    async with running(tmp_path / "j.db", services) as alive:
        workflow = await alive.workflow("w", stages)
        runner, unit = alive.ports.runners.start(workflow, {}, sends=alive.engine.sends_at_once)
        async with alive.engine.begin(runner):
            await alive.journal.commit(unit)
            assert await alive.journal.instance(runner.id) == started_instance(unit)
        answered = await alive.start(workflow, {})
        stored = await alive.journal.instance(answered.id)
        assert stored is not None and instance_response(stored) == instance_response(answered)
    await services.close()


async def test_a_rule_that_changes_does_not_strand_what_began_under_the_old_one(tmp_path: Path) -> None:
    services = Scripted(lambda _, count: "hold and drop" if count == 1 else None)
    stage = {"send": {**SEND["send"], "source": {"account": {"id": "${from}", "ledger": "main"}}}}
    async with running(tmp_path / "j.db", services) as alive:
        workflow = await alive.workflow("w", [stage])
        instance_id = (await alive.start(workflow, {"from": "world"})).id
        await services.under_way.wait()
    async with running(tmp_path / "j.db", services, policy=Policy(allow_world_from_caller=False)) as alive:
        await _until(lambda: _has_ended(alive, instance_id))
        assert (await alive.ended(instance_id)).error is None
        refused = await alive.start(workflow, {"from": "world"})
        assert refused.error is not None
    assert services.booked() == 1
    await services.close()


async def test_what_has_ended_is_told_so_to_every_late_caller(tmp_path: Path) -> None:
    services = Scripted()
    async with running(tmp_path / "j.db", services) as alive:
        instance_id = await _start(alive, [WAIT])
        outcomes = await asyncio.gather(*(alive.abort(instance_id) for _ in range(5)), return_exceptions=True)
        assert outcomes.count(None) == 1
        assert sum(isinstance(outcome, AlreadyEnded) for outcome in outcomes) == 4
    await services.close()
