"""What the sandbox publishes: envelopes of the ledger's and the payments' events, in the commit of what they tell."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from headrace.clock import Clock
from headrace.sandbox import timestamps
from headrace.sandbox.answers import Json, encoded

VERSION = "v2.0.0"
App = Literal["ledger", "payments"]
KEPT = 1_000
"""Events that stay after they were read, for people who look into the file."""
MAX_FORGOTTEN = 10_000
"""At once: nobody waits for long."""


@dataclass(frozen=True, slots=True)
class Outbox:
    connection: sqlite3.Connection
    clock: Clock

    def publish(self, app: App, kind: str, payload: Json) -> None:
        date = timestamps.shown(self.clock.now_at())
        envelope = {"date": date, "app": app, "version": VERSION, "type": kind, "payload": payload}
        self.connection.execute("INSERT INTO outbox (envelope) VALUES (?)", (encoded(envelope).decode(),))

    def committed_transaction(self, ledger: str, document: Json) -> None:
        names = ("id", "postings", "reference", "metadata", "timestamp", "reverted")
        transaction = {name: document[name] for name in names if name in document}
        self.publish("ledger", "COMMITTED_TRANSACTIONS", {"ledger": ledger, "transactions": [transaction]})

    def saved_metadata(self, ledger: str, address: str, metadata: Mapping[str, str]) -> None:
        payload = {"ledger": ledger, "targetType": "ACCOUNT", "targetId": address, "metadata": dict(metadata)}
        self.publish("ledger", "SAVED_METADATA", payload)

    def saved_payment(self, payment: Json) -> None:
        names = ("id", "reference", "createdAt", "provider", "type", "status", "scheme", "asset", "amount")
        self.publish(
            "payments",
            "SAVED_PAYMENT",
            {
                **{name: payment[name] for name in names},
                "connectorId": payment["connectorID"],
                "initialAmount": payment["initialAmount"],
                "sourceAccountId": payment["sourceAccountID"],
                "destinationAccountId": payment["destinationAccountID"],
                "links": [],
                "rawData": payment.get("raw") or {},
                "metadata": payment.get("metadata") or {},
            },
        )

    def saved_transfer_initiation(self, initiation: Json) -> None:
        names = ("id", "createdAt", "scheduledAt", "provider", "description", "type", "amount", "asset", "status")
        self.publish(
            "payments",
            "SAVED_TRANSFER_INITIATION",
            {
                **{name: initiation[name] for name in names},
                "connectorId": initiation["connectorID"],
                "sourceAccountId": initiation["sourceAccountID"],
                "destinationAccountId": initiation["destinationAccountID"],
                "attempts": 1,
                "error": initiation["error"],
                "relatedPayments": [],
            },
        )


def source_of(connection: sqlite3.Connection, new_id: str) -> str:
    """The name of this database as a source of events."""
    connection.execute("INSERT INTO identity SELECT ? WHERE NOT EXISTS (SELECT 1 FROM identity)", (new_id,))
    return f"sandbox:{connection.execute('SELECT id FROM identity').fetchone()[0]}"


def events_after(connection: sqlite3.Connection, seq: int, limit: int) -> list[tuple[int, str]]:
    """The next ones, by their numbers. Whoever asks has those up to there: all but the last of them are forgotten."""
    first = connection.execute("SELECT min(seq) FROM outbox").fetchone()[0]
    if first is not None and first <= seq - 2 * KEPT:
        connection.execute("DELETE FROM outbox WHERE seq <= ?", (min(seq - KEPT, first + MAX_FORGOTTEN),))
    statement = "SELECT seq, envelope FROM outbox WHERE seq > ? ORDER BY seq LIMIT ?"
    return [(row["seq"], row["envelope"]) for row in connection.execute(statement, (seq, limit))]
