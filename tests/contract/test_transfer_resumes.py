"""Instances at every kind of wait go on in another database where they were: the books hold each effect once."""

from __future__ import annotations

import asyncio
import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from headrace.clock import SystemClock
from headrace.effects.port import Request, Response
from headrace.journal.archive import export_journal, import_journal
from headrace.journal.lists import NEWEST, InstanceSearch
from tests.contract.test_engine import SEND, WAIT, Scripted
from tests.contract.test_transfer import OPERATOR, PAIRS, silent
from tests.support import in_process
from tests.support.in_process import InProcess, running
from tests.support.resting import RESTING

LIMIT_S = 20.0
DELAY: dict[str, Any] = {"delay": {"duration": "400s"}}
"""Two seconds of the fast clock: longer than it takes to reach the other waits, and over after the move."""
AMOUNT = {"asset": "USD/2", "amount": 60}
MISMATCH = Response(
    400, b'{"errorCode":"VALIDATION","errorMessage":"invalid idempotency hash"}', {"content-type": "application/json"}
)
STAGES: dict[str, list[dict[str, Any]]] = {
    "delay": [SEND, DELAY, SEND],
    "event": [SEND, WAIT, SEND],
    "early event": [SEND, WAIT, WAIT, SEND],
    "back-off": [SEND, SEND],
    "open attempt": [SEND, SEND],
    "booked, response lost": [SEND, SEND],
    "needs attention": [SEND, SEND],
    "ended": [SEND],
}
EFFECTS = sum(sum("send" in stage for stage in stages) for stages in STAGES.values())


def _payment(name: str, stages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Their stages, each send with the name and its number in its metadata, by which the services tell them apart."""
    return [
        {"send": {**stage["send"], "amount": AMOUNT, "metadata": {"at": f"{name} {number}"}}}
        if "send" in stage
        else stage
        for number, stage in enumerate(stages)
    ]


def _troubled(request: Request, _: int) -> Any:
    """What happens to the second effect of some instances before the move."""
    body = request.body or b""
    if b'"back-off 1"' in body:
        return Response(503, b"", {})
    if b'"open attempt 1"' in body:
        return "lose"
    if b'"booked, response lost 1"' in body:
        return "drop"
    return MISMATCH if b'"needs attention 1"' in body else None


async def _statuses(alive: InProcess, ids: dict[str, str]) -> dict[str, str]:
    names = {instance_id: name for name, instance_id in ids.items()}
    rows = await alive.journal.summaries_after(InstanceSearch(), NEWEST, 100)
    return {names[each.id]: each.status for each in rows}


async def _histories(alive: InProcess, ids: dict[str, str]) -> dict[str, Any]:
    """Everything that is stored of each instance."""
    return {
        name: (
            await alive.journal.instance(instance_id),
            [await alive.journal.activities(instance_id, stage) for stage in range(len(STAGES[name]))],
            await alive.journal.standing(instance_id),
        )
        for name, instance_id in ids.items()
    }


@pytest.mark.parametrize(("source", "target"), PAIRS)
async def test_every_wait_goes_on_and_nothing_is_paid_twice(
    source: str, target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = Scripted(_troubled)
    monkeypatch.setattr(in_process, "journal_name", source)
    ids: dict[str, str] = {}
    expected = {
        "delay": "waiting",
        "event": "waiting",
        "early event": "waiting",
        "back-off": "retrying",
        "open attempt": "retrying",
        "booked, response lost": "retrying",
        "needs attention": "attention",
        "ended": "succeeded",
    }
    async with running(tmp_path / "old.db", services, retry_base_s=1_000.0, retry_cap_s=1_000.0) as alive:
        for name, stages in STAGES.items():
            workflow = await alive.workflow(name, _payment(name, stages))
            ids[name] = await alive.run_once(workflow, {}, key=f"run {name}")
        await alive.send_event_once(ids["early event"], "go", "event")
        async with asyncio.timeout(LIMIT_S):
            while await _statuses(alive, ids) != expected:
                await asyncio.sleep(0.002)
        before = await _histories(alive, ids)
    before_move = [(request.path, request.body, request.key) for request in services.writes]

    with closing(RESTING[source].open(tmp_path / "old.db")) as old:
        export_journal(old, tmp_path / "file", OPERATOR, SystemClock(), is_copy=False, report=silent)
    RESTING[target].create(tmp_path / "new.db")
    with closing(RESTING[target].open(tmp_path / "new.db")) as new:
        import_journal(new, tmp_path / "file", OPERATOR, SystemClock(), report=silent)

    monkeypatch.setattr(in_process, "journal_name", target)
    services.plan = None
    async with running(tmp_path / "new.db", services) as again:
        moved = await _histories(again, ids)
        for name in ("event", "needs attention", "ended"):
            assert moved[name] == before[name], name
        for name, instance_id in ids.items():  # as careful callers, whose keys have moved too
            assert await again.run_once(await again.workflow(name, []), {}, key=f"run {name}") == instance_id
        await again.send_event_once(ids["early event"], "go", "event")
        await again.send_event_once(ids["early event"], "go", "second event")
        await again.send_event_once(ids["event"], "go", "third event")
        for name in ids.keys() - {"needs attention"}:
            ended = await again.ended(ids[name])
            assert (ended.is_terminal, ended.error) == (True, None), name
        assert (await _statuses(again, ids))["needs attention"] == "attention"
        histories = await _histories(again, ids)
    assert services.booked() == EFFECTS - 1, "each effect once, but for the one that needs a person"

    sent: dict[str, set[bytes]] = {}
    for path, body, key in [*before_move, *((each.path, each.body, each.key) for each in services.writes)]:
        sent.setdefault(key, set()).add(f"{path} {(body or b'').decode()}".encode())
    assert {len(requests) for requests in sent.values()} == {1}, "a repeat has the same bytes"
    assert len(sent) == EFFECTS
    for name in ("back-off", "open attempt", "booked, response lost"):
        (activity,) = histories[name][1][1]
        assert activity.attempt >= 2 and json.loads(activity.output or "{}"), name
    await services.close()
