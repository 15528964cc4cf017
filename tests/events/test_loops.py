"""A workflow whose own effects set it off again ends after eight rounds, whatever event tells of them (decision T6)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from headrace.effects.port import Request
from headrace.journal.records import Occurrence
from headrace.sandbox import Releases, Sandbox
from tests.support.in_process import InProcess, SandboxStack, new_sandbox, running

LIMIT_S = 30.0
TAGGING: dict[str, Any] = {"update": {"account": {"id": "users:1", "ledger": "shop", "metadata": {"b": "2", "a": "1"}}}}
PAYING: dict[str, Any] = {
    "send": {
        "source": {"account": {"id": "world", "ledger": "shop"}},
        "destination": {"account": {"id": "users:1", "ledger": "shop"}},
        "amount": {"amount": "7", "asset": "USD/2"},
    }
}
PAYING_OUT: dict[str, Any] = {
    "send": {
        "source": {"account": {"id": "merchants:7", "ledger": "shop"}},
        "destination": {"payment": {"psp": "dummy-pay", "type": "PAYOUT"}},
        "amount": {"amount": "7", "asset": "USD/2"},
    }
}


@pytest.fixture
def releases() -> Releases:
    return Releases()


@pytest.fixture
async def sandbox(releases: Releases) -> AsyncIterator[Sandbox]:
    made = new_sandbox(releases=releases)
    stack = SandboxStack(made)
    stack.create_ledger("shop")
    stack.move("shop", "world", "merchants:7", 1_000, "USD/2")
    stack.close()
    path, body = "/v2/shop/accounts/merchants:7/metadata", b'{"formanceAccountID":"bank-7"}'
    assert (await made.send(Request("ledger", "POST", path, body))).status == 204
    yield made
    await made.close()


async def occurrences(alive: InProcess) -> list[Occurrence]:
    return [row async for page in alive.journal.occurrences("loop") for row in page][::-1]


@pytest.mark.parametrize(
    ("event", "stage", "releases"),
    [
        ("ledger.saved_metadata", TAGGING, Releases()),
        ("COMMITTED_TRANSACTIONS", PAYING, Releases()),
        ("payments.saved_payment_initiation", PAYING_OUT, Releases()),
        ("payments.saved_transfer_initiation", PAYING_OUT, Releases(events="v2")),
        ("payments.saved_payment_initiation_adjustment", PAYING_OUT, Releases()),
    ],
    ids=["metadata", "transactions", "payouts", "payouts of payments v2", "statuses of payouts"],
)
async def test_a_loop_by_way_of_a_service_stops_at_its_depth(
    tmp_path: Path, sandbox: Sandbox, event: str, stage: dict[str, Any]
) -> None:
    async with running(tmp_path / "j.db", sandbox, source=sandbox) as alive:
        workflow = await alive.workflow("w", [stage])
        await asyncio.sleep(0.1)  # what the fixture did is read and not waited for
        await alive.trigger("loop", event, "w")
        await alive.run_once(workflow, {})
        async with asyncio.timeout(LIMIT_S):
            while not (rows := await occurrences(alive)) or rows[-1].error is None:
                await asyncio.sleep(0.01)
                assert len(rows) <= 9, "it goes on and on"
        assert [row.depth for row in rows] == list(range(1, 10))
        await asyncio.sleep(0.1)
        assert len(await occurrences(alive)) == 9


async def test_metadata_that_somebody_else_writes_is_no_loop(tmp_path: Path, sandbox: Sandbox) -> None:
    async with running(tmp_path / "j.db", sandbox, source=sandbox) as alive:
        await alive.workflow("w", [PAYING])
        await alive.trigger("loop", "SAVED_METADATA", "w")
        for number in range(12):
            path, body = "/v2/shop/accounts/users:1/metadata", b'{"n":"%d"}' % number
            assert (await sandbox.send(Request("ledger", "POST", path, body))).status == 204
        async with asyncio.timeout(LIMIT_S):
            while len(await occurrences(alive)) < 12:
                await asyncio.sleep(0.01)
        assert {(row.depth, row.error) for row in await occurrences(alive)} == {(1, None)}
