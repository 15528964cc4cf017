"""Client credentials: a token per endpoint and scope, kept until shortly before its end, replaced after a 401."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs

import httpx2
import pytest

import headrace_client as api

SECURITY = api.Security(client_id="id", client_secret="s€cret&")
TOKEN = "/api/auth/oauth/token"
INFO = "/api/orchestration/_info"
ABORT = "/api/orchestration/instances/i/abort"


class Clock:
    now_s = 1000.0

    def monotonic_s(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def secured(new_caller: Any, clock: Clock) -> Any:
    return new_caller(security=SECURITY, hooks=api.Hooks(monotonic_s=clock.monotonic_s))


def _info(stub: Any) -> None:
    stub.answer(200, {"version": "1"})


def _bearers(stub: Any) -> list[str]:
    return [seen.headers["authorization"] for seen in stub.seen if seen.target != TOKEN]


async def test_the_token_call(stub: Any, secured: Any) -> None:
    stub.token("t1")
    _info(stub)
    await secured("get_server_info")
    asked, called = stub.seen
    assert (asked.method, asked.target) == ("POST", TOKEN)
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
    assert "authorization" not in asked.headers
    assert parse_qs(asked.body.decode()) == {
        "grant_type": ["client_credentials"],
        "client_id": ["id"],
        "client_secret": ["s€cret&"],
        "scope": ["orchestration:read"],
    }
    assert called.headers["authorization"] == "Bearer t1"


async def test_one_token_per_scope_kept(stub: Any, secured: Any) -> None:
    stub.token("reads")
    _info(stub)
    _info(stub)
    stub.token("writes")
    stub.answer(204)
    stub.answer(204)
    for method, arguments in [("get_server_info", {}), ("cancel_event", {"instance_id": "i"})]:
        await secured(method, **arguments)
        await secured(method, **arguments)
    assert stub.targets == [TOKEN, INFO, INFO, TOKEN, ABORT, ABORT]
    assert _bearers(stub) == ["Bearer reads"] * 2 + ["Bearer writes"] * 2
    assert parse_qs(stub.seen[3].body.decode())["scope"] == ["orchestration:write"]


async def test_a_token_is_kept_until_a_minute_before_its_end(stub: Any, secured: Any, clock: Clock) -> None:
    stub.token("old", expires_in=100)
    _info(stub)
    await secured("get_server_info")
    clock.now_s += 39.9
    _info(stub)
    await secured("get_server_info")
    clock.now_s += 0.1
    stub.token("new")
    _info(stub)
    await secured("get_server_info")
    assert _bearers(stub) == ["Bearer old", "Bearer old", "Bearer new"]


async def test_a_token_without_an_end_lasts(stub: Any, secured: Any, clock: Clock) -> None:
    stub.token("t", expires_in=None)
    _info(stub)
    await secured("get_server_info")
    clock.now_s += 1e9
    _info(stub)
    await secured("get_server_info")
    assert stub.targets == [TOKEN, INFO, INFO]


async def test_a_short_life_means_a_token_per_call(stub: Any, secured: Any) -> None:
    for number in "12":
        stub.token(f"t{number}", expires_in=60)
        _info(stub)
        await secured("get_server_info")
    assert _bearers(stub) == ["Bearer t1", "Bearer t2"]


async def test_a_401_is_repeated_once_with_a_fresh_token_and_the_same_key(stub: Any, secured: Any) -> None:
    stub.token("stale")
    stub.answer(401, content_type=None)
    stub.token("fresh")
    stub.answer(204)
    result = await secured("cancel_event", instance_id="i")
    assert result.status_code == 204
    assert stub.targets == [TOKEN, ABORT, TOKEN, ABORT]
    assert _bearers(stub) == ["Bearer stale", "Bearer fresh"]
    assert stub.seen[1].headers["idempotency-key"] == stub.seen[3].headers["idempotency-key"]


async def test_a_second_401_is_the_answer_and_drops_the_token(stub: Any, secured: Any) -> None:
    stub.token("one")
    stub.answer(401, content_type=None)
    stub.token("two")
    stub.answer(401, {"errorCode": "VALIDATION", "errorMessage": "no"})
    with pytest.raises(api.Error) as caught:
        await secured("get_server_info")
    assert caught.value.status == 401
    stub.token("three")
    _info(stub)
    await secured("get_server_info")
    assert _bearers(stub) == ["Bearer one", "Bearer two", "Bearer three"]


async def test_a_403_keeps_the_token(stub: Any, secured: Any) -> None:
    stub.token("t")
    stub.answer(403, content_type=None)
    with pytest.raises(api.SDKError):
        await secured("get_server_info")
    _info(stub)
    await secured("get_server_info")
    assert stub.targets == [TOKEN, INFO, INFO]


async def test_a_401_without_security_is_not_repeated(stub: Any, caller: Any) -> None:
    stub.answer(401, content_type=None)
    with pytest.raises(api.SDKError, match="security="):
        await caller("get_server_info")
    assert stub.targets == [INFO]


@pytest.mark.parametrize("security", [api.Security("", "x"), api.Security("x", "")])
async def test_half_credentials_ask_for_no_token(stub: Any, new_caller: Any, security: Any) -> None:
    _info(stub)
    await new_caller(security=security)("get_server_info")
    assert stub.targets == [INFO]
    assert "authorization" not in stub.seen[0].headers


async def test_authorization_of_the_caller_wins(stub: Any, secured: Any) -> None:
    _info(stub)
    await secured("get_server_info", headers={"authorization": "Bearer mine"})
    assert stub.targets == [INFO]
    assert _bearers(stub) == ["Bearer mine"]


async def test_a_relative_token_url_starts_at_the_host(stub: Any, new_caller: Any) -> None:
    for token_url in ("/oauth/token", "oauth/token"):
        stub.token("t")
        _info(stub)
        await new_caller(server_url=f"{stub.url}/gw", security=api.Security("i", "s", token_url))("get_server_info")
    assert stub.targets == ["/oauth/token", "/gw" + INFO] * 2


async def test_an_absolute_token_url_is_used_as_it_is(stub: Any, other_stub: Any, new_caller: Any) -> None:
    other_stub.token("t")
    _info(stub)
    await new_caller(security=api.Security("i", "s", f"{other_stub.url}/x"))("get_server_info")
    assert (other_stub.targets, stub.targets) == (["/x"], [INFO])


async def test_a_token_goes_to_the_server_it_came_from_only(stub: Any, other_stub: Any, secured: Any) -> None:
    stub.token("here")
    _info(stub)
    await secured("get_server_info")
    other_stub.token("there")
    _info(other_stub)
    await secured("get_server_info", server_url=other_stub.url)
    assert (_bearers(stub), _bearers(other_stub)) == (["Bearer here"], ["Bearer there"])


async def test_many_callers_share_one_token_call(stub: Any, secured: Any) -> None:
    stub.token("t")
    for _ in range(8):
        _info(stub)
    await asyncio.gather(*(secured("get_server_info") for _ in range(8)))
    assert stub.targets.count(TOKEN) == 1
    assert _bearers(stub) == ["Bearer t"] * 8


def test_threads_wait_for_the_one_that_fetches_the_token() -> None:
    callers = 4
    ready = threading.Barrier(callers)
    rival = threading.Barrier(2)
    fetched: list[bool] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.url.path != TOKEN:
            return httpx2.Response(200, json={"version": "1"})
        try:
            rival.wait(timeout=0.2)
            fetched.append(False)
        except threading.BrokenBarrierError:
            fetched.append(True)
        return httpx2.Response(200, json={"access_token": "t", "token_type": "bearer"})

    def call() -> int:
        ready.wait(timeout=10)
        return client.orchestration.v1.get_server_info().status_code

    with (
        httpx2.Client(transport=httpx2.MockTransport(answer)) as own,
        api.Client("http://h", security=SECURITY, http_client=own) as client,
        ThreadPoolExecutor(callers) as pool,
    ):
        calls = [pool.submit(call) for _ in range(callers)]
        assert [done.result() for done in calls] == [200] * callers
    assert fetched == [True], "no second token call came while the first was under way, nor after it"


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (401, {"error": "invalid_client", "error_description": "who?"}, "HTTP 401 invalid_client who?"),
        (404, b"<html>", "HTTP 404"),
        (302, b"", "HTTP 302"),
        (200, b"{", "cannot be read"),
        (200, {"access_token": "t"}, "token_type"),
        (200, {"access_token": "t", "token_type": "mac"}, "must be bearer"),
        (200, {"access_token": "", "token_type": "bearer"}, "access_token"),
        (200, {"access_token": "t\r\nX: 1", "token_type": "bearer"}, "access_token"),
        (200, {"access_token": "t", "token_type": "bearer", "expires_in": "60"}, "expires_in"),
    ],
)
async def test_no_token_no_call(stub: Any, secured: Any, status: int, body: Any, reason: str) -> None:
    stub.answer(status, body)
    with pytest.raises(api.SDKError) as caught:
        await secured("cancel_event", instance_id="i")
    assert reason in str(caught.value)
    assert TOKEN in str(caught.value)
    assert caught.value.status == status
    assert stub.targets == [TOKEN]


async def test_token_type_is_read_in_any_case_and_any_content_type(stub: Any, secured: Any) -> None:
    stub.answer(200, {"access_token": "t", "token_type": "BEARER", "expires_in": 3600.5}, "text/plain")
    _info(stub)
    await secured("get_server_info")
    assert _bearers(stub) == ["Bearer t"]


async def test_a_lost_token_call_is_a_connection_failure(stub: Any, secured: Any) -> None:
    stub.drop()
    with pytest.raises(api.ConnectionFailure, match=TOKEN) as caught:
        await secured("cancel_event", instance_id="i", idempotency_key="once")
    assert (caught.value.is_unsent, caught.value.idempotency_key) == (True, "once")
    assert "carried it out" not in str(caught.value), "what the token is for has never left"
    stub.token("t")
    stub.answer(204)
    await secured("cancel_event", instance_id="i")


async def test_secrets_stay_out_of_errors_and_texts(stub: Any, secured: Any) -> None:
    stub.answer(200, {"access_token": "hush", "token_type": "mac"})
    with pytest.raises(api.SDKError) as caught:
        await secured("get_server_info")
    for text in (str(caught.value), repr(caught.value), repr(caught.value.body), repr(SECURITY)):
        assert "hush" not in text
        assert "s€cret" not in text
