"""One life: a schedule, from the start of its servers until nothing moves any more, and what the oracles say of it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec
import structlog

from headrace.engine import embedded
from headrace.journal.port import Unit
from headrace.journal.writes import AddWorkflow
from headrace.runner.policy import Policy
from headrace.testing.virtual import START_AT
from headrace.usecases import batch_driver
from headrace.workflows.approval_rules import ApprovalRule, ApprovalRules
from tests.interleavings.loop import VirtualLoop
from tests.interleavings.oracles import problems_of
from tests.interleavings.persons import WORKFLOW, Persons
from tests.interleavings.processes import Alone, Servers, Together
from tests.interleavings.schedule import ASSET, LIMIT, Schedule
from tests.interleavings.world import World

LOOK_S = 10.0
MAX_LOOKS = 300
RULES = Policy(approval_rules=ApprovalRules((ApprovalRule("big", ASSET, LIMIT, 2, expires_us=60_000_000),), "sha256:1"))


@dataclass
class Lived:
    """What a life was, and what is wrong about it."""

    schedule: Schedule
    problems: list[str] = field(default_factory=list[str])
    counts: dict[str, int] = field(default_factory=dict[str, int])


def live(schedule: Schedule) -> Lived:
    """Live a schedule to its end."""
    loop = VirtualLoop()
    world = World(
        schedule.seed,
        loop,
        schedule.books,
        fault_rate=schedule.fault_rate,
        is_very_late=schedule.is_very_late,
    )
    try:
        return loop.finish(_lived(world, schedule))
    finally:
        world.is_over = True
        world.close()


async def _lived(world: World, schedule: Schedule) -> Lived:
    policy = RULES if schedule.has_rule else Policy()
    kind: type[Servers] = Together if schedule.is_shared else Alone
    has_batches = any(step.verb.startswith("batch") for step in schedule.steps)
    servers = kind(world, policy, drives_batches=has_batches)
    unit = Unit()
    config = msgspec.json.encode(schedule.definition).decode()
    unit.add(AddWorkflow(workflow_id=WORKFLOW, name="payout", config=config, created_at=START_AT, updated_at=START_AT))
    await world.journal.commit(unit)
    await servers.start()
    persons = Persons(world, servers, schedule)
    taking = [asyncio.ensure_future(persons.take(number, step)) for number, step in enumerate(schedule.steps)]
    await asyncio.gather(*taking)
    unsettled = await settled(world, servers)
    world.is_over = True
    lived = Lived(schedule)
    lived.problems = [*unsettled, *(f"a task ended with {each!r}" for each in servers.crashes)]
    lived.problems += problems_of(world, persons, servers)
    lived.counts = _counts(world, persons)
    return lived


async def settled(world: World, servers: Servers) -> list[str]:
    """Wait until nothing moves any more; without faults and kills from now on. Returns what does not come to rest."""
    world.fault_rate = 0.0
    await asyncio.sleep(6.0)
    for _ in range(MAX_LOOKS):
        for process in servers.living():
            process.doom = None
        if not servers.is_busy and len(servers.living()) == servers.count and not _moving(world):
            return []
        await asyncio.sleep(LOOK_S)
    return [f"MS-0 {each} does not come to rest" for each in _moving(world)] or ["MS-0 an engine stays busy"]


def _moving(world: World) -> list[str]:
    """Instances that have something to do, and batches that have."""
    query = world.journal.connection.execute
    rows = query("SELECT 'instance ' || id FROM instances WHERE next_at IS NOT NULL").fetchall()
    rows += query(
        "SELECT 'batch ' || id FROM batches b WHERE state = 'previewing' OR (state = 'running' AND open < max_open"
        " AND EXISTS (SELECT 1 FROM batch_items WHERE batch_id = b.id AND state = 'pending'))"
    ).fetchall()
    return [row[0] for row in rows]


def _counts(world: World, persons: Persons) -> dict[str, int]:
    query = world.journal.connection.execute
    counts = {"commits": len(world.commits), "attempts": len(world.attempts), "answers": len(persons.told)}
    counts["kills"] = max(commit.process for commit in world.commits) if world.commits else 0
    for name, text in (
        ("instances", "SELECT count(*) FROM instances"),
        ("effects", "SELECT count(*) FROM activities WHERE key <> ''"),
        ("continuations", "SELECT count(*) FROM instances WHERE kind = 'continuation'"),
        ("undos", "SELECT count(*) FROM instances WHERE kind = 'undo'"),
        ("ingestions", "SELECT count(*) FROM activities WHERE CAST(request_body AS TEXT) LIKE '%headrace:ingest:%'"),
        ("stages skipped", "SELECT count(*) FROM stages WHERE skipped"),
        ("waits ended", "SELECT count(*) FROM stages WHERE outcome = 'timeout'"),
        ("events used", "SELECT count(*) FROM events WHERE stage IS NOT NULL"),
        ("gates passed", "SELECT count(*) FROM stages WHERE gate_passed_at IS NOT NULL"),
        ("gates denied", "SELECT count(*) FROM instances WHERE failure IN ('expired', 'rejected')"),
        ("plans used", "SELECT count(*) FROM plans WHERE state = 'used'"),
        ("resolved", "SELECT count(*) FROM resolutions"),
        ("items started", "SELECT count(*) FROM batch_items WHERE started_at IS NOT NULL"),
        ("aborted", "SELECT count(*) FROM instances WHERE failure = 'canceled'"),
    ):
        counts[name] = query(text).fetchone()[0]
    return counts


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the product's log, and with seldom looks at what is due, which only a wall clock that is set needs."""
    before, looks = structlog.get_config(), (embedded.TIMER_CHECK_S, batch_driver.LOOK_EVERY_S)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    embedded.TIMER_CHECK_S, batch_driver.LOOK_EVERY_S = 10.0, 2.0
    try:
        yield
    finally:
        structlog.configure(**before)
        embedded.TIMER_CHECK_S, batch_driver.LOOK_EVERY_S = looks


def shortest(lived: Lived) -> Lived:
    """The shortest failing schedule that leaving out steps leads to, and how it fails."""
    found, size = lived, max(1, len(lived.schedule.steps) // 2)
    while True:
        smaller = None
        for first in range(0, len(found.schedule.steps), size):
            again = live(found.schedule.without(first, size))
            if again.problems:
                smaller = again
                break
        if smaller is not None:
            found = smaller
        elif size == 1:
            return found
        size = max(1, min(size if smaller is not None else size // 2, len(found.schedule.steps)))
