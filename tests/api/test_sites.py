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
from tests.support.tokens import Documents, door_of, published

# What browsers tell of a page elsewhere: by the newer header, by the older one, and for a page that hides its origin.
ELSEWHERE = [
    {"sec-fetch-site": "cross-site", "origin": "https://evil.example"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "cross-site", "origin": "http://HOST"},
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": "http://127.0.0.1:1"},
    {"origin": "http://HOST.evil.example"},
    # A name of theirs that leads to this machine, so that a browser takes our answers for theirs.
    {"origin": "http://evil.example:8484", "host": "evil.example:8484"},
    {"origin": "http://10.0.0.1", "host": "10.0.0.1"},
    {"origin": "http://[", "host": "["},
]
# A page of ours, a proxy's page whose name the proxy keeps to itself, an address typed in, the official TypeScript SDK.
HERE = [
    {},
    {"origin": "http://HOST"},
    {"origin": "http://localhost:8484", "host": "localhost:8484"},
    {"origin": "http://headrace.localhost", "host": "headrace.localhost"},
    {"origin": "http://[::1]:8484", "host": "[::1]:8484"},
    {"host": "headrace"},
    {"sec-fetch-site": "same-origin", "origin": "https://pay.example", "host": "pay.example"},
    {"sec-fetch-site": "same-origin", "origin": "https://pay.example"},
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
            reply = await live.http.request(operation.method, path, content=body, headers=_at(live, headers))
            assert (reply.status_code, reply.json()["errorCode"]) == (403, "VALIDATION"), operation.operation_id
            assert "another site" in reply.json()["errorMessage"]
    reply = await live.http.post("/api/ledger/v2/main", headers=_at(live, headers))
    assert reply.status_code == 403, "the sandbox is beside the API"
    assert (await live.call("GET", "/ext/audit")).json() == {"data": []}


@pytest.mark.parametrize("headers", HERE)
async def test_programs_and_pages_of_ours_write(live: Live, headers: dict[str, str]) -> None:
    reply = await live.call("POST", "/workflows", WAITING, headers=_at(live, headers))
    assert reply.status_code == 201, reply.text


async def test_whoever_has_a_token_says_where_it_may_be_used(tmp_path: Path) -> None:
    async with served(tmp_path, door=door_of(Documents(published("k1")), SystemClock())) as live:
        headers = {"authorization": f"Bearer {good()}", "origin": "https://console.example"}
        assert (await live.call("POST", "/workflows", WAITING, headers=headers)).status_code == 201
        del headers["authorization"]
        assert (await live.call("POST", "/workflows", WAITING, headers=headers)).status_code == 401
