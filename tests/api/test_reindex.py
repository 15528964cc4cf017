"""`headrace reindex`: what it stores is what a run stores as it goes."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
from asyncio.subprocess import PIPE
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from headrace.usecases.reindexing import reindex
from tests.api.conftest import WAITING, Live, served
from tests.support import postgres

WORLD: dict[str, Any] = {"account": {"id": "world", "ledger": "main"}}


def send(source: Any, destination: Any, amount: int = 2_500) -> dict[str, Any]:
    money = {"amount": amount, "asset": "EUR/2"}
    return {"send": {"source": source, "destination": destination, "amount": money}}


async def runs(live: Live) -> None:
    """Runs with every kind of effect that a definition has, one that failed, and one that is refused at its start."""
    assert (await live.http.post("/api/ledger/v2/main", json={})).status_code == 204
    wallet = (await live.http.post("/api/wallets/wallets", json={"name": "w", "metadata": {}})).json()["data"]["id"]
    shop = {"account": {"id": "shop", "ledger": "main"}}
    paid = await live.http.post(
        "/api/payments/payments",
        json={
            "reference": "p1",
            "connectorID": "stripe",
            "createdAt": "2024-05-01T10:00:00Z",
            "amount": 100,
            "type": "PAY-IN",
            "status": "SUCCEEDED",
            "scheme": "other",
            "asset": "EUR/2",
        },
    )
    assert paid.status_code in (200, 201), paid.text
    metadata = {"update": {"account": {"id": "shop", "ledger": "main", "metadata": {"seen": "yes"}}}}
    definitions: list[list[dict[str, Any]]] = [
        [send(WORLD, shop), send(shop, {"account": {"id": "other", "ledger": "second"}}, 7), metadata],
        [send(WORLD, {"wallet": {"id": wallet}}), send({"wallet": {"id": wallet}}, shop, 500)],
        [send({"payment": {"id": paid.json()["data"]["id"]}}, shop, 100)],
        [send({"account": {"id": "empty", "ledger": "main"}}, shop), *WAITING["stages"]],
        [{"delay": {"duration": "0s"}}],
    ]
    for number, stages in enumerate(definitions):
        instance_id = await live.started(
            await live.created({"stages": stages}), {"order": f"A{number}", "long": "x" * 65}
        )
        await live.ended(instance_id)


def stored(path: Path) -> tuple[list[Any], list[Any]]:
    with closing(sqlite3.connect(path)) as connection:
        lookups = connection.execute("SELECT term, created_at, instance_id FROM lookups ORDER BY 1, 2, 3").fetchall()
        amounts = connection.execute("SELECT id, amount FROM instances ORDER BY id").fetchall()
    return lookups, amounts


async def test_what_reindex_stores_is_what_the_runs_have_stored(tmp_path: Path) -> None:
    async with served(tmp_path) as live:
        await runs(live)
        path = next(tmp_path.glob("*journal*.db"))
        before = stored(path)
        kinds = {row[0].partition(" ")[0] for row in before[0]}
        assert kinds == {"account", "amount", "payment", "transaction", "value", "wallet"}
        assert [amount for _, amount in before[1]] == [
            "EUR/2 0004 2500",
            "EUR/2 0004 2500",
            "EUR/2 0003 100",
            "EUR/2 0004 2500",
            None,
        ]
        assert not [row for row in before[0] if "xxx" in row[0]]
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("DELETE FROM lookups")
            connection.execute("UPDATE instances SET amount = NULL")
            connection.commit()
        assert stored(path) != before
        for _ in range(2):
            assert [done async for done in reindex(live.ports.journal)] == [5]
            assert stored(path) == before


async def test_reindex_works_beside_a_server_on_postgresql(tmp_path: Path) -> None:
    if postgres.programs() is None:
        pytest.skip(postgres.MISSING)
    url = postgres.new_database()
    async with served(tmp_path, database_url=url) as live:
        workflow_id = await live.created(WAITING)
        ids = [await live.started(workflow_id, {"order": f"A{number}"}) for number in range(3)]
        with closing(psycopg.connect(url)) as connection, connection:
            connection.execute("DELETE FROM lookups")
        found = {"q": "A1"}
        assert (await live.call("GET", "/ext/instances", params=found)).json()["cursor"]["data"] == []
        command = [sys.executable, "-m", "headrace.cli", "-o", "json", "reindex", "--database-url", url]
        process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE)
        out, err = await process.communicate()
        assert process.returncode == 0, err
        assert json.loads(out)["data"]["reindex"]["instances"] == 3
        (row,) = (await live.call("GET", "/ext/instances", params=found)).json()["cursor"]["data"]
        assert row["id"] == ids[1]
        aborted = await live.call("POST", f"/ext/instances/{ids[0]}/abort", {"reason": "the server is still the owner"})
        assert aborted.status_code == 204
