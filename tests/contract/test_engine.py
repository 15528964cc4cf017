"""What every engine must do (decisions M2 to M6b, Q11, Q23, E1 to E6). An engine joins by a line in `tests/support`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import structlog

from headrace.effects.port import NoResponse, Request, Response
from headrace.errors import AlreadyEnded, InvalidValue, NotFound
from headrace.sandbox import Sandbox
from tests.support.engines import every_engine
from tests.support.in_process import InProcess, new_sandbox, running

__all__ = ["every_engine"]  # a fixture

SEND: dict[str, Any] = {
    "send": {
        "source": {"account": {"id": "alice", "ledger": "main"}},
        "destination": {"account": {"id": "bob", "ledger": "main"}},
        "amount": {"asset": "USD/2", "amount": 100},
    }
}
CROSS: dict[str, Any] = {
    "send": {
        "source": {"account": {"id": "alice", "ledger": "main"}},
        "destination": {"account": {"id": "bob", "ledger": "other"}},
        "amount": {"asset": "USD/2", "amount": 100},
    }
}
WAIT: dict[str, Any] = {"wait_event": {"event": "go"}}


def _funded() -> Sandbox:
    sandbox = new_sandbox()
    for ledger in ("main", "other"):
        assert sandbox.handle(Request("ledger", "POST", f"/v2/{ledger}", b"{}")).status == 204
    body = b'{"metadata":{},"postings":[{"source":"world","destination":"alice","amount":1000,"asset":"USD/2"}]}'
    assert sandbox.handle(Request("ledger", "POST", "/v2/main/transactions", body)).status == 200
    return sandbox


PATIENCE_S = 60.0
"""On a busy machine a hundred workflows at once take Temporal some ten seconds."""


class Scripted:
    """The sandbox, with a say over each request: `plan(request, count)` may hold it, drop it or answer in its place."""

    def __init__(self, plan: Callable[[Request, int], Any] | None = None) -> None:
        self.sandbox = _funded()
        self.sent: list[Request] = []
        self.plan = plan
        self.gate = asyncio.Event()
        self.under_way = asyncio.Event()

    async def send(self, request: Request) -> Response:
        self.sent.append(request)
        self.under_way.set()
        answer = None if self.plan is None else self.plan(request, len(self.sent))
        if answer == "hold":
            await self.gate.wait()
        if answer == "lose":
            raise NoResponse("lost before it arrived")
        response = answer if isinstance(answer, Response) else self.sandbox.handle(request)
        if answer == "drop":
            raise NoResponse("the answer was dropped")
        if answer == "hold and drop":
            await self.gate.wait()
            raise NoResponse("the answer was dropped")
        return response

    async def close(self) -> None:
        await self.sandbox.close()

    @property
    def writes(self) -> list[Request]:
        return [request for request in self.sent if request.method == "POST"]

    def booked(self, ledger: str = "main") -> int:
        response = self.sandbox.handle(Request("ledger", "GET", f"/v2/{ledger}/transactions?pageSize=100"))
        return response.body.count(b'"reference":"headrace:')


async def _start(alive: InProcess, stages: list[dict[str, Any]], variables: dict[str, str] | None = None) -> str:
    return (await alive.start(await alive.workflow("w", stages), variables or {})).id


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.002)


async def _settled(alive: InProcess, instance_id: str) -> Any:
    """The instance once its last stage is closed."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            instance = await alive.journal.instance(instance_id)
            assert instance is not None
            if instance.stages[-1].terminated_at is not None:
                return instance
            await asyncio.sleep(0.002)


# retries


async def test_every_attempt_sends_the_same_bytes_and_history_counts_them(tmp_path: Path) -> None:
    services = Scripted(lambda _, count: {1: "lose", 2: "drop", 3: Response(503)}.get(count))
    async with running(tmp_path / "j.db", services) as alive:
        instance = await alive.ended(await _start(alive, [SEND]))
        (activity,) = await alive.journal.activities(instance.id, 0)
    assert instance.error is None and services.booked() == 1
    assert len({(r.method, r.path, r.body, r.key) for r in services.sent}) == 1
    assert activity.attempt == 4 and activity.last_failure == "ledger: 503"
    assert activity.next_execution_at is None
    await services.close()


async def test_while_it_retries_history_says_when_and_why(tmp_path: Path) -> None:
    services = Scripted(lambda _, count: "lose")
    async with running(tmp_path / "j.db", services, retry_base_s=4000.0, retry_cap_s=4000.0) as alive:
        instance_id = await _start(alive, [SEND])
        await _until(lambda: len(services.sent) == 1)
        async with asyncio.timeout(5):
            while not (rows := await alive.journal.activities(instance_id, 0)) or rows[0].last_failure is None:
                await asyncio.sleep(0.002)
        assert rows[0].attempt == 1 and rows[0].last_failure == "lost before it arrived"
        assert rows[0].next_execution_at is not None and rows[0].terminated_at is None
    await services.close()


async def test_a_refusal_ends_the_stage_and_the_instance(tmp_path: Path) -> None:
    services = Scripted()
    poor = {"send": {**SEND["send"], "amount": {"asset": "USD/2", "amount": 5000}}}
    async with running(tmp_path / "j.db", services) as alive:
        instance = await alive.ended(await _start(alive, [poor, WAIT]))
    assert instance.error is not None and instance.error.startswith("CreateTransaction: INSUFFICIENT_FUND")
    assert [stage.error for stage in instance.stages] == [instance.error]
    assert len(services.sent) == 1 and services.booked() == 0
    await services.close()


async def test_a_refused_second_leg_names_the_first(tmp_path: Path) -> None:
    refusal = Response(400, b'{"errorCode":"VALIDATION","errorMessage":"no"}', {"content-type": "application/json"})
    services = Scripted(lambda request, _: refusal if "/other/" in request.path else None)
    async with running(tmp_path / "j.db", services) as alive:
        instance = await alive.ended(await _start(alive, [CROSS]))
    assert instance.error is not None
    assert "already booked: transaction 2 of 100 USD/2 on ledger main" in instance.error
    await services.close()


async def test_a_refusal_after_a_lost_answer_is_not_believed_at_once(tmp_path: Path) -> None:
    """The race of a real ledger: the resend is refused although the first attempt was booked (decision M2b)."""
    refusal = Response(
        400, b'{"errorCode":"INSUFFICIENT_FUND","errorMessage":"no"}', {"content-type": "application/json"}
    )
    services = Scripted(lambda _, count: {1: "drop", 2: refusal}.get(count))
    async with running(tmp_path / "j.db", services) as alive:
        instance = await alive.ended(await _start(alive, [SEND]))
    assert instance.error is None and services.booked() == 1 and len(services.sent) == 3
    await services.close()


async def test_what_is_refused_before_it_is_sent_reaches_nobody(tmp_path: Path) -> None:
    services = Scripted()
    stage = {"send": {**SEND["send"], "destination": {"account": {"id": "${to}", "ledger": "main"}}}}
    async with running(tmp_path / "j.db", services) as alive:
        instance = await alive.ended(await _start(alive, [stage], {"to": "bob\n) send [USD/2 *]"}))
        with pytest.raises(InvalidValue, match="no value for to"):
            await alive.start(await alive.workflow("w", [stage]), {})
        pause = await alive.workflow("pause", [WAIT, {"delay": {"duration": "${pause}"}}])
        with pytest.raises(InvalidValue, match=r"stages\[1\].delay.duration: -5s is negative"):
            await alive.start(pause, {"pause": "-5s"})
    assert instance.error is not None and "destination.account.id" in instance.error
    assert services.sent == []
    await services.close()


# events


@pytest.mark.parametrize("early", [True, False])
async def test_one_event_releases_one_wait_early_or_late(early: bool, tmp_path: Path) -> None:
    services = Scripted(lambda _, count: "hold" if early and count == 1 else None)
    async with running(tmp_path / "j.db", services) as alive:
        instance_id = await _start(alive, [SEND, WAIT, SEND, WAIT])
        if not early:
            async with asyncio.timeout(5):
                while len((await alive.journal.instance(instance_id)).stages) < 2:  # pyright: ignore[reportOptionalMemberAccess]
                    await asyncio.sleep(0.002)
        await alive.send_event(instance_id, "go")
        await alive.send_event(instance_id, "unheard")
        services.gate.set()
        async with asyncio.timeout(5):
            while len((await alive.journal.instance(instance_id)).stages) < 4:  # pyright: ignore[reportOptionalMemberAccess]
                await asyncio.sleep(0.002)
        await alive.engine.ended(instance_id, 0.05)
        assert not (await alive.ended(instance_id, 0.01)).is_terminal, "one event released two waits"
        await alive.send_event(instance_id, "go")
        assert (await alive.ended(instance_id)).error is None
        with pytest.raises(AlreadyEnded):
            await alive.send_event(instance_id, "go")
    await services.close()


async def test_unknown_instances(tmp_path: Path) -> None:
    services = Scripted()
    async with running(tmp_path / "j.db", services) as alive:
        with pytest.raises(NotFound):
            await alive.send_event("nope", "go")
        with pytest.raises(NotFound):
            await alive.abort("nope")
    await services.close()


async def test_an_instance_that_waits_is_not_in_memory(tmp_path: Path) -> None:
    services = Scripted()
    async with running(tmp_path / "j.db", services) as alive:
        ids = [await _start(alive, [stage]) for stage in (WAIT, {"delay": {"duration": "1h"}})]
        await _until(lambda: not alive.engine.active_instances)
        for instance_id in ids:
            await alive.abort(instance_id)
    await services.close()


# abort


async def test_abort_of_what_waits_is_final(tmp_path: Path) -> None:
    services = Scripted()
    async with running(tmp_path / "j.db", services) as alive:
        instance_id = await _start(alive, [SEND, WAIT, SEND])
        async with asyncio.timeout(5):
            while len((await alive.journal.instance(instance_id)).stages) < 2:  # pyright: ignore[reportOptionalMemberAccess]
                await asyncio.sleep(0.002)
        await alive.abort(instance_id)
        instance = await alive.ended(instance_id)
        assert (instance.error, instance.stages[-1].error) == ("canceled", "canceled")
        assert instance.terminated_at == instance.stages[-1].terminated_at
        for late in (alive.abort(instance_id), alive.send_event(instance_id, "go")):
            with pytest.raises(AlreadyEnded):
                await late
    async with running(tmp_path / "j.db", services) as again:
        await asyncio.sleep(0.05)
        assert (await again.ended(instance_id)).error == "canceled"
    assert len(services.sent) == 1
    await services.close()


async def test_abort_during_an_attempt_records_what_it_answers(tmp_path: Path) -> None:
    services = Scripted(lambda _, count: "hold" if count == 1 else None)
    async with running(tmp_path / "j.db", services) as alive:
        instance_id = await _start(alive, [CROSS, SEND])
        await services.under_way.wait()
        await alive.abort(instance_id)
        instance = await alive.ended(instance_id)
        assert instance.error == "canceled" and instance.stages[0].terminated_at is None
        (activity,) = await alive.journal.activities(instance_id, 0)
        assert activity.terminated_at is None, "an attempt under way keeps its activity open"
        services.gate.set()
        instance = await _settled(alive, instance_id)
        (activity,) = await alive.journal.activities(instance_id, 0)
    assert activity.output is not None and activity.error is None
    assert instance.stages[0].error == "canceled; already booked: transaction 2 of 100 USD/2 on ledger main"
    assert len(services.sent) == 1 and len(instance.stages) == 1
    await services.close()


@pytest.mark.parametrize(("fault", "booked"), [("drop", True), ("lose", False)])
async def test_an_unknown_attempt_of_an_aborted_instance_is_settled_by_look_up(
    fault: str, booked: bool, tmp_path: Path
) -> None:
    services = Scripted(lambda request, count: fault if count == 1 else None)
    async with running(tmp_path / "j.db", services, retry_base_s=4000.0, retry_cap_s=4000.0) as alive:
        instance_id = await _start(alive, [SEND])
        async with asyncio.timeout(5):
            while not (rows := await alive.journal.activities(instance_id, 0)) or rows[0].last_failure is None:
                await asyncio.sleep(0.002)
        await alive.abort(instance_id)
        instance = await _settled(alive, instance_id)
        (activity,) = await alive.journal.activities(instance_id, 0)
    assert len(services.writes) == 1, "never a resend after an abort"
    assert (activity.error is None) == booked
    assert instance.stages[0].error is not None and instance.stages[0].error.startswith("canceled")
    assert ("already booked" in instance.stages[0].error) == booked
    await services.close()


async def test_an_aborted_instance_is_settled_after_a_restart_too(tmp_path: Path) -> None:
    services = Scripted(lambda _, count: "hold and drop" if count == 1 else None)
    async with running(tmp_path / "j.db", services) as alive:
        instance_id = await _start(alive, [SEND])
        await services.under_way.wait()
        await alive.abort(instance_id)
    async with running(tmp_path / "j.db", services) as again:
        instance = await _settled(again, instance_id)
    assert instance.error == "canceled" and "already booked" in (instance.stages[0].error or "")
    assert len(services.writes) == 1
    await services.close()


async def test_aborts_raced_with_sends_never_let_an_attempt_begin_afterwards(tmp_path: Path) -> None:
    services = Scripted()
    async with running(tmp_path / "j.db", services) as alive:
        workflow = await alive.workflow("w", [SEND, SEND, SEND])
        for round_number in range(60):
            instance = await alive.start(workflow, {})
            for _ in range(round_number % 12):
                await asyncio.sleep(0)
            try:
                await alive.abort(instance.id)
            except AlreadyEnded:
                continue
            sent = sum(instance.id.encode() in (r.body or b"") for r in services.writes)
            settled = await _settled(alive, instance.id)
            assert sent == sum(instance.id.encode() in (r.body or b"") for r in services.writes)
            assert settled.error == "canceled"
    await services.close()


# attention


async def test_what_only_a_person_can_decide_stays_open_and_blocks_nobody(tmp_path: Path) -> None:
    mismatch = Response(
        400,
        b'{"errorCode":"VALIDATION","errorMessage":"invalid idempotency hash, of 987654321"}',
        {"content-type": "application/json"},
    )
    services = Scripted(lambda _, count: mismatch if count == 1 else None)
    with structlog.testing.capture_logs() as lines:
        async with running(tmp_path / "j.db", services) as alive:
            stuck = await _start(alive, [SEND])
            async with asyncio.timeout(5):
                while not (rows := await alive.journal.activities(stuck, 0)) or not rows[0].needs_attention:
                    await asyncio.sleep(0.002)
            assert rows[0].last_failure is not None and "needs attention" in rows[0].last_failure
            assert rows[0].next_execution_at is None and rows[0].terminated_at is None
            assert (await alive.ended(await _start(alive, [SEND]))).error is None
    (line,) = (line for line in lines if "attention" in line["event"])
    assert line["instance_id"] == stuck and "987654321" not in str(lines), "what a service says may hold an amount"
    async with running(tmp_path / "j.db", services) as again:
        await asyncio.sleep(0.05)
        assert len(services.writes) == 2, "a restart does not resend it"
        await again.abort(stuck)
        assert (await again.ended(stuck)).error == "canceled"
    await services.close()


# bounds and stop


async def test_attempts_under_way_per_service_are_bounded(tmp_path: Path) -> None:
    services = Scripted(lambda request, _: "hold" if request.method == "POST" else None)
    async with running(tmp_path / "j.db", services, concurrency=3) as alive:
        ids = [await _start(alive, [SEND]) for _ in range(8)]
        await _until(lambda: len(services.sent) == 3)
        await asyncio.sleep(0.02)
        assert len(services.sent) == 3
        services.gate.set()
        for instance_id in ids:
            assert (await alive.ended(instance_id)).error is None
    await services.close()


async def test_more_instances_than_fit_are_taken_up_as_others_leave(tmp_path: Path) -> None:
    services = Scripted()
    async with running(tmp_path / "j.db", services, max_active=4) as alive:
        ids = [await _start(alive, [SEND]) for _ in range(10)]
        for instance_id in ids:
            assert (await alive.ended(instance_id)).error is None
    assert services.booked() == 10
    await services.close()


async def test_a_graceful_stop_lets_an_attempt_finish_and_begins_no_other(tmp_path: Path) -> None:
    services = Scripted(lambda _, count: "hold" if count == 1 else None)
    async with running(tmp_path / "j.db", services) as alive:
        instance_id = await _start(alive, [SEND, SEND])
        await services.under_way.wait()
        stopping = asyncio.ensure_future(alive.engine.stop())
        await asyncio.sleep(0)
        services.gate.set()
        await stopping
        first, second = [await alive.journal.activities(instance_id, number) for number in (0, 1)]
        assert first[0].output is not None and second[0].terminated_at is None
    assert len(services.sent) == 1
    async with running(tmp_path / "j.db", services) as again:
        assert (await again.ended(instance_id)).error is None
    assert services.booked() == 2
    await services.close()


# time


@pytest.mark.needs("skips_time")
async def test_a_delay_keeps_its_deadline_over_a_restart_and_never_ends_early(tmp_path: Path) -> None:
    services = Scripted()
    async with running(tmp_path / "j.db", services) as alive:
        instance_id = await _start(alive, [{"delay": {"duration": "60s"}}])
    async with running(tmp_path / "j.db", services) as again:
        instance = await again.ended(instance_id)
    (stage,) = instance.stages
    assert stage.terminated_at is not None and stage.terminated_at >= stage.started_at + 60_000_000
    await services.close()
