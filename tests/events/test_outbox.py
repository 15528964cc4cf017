"""The eight events of orchestration: valid, complete, written with what they tell, and known to our own triggers."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from headrace.buses.event_types import TYPES
from headrace.events.outbox import publication
from headrace.journal.port import Unit
from headrace.journal.records import Occurrence, OutboxEvent
from headrace.journal.writes import AcceptEvent
from headrace.sandbox import Sandbox
from tests.support.in_process import CrashPoint, InProcess, SandboxStack, new_sandbox, running

SCHEMAS = Path(__file__).parents[1] / "data/events/orchestration"
WAITING: list[dict[str, Any]] = [{"wait_event": {"event": "go"}}]
PAYING: list[dict[str, Any]] = [
    {"delay": {"duration": "1ms"}},
    {
        "send": {
            "source": {"account": {"id": "world", "ledger": "shop"}},
            "destination": {"account": {"id": "users:1", "ledger": "shop"}},
            "amount": {"amount": "7", "asset": "USD/2"},
        }
    },
]
TOO_POOR: list[dict[str, Any]] = [
    {
        "send": {
            "source": {"account": {"id": "poor", "ledger": "shop"}},
            "destination": {"account": {"id": "users:1", "ledger": "shop"}},
            "amount": {"amount": "7", "asset": "USD/2"},
        }
    },
    {"delay": {"duration": "1ms"}},
]


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    made = new_sandbox()
    stack = SandboxStack(made)
    stack.create_ledger("shop")
    stack.close()
    yield made
    await made.close()


async def published(alive: InProcess) -> list[dict[str, Any]]:
    """All of them, each valid by its public schema, in order."""
    origin = await alive.journal.identity()
    found: list[dict[str, Any]] = []
    for event in await alive.journal.outbox(0, 10_000):
        sent = publication(origin, event)
        assert sent.body == publication(origin, event).body, "the same each time"
        envelope = json.loads(sent.body)
        schema = json.loads((SCHEMAS / envelope["version"] / f"{envelope['type']}.json").read_text())
        jsonschema_rs.validator_for(schema, validate_formats=True).validate(envelope)
        assert (envelope["app"], envelope["type"]) == ("orchestration", event.type)
        found.append(envelope)
    return found


async def told(alive: InProcess) -> list[tuple[Any, ...]]:
    names = ("number", "error")
    return [
        (each["type"], *(each["payload"][name] for name in names if name in each["payload"]))
        for each in await published(alive)
    ]


async def run(alive: InProcess, stages: list[dict[str, Any]], name: str = "w") -> str:
    workflow = await alive.workflow(name, stages)
    return await alive.run_once(workflow, {})


async def test_a_run_that_succeeds(tmp_path: Path, sandbox: Sandbox) -> None:
    async with running(tmp_path / "journal.db", sandbox, publishes=True) as alive:
        instance_id = await run(alive, PAYING)
        await alive.ended(instance_id)
        assert await told(alive) == [
            ("STARTED_WORKFLOW",),
            ("STARTED_WORKFLOW_STAGE", 0),
            ("SUCCEEDED_WORKFLOW_STAGE", 0),
            ("STARTED_WORKFLOW_STAGE", 1),
            ("SUCCEEDED_WORKFLOW_STAGE", 1),
            ("SUCCEEDED_WORKFLOW",),
        ]
        for event in await published(alive):
            assert (event["payload"]["id"], event["payload"]["instanceID"]) == ("w", instance_id)


async def test_a_run_that_fails_tells_why(tmp_path: Path, sandbox: Sandbox) -> None:
    async with running(tmp_path / "journal.db", sandbox, publishes=True) as alive:
        instance = await alive.ended(await run(alive, TOO_POOR))
        assert instance.error is not None and "INSUFFICIENT_FUND" in instance.error
        assert await told(alive) == [
            ("STARTED_WORKFLOW",),
            ("STARTED_WORKFLOW_STAGE", 0),
            ("FAILED_WORKFLOW_STAGE", 0, instance.error),
            ("FAILED_WORKFLOW", instance.error),
        ]


async def test_a_run_that_is_aborted(tmp_path: Path, sandbox: Sandbox) -> None:
    async with running(tmp_path / "journal.db", sandbox, publishes=True) as alive:
        instance_id = await run(alive, WAITING)
        await alive.abort(instance_id)
        assert Counter(await told(alive)) == Counter(
            [
                ("STARTED_WORKFLOW",),
                ("STARTED_WORKFLOW_STAGE", 0),
                ("FAILED_WORKFLOW_STAGE", 0, "canceled"),
                ("FAILED_WORKFLOW", "canceled"),
            ]
        )


async def test_triggers_that_fire_and_fail(tmp_path: Path, sandbox: Sandbox) -> None:
    async with running(tmp_path / "journal.db", sandbox, publishes=True) as alive:
        await alive.workflow("w", WAITING)
        await alive.trigger("good", "E", "w")
        await alive.trigger("bad", "E", "w", vars={"user": "event.none"})
        await alive.deliver("k", {"type": "E", "payload": {}})
        await alive.dispatcher.idle()
        (good,), (bad,) = await occurrences(alive, "good"), await occurrences(alive, "bad")
        events = {event["type"]: event["payload"] for event in await published(alive)}
        assert events["SUCCEEDED_TRIGGER"] == {
            "id": good.id,
            "triggerID": "good",
            "workflowInstanceID": good.instance_id,
        }
        assert events["FAILED_TRIGGER"] == {"id": bad.id, "triggerID": "bad", "error": bad.error}


async def occurrences(alive: InProcess, trigger_id: str) -> list[Occurrence]:
    return [row async for page in alive.journal.occurrences(trigger_id) for row in page]


async def test_nothing_is_written_that_nobody_reads(tmp_path: Path, sandbox: Sandbox) -> None:
    async with running(tmp_path / "journal.db", sandbox) as alive:
        await alive.ended(await run(alive, PAYING))
        assert await published(alive) == []


async def test_what_a_trigger_waits_for_is_published_after_a_restart_as_well(tmp_path: Path, sandbox: Sandbox) -> None:
    path = tmp_path / "journal.db"
    async with running(path, sandbox) as alive:
        await alive.workflow("w", WAITING)
        await alive.trigger("chain", "orchestration.FAILED_workflow", "w")
    async with running(path, sandbox) as alive:
        await alive.ended(await run(alive, TOO_POOR, "poor"))
        assert [event["type"] for event in await published(alive)] == ["FAILED_WORKFLOW"]


# crashes


async def test_a_crash_at_every_point_loses_no_event_and_tells_none_twice(tmp_path: Path) -> None:
    async def play(path: Path, crash_point: CrashPoint) -> tuple[CrashPoint, list[tuple[Any, ...]]]:
        made = new_sandbox()
        stack = SandboxStack(made)
        stack.create_ledger("shop")
        stack.close()

        async def living(alive: InProcess) -> None:
            await alive.ended(await run(alive, PAYING))

        try:
            async with running(path, made, crash_point, publishes=True) as first:
                await crash_point.over(living(first))
            async with running(path, made, publishes=True) as second:
                await living(second)
                return crash_point, await told(second)
        finally:
            await made.close()

    whole, expected = await play(tmp_path / "whole.db", CrashPoint())
    assert len(expected) == 6
    for number in range(len(whole.seen)):
        for after in (False, True):
            _, found = await play(tmp_path / f"{number}{after}.db", CrashPoint(number, after=after))
            assert found == expected, (whole.seen[number], after)


# loops


async def settled(alive: InProcess, trigger_id: str, count: int) -> list[Occurrence]:
    """Oldest first, once there are as many; and no more of them come."""
    while len(await occurrences(alive, trigger_id)) < count:
        await asyncio.sleep(0.005)
    for _ in range(20):
        await asyncio.sleep(0.005)
        await alive.dispatcher.idle()
    rows = await occurrences(alive, trigger_id)
    assert len(rows) == count
    return rows[::-1]


async def test_a_trigger_that_sets_itself_off_stops_at_its_depth(tmp_path: Path, sandbox: Sandbox) -> None:
    async with running(tmp_path / "journal.db", sandbox, publishes=True) as alive:
        await alive.workflow("w", [{"delay": {"duration": "1ms"}}])
        await alive.trigger("loop", "orchestration.succeeded_workflow", "w")
        await run(alive, [{"delay": {"duration": "1ms"}}], "first")
        rows = await settled(alive, "loop", 9)
        assert [row.depth for row in rows] == list(range(1, 10))
        assert [row.error is None for row in rows] == [True] * 8 + [False]
        assert "loop" in (rows[-1].error or "") and rows[-1].instance_id is None


async def test_a_trigger_on_its_own_failure_stops_as_well(tmp_path: Path, sandbox: Sandbox) -> None:
    async with running(tmp_path / "journal.db", sandbox, publishes=True) as alive:
        await alive.workflow("w", WAITING)
        await alive.trigger("loop", "FAILED_TRIGGER", "w", vars={"user": "event.none"})
        await alive.trigger("first", "E", "w", vars={"user": "event.none"})
        await alive.deliver("k", {"type": "E", "payload": {}})
        rows = await settled(alive, "loop", 9 - 1)
        assert [row.depth for row in rows] == list(range(2, 10))
        assert all(row.instance_id is None for row in rows)


async def test_a_depth_that_another_server_tells_counts_on(tmp_path: Path, sandbox: Sandbox) -> None:
    async with running(tmp_path / "journal.db", sandbox) as alive:
        await alive.workflow("w", WAITING)
        await alive.trigger("t", "E", "w")
        for key, depth in (("near", 7), ("far", 8)):
            unit = Unit()
            unit.add(
                AcceptEvent(
                    key=key,
                    type="E",
                    envelope='{"type":"E","payload":{}}',
                    received_at=5,
                    depth=depth,
                    fingerprint=b"",
                    place=None,
                    conflict_key=f"conflict:{key}",
                    old_key=None,
                )
            )
            await alive.journal.commit(unit)
        alive.dispatcher.wake()
        await alive.dispatcher.idle()
        errors = {row.event_key: row.error for row in await occurrences(alive, "t")}
        assert errors["near"] is None and "loop" in (errors["far"] or "")


def test_the_body_of_a_publication_is_exact() -> None:
    event = OutboxEvent(7, "STARTED_WORKFLOW", 1_714_557_600_123_456, '{"id":"w","instanceID":"i"}', 3)
    sent = publication("origin", event)
    assert sent.body == (
        b'{"date":"2024-05-01T10:00:00.123456Z","app":"orchestration","version":"v2.0.0",'
        b'"type":"STARTED_WORKFLOW","payload":{"id":"w","instanceID":"i"}}'
    )
    assert (sent.id, sent.headers) == ("origin:7", {"Headrace-Event": "origin:7", "Headrace-Depth": "3"})


def test_there_is_a_schema_for_each_type() -> None:
    assert {path.stem for path in SCHEMAS.glob("*/*.json")} == set(TYPES)
