"""Waiting for the end of an instance, on a clock of our own."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

import headrace_client as api

NOW = "2024-05-01T10:00:00Z"


class Clock:
    """Time passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.pauses_s: list[float] = []

    def monotonic_s(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.pauses_s.append(seconds)
        self.now_s += seconds

    async def sleep_async(self, seconds: float) -> None:
        self.sleep(seconds)

    @property
    def hooks(self) -> api.Hooks:
        return api.Hooks(monotonic_s=self.monotonic_s, sleep=self.sleep, sleep_async=self.sleep_async)


class Server:
    """Answers with an instance in the state that `states` has for this moment, the last one for ever."""

    def __init__(self, clock: Clock, states: list[tuple[float, int, bool]]) -> None:
        self.clock = clock
        self.states = states
        self.requests: list[httpx2.Request] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        _, started, has_ended = [state for state in self.states if state[0] <= self.clock.now_s][-1]
        return httpx2.Response(200, json={"data": _instance(started, has_ended)})


def _instance(started: int, has_ended: bool) -> dict[str, Any]:
    end = {"terminatedAt": NOW}
    status = [
        {"stage": stage, "instanceID": "i1", "startedAt": NOW, **(end if has_ended or stage < started - 1 else {})}
        for stage in range(started)
    ]
    head = {"id": "i1", "workflowID": "w1", "createdAt": NOW, "updatedAt": NOW}
    return {**head, "terminated": has_ended, "status": status, **(end if has_ended else {})}


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def test_waits_until_the_end_and_tells_each_stage(new_caller: Any, clock: Clock) -> None:
    server = Server(clock, [(0, 0, False), (1, 1, False), (3, 2, False), (9, 2, True)])
    stages: list[int | None] = []
    call = new_caller(transport=server, hooks=clock.hooks)
    ended = await call("wait_for", "i1", on_progress=lambda instance: stages.append(instance.current_stage))
    assert ended.terminated
    assert stages == [None, 0, 1, None]
    assert {request.url.path for request in server.requests} == {"/api/orchestration/instances/i1"}


async def test_backs_off_and_starts_anew_when_something_moves(new_caller: Any, clock: Clock) -> None:
    server = Server(clock, [(0, 1, False), (60, 2, False), (100, 2, True)])
    await new_caller(transport=server, hooks=clock.hooks)("wait_for", "i1")
    pauses = clock.pauses_s
    moved = next(index for index in range(1, len(pauses)) if pauses[index] < pauses[index - 1])
    assert pauses[:3] == pytest.approx([0.05, 0.075, 0.1125])
    assert pauses[moved] == pauses[0]
    assert max(pauses) == 2.0
    assert clock.now_s < 102


async def test_an_instance_will_do_for_its_id(new_caller: Any, clock: Clock) -> None:
    server = Server(clock, [(0, 1, False), (1, 1, True)])
    call = new_caller(transport=server, hooks=clock.hooks)
    found = (await call("get_instance", instance_id="i1")).data
    assert (await call("wait_for", found)).terminated


async def test_patience_ends(new_caller: Any, clock: Clock) -> None:
    server = Server(clock, [(0, 2, False)])
    with pytest.raises(api.WaitTimeout, match=r"i1 is still running \(in stage 1\) after 5 s") as caught:
        await new_caller(transport=server, hooks=clock.hooks)("wait_for", "i1", timeout_s=5)
    assert clock.now_s == pytest.approx(5)
    assert caught.value.instance.id == "i1"


async def test_an_end_at_the_last_moment_counts(new_caller: Any, clock: Clock) -> None:
    server = Server(clock, [(0, 1, False), (5, 1, True)])
    assert (await new_caller(transport=server, hooks=clock.hooks)("wait_for", "i1", timeout_s=5)).terminated


async def test_a_silent_server_does_not_stretch_the_wait(new_caller: Any, clock: Clock) -> None:
    server = Server(clock, [(0, 1, False)])
    call = new_caller(transport=server, timeout_s=30, hooks=clock.hooks)
    with pytest.raises(api.WaitTimeout):
        await call("wait_for", "i1", timeout_s=40)
    limits = [request.extensions["timeout"]["read"] for request in server.requests]
    assert limits[0] == 30
    assert limits[-1] == 1.0
    assert limits == sorted(limits, reverse=True)


async def test_errors_of_the_server_end_the_wait(stub: Any, caller: Any) -> None:
    stub.answer(404, {"errorCode": "NOT_FOUND", "errorMessage": "no such instance"})
    with pytest.raises(api.Error, match="no such instance"):
        await caller("wait_for", "i1", timeout_s=5)


async def test_headers_and_server_of_one_wait(stub: Any, other_stub: Any, caller: Any) -> None:
    other_stub.data(_instance(1, True))
    await caller("wait_for", "i1", headers={"X-One": "1"}, server_url=other_stub.url)
    assert other_stub.seen[0].headers["x-one"] == "1"
    assert stub.seen == []
