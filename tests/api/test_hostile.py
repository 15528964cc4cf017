"""Hostile input gets a 4xx that names the reason; nothing gets a 5xx (reliability, "Hostile input")."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import re
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.api.app import TABLE
from headrace.api.http_protocol import MAX_HEAD_BYTES
from tests.api.conftest import PREFIX, WAITING, Live

pytestmark = pytest.mark.asyncio(loop_scope="module")

JSON = {"content-type": "application/json"}
YAML = {"content-type": "application/yaml"}
HANG_S = 10.0
"""What nothing takes, on however busy a machine."""


def wait_event(body: Any) -> dict[str, Any]:
    return {"stages": [{"wait_event": body}]}


def deep(depth: int) -> bytes:
    return b'{"stages":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


@pytest.mark.parametrize(
    ("body", "headers", "status", "says"),
    [
        (b"", {}, 400, "must be a workflow"),
        (b"null", JSON, 400, "must be a workflow"),
        (b"[]", JSON, 400, "a workflow is an object"),
        (b'"x"', JSON, 400, "a workflow is an object"),
        (b"{", JSON, 400, "is not JSON"),
        (b"\x00", JSON, 400, "is not JSON"),
        (b"\xff\xfe", JSON, 400, "is not UTF-8"),
        (b"{}", JSON, 400, "stages"),
        (b'{"stages":null}', JSON, 400, "stages"),
        (b'{"stages":[]}', JSON, 400, "stages: must not be empty"),
        (b'{"stages":{}}', JSON, 400, "stages: must be a list"),
        (b'{"stages":[1]}', JSON, 400, "stages[0]"),
        (b'{"stages":[{}]}', JSON, 400, "stages[0]"),
        (b'{"stages":[{"nap":{}}]}', JSON, 400, "stages[0].nap"),
        (b'{"stages":[{"wait_event":{"event":"a"},"delay":{"duration":"1s"}}]}', JSON, 400, "exactly one"),
        (b'{"stages":[{"wait_event":{"event":"a","event":"b"}}]}', JSON, 400, "'event' twice"),
        (b'{"stages":[{"delay":{"duration":NaN}}]}', JSON, 400, "NaN is not a number"),
        (b'{"stages":[{"delay":{"duration":1e999}}]}', JSON, 400, "out of range"),
        (b'{"stages":[{"wait_event":{"event":"\\ud800"}}]}', JSON, 400, "lone surrogate"),
        (b'{"stages":[{"wait_event":{"event":"\\u0000"}}]}', JSON, 400, "NUL"),
        (b'{"name":5,"stages":[{"wait_event":{"event":"a"}}]}', JSON, 400, "name"),
        (b'{"stage":1,"stages":[{"wait_event":{"event":"a"}}]}', JSON, 400, "stage"),
        (deep(65), JSON, 400, "nested more than 64"),
        (deep(100_000), JSON, 400, "nested more than 64"),
        (json.dumps({"stages": WAITING["stages"] * 1_001}).encode(), JSON, 400, "1000"),
        (b'{"a":' + b"1" * 1_001 + b"}", JSON, 400, "1000 digits"),
        (b" " * (1 << 20) + b"{}", JSON, 413, "1048576 bytes"),
        (b"#" * ((256 << 10) + 1), YAML, 413, "262144 bytes"),
        (b"a: &x [*x]", YAML, 400, "anchor"),
        (b"a: 1\na: 2", YAML, 400, "'a' twice"),
        (b"stages: [wait_event: {event: !!str x}]", YAML, 400, "tag"),
        (b"[" * 100_000, YAML, 400, "nest"),
        (gzip.compress(b"{}", mtime=0), {**JSON, "content-encoding": "gzip"}, 415, "Content-Encoding"),
        (b"{}", {**JSON, "content-encoding": "br"}, 415, "Content-Encoding"),
        (b"{}", {"content-type": "text/plain"}, 415, "application/json"),
        (b"{}", {"content-type": "application/x-www-form-urlencoded"}, 415, "application/json"),
        (b"{}", {"content-type": "application/json; charset=utf-16"}, 415, "charset"),
        (b"{}", {"content-type": "application/json; charset=latin1"}, 415, "charset"),
    ],
)
async def test_definitions(shared: Live, body: bytes, headers: dict[str, str], status: int, says: str) -> None:
    response = await shared.call("POST", "/workflows", content=body, headers=headers)
    assert response.status_code == status, response.text
    assert says in response.json()["errorMessage"]


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b"[]", 400, ""),
        (b'{"a":null}', 400, "a"),
        (b'{"a":{}}', 400, "a"),
        (b'{"a":["x"]}', 400, "a"),
        (b'{"a":"\\u0000"}', 400, "NUL"),
        (b'{"a":"1","a":"2"}', 400, "'a' twice"),
        (json.dumps({f"v{index}": "" for index in range(1_001)}).encode(), 400, "1000"),
        (json.dumps({"a": "x" * (64 * 1_024 + 1)}).encode(), 400, "a"),
        (b'{"a":"' + b"x" * (1 << 20) + b'"}', 413, "1048576 bytes"),
        (b"a: 1", 400, "is not JSON"),
    ],
)
async def test_variables(shared: Live, body: bytes, status: int, says: str) -> None:
    workflow_id = await shared.created(WAITING)
    response = await shared.call("POST", f"/workflows/{workflow_id}/instances", content=body, headers=JSON)
    assert (response.status_code, says in response.json()["errorMessage"]) == (status, True), response.text
    assert (await shared.call("GET", f"/instances?workflowID={workflow_id}")).json() == {"data": []}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"name":null}',
        b'{"name":1}',
        b'{"name":""}',
        b'{"name":"%s"}' % (b"x" * 1_025),
        b"{",
    ],
)
async def test_events(shared: Live, body: bytes) -> None:
    instance_id = await shared.started(await shared.created(WAITING))
    response = await shared.call("POST", f"/instances/{instance_id}/events", content=body, headers=JSON)
    assert response.status_code == 400, response.text
    assert "name" in response.json()["errorMessage"] or "JSON" in response.json()["errorMessage"]


async def test_a_body_without_a_length_is_cut_off_at_the_limit(shared: Live) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(64):
            yield b" " * 65_536

    response = await shared.http.post(f"{PREFIX}/workflows", content=endless(), headers=JSON)
    assert response.status_code == 413


async def test_a_body_that_is_announced_too_long_is_not_waited_for(shared: Live) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", shared.port)
    head = f"POST {PREFIX}/workflows HTTP/1.1\r\nHost: [::1]\r\nContent-Length: 99999999\r\n\r\n"
    writer.write(head.encode())
    answer = await reader.readuntil(b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413")
    writer.close()
    await writer.wait_closed()


async def test_a_caller_who_goes_away_in_the_middle_of_a_body(shared: Live) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", shared.port)
    writer.write(f"POST {PREFIX}/workflows HTTP/1.1\r\nHost: [::1]\r\nContent-Length: 1000\r\n\r\n{{".encode())
    await writer.drain()
    writer.write_eof()
    writer.close()
    await writer.wait_closed()
    assert await reader.read() == b""
    assert (await shared.http.get("/livez")).status_code == 200


OPERATIONS = [*((row.method, row.path) for row in TABLE), ("GET", "/{any}"), ("PATCH", "/v2/{any}/{any}")]
WORDS = [
    *("stages", "send", "wait_event", "delay", "update", "name", "event", "workflowID", "filter", "vars", "version"),
    *("type", "app", "payload", "id", "date", "ledger", "links", "account", "metadata", "amount"),
]
SOURCES = ["event.a", "event.links", "link(event, 'x')", "1 / 0", "'a' matches event.a", "string(event)", "len(event)"]
JSONISH = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(SOURCES),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner),
    max_leaves=12,
)
BODIES = st.one_of(
    st.binary(max_size=300),
    JSONISH.map(lambda value: json.dumps(value).encode()),
    st.text("{}[]:,\"'&*!|>-? \n\\u0d8abc", max_size=60).map(str.encode),
    st.builds(
        lambda payload: json.dumps({"type": "ARBITRARY", "payload": payload}).encode(),
        st.dictionaries(st.text(), JSONISH),
    ),
)
MEDIA = ["application/json", "application/yaml", "text/plain", "", "application/json; charset=x", "\u00ff"]
SEGMENTS = st.text(st.characters(exclude_characters="/?#", exclude_categories=["Cs"]), min_size=1, max_size=12)
RAW = st.binary(max_size=12).map(lambda raw: raw.replace(b"\r", b"").replace(b"\n", b"").replace(b"\0", b""))
HEADERS = st.dictionaries(
    st.sampled_from(
        ["idempotency-key", "headrace-depth", "headrace-event", "content-encoding", "authorization", "content-length"]
    ),
    RAW,
    max_size=2,
)
QUERIES = st.dictionaries(
    st.sampled_from(["cursor", "pageSize", "running", "wait", "name", "workflowID", "before", "limit", "target"]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(["1", "true", "0", "-1"]),
    max_size=2,
)
ARBITRARY_REQUEST = st.fixed_dictionaries(
    {
        "operation": st.sampled_from(OPERATIONS),
        "ids": st.lists(st.none() | SEGMENTS, min_size=2, max_size=2),
        "query": QUERIES,
        "body": BODIES,
        "media": st.sampled_from(MEDIA),
        "headers": HEADERS,
    }
)


@given(st.lists(ARBITRARY_REQUEST, min_size=1, max_size=20))
@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
async def test_row_arbitrary_bytes_is_never_a_5xx(shared: Live, requests: list[Any]) -> None:
    """Every operation of both versions, of `/ext` and of the token endpoint, half of the time with ids that exist.

    In the process: what a handler raises by mistake is raised here, and header values may be anything.
    """
    workflow_id = await shared.created(WAITING)
    trigger = {"event": "ARBITRARY", "workflowID": workflow_id, "vars": {"a": "event.a"}}
    ids = {
        "workflowID": workflow_id,
        "flowId": workflow_id,
        "instanceID": await shared.started(workflow_id),
        "triggerID": (await shared.call("POST", "/triggers", trigger)).json()["data"]["id"],
        "number": "0",
        "position": "0",
    }
    transport = httpx2.ASGITransport(app=shared.app, raise_app_exceptions=True)
    async with httpx2.AsyncClient(transport=transport, base_url="http://x") as client:
        for request in requests:
            await _serve_one(client, request, ids)


async def _serve_one(client: httpx2.AsyncClient, request: dict[str, Any], ids: dict[str, str]) -> None:
    method, path = request["operation"]
    for name, text in zip(re.findall(r"{\w+}", path), request["ids"], strict=False):
        found = ids.get(name[1:-1], "any") if text is None else quote(text, safe="")
        path = path.replace(name, found, 1)
    headers = [(b"content-type", request["media"].encode("latin-1"))]
    headers += [(name.encode(), value) for name, value in request["headers"].items()]
    response = await client.request(
        method, path, params=request["query"], content=request["body"], headers=headers, timeout=HANG_S
    )
    assert response.status_code < 500, (request, response.text)


@pytest.mark.parametrize(
    "raw",
    [
        b"\x00\x01\x02\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /%zz HTTP/1.1\r\nHost: [::1]\r\n\r\n",
        b"GET /%ff%fe HTTP/1.1\r\nHost: [::1]\r\n\r\n",
        b"GET /workflows/%ed%a0%80 HTTP/1.1\r\nHost: [::1]\r\n\r\n",
        b"GET /../../etc/passwd HTTP/1.1\r\nHost: [::1]\r\n\r\n",
        b"GET //workflows HTTP/1.1\r\nHost: [::1]\r\n\r\n",
        b"GET * HTTP/1.1\r\nHost: [::1]\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: [::1]\r\n\r\n",
        b"GET http://other.example/workflows HTTP/1.1\r\nHost: [::1]\r\n\r\n",
        b"GET /workflows?%zz&=&a=%ff HTTP/1.1\r\nHost: [::1]\r\n\r\n",
        b"GET /instances?running=%00 HTTP/1.1\r\nHost: [::1]\r\n\r\n",
        b"TRACE /workflows HTTP/1.1\r\nHost: [::1]\r\n\r\n",
        b"POST /workflows HTTP/1.1\r\nHost: [::1]\r\nContent-Length: -1\r\n\r\n",
        b"POST /workflows HTTP/1.1\r\nHost: [::1]\r\nContent-Length: abc\r\n\r\n",
        b"POST /workflows HTTP/1.1\r\nHost: [::1]\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        b"POST /workflows HTTP/1.1\r\nHost: [::1]\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /workflows HTTP/1.1\r\nHost: [::1]\r\nContent-Type: \xff\xfe\r\nContent-Length: 2\r\n\r\n{}",
        b"GET /workflows HTTP/1.1\r\nHost: [::1]\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"GET /" + b"a" * 60_000 + b" HTTP/1.1\r\nHost: [::1]\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: [::1]\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"POST /workflows HTTP/1.1\r\nHost: [::1]\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: [::1]\r\n\r\n" * 500,
    ],
)
async def test_raw_bytes(shared: Live, raw: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", shared.port)
    writer.write(raw)
    writer.write_eof()
    answer = await asyncio.wait_for(reader.read(), 10)
    assert answer.startswith((b"HTTP/1.1 2", b"HTTP/1.1 4")) or answer == b"", answer[:200]
    writer.close()
    await writer.wait_closed()
    assert (await shared.http.get("/livez")).status_code == 200


ENDLESS = {
    "an address": (b"GET /", b"a" * 65_536),
    "a query": (b"GET /livez?", b"a=1&" * 16_384),
    "one header": (b"GET /livez HTTP/1.1\r\nHost: [::1]\r\nx: ", b"y" * 65_536),
    "one header's name": (b"GET /livez HTTP/1.1\r\nHost: [::1]\r\n", b"y" * 65_536),
    "many headers": (b"GET /livez HTTP/1.1\r\nHost: [::1]\r\n", b"x: y\r\n" * 8_192),
    "an extension of a chunk": (
        b"POST /api/orchestration/workflows HTTP/1.1\r\nHost: [::1]\r\nTransfer-Encoding: chunked\r\n\r\n1;x=",
        b"y" * 65_536,
    ),
    "a trailer": (
        b"POST /workflows HTTP/1.1\r\nHost: [::1]\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nx: ",
        b"y" * 65_536,
    ),
}


@pytest.mark.parametrize("name", ENDLESS)
async def test_what_comes_before_and_between_the_parts_of_a_body_ends(shared: Live, name: str) -> None:
    """Nobody has been admitted yet: without an end it would fill the memory, more slowly from piece to piece."""
    first, more = ENDLESS[name]
    reader, writer = await asyncio.open_connection("127.0.0.1", shared.port)
    writer.write(first)
    sent = 0
    with contextlib.suppress(ConnectionError):
        while sent < 32 * MAX_HEAD_BYTES and not reader.at_eof():
            writer.write(more)
            sent += len(more)
            await writer.drain()
            await asyncio.sleep(0)
        await asyncio.wait_for(reader.read(), HANG_S)
    assert sent < 32 * MAX_HEAD_BYTES, "it was taken without an end"
    writer.close()
    assert (await shared.http.get("/livez")).status_code == 200


async def test_a_head_that_is_too_long_is_told_so(shared: Live) -> None:
    for head in (
        b"GET /%s HTTP/1.1\r\nHost: [::1]\r\n\r\n" % (b"a" * 70_000),
        b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 40_000,
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", shared.port)
        writer.write(head)
        answer = await asyncio.wait_for(reader.readuntil(b"}"), HANG_S)
        assert answer.startswith(b"HTTP/1.1 431 ") and b"headers: have more than 65536 bytes" in answer
        writer.close()
    headers = {f"x-{number}": "y" * 100 for number in range(500)}
    assert (await shared.http.get("/livez", headers=headers)).status_code == 200


async def test_a_slow_body_ends_and_holds_up_nobody(shared: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.api.requests.BODY_S", 0.3)
    reader, writer = await asyncio.open_connection("127.0.0.1", shared.port)
    writer.write(f"POST {PREFIX}/workflows HTTP/1.1\r\nHost: [::1]\r\nContent-Length: 1000\r\n\r\n{{".encode())
    assert (await shared.call("POST", "/workflows", WAITING)).status_code == 201
    answer = await asyncio.wait_for(reader.read(), HANG_S)
    assert answer.startswith(b"HTTP/1.1 408 ") and b"body: was not complete within 0.3 s" in answer
    writer.close()


async def test_large_bodies_share_room_and_small_ones_always_have_some(
    shared: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace.api.body_budget.MAX_HELD_BYTES", 2_000_000)
    head = f"POST {PREFIX}/workflows HTTP/1.1\r\nHost: [::1]\r\nContent-Length: 1000000\r\n\r\n".encode()
    writers: list[asyncio.StreamWriter] = []
    for _ in range(2):
        _, writer = await asyncio.open_connection("127.0.0.1", shared.port)
        writers.append(writer)
        writer.write(head + b" " * 990_000)
        await writer.drain()
    response = await _refused_for_room(shared)
    assert response.headers["retry-after"] == "1"
    assert response.json()["errorMessage"].startswith("body: too many large bodies")
    assert (await shared.call("POST", "/workflows", WAITING)).status_code == 201
    for writer in writers:
        writer.close()
    while (await shared.http.post(f"{PREFIX}/workflows", content=b" " * 500_000)).status_code == 429:
        await asyncio.sleep(0.01)


async def _refused_for_room(shared: Live) -> httpx2.Response:
    """Once the others have arrived."""
    while True:
        response = await shared.http.post(f"{PREFIX}/workflows", content=b" " * 500_000)
        if response.status_code == 429:
            return response
        await asyncio.sleep(0.01)
