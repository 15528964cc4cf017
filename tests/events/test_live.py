"""What a running server publishes to a real broker, killed in the middle: every event, in order, under one id each."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from headrace.buses.port import DEPTH_HEADER, EVENT_HEADER, BusUnavailable, Delivery, Publication
from tests.support.kafka import KafkaHarness
from tests.support.nats import BusHarness, NatsHarness
from tests.support.server import Server

API = "/api/orchestration"
SCHEMAS = Path(__file__).parents[1] / "data/events/orchestration"
SHORT: list[dict[str, Any]] = [{"delay": {"duration": "1ms"}}]
WAITING: list[dict[str, Any]] = [{"wait_event": {"event": "go"}}]
LIMIT_S = 60.0


@pytest.fixture(scope="module", params=[NatsHarness, KafkaHarness], ids=lambda kind: kind.name)
def harness(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BusHarness]:
    kind: type[NatsHarness | KafkaHarness] = request.param
    if lack := kind.missing():
        pytest.skip(lack)
    harness = kind()
    harness.start_broker(tmp_path_factory.mktemp(kind.name))
    yield harness
    harness.end_broker()


def settings_of(harness: BusHarness, stack: str) -> dict[str, str]:
    assert isinstance(harness, NatsHarness | KafkaHarness)
    url = harness.server.url if isinstance(harness, NatsHarness) else harness.broker.url
    return {"HEADRACE_BROKER_URL": url, "HEADRACE_STACK_NAME": stack, "HEADRACE_BROKER_ACK_WAIT_S": "1"}


def workflow(server: Server, stages: list[dict[str, Any]]) -> str:
    return server.post(f"{API}/workflows", {"stages": stages}).json["data"]["id"]


def start(server: Server, workflow_id: str) -> str:
    return server.post(f"{API}/workflows/{workflow_id}/instances", {}).json["data"]["id"]


async def told(harness: BusHarness, topic: str, *, until: int) -> dict[str, Delivery]:
    """By id, once there are as many; each is valid, and their numbers only rise."""
    subscriber = await harness.subscriber(topic, group="reader")
    found: dict[str, Delivery] = {}
    async with asyncio.timeout(LIMIT_S):
        while len(found) < until:
            try:
                deliveries = await subscriber.receive()
            except BusUnavailable:
                continue
            for delivery in deliveries:
                found.setdefault(delivery.header(EVENT_HEADER), delivery)
            await subscriber.acknowledge(deliveries)
    await subscriber.close()
    numbers = [int(event_id.rpartition(":")[2]) for event_id in found]
    assert numbers == sorted(numbers)
    for delivery in found.values():
        envelope = json.loads(delivery.body)
        schema = json.loads((SCHEMAS / envelope["version"] / f"{envelope['type']}.json").read_text())
        jsonschema_rs.validator_for(schema, validate_formats=True).validate(envelope)
    return found


@pytest.mark.timeout(240)
def test_all_that_happened_is_published_over_a_kill_and_an_outage(harness: BusHarness, tmp_path: Path) -> None:
    with Server(tmp_path / "data", settings=settings_of(harness, "told")) as server:
        short, waiting = workflow(server, SHORT), workflow(server, WAITING)
        instances = [start(server, short) for _ in range(10)]
        aborted = start(server, waiting)
        server.restart()
        harness.kill_broker()
        server.request("PUT", f"{API}/instances/{aborted}/abort")
        instances += [start(server, short) for _ in range(10)]
        harness.restart_broker()
        found = asyncio.run(told(harness, "told-orchestration", until=20 * 4 + 4))
    envelopes = [json.loads(delivery.body) for delivery in found.values()]
    by_instance: dict[str, list[str]] = {}
    for envelope in envelopes:
        by_instance.setdefault(envelope["payload"]["instanceID"], []).append(envelope["type"])
    run = ["STARTED_WORKFLOW", "STARTED_WORKFLOW_STAGE", "SUCCEEDED_WORKFLOW_STAGE", "SUCCEEDED_WORKFLOW"]
    assert {instance: by_instance[instance] for instance in instances} == dict.fromkeys(instances, run)
    assert sorted(by_instance[aborted]) == sorted(
        ["STARTED_WORKFLOW", "STARTED_WORKFLOW_STAGE", "FAILED_WORKFLOW", "FAILED_WORKFLOW_STAGE"]
    )
    assert {delivery.header(DEPTH_HEADER) for delivery in found.values()} == {"0"}


@pytest.mark.timeout(240)
def test_two_servers_that_set_each_other_off_stop(harness: BusHarness, tmp_path: Path) -> None:
    """Each reads what the other publishes and starts a run for each that succeeds there: eight deep, and no more."""
    left = {**settings_of(harness, "left"), "HEADRACE_EVENT_TOPICS": "right-orchestration"}
    right = {**settings_of(harness, "right"), "HEADRACE_EVENT_TOPICS": "left-orchestration"}
    with Server(tmp_path / "left", settings=left) as one, Server(tmp_path / "right", settings=right) as other:
        ping, pong = workflow(one, SHORT), workflow(other, SHORT)
        triggers = [(one, on_success(one, pong, ping)), (other, on_success(other, ping, pong))]
        start(one, ping)
        deadline_s = time.monotonic() + LIMIT_S
        rows: list[Any] = []
        while not any("loop" in row.get("error", "") for row in rows):
            assert time.monotonic() < deadline_s, rows
            time.sleep(0.2)
            rows = [row for server, trigger_id in triggers for row in occurrences(server, trigger_id)]
        assert [len(occurrences(server, trigger_id)) for server, trigger_id in triggers] == [4, 5]
        assert ["error" in row for row in rows].count(True) == 1


@pytest.mark.timeout(240)
def test_an_event_is_one_event_over_the_broker_and_over_http(harness: BusHarness, tmp_path: Path) -> None:
    """Published twice, sent once by HTTP: one run. With another payload: an occurrence that says so."""
    paid = {"app": "payments", "type": "PAID", "version": "v3", "idempotency_key": "k", "payload": {"id": "p", "n": 1}}
    cloud = {"specversion": "1.0", "type": "PAID", "source": "bank", "id": "c", "data": {"n": 1}}
    endless = json.dumps({**paid, "idempotency_key": "l", "payload": {"n": 2}}).replace(
        ": 2}", ": " + "9" * 5_000 + "}"
    )
    with Server(tmp_path / "data", settings=settings_of(harness, "once")) as server:
        workflow_id = workflow(server, WAITING)
        trigger_id = server.post(f"{API}/triggers", {"event": "PAID", "workflowID": workflow_id}).json["data"]["id"]
        bodies = [paid, dict(reversed(paid.items())), {**paid, "payload": {"id": "p", "n": 2}}, cloud, cloud]
        asyncio.run(
            publish(harness, "once-payments", [*(json.dumps(body).encode() for body in bodies), endless.encode()])
        )
        deadline_s = time.monotonic() + LIMIT_S
        while len(occurrences(server, trigger_id)) < 4 or len(server.get(f"{API}/ext/events").json["data"]) < 4:
            assert time.monotonic() < deadline_s, server.log()
            time.sleep(0.1)
        assert server.post(f"{API}/ext/events", [paid, cloud]).json["data"]["repeated"] == 2
        rows = occurrences(server, trigger_id)
        assert sorted("conflict" in row.get("error", "") for row in rows) == [False, False, False, True]
        assert len({row["workflowInstanceID"] for row in rows if "workflowInstanceID" in row}) == 3


async def publish(harness: BusHarness, topic: str, bodies: list[bytes]) -> None:
    publisher = await harness.publisher(topic)
    await publisher.publish([Publication(f"another:{number}", "PAID", 0, body) for number, body in enumerate(bodies)])
    await publisher.close()


def on_success(server: Server, of: str, starts: str) -> str:
    """A trigger that starts a workflow whenever another one has succeeded."""
    body = {"event": "orchestration.succeeded_workflow", "workflowID": starts, "filter": f'event.id == "{of}"'}
    return server.post(f"{API}/triggers", body).json["data"]["id"]


def occurrences(server: Server, trigger_id: str) -> list[Any]:
    return server.get(f"{API}/triggers/{trigger_id}/occurrences").json["data"]
