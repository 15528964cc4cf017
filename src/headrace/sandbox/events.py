"""Events of the sandbox's ledger and payments, stored in the commit of the change that they describe."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

from headrace.clock import Clock
from headrace.sandbox import payment_views, timestamps
from headrace.sandbox.releases import Releases
from headrace.sandbox.responses import Json, encoded

LEDGER_VERSION = "v2"
App = Literal["ledger", "payments"]
KEPT = 1_000
"""Events that stay after they were read, for a person who inspects the file."""
MAX_FORGOTTEN = 10_000
"""Maximum events deleted at once, which bounds the delay of a read."""


@dataclass(frozen=True, slots=True)
class Outbox:
    """Events of the sandbox, stored until they are read."""

    connection: sqlite3.Connection
    clock: Clock
    releases: Releases

    def ledger_event(self, kind: str, payload: Json) -> None:
        self._publish("ledger", LEDGER_VERSION, kind, payload, key="")

    def committed_transaction(self, ledger: str, transaction: Json) -> None:
        payload: Json = {"ledger": ledger, "transactions": [transaction], "accountMetadata": {}}
        self.ledger_event("COMMITTED_TRANSACTIONS", payload)

    def reverted_transaction(self, ledger: str, reverted: Json, revert: Json) -> None:
        payload = {"ledger": ledger, "revertedTransaction": reverted, "revertTransaction": revert}
        self.ledger_event("REVERTED_TRANSACTION", payload)

    def saved_metadata(self, ledger: str, address: str, metadata: Mapping[str, str]) -> None:
        payload = {"ledger": ledger, "targetType": "ACCOUNT", "targetId": address, "metadata": dict(metadata)}
        self.ledger_event("SAVED_METADATA", payload)

    def saved_account(self, account: Json) -> None:
        payload = payment_views.account_v3(account) if self._is_v3 else payment_views.account_v2(account)
        self._payments_event("SAVED_ACCOUNT", payload, account["id"])

    def saved_payment(self, payment: Json) -> None:
        url = self.releases.url
        payload = payment_views.payment_v3(payment, url) if self._is_v3 else payment_views.payment_v2(payment, url)
        self._payments_event("SAVED_PAYMENT", payload, payment["id"], payment["status"])

    def saved_transfer_initiation(self, initiation: Json) -> None:
        """Version 2 publishes the initiation with every status that it reaches, version 3 the statuses alone."""
        adjustment = initiation["relatedAdjustments"][-1]
        if not self._is_v3:
            self._payments_event("SAVED_TRANSFER_INITIATION", payment_views.initiation_v2(initiation))
            return
        if len(initiation["relatedAdjustments"]) == 1:
            self._payments_event("SAVED_PAYMENT_INITIATION", payment_views.initiation_v3(initiation), initiation["id"])
        payload = payment_views.adjustment_v3(initiation, adjustment)
        self._payments_event("SAVED_PAYMENT_INITIATION_ADJUSTMENT", payload, adjustment["adjustmentID"])

    @property
    def _is_v3(self) -> bool:
        return self.releases.events == "v3"

    def _payments_event(self, kind: str, payload: Json, *identity: str) -> None:
        """Version 3 has a key that is the same for what is the same, version 2 has none."""
        key = sha256(encoded([kind, *identity])).hexdigest() if self._is_v3 else ""
        self._publish("payments", self.releases.events, kind, payload, key)

    def _publish(self, app: App, version: str, kind: str, payload: Json, key: str) -> None:
        date = timestamps.shown(self.clock.now_at())
        envelope = {
            "idempotency_key": key,
            "date": date,
            "app": app,
            "version": version,
            "type": kind,
            "payload": payload,
        }
        self.connection.execute("INSERT INTO outbox (envelope) VALUES (?)", (encoded(envelope).decode(),))


def source_of(connection: sqlite3.Connection, new_id: str) -> str:
    """The name of this database as a source of events."""
    connection.execute("INSERT INTO identity SELECT ? WHERE NOT EXISTS (SELECT 1 FROM identity)", (new_id,))
    return f"sandbox:{connection.execute('SELECT id FROM identity').fetchone()[0]}"


def events_after(connection: sqlite3.Connection, seq: int, limit: int) -> list[tuple[int, str]]:
    """The next events after number `seq`. The reader has the earlier ones: all but the last of them are deleted."""
    first = connection.execute("SELECT min(seq) FROM outbox").fetchone()[0]
    if first is not None and first <= seq - 2 * KEPT:
        connection.execute("DELETE FROM outbox WHERE seq <= ?", (min(seq - KEPT, first + MAX_FORGOTTEN),))
    statement = "SELECT seq, envelope FROM outbox WHERE seq > ? ORDER BY seq LIMIT ?"
    return [(row["seq"], row["envelope"]) for row in connection.execute(statement, (seq, limit))]
