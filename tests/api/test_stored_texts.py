"""Every text that the API stores, on both databases: with the longest value it accepts, and with a NUL character.

PostgreSQL refuses NUL in a text and an index entry of more than about 2,700 bytes; SQLite has neither limit. A caller
must not learn from a response which database is behind the API.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from hashlib import shake_128
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import pytest_asyncio

from headrace.api.app import TABLE
from headrace.api.operations import Operation
from headrace.auth.verifier import MAX_NAME_CHARACTERS as MAX_NAME
from headrace.clock import SystemClock
from headrace.events import identity
from headrace.events.envelope import MAX_ID_CHARACTERS, MAX_NAME_CHARACTERS
from headrace.journal.event_keys import MAX_KEY_BYTES
from headrace.money import MAX_ADDRESS_BYTES
from headrace.triggers.definition import MAX_SOURCE_BYTES
from headrace.usecases.instances import MAX_EVENT_CHARACTERS
from headrace.workflows.config import MAX_NAME_BYTES
from headrace.workflows.stages.checks import MAX_LABEL_BYTES
from tests.api.conftest import PREFIX, WAITING, Live, served
from tests.api.test_hostile_rows import by_id
from tests.support import postgres
from tests.support.tokens import Documents, authenticator_of, claims_of, published, signed

pytestmark = pytest.mark.asyncio(loop_scope="module")

NUL = "a\0b"


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["sqlite", "postgres"])
async def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Live]:
    url = None
    if request.param == "postgres":
        if postgres.programs() is None:
            pytest.skip(postgres.MISSING)
        url = postgres.new_database()
    async with served(tmp_path_factory.mktemp(request.param), database_url=url) as live:
        yield live


@pytest_asyncio.fixture(loop_scope="module")
async def known(place: Live) -> dict[str, str]:
    """A workflow, an instance of it, and a trigger."""
    workflow_id = await place.created(WAITING)
    trigger = await place.call("POST", "/triggers", {"event": "E", "workflowID": workflow_id})
    instance_id = await place.started(workflow_id)
    return {"workflow": workflow_id, "instance": instance_id, "trigger": trigger.json()["data"]["id"]}


def long(characters: int, salt: str = "") -> str:
    """Text of so many characters of four bytes each, which no database can compress."""
    digits = shake_128(f"{characters} {salt}".encode()).digest(2 * characters)
    return "".join(
        chr(0x20000 + int.from_bytes(digits[index : index + 2]) % 0xA6D0) for index in range(0, len(digits), 2)
    )


def accepted(new: int, repeated: int = 0, conflicting: int = 0) -> dict[str, int]:
    return {"accepted": new, "repeated": repeated, "conflicting": conflicting}


async def test_the_longest_name_of_a_workflow(place: Live) -> None:
    name = long(MAX_NAME_BYTES // 4)
    workflow_id = await place.created({**WAITING, "name": name})
    response = await place.call("GET", f"/workflows/{workflow_id}")
    assert response.json()["data"]["config"]["name"] == name


async def test_the_longest_variables(place: Live) -> None:
    workflow_id = await place.created(WAITING)
    variables = {long(256): long(16 * 1_024), "b": long(16 * 1_024)}
    instance_id = await place.started(workflow_id, variables)
    assert (await place.call("GET", f"/instances/{instance_id}")).status_code == 200
    response = await place.call("GET", f"/ext/instances?variable={quote('b=' + long(256))}")
    assert response.status_code == 200, response.text


async def test_the_longest_event_of_an_instance(place: Live) -> None:
    name = long(MAX_LABEL_BYTES // 4)
    instance_id = await place.started(await place.created({"stages": [{"wait_event": {"event": name}}]}))
    longest = await place.call("POST", f"/instances/{instance_id}/events", {"name": long(MAX_EVENT_CHARACTERS)})
    assert longest.status_code == 204, longest.text
    response = await place.call("POST", f"/instances/{instance_id}/events", {"name": name})
    assert response.status_code == 204, response.text
    assert (await place.ended(instance_id))["terminated"]


async def test_the_longest_idempotency_key(place: Live) -> None:
    workflow_id = await place.created(WAITING)
    key = {"Idempotency-Key": "k" * 255}
    assert await place.started(workflow_id, {}, headers=key) == await place.started(workflow_id, {}, headers=key)


async def test_the_longest_trigger_fires(place: Live) -> None:
    workflow_id = await place.created(WAITING)
    event = long(MAX_NAME_CHARACTERS)
    source = "'" + "x" * (MAX_SOURCE_BYTES - 2) + "'"
    body = {
        "event": event,
        "workflowID": workflow_id,
        "name": long(MAX_NAME_CHARACTERS, "name"),
        "version": long(MAX_NAME_CHARACTERS, "version"),
        "filter": source + " != ''" if len(source) + 6 <= MAX_SOURCE_BYTES else "true",
        "vars": {"a": source},
    }
    created = await place.call("POST", "/triggers", body)
    assert created.status_code == 201, created.text
    envelope = {
        "type": event,
        "app": long(MAX_NAME_CHARACTERS, "app"),
        "version": body["version"],
        "payload": {"a": 1},
        "id": long(MAX_ID_CHARACTERS),
    }
    quoted = {"type": event[:8], "id": '"' * 480}
    """Quotes are escaped in a key, and again in the key of a conflict."""
    assert len(identity.of_envelope("", event[:8], "", quoted["id"]).encode()) in range(1_000, MAX_KEY_BYTES)
    other = await place.call("POST", "/triggers", {"event": event[:8], "workflowID": workflow_id})
    for content, receipt in (
        (envelope, accepted(1)),
        (envelope, accepted(1, repeated=1)),
        ({**envelope, "payload": {"a": 2}}, accepted(0, conflicting=1)),
        ({**envelope, "payload": {"a": 2}}, accepted(0, conflicting=1)),
        ({**envelope, "id": "\x01" * MAX_ID_CHARACTERS}, accepted(1)),
        ({**quoted, "payload": {"a": 1}}, accepted(1)),
        ({**quoted, "payload": {"a": 2}}, accepted(0, conflicting=1)),
    ):
        response = await place.call("POST", "/ext/events", content)
        assert response.status_code == 202, response.text
        data = response.json()["data"]
        assert {name: data[name] for name in receipt} == receipt, data
    listed = await place.call("GET", "/ext/events")
    assert listed.status_code == 200, listed.text
    await place.dispatcher.idle()
    for trigger_id, occurrences in ((created, 3), (other, 2)):
        path = f"/triggers/{trigger_id.json()['data']['id']}/occurrences"
        assert len((await place.call("GET", path)).json()["data"]) == occurrences


async def test_the_longest_identity_of_a_cloud_event(place: Live) -> None:
    event = {
        "specversion": "1.0",
        "source": long(MAX_NAME_CHARACTERS),
        "type": long(MAX_NAME_CHARACTERS, "type"),
        "id": long(MAX_ID_CHARACTERS),
        "data": {"a": 1},
    }
    for repeated in (0, 1):
        headers = {"content-type": "application/cloudevents+json"}
        response = await place.call("POST", "/ext/events", content=json.dumps(event), headers=headers)
        assert response.json()["data"] == accepted(1, repeated), response.text


async def test_the_longest_account_and_ledger(place: Live) -> None:
    """Where the origin of an event is looked up, the path of the request is indexed."""
    stage = {"update": {"account": {"id": "a" * MAX_ADDRESS_BYTES, "ledger": "l" * 63, "metadata": {"m": long(4_000)}}}}
    instance = await place.ended(await place.started(await place.created({"stages": [stage]})))
    (activity,) = await place.journal.activities(instance["id"], 0)
    assert activity.terminated_at is not None and len(activity.request_path) > MAX_ADDRESS_BYTES + 63


async def test_the_longest_principal(place: Live, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    url = postgres.new_database() if "postgres" in request.node.name else None
    authenticator = authenticator_of(Documents(published("k1")), SystemClock())
    async with served(tmp_path, authenticator=authenticator, database_url=url) as live:
        token = signed(claims_of(sub=long(MAX_NAME), client_id=long(MAX_NAME, "client")))
        live.http.headers["authorization"] = f"Bearer {token}"
        key = {"Idempotency-Key": "k" * 255}
        workflow_id = await live.created(WAITING)
        assert await live.started(workflow_id, {}, headers=key) == await live.started(workflow_id, {}, headers=key)
        for content in ({"type": "E", "payload": {}}, [{"type": "E", "payload": {}}]):
            response = await live.call(
                "POST", "/ext/events", content, headers={"Idempotency-Key": f"{type(content)}"[8:12]}
            )
            assert response.status_code == 202, response.text
        entries = (await live.call("GET", f"/ext/audit?principal={quote(long(MAX_NAME))}")).json()["data"]
        assert len(entries) == 4


# NUL

STORED: list[tuple[str, str, Any, str]] = [
    ("POST", "/workflows", {**WAITING, "name": NUL}, "name"),
    ("POST", "/workflows", {"stages": [{"wait_event": {"event": NUL}}]}, "stages[0].wait_event.event"),
    (
        "POST",
        "/workflows",
        {"stages": [{"update": {"account": {"metadata": {NUL: "x"}}}}]},
        "stages[0].update.account.metadata",
    ),
    ("POST", "/v2/workflows", {**WAITING, "name": NUL}, "name"),
    ("POST", "/workflows/{workflow}/instances", {"a": NUL}, "a"),
    ("POST", "/workflows/{workflow}/instances", {NUL: "a"}, "body"),
    ("POST", "/v2/workflows/{workflow}/instances", {"b": "c", "a.b": NUL}, "a.b"),
    ("POST", "/instances/{instance}/events", {"name": NUL}, "name"),
    ("POST", "/v2/instances/{instance}/events", {"name": NUL}, "name"),
    ("POST", "/triggers", {"event": NUL, "workflowID": "{workflow}"}, "event"),
    ("POST", "/triggers", {"event": "E", "workflowID": NUL}, "workflowID"),
    ("POST", "/triggers", {"event": "E", "workflowID": "{workflow}", "name": NUL}, "name"),
    ("POST", "/triggers", {"event": "E", "workflowID": "{workflow}", "version": NUL}, "version"),
    ("POST", "/triggers", {"event": "E", "workflowID": "{workflow}", "filter": f"'{NUL}' != ''"}, "filter"),
    ("POST", "/triggers", {"event": "E", "workflowID": "{workflow}", "vars": {"a": f"'{NUL}'"}}, "vars.a"),
    ("POST", "/v2/triggers/{trigger}/test", {"a": NUL}, "a"),
    ("POST", "/ext/events", {"type": NUL, "payload": {}}, "type"),
    ("POST", "/ext/events", {"type": "E", "app": NUL, "payload": {}}, "app"),
    ("POST", "/ext/events", {"type": "E", "payload": {}, "id": NUL}, "id"),
    ("POST", "/ext/events", {"type": "E", "payload": {"a": ["x", {"b": NUL}]}}, "payload.a[1].b"),
    (
        "POST",
        "/ext/events",
        [{"type": "E", "payload": {}}, {"type": "E", "version": NUL, "payload": {}}],
        "[1].version",
    ),
    ("POST", "/ext/events?type=E%00", {"a": 1}, "type"),
    ("POST", "/ext/events?type=E&id=%00", {"a": 1}, "id"),
]
"""Method, path, body with NUL, and the field that the refusal names."""


@pytest.mark.parametrize(("method", "path", "body", "field"), STORED)
async def test_nul_is_refused_with_the_name_of_its_field(
    place: Live, known: dict[str, str], method: str, path: str, body: Any, field: str
) -> None:
    content = json.dumps(body).replace("{workflow}", known["workflow"])
    path = path.format(**known)
    response = await place.call(method, path, content=content, headers={"content-type": "application/json"})
    assert (response.status_code, response.json()["errorCode"]) == (400, "VALIDATION"), response.text
    assert response.json()["errorMessage"].startswith(f"{field}: holds a NUL character")


async def test_nul_in_yaml_is_refused_with_field_and_line(place: Live) -> None:
    content = 'stages:\n- wait_event:\n    event: "a\\0"\n'
    response = await place.call("POST", "/workflows", content=content, headers={"content-type": "application/yaml"})
    says = "stages[0].wait_event.event: holds a NUL character (line 3, column 12)"
    assert (response.status_code, response.json()["errorMessage"]) == (400, says)


async def test_nul_in_the_attribute_of_a_cloud_event_is_refused(place: Live) -> None:
    headers = {"ce-specversion": "1.0", "ce-type": "E", "ce-source": "a%00", "ce-id": "1"}
    response = await place.call("POST", "/ext/events", {}, headers=headers)
    assert (response.status_code, response.json()["errorMessage"]) == (400, "ce-source: holds a NUL character")


async def test_nul_that_an_expression_makes_fails_the_occurrence_only(place: Live, known: dict[str, str]) -> None:
    body = {"event": "MADE", "workflowID": known["workflow"], "vars": {"a": r'"a\x00b"'}}
    created = await place.call("POST", "/triggers", body)
    assert created.status_code == 201, created.text
    await place.call("POST", "/ext/events", {"type": "MADE", "payload": {}})
    await place.dispatcher.idle()
    listed = await place.call("GET", f"/triggers/{created.json()['data']['id']}/occurrences")
    (occurrence,) = listed.json()["data"]
    assert "NUL" in occurrence["error"] and "workflowInstanceID" not in occurrence


@pytest.mark.parametrize("operation", [row for row in TABLE if row.method == "GET" and row.scope], ids=by_id)
async def test_nul_in_a_path_or_a_query_finds_nothing(place: Live, operation: Operation) -> None:
    paths = [re.sub(r"{\w+}", "%00", operation.path)] if "{" in operation.path else []
    paths += [f"{operation.path}?{each.name}=%00" for each in operation.query if "{" not in operation.path]
    for path in paths:
        response = await place.http.get(PREFIX + path)
        assert response.status_code in (200, 400, 404), (path, response.text)
