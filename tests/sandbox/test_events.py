"""What the sandbox publishes: valid against the public schemas, in the commit of what it tells, under its own name."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from headrace.sandbox import Releases, Sandbox
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
ACCOUNT: dict[str, Any] = {
    "reference": "acc-1",
    "connectorID": "stripe",
    "createdAt": "2024-05-01T10:00:00Z",
    "defaultAsset": "USD/2",
    "accountName": "Jane",
    "type": "EXTERNAL",
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


AMOUNTS = ("amount", "initialAmount")
V2 = Releases(events="v2")
FOLDERS = {"v2": "v2.0.0", "v3": "v3.0.0"}


async def published(sandbox: Sandbox, after: int = 0) -> list[dict[str, Any]]:
    """Every event after a number; each valid."""
    found = [json.loads(text) for _, text in await sandbox.events_after(after, 1_000)]
    for event in found:
        folder = SCHEMAS / event["app"] / FOLDERS[event["version"]]
        schema = json.loads((folder / f"{event['type']}.json").read_text())
        jsonschema_rs.validator_for(schema, validate_formats=True).validate(as_in_schema(event))
    return found


def as_in_schema(event: dict[str, Any]) -> dict[str, Any]:
    """The schemas of payments v3 say that amounts are numbers, and the service publishes text."""
    if (event["app"], event["version"]) != ("payments", "v3"):
        return event
    amounts = {name: event["payload"][name] for name in AMOUNTS if name in event["payload"]}
    assert all(isinstance(amount, str) and amount.isdigit() for amount in amounts.values()), event
    return {**event, "payload": {**event["payload"], **{name: int(amount) for name, amount in amounts.items()}}}


async def test_a_transaction_is_published_whoever_made_it(sandbox: Sandbox, ledger: Ledger, wallets: Service) -> None:
    booked = ledger.send("world", "users:1", 10**30, reference="r1", metadata={"k": "v"})["data"]
    wallet = wallets.post("/wallets", {"name": "w", "metadata": {}}, status=201)["data"]["id"]
    wallets.post(f"/wallets/{wallet}/credit", {"amount": {"amount": 7, "asset": "USD/2"}}, status=204)
    first, second = await published(sandbox)
    assert first["type"] == second["type"] == "COMMITTED_TRANSACTIONS"
    assert set(first) == {"idempotency_key", "date", "app", "version", "type", "payload"}
    assert (first["idempotency_key"], first["version"]) == ("", "v2")
    assert first["payload"] == {"ledger": "main", "transactions": [booked], "accountMetadata": {}}
    (transaction,) = first["payload"]["transactions"]
    assert transaction["postings"][0]["amount"] == 10**30
    assert (transaction["reference"], transaction["metadata"], transaction["reverted"]) == ("r1", {"k": "v"}, False)
    assert second["payload"]["ledger"] == "wallets-002"


async def test_a_revert_is_published_with_both_transactions(sandbox: Sandbox, ledger: Ledger) -> None:
    ledger.send("world", "users:1", 5, reference="r1")
    revert = ledger.post("/v2/main/transactions/1/revert", status=201)["data"]
    ledger.post("/v2/main/transactions/1/revert", status=400)
    _, event = await published(sandbox)
    assert event["type"] == "REVERTED_TRANSACTION" and event["payload"]["ledger"] == "main"
    assert event["payload"]["revertTransaction"] == revert
    original = event["payload"]["revertedTransaction"]
    assert (original["id"], original["reverted"], original["reference"]) == (1, True, "r1")


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
        "SAVED_PAYMENT_INITIATION",
        "SAVED_PAYMENT_INITIATION_ADJUSTMENT",
        "SAVED_PAYMENT_INITIATION_ADJUSTMENT",
    ]
    assert found[0]["payload"]["targetId"] == "users:1"
    assert (found[1]["payload"]["id"], found[1]["payload"]["amount"]) == (payment["id"], str(10**30))
    assert (found[2]["payload"]["reference"], found[2]["payload"]["provider"]) == ("t1", "stripe")
    assert [event["payload"]["status"] for event in found[3:]] == ["WAITING_FOR_VALIDATION", "PROCESSED"]
    assert {event["payload"]["paymentInitiationID"] for event in found[3:]} == {initiation["id"]}


async def test_the_older_payments_publish_the_older_shape(make_sandbox: Callable[..., Sandbox]) -> None:
    sandbox = make_sandbox(releases=V2)
    payments = Service(sandbox, "payments")
    account = payments.post("/accounts", ACCOUNT, status=200)["data"]["id"]
    payments.post("/payments", {**PAY_IN, "destinationAccountID": account}, status=200)
    initiation = payments.post("/transfer-initiations", INITIATION, status=200)["data"]
    payments.post(f"/transfer-initiations/{initiation['id']}/status", {"status": "VALIDATED"}, status=204)
    saved_account, payment, *initiations = await published(sandbox)
    assert (payment["version"], payment["idempotency_key"]) == ("v2", "")
    assert (payment["payload"]["amount"], payment["payload"]["connectorId"]) == (10**30, "stripe")
    assert payment["payload"]["destinationAccountId"] == account and "sourceAccountId" not in payment["payload"]
    uri = f"http://127.0.0.1:8484/api/payments/accounts/{account}"
    assert payment["payload"]["links"] == [{"name": "destination_account", "uri": uri}]
    assert (saved_account["payload"]["accountName"], saved_account["payload"]["provider"]) == ("Jane", "STRIPE")
    assert [event["type"] for event in initiations] == ["SAVED_TRANSFER_INITIATION"] * 2
    assert [event["payload"]["status"] for event in initiations] == ["WAITING_FOR_VALIDATION", "PROCESSED"]


async def test_a_payment_of_today_has_text_amounts_and_links_to_its_accounts(
    make_sandbox: Callable[..., Sandbox],
) -> None:
    sandbox = make_sandbox(releases=Releases(url="http://127.0.0.1:9"))
    payments = Service(sandbox, "payments")
    account = payments.post("/accounts", ACCOUNT, status=200)["data"]["id"]
    pay_in = {**PAY_IN, "destinationAccountID": account, "sourceAccountID": "a/b=c"}
    payments.post("/payments", pay_in, status=200)
    saved_account, event = await published(sandbox)
    assert (saved_account["type"], saved_account["payload"]["name"]) == ("SAVED_ACCOUNT", "Jane")
    assert event["version"] == "v3"
    payload = event["payload"]
    assert (payload["amount"], payload["initialAmount"]) == (str(10**30), str(10**30))
    assert (payload["connectorID"], payload["provider"]) == ("stripe", "stripe")
    assert (payload["sourceAccountID"], payload["destinationAccountID"]) == ("a/b=c", account)
    root = "http://127.0.0.1:9/api/payments/v3/accounts"
    assert payload["links"] == [
        {"name": "source_account", "uri": f"{root}/a%2Fb%3Dc"},
        {"name": "destination_account", "uri": f"{root}/{account}"},
    ]


async def test_what_is_empty_is_left_out_as_by_the_service(sandbox: Sandbox, payments: Service) -> None:
    payments.post("/payments", PAY_IN, status=200)
    (event,) = await published(sandbox)
    assert not {"sourceAccountID", "destinationAccountID", "links", "metadata"} & set(event["payload"])


async def test_each_payments_event_has_a_key_of_its_own(sandbox: Sandbox, payments: Service) -> None:
    for number in range(3):
        payments.post("/payments", {**PAY_IN, "reference": f"p{number}"}, status=200)
    initiation = payments.post("/transfer-initiations", INITIATION, status=200)["data"]
    payments.post(f"/transfer-initiations/{initiation['id']}/status", {"status": "VALIDATED"}, status=204)
    keys = [event["idempotency_key"] for event in await published(sandbox)]
    assert len(keys) == len(set(keys)) == 6 and all(keys)


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


@pytest.mark.parametrize("name", ["outbox", "identity", "account_times", "payments_accounts"])
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


async def test_books_of_an_older_release_are_read_and_go_on(
    make_sandbox: Callable[..., Sandbox], tmp_path: Path
) -> None:
    import sqlite3

    old = make_sandbox(path=tmp_path / "a.db", releases=Releases(ledger="2.2", events="v2"))
    opened = Ledger(old, "ledger")
    opened.post("/v2/main", {}, status=204)
    opened.send("world", "a", 5, key="k")
    await old.close()
    connection = sqlite3.connect(tmp_path / "a.db")
    connection.execute("DROP TABLE account_times")
    connection.execute("UPDATE transactions SET document = json_remove(document, '$.updatedAt')")
    connection.commit()
    connection.close()
    ledger = Ledger(make_sandbox(path=tmp_path / "a.db"), "ledger")
    transaction = ledger.get("/v2/main/transactions/1")["data"]
    assert transaction["updatedAt"] == transaction["insertedAt"]
    added_at = ledger.get("/v2/main")["data"]["addedAt"]
    account = ledger.get("/v2/main/accounts/a")["data"]
    assert {account[name] for name in ("firstUsage", "insertionDate", "updatedAt")} == {added_at}
    ledger.send("world", "a", 5, key="k")
    assert ledger.balance("a") == 5, "the key is still known"
    ledger.post("/v2/main/transactions/1/revert", status=201)
    assert ledger.balance("a") == 0
