"""The driver without locks: steps as of several processes, which only the versions of the journal keep apart.

Each step restores the instance from the journal and drives it until it must wait, as an engine of several processes
does. An abort is a commit of another process, of which a step learns by a Conflict only.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from headrace.clock import RandomIds
from headrace.effects.port import Request, Response
from headrace.effects.settlement import Backoff
from headrace.engine.control import Halt, Halted
from headrace.engine.driver import Driver
from headrace.engine.limits import EngineLimits
from headrace.engine.meter import NoMeter
from headrace.engine.services import Services
from headrace.errors import Conflict
from headrace.events.outbox import Outbox
from headrace.journal.port import Results, Unit
from headrace.journal.records import ActivityRow, Instance
from headrace.journal.writes import AddWorkflow, BeginAttempt
from headrace.runner.instance import InstanceRunner
from headrace.runner.policy import Policy
from headrace.runner.runners import Runners
from tests.contract.test_engine import CROSS, SEND, WAIT, Scripted
from tests.support.journals import JOURNALS, adapter

MISMATCH = Response(
    400, b'{"errorCode":"VALIDATION","errorMessage":"invalid idempotency hash"}', {"content-type": "application/json"}
)
REFUSED = Response(400, b'{"errorCode":"VALIDATION","errorMessage":"no"}', {"content-type": "application/json"})
PERMIT_S = 1.0


class SetClock:
    """Time passes where a test, or a pause, says so."""

    def __init__(self) -> None:
        self.passed_s = 0.0

    def now_at(self) -> int:
        return 1_800_000_000_000_000 + int(self.passed_s * 1e6)

    def monotonic_s(self) -> float:
        return self.passed_s

    async def sleep(self, seconds: float) -> None:
        self.passed_s += seconds
        await asyncio.sleep(0)


class StepControl:
    """No lock, nothing in memory of aborts, permits that expire; back-off is left to whatever takes the next step."""

    is_stopping = False
    gives_way = False
    permit_s = PERMIT_S

    def __init__(self, runner: InstanceRunner, clock: SetClock) -> None:
        self.runner = runner
        self.is_woken = True
        self.settled_s = 0.0
        self._clock = clock

    def exclusive(self) -> contextlib.AbstractAsyncContextManager[None]:
        return contextlib.nullcontext()

    async def may_begin(self) -> bool:
        return True

    async def pause(self, seconds: float, *, is_settling: bool) -> bool:
        if is_settling:
            self.settled_s += seconds
            await self._clock.sleep(seconds)
        return is_settling


class Watched:
    """A journal: `after` is called with each unit once it is committed."""

    def __init__(self, journal: Any) -> None:
        self.journal = journal
        self.after: Callable[[Unit], Awaitable[None]] | None = None
        self.begun: list[int] = []
        self.together: asyncio.Barrier | None = None
        """Reads of an instance wait for each other here before any of them goes on."""

    async def standing(self, instance_id: str) -> Any:
        found = await self.journal.standing(instance_id)
        if self.together is not None:
            await self.together.wait()
        return found

    async def commit(self, unit: Unit) -> Results:
        results = await self.journal.commit(unit)
        self.begun += [write.attempt for write in unit.writes if isinstance(write, BeginAttempt)]
        if self.after is not None:
            await self.after(unit)
        return results

    def __getattr__(self, name: str) -> Any:
        return getattr(self.journal, name)


@dataclass
class Cluster:
    """Processes that share a journal and the services."""

    journal: Watched
    services: Scripted
    clock: SetClock
    runners: Runners

    def driver(self) -> Driver:
        """As of one process."""
        limits, meter = EngineLimits(settle_s=30.0, retry_base_s=4.0, retry_cap_s=100.0), NoMeter()
        services = Services(self.services, self.clock, meter, ceiling=64, start=8)
        backoff = Backoff(limits.retry_base_s, limits.retry_cap_s, lambda: 1.0)
        journal: Any = self.journal
        return Driver(journal, services, self.clock, self.runners, limits, meter, backoff, lambda _: None)

    async def start(self, *stages: dict[str, Any]) -> str:
        """As an API server does: it sends nothing itself."""
        unit = Unit()
        config = json.dumps({"stages": stages})
        workflow_id = RandomIds().new()
        unit.add(AddWorkflow(workflow_id=workflow_id, name=None, config=config, created_at=1, updated_at=1))
        await self.journal.commit(unit)
        workflow = await self.journal.workflow(workflow_id)
        runner, unit = self.runners.start(workflow, {}, sends=False)
        await self.journal.commit(unit)
        return runner.id

    async def step(self, instance_id: str) -> Halted:
        return await self.driver().drive(await self.control(instance_id))

    async def control(self, instance_id: str) -> StepControl:
        standing = await self.journal.standing(instance_id)
        return StepControl(self.runners.restore(standing), self.clock)

    async def abort(self, instance_id: str) -> None:
        standing = await self.journal.journal.standing(instance_id)
        await self.journal.journal.commit(self.runners.restore(standing).abort())

    async def instance(self, instance_id: str) -> Instance:
        return await self.journal.instance(instance_id)

    async def activities(self, instance_id: str) -> list[ActivityRow]:
        return await self.journal.activities(instance_id, 0)


@pytest.fixture(params=JOURNALS)
async def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Cluster]:
    clock = SetClock()
    async with adapter(request.param).open(tmp_path / "j.db") as journal:
        services = Scripted()
        runners = Runners(clock.now_at, RandomIds().new, Outbox().announce, Policy())
        yield Cluster(Watched(journal), services, clock, runners)
        await services.close()


# the first attempt


async def test_an_intent_that_another_process_stored_is_counted_before_its_first_byte(cluster: Cluster) -> None:
    begun_when_sent: list[list[int]] = []

    def plan(_: Request, __: int) -> None:
        begun_when_sent.append(list(cluster.journal.begun))

    cluster.services.plan = plan
    instance_id = await cluster.start(SEND)
    assert (await cluster.activities(instance_id))[0].attempt == 0
    assert await cluster.step(instance_id) == Halted(Halt.ENDED)
    assert begun_when_sent == [[1]]
    (activity,) = await cluster.activities(instance_id)
    assert (activity.attempt, activity.error) == (1, None) and cluster.services.booked() == 1


async def test_an_intent_of_the_same_step_needs_no_commit_of_its_own(cluster: Cluster) -> None:
    instance_id = await cluster.start(CROSS)
    assert (await cluster.step(instance_id)).why is Halt.ENDED
    assert cluster.journal.begun == [1], "the second effect's intent counts its attempt"
    assert [row.attempt for row in await cluster.activities(instance_id)] == [1, 1]


async def test_a_refusal_of_the_first_attempt_is_final_at_once(cluster: Cluster) -> None:
    cluster.services.plan = lambda _, __: REFUSED
    instance_id = await cluster.start(SEND)
    assert (await cluster.step(instance_id)).why is Halt.ENDED
    assert cluster.clock.passed_s == 0 and len(cluster.services.sent) == 1
    assert (await cluster.instance(instance_id)).error == "CreateTransaction: VALIDATION: no"


async def test_two_steps_at_once_send_an_effect_once(cluster: Cluster) -> None:
    instance_id = await cluster.start(SEND, WAIT)
    cluster.journal.together = asyncio.Barrier(4)
    ends = await asyncio.gather(*(cluster.step(instance_id) for _ in range(4)), return_exceptions=True)
    assert sum(isinstance(end, Conflict) for end in ends) == 3, ends
    assert len(cluster.services.writes) == 1 and cluster.services.booked() == 1
    assert [row.attempt for row in await cluster.activities(instance_id)] == [1]


# permits


async def test_an_abort_after_a_commit_that_has_become_too_old_stops_the_attempt(cluster: Cluster) -> None:
    instance_id = await cluster.start(SEND)

    async def slow(unit: Unit) -> None:
        """The commit's answer takes longer than it permits an attempt, and an abort is answered meanwhile."""
        if any(isinstance(write, BeginAttempt) for write in unit.writes):
            cluster.clock.passed_s += PERMIT_S + 0.1
            cluster.journal.after = None
            await cluster.abort(instance_id)

    cluster.journal.after = slow
    with pytest.raises(Conflict):
        await cluster.step(instance_id)
    assert cluster.services.sent == []
    assert (await cluster.instance(instance_id)).error == "canceled"


async def test_a_commit_that_has_become_too_old_is_followed_by_another(cluster: Cluster) -> None:
    instance_id = await cluster.start(SEND)

    async def slow(_: Unit) -> None:
        cluster.clock.passed_s += PERMIT_S + 0.1
        cluster.journal.after = None

    cluster.journal.after = slow
    assert (await cluster.step(instance_id)).why is Halt.ENDED
    assert cluster.journal.begun == [1, 2] and len(cluster.services.sent) == 1


# pauses


async def test_back_off_is_left_to_the_engine_and_goes_on_in_the_next_step(cluster: Cluster) -> None:
    cluster.services.plan = lambda _, count: Response(503) if count <= 2 else None
    instance_id = await cluster.start(SEND)
    ends = [await cluster.step(instance_id) for _ in range(3)]
    assert [end.why for end in ends] == [Halt.BACKOFF, Halt.BACKOFF, Halt.ENDED]
    assert ends[0].until_at == cluster.clock.now_at() + 4_000_000
    assert cluster.journal.begun == [1, 2, 3]
    (activity,) = await cluster.activities(instance_id)
    assert (activity.attempt, activity.last_failure, activity.error) == (3, "ledger: 503", None)
    assert len({(sent.body, sent.key) for sent in cluster.services.sent}) == 1


async def test_a_settle_time_passes_within_a_step(cluster: Cluster) -> None:
    """A refusal after an unknown attempt: in another step its time would count anew each time."""
    cluster.services.plan = lambda _, count: "lose" if count == 1 else REFUSED
    instance_id = await cluster.start(SEND)
    assert (await cluster.step(instance_id)).why is Halt.BACKOFF
    control = await cluster.control(instance_id)
    assert (await cluster.driver().drive(control)).why is Halt.ENDED
    assert control.settled_s == 30.0
    assert (await cluster.instance(instance_id)).error == "CreateTransaction: VALIDATION: no"


# a Conflict with an answer in hand


async def _aborted_during_the_attempt(cluster: Cluster, answer: Any, *stages: dict[str, Any]) -> str:
    cluster.services.plan = lambda request, count: "hold" if count == 1 else None
    if answer is not None:
        handle = cluster.services.sandbox.handle
        cluster.services.sandbox.handle = lambda request: answer if request.method == "POST" else handle(request)  # pyright: ignore[reportAttributeAccessIssue]
    instance_id = await cluster.start(*stages)
    stepping = asyncio.ensure_future(cluster.step(instance_id))
    await cluster.services.under_way.wait()
    await cluster.abort(instance_id)
    cluster.services.gate.set()
    assert (await stepping).why in (Halt.ENDED, Halt.ATTENTION)
    return instance_id


async def test_an_outcome_that_meets_an_abort_is_recorded_and_never_asked_for_again(cluster: Cluster) -> None:
    instance_id = await _aborted_during_the_attempt(cluster, None, CROSS, SEND)
    assert len(cluster.services.sent) == 1, "neither sent again nor looked up"
    (activity,) = await cluster.activities(instance_id)
    assert activity.output is not None and activity.error is None
    (stage,) = (await cluster.instance(instance_id)).stages
    assert stage.error == "canceled; already booked: transaction 2 of 100 USD/2 on ledger main"
    assert stage.terminated_at is not None


async def test_a_refusal_that_meets_an_abort_is_recorded(cluster: Cluster) -> None:
    instance_id = await _aborted_during_the_attempt(cluster, REFUSED, SEND)
    assert len(cluster.services.sent) == 1
    (activity,) = await cluster.activities(instance_id)
    assert activity.error == "VALIDATION: no"
    assert (await cluster.instance(instance_id)).stages[0].error == "canceled"


async def test_what_would_need_a_person_is_looked_up_after_an_abort(cluster: Cluster) -> None:
    instance_id = await _aborted_during_the_attempt(cluster, MISMATCH, SEND)
    assert [sent.method for sent in cluster.services.sent if sent.method == "POST"] == ["POST"]
    (activity,) = await cluster.activities(instance_id)
    assert (activity.error, activity.needs_attention) == ("canceled", False)


async def test_an_outcome_that_meets_one_already_recorded_is_left(cluster: Cluster) -> None:
    """The other process has sent the same effect again, and was answered first."""
    cluster.services.plan = lambda _, count: "hold" if count == 1 else None
    instance_id = await cluster.start(SEND, WAIT)
    first = asyncio.ensure_future(cluster.step(instance_id))
    await cluster.services.under_way.wait()
    assert (await cluster.step(instance_id)).why is Halt.EVENT
    cluster.services.gate.set()
    with pytest.raises(Conflict):
        await first
    assert cluster.services.booked() == 1
    (activity,) = await cluster.activities(instance_id)
    assert (activity.attempt, activity.error) == (2, None)
