"""The table "Hostile input", row by row, for every write of both versions, of `/ext` and of the token endpoint.

Each is asked of a server that lets everybody in and of one that asks for tokens. The matrix is made from the table of
operations: a new write fails `test_every_write_is_in_the_matrix` until it says what its body is. The rows about values
in a ledger's requests are in `test_hostile_values.py`, those about arbitrary bytes, time and memory in
`test_hostile.py` and `test_hostile_memory.py`; what comes from a bus is in `tests/events/test_consumer.py`.
"""

from __future__ import annotations

import gzip
import json
import re
import sqlite3
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from headrace.api.app import TABLE
from headrace.api.operations import Operation
from headrace.clock import SystemClock
from tests.api.conftest import PREFIX, WAITING, Live, served
from tests.support.hostile import FRAGMENTS, LONG_INTEGERS
from tests.support.tokens import APPROVE, BOTH, Documents, authenticator_of, claims_of, published, signed

pytestmark = pytest.mark.asyncio(loop_scope="module")

JSON = "application/json"
MEGABYTE = 1 << 20

TEMPLATES = {
    "createWorkflow": b'{"stages":[{"wait_event":{"event":HOLE}}]}',
    "runWorkflow": b'{"a":HOLE}',
    "sendEvent": b'{"name":HOLE}',
    "createTrigger": b'{"event":"E","workflowID":"WORKFLOW","vars":{"a":HOLE}}',
    "testTrigger": b'{"a":HOLE}',
    "createPlan": b'{"definition":{"stages":[{"wait_event":{"event":HOLE}}]}}',
    "createCertificate": b'{"instance":HOLE}',
    "createBatch": b'{"kind":"abort","instances":["none"],"reason":HOLE}',
    "startBatch": b'{"hash":HOLE}',
    "approveBatch": b'{"hash":HOLE,"reason":"r"}',
    "rejectBatch": b'{"hash":HOLE,"reason":"r"}',
    "runPlan": b'{"hash":HOLE}',
    "approvePlan": b'{"hash":HOLE,"reason":"r"}',
    "rejectPlan": b'{"hash":HOLE,"reason":"r"}',
    "replayDeadLetters": b'{"publisher":HOLE}',
    "sendEvents": b'{"type":"UNHEARD","payload":{"a":HOLE}}',
    "resolveEffect": b'{"outcome":"booked","evidence":{"text":HOLE},"reason":"r"}',
    "abortInstance": b'{"reason":HOLE}',
    "redriveInstance": b'{"reason":HOLE}',
    "undoInstance": b'{"reason":HOLE}',
    "putWorkflow": b'{"definition":{"stages":[{"wait_event":{"event":HOLE}}]}}',
    "runNamedWorkflow": b'{"a":HOLE}',
    "putTrigger": b'{"event":"E","workflowID":"WORKFLOW","vars":{"a":HOLE}}',
    "apply": b'{"workflows":{"applied":{"stages":[{"wait_event":{"event":HOLE}}]}}}',
}
NEED_AN_END = ("redriveInstance", "undoInstance")
"""The JSON that a write takes, with a hole for a value."""

NAMED = {"a lone surrogate", "a lone surrogate as a key", "an escaped NUL"}
"""Fragments that are JSON: their refusal names the field."""

TAKE_NONE = {
    *("cancelEvent", "deleteWorkflow", "deleteTrigger", "deleteNamedWorkflow"),
    *("pauseBatch", "resumeBatch", "cancelBatch"),
}
"""Writes whose body means nothing."""

TAKE_FORMS = {"getToken", "getGatewayToken"}
"""Writes that take a form; in place of one, JSON is as good as nothing."""

WRITES = [operation for operation in TABLE if operation.method not in ("GET", "HEAD")]


def base(operation: Operation) -> str:
    """Its name in V1."""
    name = operation.operation_id
    return name[2].lower() + name[3:] if name.startswith("v2") else name


JSON_WRITES = [operation for operation in WRITES if base(operation) in TEMPLATES]
DEFINITIONS = [operation for operation in WRITES if base(operation) == "createWorkflow"]
RUNS = [operation for operation in WRITES if base(operation) == "runWorkflow"]
TRIGGERS = [operation for operation in WRITES if base(operation) == "createTrigger"]


TABLES = (
    "workflows",
    "instances",
    "events",
    "triggers",
    "inbox",
    "audit",
    "caller_keys",
    "plans",
    "decisions",
    "certificates",
    "batches",
    "handles",
    "versions",
)


def by_id(operation: Operation) -> str:
    return operation.operation_id


@dataclass
class Place:
    """A server with something of everything in it."""

    live: Live
    journal_file: Path
    ids: dict[str, str]

    async def send(self, operation: Operation, body: bytes, media_type: str = JSON, **headers: str) -> httpx2.Response:
        path = re.sub(r"{(\w+)}", lambda match: self.ids[match[1]], operation.path)
        headers = {"content-type": media_type} | {name.replace("_", "-"): value for name, value in headers.items()}
        prefix = PREFIX if not path.startswith("/api/") else ""
        return await self.live.http.request(operation.method, prefix + path, content=body, headers=headers)

    def filled(self, operation: Operation, fragment: bytes) -> bytes:
        template = TEMPLATES[base(operation)].replace(b"WORKFLOW", self.ids["workflowID"].encode())
        return template.replace(b"HOLE", fragment)

    async def trial(self, source: str, payload: Any = None) -> dict[str, Any]:
        """What the test route makes of a filter."""
        body = {"event": "E", "workflowID": self.ids["workflowID"], "filter": source}
        created = await self.live.call("POST", "/triggers", body)
        assert created.status_code == 201, created.text
        response = await self.live.call("POST", f"/v2/triggers/{created.json()['data']['id']}/test", payload or {})
        return response.json()["data"]["filter"]

    def writes(self) -> list[int]:
        """How many there were of each kind."""
        connection = sqlite3.connect(self.journal_file)
        try:
            return [connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in TABLES]
        finally:
            connection.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["open", "guarded"])
async def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    folder = tmp_path_factory.mktemp(request.param)
    authenticator = None if request.param == "open" else authenticator_of(Documents(published("k1")), SystemClock())
    async with served(folder, authenticator=authenticator) as live:
        if authenticator is not None:
            assert (await live.call("GET", "/workflows")).status_code == 401
            live.http.headers["authorization"] = f"Bearer {signed(claims_of(scope=f'{BOTH} {APPROVE}'))}"
        workflow_id = await live.created(WAITING)
        ids = {"flowId": workflow_id, "workflowID": workflow_id, "instanceID": await live.started(workflow_id)}
        trigger = await live.call("POST", "/triggers", {"event": "E", "workflowID": workflow_id})
        plan = await live.call("POST", "/ext/plans", {"workflowID": workflow_id})
        ids |= {"triggerID": trigger.json()["data"]["id"], "number": "0", "position": "0"}
        ids["planID"] = plan.json()["data"]["id"]
        batch = await live.call("POST", "/ext/batches", {"kind": "abort", "instances": ["none"], "reason": "r"})
        ids["batchID"] = batch.json()["data"]["id"]
        named = await live.call("PUT", "/ext/workflows/named", {"definition": {"stages": WAITING["stages"]}})
        assert named.status_code == 201, named.text
        ids["name"] = "named"
        yield Place(live, folder / "journal.db", ids)


def assert_refused(response: httpx2.Response, status: int, says: str) -> None:
    assert (response.status_code, response.json()["errorCode"]) == (status, "VALIDATION"), response.text
    assert says in response.json()["errorMessage"]


async def test_every_write_is_in_the_matrix() -> None:
    assert {base(operation) for operation in WRITES} == {*TEMPLATES, *TAKE_NONE, *TAKE_FORMS}


@pytest.mark.parametrize("operation", JSON_WRITES, ids=by_id)
async def test_the_templates_are_good_bodies(place: Place, operation: Operation) -> None:
    """Else a matrix of refusals would prove nothing."""
    response = await place.send(operation, place.filled(operation, b'"1"'))
    # No effect needs attention, no such instance is there to certify, "1" is not the hash, the instance runs,
    # no publisher is "1", the batch is not previewed.
    unmet = {"resolveEffect": 404, "createCertificate": 404, "runPlan": 412, "startBatch": 409}
    unmet["replayDeadLetters"] = 404
    unmet |= dict.fromkeys(NEED_AN_END, 409)
    is_known = "authorization" in place.live.http.headers
    unmet |= dict.fromkeys(("approvePlan", "rejectPlan"), 412 if is_known else 403)
    unmet |= dict.fromkeys(("approveBatch", "rejectBatch"), 409 if is_known else 403)
    wanted = unmet.get(operation.operation_id, operation.status)
    assert response.status_code == wanted, response.text


# row: body over 1 MiB (YAML 256 KiB)


@pytest.mark.parametrize("operation", WRITES, ids=by_id)
async def test_row_a_body_over_a_megabyte(place: Place, operation: Operation) -> None:
    before = place.writes()
    assert_refused(await place.send(operation, b" " * (MEGABYTE + 1)), 413, "body: has more than")
    assert place.writes() == before


@pytest.mark.parametrize("operation", JSON_WRITES, ids=by_id)
async def test_row_a_body_of_a_megabyte_is_read(place: Place, operation: Operation) -> None:
    body = place.filled(operation, b"NaN")
    assert_refused(await place.send(operation, body + b" " * (MEGABYTE - len(body))), 400, "NaN is not a number")


@pytest.mark.parametrize("operation", DEFINITIONS, ids=by_id)
async def test_row_yaml_over_256_kib(place: Place, operation: Operation) -> None:
    for media_type in ("application/yaml", "text/x-yaml; charset=utf-8"):
        response = await place.send(operation, b"#" * ((256 << 10) + 1), media_type)
        assert_refused(response, 413, "body: has more than 262144 bytes")


# row: nesting, aliases, duplicate keys, NaN, Infinity, surrogates, NUL, Content-Encoding; long integers


@pytest.mark.parametrize("operation", JSON_WRITES, ids=by_id)
async def test_row_what_json_must_not_hold(place: Place, operation: Operation) -> None:
    before = place.writes()
    of_events = base(operation) in {"sendEvents", "testTrigger"}
    for name, (fragment, says) in FRAGMENTS.items():
        if of_events and name in LONG_INTEGERS:
            continue
        response = await place.send(operation, place.filled(operation, fragment))
        assert_refused(response, 400, says)
        where = response.json()["errorMessage"].partition(": ")[0]
        assert (where == "body") != (name in NAMED), (name, where)
    assert place.writes() == before


@pytest.mark.parametrize("operation", DEFINITIONS, ids=by_id)
@pytest.mark.parametrize(
    ("value", "says"),
    [
        (b"[" * 65 + b"]" * 65, "nested more than 64"),
        (b"&a [1]", "anchor"),
        (b"*a", "alias"),
        (b"{a: 1, a: 2}", "'a' twice"),
        (b"!!python/object/apply:os.system [id]", "tag"),
        (b"!!binary aGk=", "tag"),
        (b'"\\0"', "NUL"),
        (b'"\\ud800"', "body"),
        (b"\x00", "body"),
        (b"\xff", "UTF-8"),
        (b"1" * 1_001, "1000 digits"),
        (b"{<<: {a: 1}}", "body"),
        (b".nan", "body"),
        (b".inf", "body"),
    ],
    ids=range(14),
)
async def test_row_what_yaml_must_not_hold(place: Place, operation: Operation, value: bytes, says: str) -> None:
    """`.nan` and `<<` are texts here, and none that this place takes."""
    body = b"stages:\n  - update: {account: {id: a, ledger: main, metadata: {a: 1}}}\n    wait: " + value + b"\n"
    response = await place.send(operation, body, "application/yaml")
    assert_refused(response, 400, says if says != "body" else "")


@pytest.mark.parametrize("operation", WRITES, ids=by_id)
async def test_row_content_encoding(place: Place, operation: Operation) -> None:
    before = place.writes()
    for encoding in ("gzip", "br", "deflate, gzip", "GZIP", "x"):
        response = await place.send(operation, gzip.compress(b"{}"), content_encoding=encoding)
        assert_refused(response, 415, "Content-Encoding")
    assert place.writes() == before
    if operation in JSON_WRITES:
        assert_refused(await place.send(operation, gzip.compress(b"{}")), 400, "body: is not UTF-8")


@pytest.mark.parametrize("operation", JSON_WRITES, ids=by_id)
async def test_row_media_types_and_charsets(place: Place, operation: Operation) -> None:
    body = place.filled(operation, b'"1"')
    for media_type in ("text/plain", "multipart/form-data", "application/json; charset=utf-16"):
        assert_refused(await place.send(operation, body, media_type), 415, "Content-Type")
    if operation not in DEFINITIONS:
        assert_refused(await place.send(operation, body, "application/yaml"), 415, "application/json")


# row: floats as amounts


@pytest.mark.parametrize("operation", DEFINITIONS, ids=by_id)
@pytest.mark.parametrize("amount", ["1.5", "1e3", "100.0", "-1", '"1.5"', '"1e3"', '"-1"', '"01"', '"\uff11"', "true"])
async def test_row_amounts_that_are_none(place: Place, operation: Operation, amount: str) -> None:
    parties = '"source":{"account":{"id":"a","ledger":"main"}},"destination":{"account":{"id":"b","ledger":"main"}}'
    body = f'{{"stages":[{{"send":{{{parties},"amount":{{"amount":{amount},"asset":"USD/2"}}}}}}]}}'
    assert_refused(await place.send(operation, body.encode()), 400, "stages[0].send.amount.amount: ")


# row: 1,000 stages, 1,000 variables, 64 KiB per variable


@pytest.mark.parametrize("operation", DEFINITIONS, ids=by_id)
async def test_row_too_many_stages(place: Place, operation: Operation) -> None:
    stages = {"stages": WAITING["stages"] * 1_001}
    assert_refused(await place.send(operation, json.dumps(stages).encode()), 400, "stages: at most 1000 stages")


@pytest.mark.parametrize("operation", RUNS, ids=by_id)
async def test_row_too_many_and_too_large_variables(place: Place, operation: Operation) -> None:
    many = json.dumps({f"v{number}": "" for number in range(1_001)}).encode()
    assert_refused(await place.send(operation, many), 400, "variables: at most 1000")
    for value in ("x" * 65_537, "é" * 32_769):
        assert_refused(await place.send(operation, json.dumps({"order": value}).encode()), 400, "order: ")


@pytest.mark.parametrize("operation", TRIGGERS, ids=by_id)
async def test_row_too_many_variables_of_a_trigger(place: Place, operation: Operation) -> None:
    body = {"event": "E", "workflowID": place.ids["workflowID"], "vars": {f"v{number}": "1" for number in range(1_001)}}
    assert_refused(await place.send(operation, json.dumps(body).encode()), 400, "vars: has more than 1000")


# row: trigger expressions, at creation and at run time


@pytest.mark.parametrize("operation", TRIGGERS, ids=by_id)
@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("1" + " " * 8_192, "more than 8192 bytes"),
        ("'" + "é" * 4_096 + "'", "more than 8192 bytes"),
        ("(" * 400 + "1" + ")" * 400, "nested"),
        ("!" * 8_000 + "true", "nested"),
        ("event.a +", "unexpected"),
        ("''.__class__", "__class__"),
        ("evnt.a", "unknown name"),
        ("'a' matches '('", "parsing regexp"),
        ("'a' matches '(?=a)'", "parsing regexp"),
        ("'a' matches '" + "a{1000}" * 100 + "'", "patterns of the expression are too large"),
    ],
    ids=range(10),
)
async def test_row_expressions_at_creation(place: Place, operation: Operation, source: str, says: str) -> None:
    for member, path in (({"filter": source}, "filter: "), ({"vars": {"a": source}}, "vars.a: ")):
        body = {"event": "E", "workflowID": place.ids["workflowID"], **member}
        response = await place.send(operation, json.dumps(body).encode())
        assert_refused(response, 400, says)
        assert response.json()["errorMessage"].startswith(path)


BUDGETS = [
    "all(1..1000, all(1..1000, all(1..1000, true)))",
    "len(map(1..1000, map(1..1000, 1))) > 0",
    "len(repeat('x', 900000) + repeat('y', 900000)) > 0",
    "reduce(1..1000000, #acc + #, 0) > 0",
]


@pytest.mark.parametrize("source", BUDGETS, ids=range(len(BUDGETS)))
async def test_row_expressions_at_run_time(place: Place, source: str) -> None:
    """Over its budget: the test route says so, an event leaves a failed occurrence, and nobody else waits."""
    begun_s = time.monotonic()
    assert "budget" in (await place.trial(source))["error"]
    assert time.monotonic() - begun_s < 5, "a tenth of a second, and what else the machine does"
    body = {"event": "OVER", "workflowID": place.ids["workflowID"], "filter": source}
    created = (await place.live.call("POST", "/triggers", body)).json()["data"]["id"]
    response = await place.live.call("POST", "/ext/events", {"type": "OVER", "payload": {}})
    assert response.status_code == 202
    await place.live.dispatcher.idle()
    (occurrence,) = (await place.live.call("GET", f"/triggers/{created}/occurrences")).json()["data"]
    assert occurrence["error"].startswith("filter: ") and "budget" in occurrence["error"]
    await place.live.call("DELETE", f"/triggers/{created}")


# row: regexes that backtrack


@pytest.mark.parametrize("pattern", ["(a+)+$", "^(a|a)*$", "(a*)*b", "^(a?){25}a{25}$", "(.*)*\\\\d"])
async def test_row_a_regex_that_backtracks(place: Place, pattern: str) -> None:
    begun_s = time.monotonic()
    found = await place.trial(f"event.text matches '{pattern}'", {"text": "a" * 5_000 + "!"})
    assert found == {"match": False}
    assert time.monotonic() - begun_s < 1, "one that tries again and again would never end"


# row: names of Python


@pytest.mark.parametrize(
    "source",
    [
        "event.__class__ == nil",
        "event.text.__class__ == nil",
        "event['__class__'] == nil",
        "event.text == '{0.__init__}'",
        "event.text == '%(a)s'",
        "get(event, '__globals__') == nil",
    ],
)
async def test_row_nothing_of_python_is_reachable(place: Place, source: str) -> None:
    found = await place.trial(source, {"text": "{0.__init__}", "__class__": None})
    assert found.get("match") is (None if "error" in found else "%" not in source), found
    for name in ("__import__('os')", "open('/etc/passwd')", "eval('1')", "event.text.format(event)", "lambda: 1"):
        body = {"event": "E", "workflowID": place.ids["workflowID"], "filter": name}
        response = await place.live.call("POST", "/triggers", body)
        if response.status_code == 201:
            assert "error" in await place.trial(name, {"text": "x"})
        else:
            assert_refused(response, 400, "filter: ")
