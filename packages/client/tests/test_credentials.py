"""Credentials that a function gives: a token, a token with its life, or a client id and secret of the moment."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import parse_qs

import pytest

import headrace_client as api

TOKEN = "/api/auth/oauth/token"
INFO = "/api/orchestration/_info"


class Clock:
    now_s = 1000.0

    def monotonic_s(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


class Source:
    """Gives what it was handed, one after the other, the last one for ever."""

    def __init__(self, *gifts: Any) -> None:
        self.gifts = list(gifts)
        self.asked = 0

    def __call__(self) -> Any:
        self.asked += 1
        return self.gifts.pop(0) if len(self.gifts) > 1 else self.gifts[0]


def _info(stub: Any, times: int = 1) -> None:
    for _ in range(times):
        stub.answer(200, {"version": "1"})


def _bearers(stub: Any) -> list[str]:
    return [seen.headers["authorization"] for seen in stub.seen if seen.target != TOKEN]


async def test_client_credentials_ask_the_servers_own_endpoint(stub: Any, new_caller: Any) -> None:
    stub.token("t")
    _info(stub)
    await new_caller(security=api.ClientCredentials("id", "secret"))("get_server_info")
    assert stub.targets == [TOKEN, INFO]
    assert parse_qs(stub.seen[0].body.decode())["client_secret"] == ["secret"]


async def test_client_credentials_ask_another_endpoint(stub: Any, other_stub: Any, new_caller: Any) -> None:
    other_stub.token("t")
    _info(stub)
    await new_caller(security=api.ClientCredentials("id", "secret", f"{other_stub.url}/token"))("get_server_info")
    assert (other_stub.targets, stub.targets) == (["/token"], [INFO])


async def test_a_bare_token_is_asked_for_before_every_call(stub: Any, new_caller: Any) -> None:
    source = Source("one", "two")
    call = new_caller(security=source)
    _info(stub, 2)
    await call("get_server_info")
    await call("get_server_info")
    assert _bearers(stub) == ["Bearer one", "Bearer two"]


async def test_a_token_with_a_life_is_kept_until_a_minute_before_its_end(
    stub: Any, new_caller: Any, clock: Clock
) -> None:
    source = Source(api.Token("one", 100), api.Token("two", 100))
    call = new_caller(security=source, hooks=api.Hooks(monotonic_s=clock.monotonic_s))
    _info(stub, 3)
    await call("get_server_info")
    clock.now_s += 39.9
    await call("get_server_info")
    clock.now_s += 0.1
    await call("get_server_info")
    assert _bearers(stub) == ["Bearer one", "Bearer one", "Bearer two"]
    assert source.asked == 2


async def test_a_401_asks_once_more_and_then_fails(stub: Any, new_caller: Any) -> None:
    source = Source(api.Token("one", 1_000), api.Token("two", 1_000), api.Token("three", 1_000))
    call = new_caller(security=source)
    stub.answer(401, content_type=None)
    stub.answer(401, {"errorCode": "VALIDATION", "errorMessage": "no"})
    with pytest.raises(api.Error):
        await call("get_server_info")
    assert _bearers(stub) == ["Bearer one", "Bearer two"]
    _info(stub)
    await call("get_server_info")
    assert _bearers(stub)[-1] == "Bearer three"


async def test_the_same_token_again_is_not_sent_again(stub: Any, new_caller: Any) -> None:
    stub.answer(401, {"errorCode": "VALIDATION", "errorMessage": "no"})
    source = Source("same")
    with pytest.raises(api.Error):
        await new_caller(security=source)("get_server_info")
    assert stub.targets == [INFO]
    assert source.asked == 2


@pytest.mark.parametrize("kind", [api.Security, api.ClientCredentials])
async def test_a_secret_of_the_moment(stub: Any, new_caller: Any, kind: Any) -> None:
    source = Source(kind("id", "old"), kind("id", "new"))
    call = new_caller(security=source)
    stub.token("one")
    stub.answer(401, content_type=None)
    stub.token("two")
    _info(stub)
    await call("get_server_info")
    secrets = [parse_qs(seen.body.decode())["client_secret"][0] for seen in stub.seen if seen.target == TOKEN]
    assert secrets == ["old", "new"]
    assert _bearers(stub) == ["Bearer one", "Bearer two"]
    _info(stub)
    await call("get_server_info")
    assert source.asked == 2, "a token that lasts needs no secret"


async def test_an_async_function(stub: Any, new_caller: Any, is_async: bool) -> None:
    async def source() -> str:
        await asyncio.sleep(0)
        return "t"

    call = new_caller(security=source)
    if is_async:
        _info(stub)
        await call("get_server_info")
        assert _bearers(stub) == ["Bearer t"]
    else:
        with pytest.raises(api.InvalidRequest, match="AsyncClient"):
            await call("get_server_info")
        assert stub.targets == []


@pytest.mark.parametrize(
    "gift",
    [None, "", "a b", "t\r\nX: 1", "\u00e9", b"t", 5, {}, api.Token(""), api.Token("a b", 5), api.Security("id", "")],
)
async def test_what_is_no_credential_is_not_sent(stub: Any, new_caller: Any, gift: Any) -> None:
    with pytest.raises(api.InvalidRequest, match="security") as caught:
        await new_caller(security=Source(gift))("cancel_event", instance_id="i")
    assert stub.targets == []
    assert "X: 1" not in str(caught.value)


async def test_what_the_function_raises_is_raised(stub: Any, new_caller: Any) -> None:
    def source() -> str:
        raise LookupError("vault is sealed")

    with pytest.raises(LookupError, match="sealed"):
        await new_caller(security=source)("get_server_info")
    assert stub.targets == []


async def test_a_header_for_calls_of_ones_own(stub: Any, new_caller: Any, is_async: bool) -> None:
    async def header(caller: Any, *scope: str) -> str | None:
        found = caller.client.authorization(*scope) if is_async else None
        return await found if found is not None else await asyncio.to_thread(caller.client.authorization, *scope)

    assert await header(new_caller()) is None
    caller = new_caller(security=api.ClientCredentials("id", "secret"))
    stub.token("reads")
    stub.token("writes")
    assert await header(caller) == await header(caller, "orchestration:read") == "Bearer reads"
    assert await header(caller, "orchestration:write") == "Bearer writes"
    _info(stub)
    await caller("get_server_info")
    assert _bearers(stub) == ["Bearer reads"]


def test_secrets_stay_out_of_texts() -> None:
    for value in (api.ClientCredentials("id", "hush"), api.Token("hush"), api.Security("id", "hush")):
        assert "hush" not in repr(value)
