"""Hostile input gets a 4xx that names the reason; nothing gets a 5xx (reliability, "Hostile input")."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.api.conftest import PREFIX, WAITING, Live

pytestmark = pytest.mark.asyncio(loop_scope="module")

JSON = {"content-type": "application/json"}
YAML = {"content-type": "application/yaml"}


def wait_event(body: Any) -> dict[str, Any]:
    return {"stages": [{"wait_event": body}]}


def deep(depth: int) -> bytes:
    return b'{"stages":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


@pytest.mark.parametrize(
    ("body", "headers", "status", "says"),
    [
        (b"", {}, 400, "a workflow is wanted"),
        (b"null", JSON, 400, "a workflow is wanted"),
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
        (b'{"stages":[{"delay":{"duration":NaN}}]}', JSON, 400, "NaN is no number"),
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
        (gzip.compress(b"{}"), {**JSON, "content-encoding": "gzip"}, 415, "Content-Encoding"),
        (b"{}", {**JSON, "content-encoding": "br"}, 415, "Content-Encoding"),
        (b"{}", {"content-type": "text/plain"}, 415, "application/json"),
        (b"{}", {"content-type": "application/x-www-form-urlencoded"}, 415, "application/json"),
        (b"{}", {"content-type": "application/json; charset=utf-16"}, 415, "charset"),
        (b"{}", {"content-type": "application/json; charset=latin1"}, 415, "charset"),
    ],
)
async def test_definitions(shared: Live, body: bytes, headers: dict[str, str], status: int, says: str) -> None:
    reply = await shared.call("POST", "/workflows", content=body, headers=headers)
    assert reply.status_code == status, reply.text
    assert says in reply.json()["errorMessage"]


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
    reply = await shared.call("POST", f"/workflows/{workflow_id}/instances", content=body, headers=JSON)
    assert (reply.status_code, says in reply.json()["errorMessage"]) == (status, True), reply.text
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
    reply = await shared.call("POST", f"/instances/{instance_id}/events", content=body, headers=JSON)
    assert reply.status_code == 400, reply.text
    assert "name" in reply.json()["errorMessage"] or "JSON" in reply.json()["errorMessage"]


async def test_a_body_without_a_length_is_cut_off_at_the_limit(shared: Live) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(64):
            yield b" " * 65_536

    reply = await shared.http.post(f"{PREFIX}/workflows", content=endless(), headers=JSON)
    assert reply.status_code == 413


async def test_a_body_that_is_announced_too_long_is_not_waited_for(shared: Live) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", shared.port)
    head = f"POST {PREFIX}/workflows HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n"
    writer.write(head.encode())
    answer = await reader.readuntil(b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413")
    writer.close()
    await writer.wait_closed()


async def test_a_caller_who_goes_away_in_the_middle_of_a_body(shared: Live) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", shared.port)
    writer.write(f"POST {PREFIX}/workflows HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{{".encode())
    await writer.drain()
    writer.write_eof()
    writer.close()
    await writer.wait_closed()
    assert await reader.read() == b""
    assert (await shared.http.get("/livez")).status_code == 200


PATHS = [
    ("GET", "/workflows"),
    ("POST", "/workflows"),
    ("GET", "/workflows/%s"),
    ("DELETE", "/workflows/%s"),
    ("POST", "/workflows/%s/instances"),
    ("GET", "/instances"),
    ("GET", "/instances/%s"),
    ("POST", "/instances/%s/events"),
    ("PUT", "/instances/%s/abort"),
    ("GET", "/instances/%s/history"),
    ("GET", "/instances/%s/stages/%s/history"),
    ("POST", "/oauth/token"),
    ("GET", "/%s"),
]
JSONISH = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["stages", "send", "wait_event", "delay", "update", "name", "event"]), inner)
    ),
    max_leaves=12,
)
BODIES = st.one_of(
    st.binary(max_size=300),
    JSONISH.map(lambda value: json.dumps(value).encode()),
    st.text("{}[]:,\"'&*!|>-? \n\\u0d8abc", max_size=60).map(str.encode),
)
MEDIA = st.sampled_from(
    ["application/json", "application/yaml", "text/plain", "", "application/json; charset=x", "\u00ff"]
)
SEGMENTS = st.text(st.characters(exclude_characters="/?#", exclude_categories=["Cs"]), min_size=1, max_size=12)
KEYS = st.none() | st.binary(max_size=12).map(
    lambda raw: raw.replace(b"\r", b"").replace(b"\n", b"").replace(b"\0", b"")
)


SOUP = st.tuples(st.sampled_from(PATHS), st.lists(SEGMENTS, min_size=2, max_size=2), BODIES, MEDIA, KEYS)


@given(st.lists(SOUP, min_size=1, max_size=20))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
async def test_byte_soup_is_never_a_5xx(shared: Live, requests: list[Any]) -> None:
    """In the process: what a handler raises by mistake is raised here, and header values may be anything."""
    transport = httpx2.ASGITransport(app=shared.app, raise_app_exceptions=True)
    async with httpx2.AsyncClient(transport=transport, base_url="http://x") as client:
        for (method, path), segments, body, media, key in requests:
            filled = path % tuple(quote(segment, safe="") for segment in segments[: path.count("%s")])
            await _serve_one(client, method, filled, body, media, key)


async def _serve_one(
    client: httpx2.AsyncClient, method: str, path: str, body: bytes, media: str, key: bytes | None
) -> None:
    headers = [(b"content-type", media.encode("latin-1"))]
    if key is not None:
        headers.append((b"idempotency-key", key))
    reply = await client.request(method, path, content=body, headers=headers)
    assert reply.status_code < 500, (method, path, body, reply.text)


@pytest.mark.parametrize(
    "raw",
    [
        b"\x00\x01\x02\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /%ff%fe HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /workflows/%ed%a0%80 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET //workflows HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET * HTTP/1.1\r\nHost: x\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET http://other.example/workflows HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /workflows?%zz&=&a=%ff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /instances?running=%00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"TRACE /workflows HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /workflows HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /workflows HTTP/1.1\r\nHost: x\r\nContent-Length: abc\r\n\r\n",
        b"POST /workflows HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        b"POST /workflows HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /workflows HTTP/1.1\r\nHost: x\r\nContent-Type: \xff\xfe\r\nContent-Length: 2\r\n\r\n{}",
        b"GET /workflows HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"GET /" + b"a" * 60_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
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
