"""Retries: asked for, bounded, and with one key."""

from __future__ import annotations

from typing import Any

import pytest

import headrace_client as api
from headrace_client.retries import RETRIED

QUICK = api.BackoffStrategy(100, 1_000, 2, 10_000)


class Time:
    """A clock that moves by sleeping only, and chance that is always the same."""

    def __init__(self, chance: float = 1.0) -> None:
        self.now_s = 0.0
        self.slept: list[float] = []
        self.hooks = api.Hooks(
            chance=lambda: chance, monotonic_s=lambda: self.now_s, sleep=self._sleep, sleep_async=self._sleep_async
        )

    def _sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 6))
        self.now_s += seconds

    async def _sleep_async(self, seconds: float) -> None:
        self._sleep(seconds)


async def test_nothing_is_tried_again_unasked(stub: Any, caller: Any) -> None:
    stub.answer(503, {"errorCode": "INTERNAL", "errorMessage": "busy"})
    with pytest.raises(api.Error, match="busy"):
        await caller("list_workflows")
    assert len(stub.seen) == 1


@pytest.mark.parametrize("where", ["client", "call"])
async def test_a_write_is_tried_again_with_the_same_key_and_bytes(
    stub: Any, new_caller: Any, instance: Any, where: str
) -> None:
    time, config = Time(), api.RetryConfig("backoff", QUICK)
    stub.drop()
    for status in RETRIED:
        stub.answer(status, b"no", "text/plain")
    stub.data(instance, 201)
    client = new_caller(hooks=time.hooks, **({"retry_config": config} if where == "client" else {}))
    options = {"retries": config} if where == "call" else {}
    result = await client("run_workflow", workflow_id="w1", request_body={"a": "1"}, **options)
    assert result.data.id == "i1"
    assert len(stub.seen) == 7
    assert len({(seen.headers["idempotency-key"], seen.body, seen.target) for seen in stub.seen}) == 1
    assert time.slept == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


async def test_each_call_has_a_key_of_its_own(stub: Any, new_caller: Any, instance: Any) -> None:
    caller = new_caller(hooks=Time().hooks, retry_config=api.RetryConfig("backoff", QUICK))
    for _ in range(2):
        stub.answer(503)
        stub.data(instance, 201)
        await caller("run_workflow", workflow_id="w1")
    first, again, second, last = (seen.headers["idempotency-key"] for seen in stub.seen)
    assert (first, second) == (again, last)
    assert first != second


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 413, 501, 505, 200, 302])
async def test_other_answers_are_final(stub: Any, new_caller: Any, status: int) -> None:
    time = Time()
    stub.answer(status, b"no", "text/plain")
    with pytest.raises(api.SDKError):
        await new_caller(hooks=time.hooks, retry_config=api.RetryConfig())("list_workflows")
    assert (len(stub.seen), time.slept) == (1, [])


async def test_a_call_may_refuse_the_retries_of_its_client(stub: Any, new_caller: Any) -> None:
    stub.answer(503)
    caller = new_caller(hooks=Time().hooks, retry_config=api.RetryConfig())
    with pytest.raises(api.SDKError):
        await caller("list_workflows", retries=api.RetryConfig("none"))
    assert len(stub.seen) == 1


async def test_connection_errors_only_when_asked_for(stub: Any, new_caller: Any) -> None:
    time = Time()
    stub.drop()
    caller = new_caller(hooks=time.hooks, retry_config=api.RetryConfig("backoff", QUICK, False))
    with pytest.raises(api.ConnectionFailure) as raised:
        await caller("delete_workflow", flow_id="w1")
    assert raised.value.idempotency_key == stub.seen[0].headers["idempotency-key"]
    assert (len(stub.seen), time.slept) == (1, [])


async def test_it_ends_before_the_time_is_over(stub: Any, new_caller: Any) -> None:
    time = Time()
    for _ in range(10):
        stub.answer(503, {"errorCode": "INTERNAL", "errorMessage": "busy"})
    backoff = api.BackoffStrategy(1_000, 1_000, 1, 3_500)
    with pytest.raises(api.Error, match="busy"):
        await new_caller(hooks=time.hooks)("list_workflows", retries=api.RetryConfig("backoff", backoff))
    assert (len(stub.seen), time.slept) == (4, [1.0, 1.0, 1.0])


@pytest.mark.parametrize(
    ("headers", "pause_s"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "0"}, 0.1),
        ({"Retry-After": "soon"}, 0.1),
        ({"Retry-After": "-5"}, 0.1),
        ({"Retry-After": "Wed, 01 May 2024 10:00:05 GMT", "Date": "Wed, 01 May 2024 10:00:00 GMT"}, None),
    ],
)
async def test_the_server_may_ask_for_more_time(new_caller: Any, headers: Any, pause_s: float | None) -> None:
    import httpx2

    answers = [httpx2.Response(429, headers=headers), httpx2.Response(200, json={"version": "v"})]
    time = Time()
    caller = new_caller(transport=lambda _: answers.pop(0), hooks=time.hooks)
    await caller("get_server_info", retries=api.RetryConfig("backoff", QUICK))
    assert time.slept == [5.0 if pause_s is None else pause_s]


async def test_a_server_that_asks_for_too_much_time_is_not_waited_for(stub: Any, new_caller: Any) -> None:
    time = Time()
    stub.answer(503, b"", "text/plain", **{"Retry-After": "9" * 400})
    with pytest.raises(api.SDKError):
        await new_caller(hooks=time.hooks)("list_workflows", retries=api.RetryConfig("backoff", QUICK))
    assert time.slept == []


def test_half_of_a_pause_is_left_to_chance() -> None:
    backoff = api.BackoffStrategy()
    assert (backoff.pause_s(0, 0.0), backoff.pause_s(0, 1.0)) == (0.25, 0.5)
    assert backoff.pause_s(10**6, 1.0) == 60.0
    assert backoff.pause_s(3, 0.5) == 0.5 * 1.5**3 * 0.75


@pytest.mark.parametrize(
    "numbers", [(0, 1, 1, 1), (1, 0, 1, 1), (1, 1, 0.5, 1), (1, 1, 1, -1), (1, 1, float("nan"), 1)]
)
def test_numbers_that_make_no_sense(numbers: Any) -> None:
    with pytest.raises(api.InvalidRequest, match="BackoffStrategy"):
        api.BackoffStrategy(*numbers)


async def test_what_is_no_configuration(new_caller: Any) -> None:
    with pytest.raises(api.InvalidRequest, match="strategy"):
        api.RetryConfig("always")  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match="retry_config takes a RetryConfig"):
        new_caller(retry_config=3)
    with pytest.raises(TypeError, match="retries takes a RetryConfig"):
        await new_caller()("list_workflows", retries=3)


async def test_pages_are_tried_again_too(stub: Any, new_caller: Any) -> None:
    stub.answer(502)
    stub.answer(200, {"cursor": {"pageSize": 1, "hasMore": False, "data": []}})
    caller = new_caller(hooks=Time().hooks, retry_config=api.RetryConfig("backoff", QUICK))
    assert (await caller.v2("list_workflows")).data.data == []


async def test_a_token_that_is_not_to_be_had_is_asked_for_again(stub: Any, new_caller: Any) -> None:
    time = Time()
    caller = new_caller(
        hooks=time.hooks, security=api.Security("i", "s"), retry_config=api.RetryConfig("backoff", QUICK)
    )
    stub.drop()
    stub.answer(503, b"no", "text/plain", **{"Retry-After": "2"})
    stub.token("t")
    stub.answer(502)
    stub.answer(204)
    await caller("cancel_event", instance_id="i")
    assert time.slept == [0.1, 2.0, 0.4]
    assert [seen.headers.get("authorization") for seen in stub.seen] == [None, None, None, "Bearer t", "Bearer t"]


@pytest.mark.parametrize(("status", "is_asked"), [(401, True), (200, True), (503, False)])
async def test_other_trouble_with_a_token_is_final(stub: Any, new_caller: Any, status: int, is_asked: bool) -> None:
    time = Time()
    config = api.RetryConfig("backoff" if is_asked else "none", QUICK)
    stub.answer(status, {"error": "invalid_client"})
    with pytest.raises(api.SDKError) as raised:
        await new_caller(hooks=time.hooks, security=api.Security("i", "s"))(
            "cancel_event", instance_id="i", retries=config
        )
    assert (raised.value.status, len(stub.seen), time.slept) == (status, 1, [])
    assert raised.value.idempotency_key


async def test_waiting_is_over_in_time_whatever_the_retries(new_caller: Any) -> None:
    import httpx2

    time = Time()
    config = api.RetryConfig("backoff", api.BackoffStrategy(1_000, 1_000, 1, 3_600_000))
    caller = new_caller(transport=lambda _: httpx2.Response(503), hooks=time.hooks, retry_config=config)
    with pytest.raises(api.SDKError, match="503"):
        await caller("wait_for", "i1", timeout_s=5)
    assert time.slept == [1.0] * 5
