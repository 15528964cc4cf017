"""Without authentication, a page that somebody opens in a browser on this machine must not move money."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from headrace.api.app import TABLE
from headrace.api.operations import WRITE
from headrace.clock import SystemClock
from tests.api.conftest import PREFIX, WAITING, Live, served
from tests.api.test_guard import good
from tests.support.tokens import Documents, authenticator_of, published

# What browsers tell of a page elsewhere: by the newer header, by the older one, and for a page that hides its origin.
ELSEWHERE = [
    {"sec-fetch-site": "cross-site", "origin": "https://evil.example"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "cross-site", "origin": "http://HOST"},
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": "http://127.0.0.1:1"},
    {"origin": "http://HOST.evil.example"},
    {"sec-fetch-site": "same-origin", "origin": "https://evil.example"},
]
# A page of ours, an address typed in, the official TypeScript SDK.
HERE = [
    {},
    {"origin": "http://HOST"},
    {"origin": "http://localhost:8484", "host": "localhost:8484"},
    {"origin": "http://headrace.localhost", "host": "headrace.localhost"},
    {"origin": "http://[::1]:8484", "host": "[::1]:8484"},
    {"sec-fetch-site": "none"},
    {"sec-fetch-mode": "cors", "cookie": ""},
]


def _at(live: Live, headers: dict[str, str]) -> dict[str, str]:
    origin = f"http://127.0.0.1:{live.port}"
    return {name: value.replace("http://HOST", origin) for name, value in headers.items()}


@pytest.mark.parametrize("headers", ELSEWHERE)
async def test_a_page_of_another_site_writes_nothing(live: Live, headers: dict[str, str]) -> None:
    body = json.dumps(WAITING).encode()  # with no content type, as a page may send it without being asked
    for operation in TABLE:
        if operation.scope == WRITE:
            path = PREFIX + operation.path.replace("{", "").replace("}", "")
            response = await live.http.request(operation.method, path, content=body, headers=_at(live, headers))
            assert (response.status_code, response.json()["errorCode"]) == (403, "VALIDATION"), operation.operation_id
            assert "cross-site request" in response.json()["errorMessage"]
    response = await live.http.post("/api/ledger/v2/main", headers=_at(live, headers))
    assert response.status_code == 403, "the sandbox is beside the API"
    assert (await live.call("GET", "/ext/audit")).json() == {"data": []}


@pytest.mark.parametrize("headers", HERE)
async def test_programs_and_pages_of_ours_write(live: Live, headers: dict[str, str]) -> None:
    response = await live.call("POST", "/workflows", WAITING, headers=_at(live, headers))
    assert response.status_code == 201, response.text


async def test_whoever_has_a_token_says_where_it_may_be_used(tmp_path: Path) -> None:
    async with served(tmp_path, authenticator=authenticator_of(Documents(published("k1")), SystemClock())) as live:
        headers = {"authorization": f"Bearer {good()}", "origin": "https://console.example"}
        assert (await live.call("POST", "/workflows", WAITING, headers=headers)).status_code == 201
        del headers["authorization"]
        assert (await live.call("POST", "/workflows", WAITING, headers=headers)).status_code == 401


# names of other sites that lead to this machine (DNS rebinding)

FOREIGN = [
    {"host": "evil.example:8484"},
    {"host": "10.0.0.1"},
    {"host": "localhost.evil.example"},
    {"host": "127.0.0.1.evil.example"},
    {"host": "headrace"},
    {"host": "["},
    {"host": ""},
    {"host": "evil.example:8484", "sec-fetch-site": "same-origin", "origin": "http://evil.example:8484"},
    {"host": "evil.example:8484", "sec-fetch-site": "none"},
]
EVERYWHERE = [
    *(PREFIX + operation.path.replace("{", "").replace("}", "") for operation in TABLE),
    *(operation.path.replace("{", "").replace("}", "") for operation in TABLE),
    *("/", "/nowhere", "/api/ledger/v2/shop/accounts", "/api/wallets/wallets", "/api/payments/payments"),
]


@pytest.mark.parametrize("headers", FOREIGN)
@pytest.mark.asyncio(loop_scope="module")
async def test_nothing_is_read_or_written_under_a_foreign_name(shared: Live, headers: dict[str, str]) -> None:
    for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
        for path in EVERYWHERE if method == "GET" else EVERYWHERE[::7]:
            response = await shared.http.request(method, path, headers=headers)
            assert response.status_code == 403, (method, path)
            if method != "HEAD":
                assert response.json()["errorCode"] == "VALIDATION"
                assert "Host" in response.json()["errorMessage"] and "HEADRACE_ALLOWED_HOSTS" in response.text


@pytest.mark.parametrize(
    "host",
    [
        "localhost.evil", "localhost..", "evil@127.0.0.1", "127.0.0.1@evil", "[::1].evil", "[::1]evil", "[::1%25lo]",
        "[::1%lo]", "127.0.0.1/evil", "127.0.0.1?x", "127.0.0.1#x", "127.0.0.1:evil", "127.0.0.1:8:9", "127.0.0.1 evil",
        "127.0.0.1,evil", "127.1", "2130706433", "0.0.0.0", "[::]", "", "::1", "[::1", "127.0.0.1%00",
        "localhost..:8484",
    ],
)  # fmt: skip
@pytest.mark.asyncio(loop_scope="module")
async def test_what_is_no_host_is_not_a_loopback_one(shared: Live, host: str) -> None:
    assert (await shared.http.get(f"{PREFIX}/workflows", headers={"host": host})).status_code == 403


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8:1", "localhost", "LocalHost.:80", "a.localhost", "[::1]:84"])
@pytest.mark.asyncio(loop_scope="module")
async def test_loopback_names_are_read_under(shared: Live, host: str) -> None:
    assert (await shared.http.get(f"{PREFIX}/workflows", headers={"host": host})).status_code == 200


async def test_a_proxy_on_this_machine_may_keep_its_name(tmp_path: Path) -> None:
    async with served(tmp_path, allowed_hosts=("Pay.example",)) as live:
        for headers in (
            {"host": "pay.example"},
            {"host": "pay.example:443", "sec-fetch-site": "same-origin", "origin": "https://pay.example"},
            {"sec-fetch-site": "same-origin", "origin": "https://pay.example"},
        ):
            assert (await live.call("POST", "/workflows", WAITING, headers=headers)).status_code == 201
        for headers in ({"host": "evil.example"}, {"host": "x.pay.example"}, {"origin": "https://evil.example"}):
            assert (await live.call("POST", "/workflows", WAITING, headers=headers)).status_code == 403


async def test_with_authentication_any_name_will_do(tmp_path: Path) -> None:
    async with served(tmp_path, authenticator=authenticator_of(Documents(published("k1")), SystemClock())) as live:
        headers = {"authorization": f"Bearer {good()}", "host": "api.example"}
        assert (await live.http.get(f"{PREFIX}/workflows", headers=headers)).status_code == 200
