"""What the sandbox publishes: valid against the public schemas, in the commit of what it tells, under its own name."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from headrace.sandbox import Sandbox
from tests.sandbox.conftest import Ledger, Service

SCHEMAS = Path(__file__).parents[1] / "data/events"
PAY_IN: dict[str, Any] = {
    "reference": "p1",
    "connectorID": "stripe",
    "createdAt": "2024-05-01T10:00:00Z",
    "amount": 10**30,
    "type": "PAY-IN",
    "status": "SUCCEEDED",
    "scheme": "visa",
    "asset": "USD/2",
}
INITIATION: dict[str, Any] = {
    "reference": "t1",
    "scheduledAt": "2024-05-01T10:00:00Z",
    "description": "pay-out",
    "sourceAccountID": "",
    "destinationAccountID": "acct",
    "type": "PAYOUT",
    "amount": 5,
    "asset": "USD/2",
    "validated": False,
    "provider": "STRIPE",
}


async def published(sandbox: Sandbox, after: int = 0) -> list[dict[str, Any]]:
    """Every event after a number; each valid."""
    found = [json.loads(text) for _, text in await sandbox.events_after(after, 1_000)]
    for event in found:
        schema = json.loads((SCHEMAS / event["app"] / event["version"] / f"{event['type']}.json").read_text())
        jsonschema_rs.validator_for(schema, validate_formats=True).validate(event)
    return found


async def test_a_transaction_is_published_whoever_made_it(sandbox: Sandbox, ledger: Ledger, wallets: Service) -> None:
    ledger.send("world", "users:1", 10**30, reference="r1", metadata={"k": "v"})
    wallet = wallets.post("/wallets", {"name": "w", "metadata": {}}, status=201)["data"]["id"]
    wallets.post(f"/wallets/{wallet}/credit", {"amount": {"amount": 7, "asset": "USD/2"}}, status=204)
    first, second = await published(sandbox)
    assert first["type"] == second["type"] == "COMMITTED_TRANSACTIONS"
    (transaction,) = first["payload"]["transactions"]
    assert first["payload"]["ledger"] == "main"
    assert transaction["postings"][0]["amount"] == 10**30
    assert (transaction["reference"], transaction["metadata"], transaction["reverted"]) == ("r1", {"k": "v"}, False)
    assert second["payload"]["ledger"] == "wallets-002"


async def test_metadata_payments_and_initiations_are_published(
    sandbox: Sandbox, ledger: Ledger, payments: Service
) -> None:
    ledger.post("/v2/main/accounts/users:1/metadata", {"a": "b"}, status=204)
    payment = payments.post("/payments", PAY_IN, status=200)["data"]
    initiation = payments.post("/transfer-initiations", INITIATION, status=200)["data"]
    payments.post(f"/transfer-initiations/{initiation['id']}/status", {"status": "VALIDATED"}, status=204)
    found = await published(sandbox)
    assert [event["type"] for event in found] == [
        "SAVED_METADATA",
        "SAVED_PAYMENT",
        "SAVED_TRANSFER_INITIATION",
        "SAVED_TRANSFER_INITIATION",
    ]
    assert found[0]["payload"]["targetId"] == "users:1"
    assert (found[1]["payload"]["id"], found[1]["payload"]["amount"]) == (payment["id"], 10**30)
    assert [event["payload"]["status"] for event in found[2:]] == ["WAITING_FOR_VALIDATION", "PROCESSED"]


async def test_what_is_undone_is_not_published(sandbox: Sandbox, ledger: Ledger, payments: Service) -> None:
    ledger.send("nobody", "users:1", 5, status=400)
    body = {"postings": [{"source": "world", "destination": "a", "amount": 1, "asset": "USD/2"}]}
    ledger.post("/v2/main/transactions?dryRun=true", body, status=200)
    ledger.send("world", "users:1", 5, key="k")
    ledger.send("world", "users:1", 5, key="k")
    payments.post("/payments", PAY_IN, status=200)
    payments.post("/payments", PAY_IN, status=400)
    assert [event["type"] for event in await published(sandbox)] == ["COMMITTED_TRANSACTIONS", "SAVED_PAYMENT"]


async def test_a_reader_hears_of_new_events_and_keeps_its_place(sandbox: Sandbox, ledger: Ledger) -> None:
    assert await sandbox.events_after(0, 10) == []
    waiting = asyncio.ensure_future(sandbox.wait_for_events())
    await asyncio.to_thread(ledger.send, "world", "a", 1)
    await asyncio.wait_for(waiting, 5)
    ((seq, _),) = await sandbox.events_after(0, 10)
    for _ in range(3):
        ledger.send("world", "a", 1)
    assert [number for number, _ in await sandbox.events_after(seq, 2)] == [seq + 1, seq + 2]


async def test_what_was_read_is_forgotten_but_for_the_last(
    sandbox: Sandbox, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace.sandbox.events.KEPT", 5)
    for _ in range(30):
        ledger.send("world", "a", 1)
    place = 0
    while page := await sandbox.events_after(place, 4):
        assert [seq for seq, _ in page] == list(range(place + 1, place + 1 + len(page))), "nothing is skipped"
        place = page[-1][0]
    left = [seq for seq, _ in await sandbox.events_after(0, 100)]
    assert place == 30 and 5 <= len(left) <= 10 and left[-1] == 30
    ledger.send("world", "a", 1)
    assert [seq for seq, _ in await sandbox.events_after(place, 4)] == [31], "numbers never come again"


async def test_a_database_has_one_name_for_ever(make_sandbox: Callable[..., Sandbox], tmp_path: Path) -> None:
    first = make_sandbox(path=tmp_path / "a.db")
    name = await first.event_source()
    assert name.startswith("sandbox:") and name == await first.event_source()
    await first.close()
    assert await make_sandbox(path=tmp_path / "a.db").event_source() == name


@pytest.mark.parametrize("name", ["outbox", "identity"])
async def test_a_database_of_the_first_release_gets_what_it_lacks(
    make_sandbox: Callable[..., Sandbox], tmp_path: Path, name: str
) -> None:
    import sqlite3

    await make_sandbox(path=tmp_path / "a.db").close()
    connection = sqlite3.connect(tmp_path / "a.db")
    connection.execute(f"DROP TABLE {name}")
    connection.commit()
    connection.close()
    again = make_sandbox(path=tmp_path / "a.db")
    assert await again.event_source()
    assert await again.events_after(0, 1) == []
