"""Row "arbitrary bytes": a real server's peak of memory, and how soon it answers, under the worst that we know of."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.server import Server

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the peak of memory is read from /proc"),
    pytest.mark.timeout(240),
]

API = "/api/orchestration"
MEGABYTE = 1 << 20
ROOM_MB = 384
"""Without bounds these take gigabytes; with them about 220 MB, and up to 280 on a machine whose threads fall behind."""
HANG_S = 10.0
"""On an idle machine each of these takes less than a third of a second; this is for a busy one."""
AT_ONCE_S = 100.0
TOGETHER = 30

EMPTIES = b"[" + b",".join([b"[]"] * (MEGABYTE // 3 - 60)) + b"]"
"""As objects it is thirty times as large."""
ENDLESS = "all(1..1000, all(1..1000, true))"


def joined(item: bytes, length: int = MEGABYTE - 200) -> bytes:
    return b"[" + b",".join([item] * (length // (len(item) + 1))) + b"]"


VALUES: dict[str, bytes] = {
    "brackets": b"[" * (MEGABYTE - 200),
    "nested objects": b'{"a":' * (MEGABYTE // 5 - 50),
    "empty lists": EMPTIES,
    "empty objects": joined(b"{}"),
    "long integers": joined(b"1" * 1_000),
    "one integer": b"1" * (MEGABYTE - 200),
    "one fraction": b"0." + b"1" * (MEGABYTE - 200),
    "floats": joined(b"1e1"),
    "keys": b"{" + b",".join(b'"%x":0' % number for number in range(MEGABYTE // 10)) + b"}",
    "escapes": b'"' + b"\\u0061" * (MEGABYTE // 6 - 40) + b'"',
    "surrogates": b'"' + b"\\ud83d\\ude00" * (MEGABYTE // 12 - 40) + b'"',
    "texts": joined(b'"\\u00e9"'),
    "a text": b'"' + b"x" * (MEGABYTE - 200) + b'"',
}


def metadata(value: str, count: int, prefix: str = "") -> bytes:
    members = {f"{prefix}{number:x}": value for number in range(count)}
    account = {"id": "a", "ledger": "main", "metadata": members}
    return json.dumps({"stages": [{"update": {"account": account}}]}, ensure_ascii=False).encode()


def waiting_for(event: str) -> bytes:
    return json.dumps({"stages": [{"wait_event": {"event": event}}]}).encode()


DEFINITIONS: dict[str, tuple[bytes, str]] = {
    "much metadata": (metadata("v", 90_000), "json"),
    "metadata of odd names": (metadata("v", 60_000, "é "), "json"),
    "many placeholders": (metadata("${a}", 60_000), "json"),
    "unknown stages": (json.dumps({"stages": [{f"{n:x}": 1 for n in range(90_000)}]}).encode(), "json"),
    "unknown members": (json.dumps({f"{n:x}": 1 for n in range(90_000)}).encode(), "json"),
    "tiny values": (joined(b"a", 250_000), "yaml"),
    "empty lists in YAML": (joined(b"[]", 250_000), "yaml"),
    "tiny lines": (b"-\n" * 130_000, "yaml"),
    "tiny members": (b"\n".join(b"%x:" % number for number in range(37_000)), "yaml"),
    "long names around tiny values": (
        (b"{" + b"k" * 64 + b": ") * 60 + joined(b"a", 250_000 - 70 * 60) + b"}" * 60,
        "yaml",
    ),
}

EVALUATIONS: dict[str, dict[str, str]] = {
    "endless variables": {f"v{number}": ENDLESS for number in range(900)},
    "large variables": {f"v{number}": "map(1..900000, 'x')" for number in range(900)},
    "gigabytes as text": {"a": "let s = repeat('x', 900000); map(1..30000, s)"},
    "concatenation": {"a": "let s = repeat('x', 500000); s + s + s + s"},
    "nested maps": {"a": "map(1..1000, map(1..1000, map(1..1000, 'x')))"},
    "splits": {"a": "split(repeat('a,', 400000), ',')"},
    "a regex": {"a": "repeat('a', 900000) matches '(a|aa|aaa)*b{1,100}$'"},
    "JSON of it": {"a": "toJSON(map(1..100000, repeat('x', 9)))"},
}


class Attacked:
    """A server, and how much its memory has grown since it was ready."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.workflow_id = self._created("/workflows", {"stages": [{"wait_event": {"event": "go"}}]})
        self.trigger_id = self.trigger(filter="event.x == 1")
        self._before_mb = self._peak_mb()

    def trigger(self, **members: Any) -> str:
        return self._created("/triggers", {"event": "E", "workflowID": self.workflow_id, **members})

    def _created(self, path: str, body: Any) -> str:
        answer = self.server.post(API + path, body)
        assert answer.status == 201, answer.body
        return answer.json["data"]["id"]

    def _peak_mb(self) -> float:
        with open(f"/proc/{self.server.pid}/status") as status:
            line = next(line for line in status if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024

    def assert_small(self, what: str) -> None:
        grown_mb = self._peak_mb() - self._before_mb
        assert grown_mb < ROOM_MB, f"{what}: {grown_mb:.0f} MB more"

    def ask(self, path: str, body: bytes, media_type: str = "application/json") -> int:
        begun_s = time.monotonic()
        headers = {"Content-Type": media_type}
        status = self.server.request("POST", API + path, body, headers=headers, timeout_s=HANG_S).status
        assert status < 500
        assert time.monotonic() - begun_s < HANG_S
        return status

    async def ask_many(self, count: int, path: str, body: bytes) -> list[bytes]:
        return await asyncio.gather(*(self._status(path, body) for _ in range(count)))

    async def _status(self, path: str, body: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.server.port)
        writer.write(head(path, len(body)) + body)
        try:
            return (await asyncio.wait_for(reader.readline(), AT_ONCE_S)).split(b" ")[1]
        finally:
            writer.close()


def head(path: str, length: int) -> bytes:
    lines = f"POST {API}{path} HTTP/1.1\r\nHost: [::1]\r\nContent-Type: application/json\r\nContent-Length: {length}"
    return f"{lines}\r\n\r\n".encode()


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Attacked]:
    with Server(tmp_path / "data") as server:
        yield Attacked(server)


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    with Server(tmp_path_factory.mktemp("attacked") / "data") as server:
        yield Attacked(server)


@pytest.mark.parametrize("name", VALUES)
def test_row_a_megabyte_of_json(attacked: Attacked, name: str) -> None:
    value = VALUES[name]
    assert attacked.ask("/workflows", value) == 400
    assert attacked.ask("/triggers", b'{"event":"E","workflowID":"w","vars":{"a":' + value + b"}}") == 400
    attacked.ask(f"/workflows/{attacked.workflow_id}/instances", b'{"a":' + value + b"}")
    attacked.ask(f"/v2/triggers/{attacked.trigger_id}/test", b'{"a":' + value + b"}")
    attacked.ask("/ext/events", b'{"type":"E","payload":{"a":' + value + b"}}")
    attacked.assert_small(name)


@pytest.mark.parametrize("name", DEFINITIONS)
def test_row_a_large_definition(attacked: Attacked, name: str) -> None:
    body, kind = DEFINITIONS[name]
    attacked.ask("/workflows", body, f"application/{kind}")
    attacked.assert_small(name)


def test_row_placeholders_of_very_many_dots(attacked: Attacked) -> None:
    for event in ("${a" + ".b" * 400_000 + "}", "".join(f"${{a.b.c.d.e.f.g.h.{n}}}" for n in range(40_000))):
        response = attacked.server.post(f"{API}/workflows", waiting_for(event))
        path = f"/workflows/{response.json['data']['id']}/instances"
        assert attacked.ask(path, json.dumps({"a": '{"b":' * 60 + "1" + "}" * 60, "a.b": "{}"}).encode()) == 400


def test_row_a_trigger_of_very_many_expressions(attacked: Attacked) -> None:
    for count, length in ((120, 4_000), (3, 4_080), (1_000, 8)):
        variables = {f"v{number}": "1" + "+1" * length for number in range(count)}
        body = {"event": "E", "workflowID": attacked.workflow_id, "vars": variables}
        attacked.ask("/triggers", json.dumps(body).encode())
    attacked.assert_small("expressions")


@pytest.mark.parametrize("name", EVALUATIONS)
def test_row_an_expression_that_would_be_very_large(attacked: Attacked, name: str) -> None:
    trigger_id = attacked.trigger(vars=EVALUATIONS[name])
    assert attacked.ask(f"/v2/triggers/{trigger_id}/test", b"{}") == 200
    attacked.assert_small(name)


async def test_row_many_large_bodies_at_once(fresh: Attacked) -> None:
    tried = await fresh.ask_many(TOGETHER, f"/v2/triggers/{fresh.trigger_id}/test", b'{"a":' + EMPTIES + b"}")
    taken = await fresh.ask_many(TOGETHER, "/ext/events", b'{"type":"E","payload":{"a":' + EMPTIES + b"}}")
    assert {*tried, *taken} <= {b"200", b"202", b"429"}
    fresh.assert_small("many large bodies")
    while not all("processedAt" in event for event in fresh.server.get(f"{API}/ext/events").json["data"]):
        await asyncio.sleep(0.1)
    fresh.assert_small("many large events")


async def test_row_very_many_bodies_that_never_end(fresh: Attacked) -> None:
    begun = head("/workflows", MEGABYTE) + b" " * (MEGABYTE - 100)
    writers: list[asyncio.StreamWriter] = []
    for _ in range(200):
        _, writer = await asyncio.open_connection("127.0.0.1", fresh.server.port)
        writers.append(writer)
        writer.write(begun)
    await asyncio.sleep(1)
    assert await asyncio.to_thread(fresh.ask, "/workflows", waiting_for("go")) == 201
    fresh.assert_small("bodies that never end")
    for writer in writers:
        writer.transport.abort()
    for writer in writers:
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
