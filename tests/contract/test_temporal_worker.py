"""A worker ends in time, whatever the SDK, Temporal and its own steps do, and says what was left."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import structlog
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from headrace.clock import RandomIds, SystemClock
from headrace.effects.settlement import Backoff
from headrace.engine.limits import EngineLimits
from headrace.engine.temporal import worker as workers
from headrace.engine.temporal.steps import StepLimits, Steps
from headrace.engine.temporal.worker import running
from headrace.events.outbox import Outbox
from headrace.journal.port import Journal
from headrace.runner.policy import Policy
from headrace.runner.runners import Runners
from headrace.telemetry import Telemetry
from tests.contract.test_engine import PATIENCE_S, Scripted
from tests.support import postgres, temporal
from tests.support.server import freeze
from tests.support.serving import WorkerProcess
from tests.support.temporal import TemporalServer

LONG_S = 3_600.0
STOP_S, BOUND_S = 0.05, 10.0


class Stubborn:
    """A journal whose read does not end, even where it is cancelled `cancels` times."""

    def __init__(self, cancels: int = 0) -> None:
        self.asked = asyncio.Event()
        self._cancels = cancels

    async def standing(self, _: str) -> None:
        self.asked.set()
        while True:
            try:
                await asyncio.sleep(LONG_S)
            except asyncio.CancelledError:
                self._cancels -= 1
                if self._cancels < 0:
                    raise


class FakeSdkWorker:
    """Its `shutdown` never returns, and its `run` ends by an error or by being cancelled."""

    def __init__(self, *beside: Coroutine[Any, Any, Any]) -> None:
        self.failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.is_cancelled = False
        self._beside = asyncio.gather(*beside)

    async def run(self) -> None:
        try:
            await self.failure
        except asyncio.CancelledError:
            self.is_cancelled = True
            raise

    async def shutdown(self) -> None:
        await asyncio.sleep(LONG_S)

    async def close(self, steps: Steps) -> None:
        while not self._beside.done():
            steps.give_up()
            await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "LAST_S", 0.05)


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as lines:
        yield lines


def _steps(journal: object) -> Steps:
    clock = SystemClock()
    return Steps(
        cast("Journal", journal),
        Scripted(),
        clock,
        Runners(clock.now_at, RandomIds().new, Outbox().announce, Policy()),
        EngineLimits(),
        StepLimits(),
        meter=Telemetry(clock),
        backoff=Backoff(1.0, 10.0, lambda: 1.0),
    )


async def _step(steps: Steps) -> Any:
    """What the step returns or raises."""
    try:
        return await ActivityEnvironment().run(steps.step, "i1")
    except ApplicationError as error:
        return error


async def test_a_shutdown_that_never_returns_is_left_behind_and_named(logged: list[Any]) -> None:
    journal = Stubborn(cancels=1)
    steps = _steps(journal)
    worker = FakeSdkWorker(_step(steps))
    try:
        async with asyncio.timeout(BOUND_S), running(worker, steps, stop_s=STOP_S):
            await journal.asked.wait()
    finally:
        await worker.close(steps)
    assert worker.is_cancelled
    (line,) = [each for each in logged if "does not stop" in each["event"]]
    assert (line["log_level"], line["steps_left"], line["instances"]) == ("warning", 1, ["i1"])


class ObedientSdkWorker(FakeSdkWorker):
    """Its `run` ends soon after `shutdown`."""

    async def shutdown(self) -> None:
        await asyncio.sleep(0.01)
        self.failure.set_result(None)


async def test_a_stop_in_time_waits_no_longer_and_warns_of_nothing(logged: list[Any]) -> None:
    worker = ObedientSdkWorker()
    async with asyncio.timeout(PATIENCE_S), running(worker, _steps(Stubborn()), stop_s=LONG_S):
        pass
    assert not logged and not worker.is_cancelled


async def test_the_time_for_attempts_is_given_to_them() -> None:
    journal = Stubborn()
    steps = _steps(journal)
    worker = FakeSdkWorker(_step(steps))
    began_s = time.monotonic()
    async with running(worker, steps, stop_s=0.3):
        await journal.asked.wait()
    assert time.monotonic() - began_s >= 0.3
    assert steps.active_instances == 0, "given up after that time"
    await worker.close(steps)


async def test_no_step_begins_in_a_worker_that_stops() -> None:
    """Nobody would end it: the worker has told those under way to end before."""
    journal = Stubborn()
    steps = _steps(journal)
    steps.stop()
    step = asyncio.ensure_future(_step(steps))
    begun = asyncio.ensure_future(journal.asked.wait())
    await asyncio.wait((step, begun), return_when=asyncio.FIRST_COMPLETED)
    steps.give_up()
    begun.cancel()
    refused = await step
    assert not journal.asked.is_set()
    assert isinstance(refused, ApplicationError) and refused.next_retry_delay is not None
    assert refused.next_retry_delay.total_seconds() < 1


async def _sleep_in(worker: FakeSdkWorker) -> None:
    async with asyncio.timeout(PATIENCE_S), running(worker, _steps(Stubborn()), stop_s=STOP_S):
        await asyncio.sleep(LONG_S)


async def test_a_worker_that_fails_ends_the_block_with_its_error() -> None:
    worker = FakeSdkWorker()
    asyncio.get_running_loop().call_later(0.01, worker.failure.set_exception, RuntimeError("poll failed"))
    with pytest.raises(RuntimeError, match="poll failed"):
        await _sleep_in(worker)


async def test_a_worker_that_ends_by_itself_ends_the_block() -> None:
    worker = FakeSdkWorker()
    asyncio.get_running_loop().call_later(0.01, worker.failure.set_result, None)
    with pytest.raises(RuntimeError, match="by itself"):
        await _sleep_in(worker)


async def test_an_error_of_the_block_is_its_own() -> None:
    worker = FakeSdkWorker()
    with pytest.raises(LookupError):
        async with asyncio.timeout(PATIENCE_S), running(worker, _steps(Stubborn()), stop_s=STOP_S):
            raise LookupError
    assert worker.is_cancelled


@pytest.mark.skipif(postgres.programs() is None, reason=postgres.MISSING)
@pytest.mark.skipif(bool(temporal.missing()), reason=temporal.missing())
def test_a_process_ends_at_sigterm_while_temporal_stands_still(tmp_path: Path) -> None:
    """Its polls and its last calls then get no answer, and the connection stays open."""
    stop_s, most_s = 1.0, 12.0
    with TemporalServer(tmp_path / "temporal") as server:
        worker = WorkerProcess(
            tmp_path / "worker",
            settings={
                "HEADRACE_DATABASE_URL": postgres.new_database(),
                "HEADRACE_ENGINE": "temporal",
                "HEADRACE_TEMPORAL_ADDRESS": server.address,
                "HEADRACE_STACK_URL": "http://127.0.0.1:9",
                "HEADRACE_STOP_S": str(stop_s),
            },
        )
        with worker:
            freeze(server.pid)
            try:
                began_s = time.monotonic()
                assert worker.stop() == 0
                assert time.monotonic() - began_s < stop_s + most_s
            finally:
                os.kill(server.pid, signal.SIGCONT)
        assert "stopped" in worker.log()
