"""The process ends at every moment between the delivery of an event and its occurrence, and starts again.

Whatever the moment: one instance and one occurrence for each trigger and event, and the money moves once (INV-9).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from headrace.sandbox import Sandbox
from tests.crash.players import FAST
from tests.support.in_process import CrashPoint, InProcess, SandboxStack, new_sandbox, running
from tests.support.server import NoAnswer, Server

API = "/api/orchestration"
STAGES: list[dict[str, Any]] = [
    {
        "send": {
            "source": {"account": {"id": "world", "ledger": "shop"}},
            "destination": {"account": {"id": "users:${user}", "ledger": "shop"}},
            "amount": {"amount": "${amount}", "asset": "USD/2"},
        }
    }
]
EVENT: dict[str, Any] = {"type": "PAID", "app": "a", "version": "v1", "payload": {"user": "1", "amount": 7}}
RULE: dict[str, Any] = {"filter": "event.amount > 0", "vars": {"user": "event.user", "amount": "event.amount"}}
PAY_IN: dict[str, Any] = {
    "reference": "p1", "connectorID": "c", "createdAt": "2024-05-01T10:00:00Z", "amount": 7, "type": "PAY-IN",
    "status": "SUCCEEDED", "scheme": "visa", "asset": "USD/2", "sourceAccountID": "1",
}  # fmt: skip

Living = Callable[[InProcess], Coroutine[Any, Any, None]]


async def _deliver(alive: InProcess) -> None:
    """What a broker does until its delivery is acknowledged; the same in every process."""
    await alive.workflow("w", STAGES)
    await alive.trigger("good", "PAID", "w", **RULE)
    await alive.trigger("bad", "PAID", "w", vars={"user": "event.none", "amount": "'1'"})
    await alive.deliver("message-1", EVENT)
    await _until_done(alive)


async def _until_done(alive: InProcess) -> None:
    await alive.dispatcher.idle()
    async for page in alive.journal.occurrences("good"):
        for row in page:
            if row.instance_id is not None:
                await alive.ended(row.instance_id)


async def _check(alive: InProcess, sandbox: Sandbox, failed: int) -> None:
    good = [row async for page in alive.journal.occurrences("good") for row in page]
    bad = [row async for page in alive.journal.occurrences("bad") for row in page]
    assert len(good) == 1 and good[0].error is None
    assert len(bad) == failed and all(row.error for row in bad)
    instances = [row async for page in alive.journal.instances() for row in page]
    assert [row.id for row in instances] == [good[0].instance_id]
    assert instances[0].error is None and instances[0].is_terminal
    assert await alive.journal.waiting_events(0, 10) == []
    stack = SandboxStack(sandbox)
    transactions = stack.transactions("shop")
    stack.close()
    assert [row["postings"][0]["amount"] for row in transactions] == [7]


Check = Callable[[InProcess, Sandbox], Coroutine[Any, Any, None]]


async def _play(
    journal_file: Path,
    crash_point: CrashPoint,
    live: Living,
    failed: int = 0,
    *,
    feeds: bool = False,
    check: Check | None = None,
) -> CrashPoint:
    sandbox = new_sandbox()
    stack = SandboxStack(sandbox)
    stack.create_ledger("shop")
    stack.close()
    source = sandbox if feeds else None
    try:
        async with running(journal_file, sandbox, crash_point, source=source) as first:
            await crash_point.over(live(first))
        async with running(journal_file, sandbox, source=source) as second:
            await live(second)
            await (check(second, sandbox) if check else _check(second, sandbox, failed))
    finally:
        await sandbox.close()
    return crash_point


async def test_a_crash_at_every_point_of_a_delivery(tmp_path: Path) -> None:
    whole = await _play(tmp_path / "whole.db", CrashPoint(), _deliver, failed=1)
    moments = len(whole.seen)
    assert moments >= 7, whole.seen
    assert any("AddInstance" in seen and "AddOccurrence" in seen for seen in whole.seen), "one commit"
    for number in range(moments):
        for after in (False, True):
            crash_point = CrashPoint(number, after=after)
            await _play(tmp_path / f"{number}{after}.db", crash_point, _deliver, failed=1)
            assert crash_point.struck_at is not None, whole.seen


async def test_a_crash_at_every_point_of_a_conflict(tmp_path: Path) -> None:
    """Another payload under the same identity: one occurrence with an error, whatever the moment; one payment."""

    async def deliver(alive: InProcess) -> None:
        await alive.workflow("w", STAGES)
        await alive.trigger("good", "PAID", "w", **RULE)
        await alive.deliver("message-1", {**EVENT, "id": "1"})
        await alive.deliver("message-2", {**EVENT, "id": "1", "payload": {"user": "1", "amount": 8}})
        await alive.deliver("message-3", {**EVENT, "id": "1"})
        await _until_done(alive)

    async def check(alive: InProcess, sandbox: Sandbox) -> None:
        rows = [row async for page in alive.journal.occurrences("good") for row in page]
        assert sorted((row.error or "")[:9] for row in rows) == ["", "conflict:"]
        stack = SandboxStack(sandbox)
        assert [row["postings"][0]["amount"] for row in stack.transactions("shop")] == [7]
        stack.close()

    whole = await _play(tmp_path / "whole.db", CrashPoint(), deliver, check=check)
    assert any(seen == "commit AcceptEvent+Later" for seen in whole.seen), "one commit"
    for number in range(len(whole.seen)):
        for after in (False, True):
            await _play(tmp_path / f"{number}{after}.db", CrashPoint(number, after=after), deliver, check=check)


async def test_a_crash_at_every_point_of_the_sandboxs_feed(tmp_path: Path) -> None:
    """The pay-in is made once; its event is read from where the last process stood."""

    def paying(sandbox_paid: list[str]) -> Living:
        async def live(alive: InProcess) -> None:
            await alive.workflow("w", STAGES)
            variables = {"user": "event.sourceAccountID", "amount": "event.amount"}
            await alive.trigger("good", "payments.saved_payment", "w", vars=variables)
            if not sandbox_paid:
                sandbox_paid.append("paid")
                await _pay_in(alive)
            while [page async for page in alive.journal.occurrences("good")] == []:
                await asyncio.sleep(0.005)
            await _until_done(alive)

        return live

    whole = await _play(tmp_path / "whole.db", CrashPoint(), paying([]), failed=0, feeds=True)
    assert any("AcceptEvent" in seen and "MovePosition" in seen for seen in whole.seen), "one commit"
    for number in range(len(whole.seen)):
        for after in (False, True):
            await _play(
                tmp_path / f"{number}{after}.db", CrashPoint(number, after=after), paying([]), failed=0, feeds=True
            )


async def _pay_in(alive: InProcess) -> None:
    from headrace.effects.port import Request
    from headrace.sandbox.responses import encoded

    response = await alive.downstream.send(Request("payments", "POST", "/payments", encoded(PAY_IN)))
    assert response.status == 200


@pytest.mark.timeout(300)
def test_a_broker_that_repeats_itself_to_a_server_that_is_killed(tmp_path: Path) -> None:
    """300 deliveries of 60 events, out of order, with kills: 60 instances, 60 occurrences, each paid once."""
    chance = random.Random(5)
    with Server(tmp_path / "data", settings=FAST) as server:
        server.post("/api/ledger/v2/shop", {})
        workflow_id = server.post(f"{API}/workflows", {"stages": STAGES}).json["data"]["id"]
        rule = {"event": "PAID", "workflowID": workflow_id, **RULE}
        trigger_id = server.post(f"{API}/triggers", rule).json["data"]["id"]
        waiting = [number for number in range(60) for _ in range(5)]
        chance.shuffle(waiting)
        kills = set(chance.sample(range(len(waiting)), 5))
        for turn, number in enumerate(waiting):
            body = {**EVENT, "id": f"e{number}", "payload": {"user": str(number), "amount": number + 1}}
            if turn in kills:
                server.post_and_hang_up(f"{API}/ext/events", body, headers={})
                server.restart()
            _until_accepted(server, body)
        occurrences = _settled(server, trigger_id)
        assert len(occurrences) == 60
        assert len({row["workflowInstanceID"] for row in occurrences}) == 60
        assert not [row for row in occurrences if "error" in row or "error" in row["workflowInstance"]]
        assert len(server.get(f"{API}/instances").json["data"]) == 60
        for number in range(60):
            account = server.get(f"/api/ledger/v2/shop/accounts/users:{number}?expand=volumes").json["data"]
            assert account["volumes"]["USD/2"]["input"] == number + 1


def _until_accepted(server: Server, body: Any) -> None:
    while True:
        try:
            assert server.post(f"{API}/ext/events", body).status == 202
        except NoAnswer:
            continue
        return


def _settled(server: Server, trigger_id: str) -> list[Any]:
    import time

    deadline_s = time.monotonic() + 60
    while time.monotonic() < deadline_s:
        rows = server.get(f"{API}/triggers/{trigger_id}/occurrences").json["data"]
        if len(rows) >= 60 and all(row.get("workflowInstance", {}).get("terminated") for row in rows):
            return rows
        time.sleep(0.1)
    raise AssertionError("the occurrences did not end")
