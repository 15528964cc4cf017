"""`link()` to services of this process goes there directly; every other link goes elsewhere."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from headrace.effects.port import NoResponse, Request, Response
from headrace.triggers import loopback_links
from headrace.triggers.expressions import LinkRefused
from headrace.triggers.loopback_links import LoopbackLinks

URL = "http://127.0.0.1:8484"


class Services:
    """Answers every request with `response`."""

    def __init__(self, response: Response | None = None) -> None:
        self.response = response
        self.requests: list[Request] = []
        self.hangs = False

    async def send(self, request: Request) -> Response:
        self.requests.append(request)
        if self.hangs:
            await asyncio.Event().wait()
        if self.response is None:
            raise NoResponse("closed")
        return self.response

    async def close(self) -> None: ...


def json_response(body: bytes, status: int = 200) -> Response:
    return Response(status, body, {"content-type": "application/json"})


async def elsewhere(uri: str, /) -> Any:
    return f"elsewhere: {uri}"


async def test_a_link_to_a_service_is_a_read_of_it_without_its_wrapper() -> None:
    services = Services(json_response(b'{"data":{"name":"Jane"}}'))
    links = LoopbackLinks(URL, services, elsewhere)
    assert await links.fetch(f"{URL}/api/payments/v3/accounts/a%2Fb?x=1#part") == {"name": "Jane"}
    assert services.requests == [Request("payments", "GET", "/v3/accounts/a%2Fb?x=1")]
    services.response = json_response(b"[1]")
    assert await links.fetch(f"{URL}/api/ledger/v2") == [1]


@pytest.mark.parametrize(
    "uri",
    [
        f"{URL}/api/orchestration/v2/instances",
        f"{URL}/api/paymentsx/accounts/a",
        f"{URL}/api/payments",
        f"{URL}/metrics",
        f"{URL}0/api/payments/accounts/a",
        "http://127.0.0.1:8484@evil.example/api/payments/accounts/a",
        "https://127.0.0.1:8484/api/payments/accounts/a",
        "",
    ],
)
async def test_nothing_else_reaches_a_service(uri: str) -> None:
    services = Services(json_response(b"{}"))
    assert await LoopbackLinks(URL, services, elsewhere).fetch(uri) == f"elsewhere: {uri}"
    assert services.requests == []


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (json_response(b"{}", 404), "status 404"),
        (Response(200, b"hello", {"content-type": "text/plain"}), "not JSON"),
        (json_response(b"{"), "the response"),
        (json_response(b'"' + b"x" * (1 << 20) + b'"'), "more than"),
        (None, "no usable answer"),
    ],
)
async def test_an_answer_that_cannot_be_used(response: Response | None, reason: str) -> None:
    with pytest.raises(LinkRefused, match=reason):
        await LoopbackLinks(URL, Services(response), elsewhere).fetch(f"{URL}/api/payments/accounts/a")


async def test_a_service_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loopback_links, "TIMEOUT_S", 0.01)
    services = Services()
    services.hangs = True
    with pytest.raises(LinkRefused, match="no answer within"):
        await LoopbackLinks(URL, services, elsewhere).fetch(f"{URL}/api/payments/accounts/a")
