"""Double entry: what every ledger of the sandbox holds, and the only code that moves money.

A posting adds its amount to its source's output and to its destination's input, so the balances
(input less output) of one asset sum to zero permanently. Checks come in a real ledger's order: key,
then funds, then reference.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from headrace.clock import Clock
from headrace.effects.port import Response
from headrace.money import WORLD, Posting
from headrace.sandbox import timestamps
from headrace.sandbox.bodies import stored
from headrace.sandbox.events import Outbox
from headrace.sandbox.releases import Releases
from headrace.sandbox.requests import Call, Page
from headrace.sandbox.responses import Json, encoded, error, is_done, refusal

MAX_KEY_BYTES = 255
REVERTS = "com.formance.spec/state/reverts"
"""Metadata of a reverting transaction: the id of the one that it reverts."""


class InsufficientFund(Exception):
    """An account has less than it should give."""


class ReferenceTaken(Exception):
    """The ledger has a transaction of this reference."""


@dataclass(frozen=True, slots=True)
class Volume:
    """All that came in and went out."""

    input: int = 0
    output: int = 0

    @property
    def balance(self) -> int:
        return self.input - self.output

    def shown(self) -> Json:
        return {"input": self.input, "output": self.output, "balance": self.balance}


Volumes = dict[tuple[str, str], Volume]
"""By account and asset."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A transaction to be booked. `unbounded` names the accounts that may go below zero beside `world`."""

    ledger: str
    postings: list[Posting]
    metadata: dict[str, str]
    reference: str | None = None
    timestamp_at: int | None = None
    unbounded: Collection[str] = field(default_factory=frozenset[str])


def volumes_after(before: Mapping[tuple[str, str], Volume], draft: Draft) -> Volumes:
    """The volumes once all postings have been made in order. Raises InsufficientFund."""
    after = dict(before)
    for posting in draft.postings:
        source, destination = posting["source"], posting["destination"]
        amount, asset = posting["amount"], posting["asset"]
        giver = after[source, asset]
        if amount > max(giver.balance, 0) and source != WORLD and source not in draft.unbounded:
            raise InsufficientFund
        after[source, asset] = Volume(giver.input, giver.output + amount)
        taker = after[destination, asset]
        after[destination, asset] = Volume(taker.input + amount, taker.output)
    return after


_ACCOUNTS = """
    SELECT accounts.address, accounts.metadata,
        coalesce(times.first_usage, ledgers.added_at) AS first_usage,
        coalesce(times.inserted_at, ledgers.added_at) AS inserted_at,
        coalesce(times.updated_at, ledgers.added_at) AS updated_at
    FROM accounts JOIN ledgers ON ledgers.name = accounts.ledger
    LEFT JOIN account_times AS times ON times.ledger = accounts.ledger AND times.address = accounts.address"""
"""Accounts with their times; one from before those were kept has the times of its ledger."""


class Books:
    """Ledgers with their transactions, balances and metadata."""

    def __init__(self, connection: sqlite3.Connection, clock: Clock, releases: Releases) -> None:
        self._connection = connection
        self._clock = clock
        self._releases = releases
        self._outbox = Outbox(connection, clock, releases)

    # Ledgers

    def open_ledger(self, name: str, metadata: Mapping[str, str]) -> bool:
        """False if there is one of this name."""
        row = self._connection.execute(
            "INSERT INTO ledgers (name, metadata, added_at) VALUES (?, ?, ?) ON CONFLICT (name) DO NOTHING",
            (name, json.dumps(metadata), self._clock.now_at()),
        )
        return row.rowcount == 1

    def ledger(self, name: str) -> Json | None:
        row = self._connection.execute("SELECT * FROM ledgers WHERE name = ?", (name,)).fetchone()
        return ledger_shown(row) if row else None

    def ledgers(self, page: Page) -> list[sqlite3.Row]:
        statement = "SELECT * FROM ledgers WHERE number < ? ORDER BY number DESC LIMIT ?"
        return self._connection.execute(statement, (page.before(), page.limit)).fetchall()

    def has_ledger(self, name: str) -> bool:
        return self._connection.execute("SELECT 1 FROM ledgers WHERE name = ?", (name,)).fetchone() is not None

    def burn_id(self, ledger: str) -> int:
        """Take the ledger's next transaction id."""
        statement = (
            "UPDATE ledgers SET last_transaction_id = last_transaction_id + 1 WHERE name = ?"
            " RETURNING last_transaction_id"
        )
        return self._connection.execute(statement, (ledger,)).fetchall()[0][0]

    # Idempotency keys

    def once(
        self,
        ledger: str,
        call: Call,
        content: object,
        perform: Callable[[], Response],
        *,
        other_content: tuple[int, str] = (400, "VALIDATION"),
    ) -> Response:
        """Perform, unless the key was used on this ledger: then the first answer, or a refusal of other content."""
        if not call.key:
            return perform()
        if len(call.key.encode()) > MAX_KEY_BYTES:
            return error(500, "INTERNAL", f"an idempotency key has at most {MAX_KEY_BYTES} bytes")
        content_hash = hashlib.sha256(json.dumps([call.operation, content], sort_keys=True).encode()).digest()
        statement = "SELECT content_hash, status, body FROM keys WHERE ledger = ? AND key = ?"
        row = self._connection.execute(statement, (ledger, call.key)).fetchone()
        if row is not None:
            if row["content_hash"] != content_hash:
                raise refusal(*other_content, "invalid idempotency hash: the key was used with other content")
            hint = {"idempotency-hit": "true"} if self._releases.has_idempotency_hit else {}
            return Response(row["status"], row["body"], {"content-type": "application/json", **hint})
        response = perform()
        assert is_done(response), "a refusal is raised, so it uses up no key"
        values = (ledger, call.key, content_hash, response.status, response.body)
        self._connection.execute("INSERT INTO keys VALUES (?, ?, ?, ?, ?)", values)
        return response

    # Transactions

    def book(self, draft: Draft) -> Json:
        """Write a transaction and its volumes. Raises InsufficientFund or ReferenceTaken, having written nothing."""
        booked = self._book(draft)
        self._outbox.committed_transaction(draft.ledger, booked)
        return booked

    def revert(self, original: Json, draft: Draft) -> Json:
        """Book the transaction that reverts another one, and mark that as reverted. Raises InsufficientFund."""
        booked = self._book(draft)
        reverted = {**original, "revertedAt": booked["insertedAt"], "updatedAt": booked["insertedAt"], "reverted": True}
        self._connection.execute(
            "UPDATE transactions SET document = ? WHERE ledger = ? AND id = ?",
            (encoded(reverted).decode(), draft.ledger, original["id"]),
        )
        self._outbox.reverted_transaction(draft.ledger, self._releases.transaction(reverted), booked)
        return booked

    def _book(self, draft: Draft) -> Json:
        touched = {(p[side], p["asset"]) for p in draft.postings for side in ("source", "destination")}
        before = {pair: self.volume(draft.ledger, *pair) for pair in sorted(touched)}
        after = volumes_after(before, draft)
        if draft.reference and self.by_reference(draft.ledger, draft.reference):
            raise ReferenceTaken
        now_at = self._clock.now_at()
        document: Json = {
            "postings": draft.postings,
            "metadata": draft.metadata,
            "timestamp": timestamps.shown(now_at if draft.timestamp_at is None else draft.timestamp_at),
            **({"reference": draft.reference} if draft.reference else {}),
            "insertedAt": timestamps.shown(now_at),
            "updatedAt": timestamps.shown(now_at),
            "id": self.burn_id(draft.ledger),
            "reverted": False,
        }

        self._write(draft, document, after)
        volumes = {"preCommitVolumes": _tree(before), "postCommitVolumes": _tree(after)}
        return {**self._releases.transaction(document), **volumes}

    def _write(self, draft: Draft, document: Json, after: Volumes) -> None:
        ledger, number = draft.ledger, document["id"]
        self._connection.execute(
            "INSERT INTO transactions (ledger, id, reference, document) VALUES (?, ?, ?, ?)",
            (ledger, number, draft.reference or None, encoded(document).decode()),
        )
        self._connection.executemany(
            "INSERT OR REPLACE INTO volumes (ledger, account, asset, input, output) VALUES (?, ?, ?, ?, ?)",
            [(ledger, *pair, str(volume.input), str(volume.output)) for pair, volume in after.items()],
        )
        accounts = sorted({account for account, _ in after})
        self._connection.executemany(
            "INSERT OR IGNORE INTO accounts (ledger, address, metadata) VALUES (?, ?, '{}')",
            [(ledger, account) for account in accounts],
        )
        self._used(ledger, accounts, timestamps.microseconds(document["timestamp"]))
        self._connection.executemany(
            "INSERT INTO moves (ledger, account, transaction_id) VALUES (?, ?, ?)",
            [(ledger, account, number) for account in accounts],
        )

    def _used(self, ledger: str, accounts: Sequence[str], used_at: int) -> None:
        """Note that accounts were used; `used_at` is the time at which it counts."""
        now_at = self._clock.now_at()
        self._connection.executemany(
            """
            INSERT INTO account_times (ledger, address, first_usage, inserted_at, updated_at) VALUES (?, ?, ?, ?, ?)
            ON CONFLICT (ledger, address) DO UPDATE SET first_usage = excluded.first_usage
            WHERE excluded.first_usage < first_usage""",
            [(ledger, account, used_at, now_at, now_at) for account in accounts],
        )

    def transaction(self, ledger: str, number: int) -> Json | None:
        """As it is stored."""
        statement = "SELECT document FROM transactions WHERE ledger = ? AND id = ?"
        row = self._connection.execute(statement, (ledger, number)).fetchone()
        return stored(row["document"]) if row else None

    def by_reference(self, ledger: str, reference: str) -> list[sqlite3.Row]:
        statement = "SELECT id, document FROM transactions WHERE ledger = ? AND reference = ?"
        return self._connection.execute(statement, (ledger, reference)).fetchall()

    def transactions(self, ledger: str, page: Page) -> list[sqlite3.Row]:
        """A page of transactions, newest first."""
        statement = "SELECT id, document FROM transactions WHERE ledger = ? AND id < ? ORDER BY id DESC LIMIT ?"
        return self._connection.execute(statement, (ledger, page.before(), page.limit)).fetchall()

    def transactions_between(self, ledger: str, between: tuple[int, int], page: Page) -> list[sqlite3.Row]:
        """A page of transactions that are dated from a time to before another one, newest first."""
        statement = "SELECT id, document FROM transactions WHERE ledger = ? AND id < ? ORDER BY id DESC"
        found: list[sqlite3.Row] = []
        for row in self._connection.execute(statement, (ledger, page.before())):
            if between[0] <= timestamps.microseconds(stored(row["document"])["timestamp"]) < between[1]:
                found.append(row)
                if len(found) == page.limit:
                    break
        return found

    def transactions_of(self, ledger: str, account: str, page: Page, *, is_prefix: bool = False) -> list[sqlite3.Row]:
        """A page of transactions of an account, or of accounts with this prefix, newest first."""
        statement = """
            SELECT id, document FROM transactions WHERE ledger = :ledger AND id IN (
                SELECT DISTINCT transaction_id FROM moves
                WHERE ledger = :ledger AND account >= :first AND account < :last AND transaction_id < :before
                ORDER BY transaction_id DESC LIMIT :limit)
            ORDER BY id DESC"""
        last = account + ("\U0010ffff" if is_prefix else "\x00")
        names = {"ledger": ledger, "first": account, "last": last, "before": page.before(), "limit": page.limit}
        return self._connection.execute(statement, names).fetchall()

    # Accounts

    def volume(self, ledger: str, account: str, asset: str) -> Volume:
        statement = "SELECT input, output FROM volumes WHERE ledger = ? AND account = ? AND asset = ?"
        row = self._connection.execute(statement, (ledger, account, asset)).fetchone()
        return _volume(row) if row else Volume()

    def volumes_of(self, ledger: str, account: str) -> dict[str, Volume]:
        """The volumes of an account by asset."""
        statement = "SELECT asset, input, output FROM volumes WHERE ledger = ? AND account = ? ORDER BY asset"
        rows = self._connection.execute(statement, (ledger, account)).fetchall()
        return {row["asset"]: _volume(row) for row in rows}

    def account(self, ledger: str, address: str) -> sqlite3.Row | None:
        statement = f"{_ACCOUNTS} WHERE accounts.ledger = ? AND accounts.address = ?"
        return self._connection.execute(statement, (ledger, address)).fetchone()

    def accounts(self, ledger: str, page: Page) -> list[sqlite3.Row]:
        """A page of accounts, ordered by address."""
        conditions = "WHERE accounts.ledger = ? AND accounts.address > ? ORDER BY accounts.address LIMIT ?"
        statement = f"{_ACCOUNTS} {conditions}"
        return self._connection.execute(statement, (ledger, page.beyond(), page.limit)).fetchall()

    def add_metadata(self, ledger: str, address: str, metadata: Mapping[str, str]) -> None:
        row = self.account(ledger, address)
        present: Json = stored(row["metadata"]) if row else {}
        now_at = self._clock.now_at()
        self._used(ledger, [address], now_at)
        changed = "UPDATE account_times SET updated_at = ? WHERE ledger = ? AND address = ?"
        self._connection.execute(changed, (now_at, ledger, address))
        statement = "INSERT OR REPLACE INTO accounts (ledger, address, metadata) VALUES (?, ?, ?)"
        self._connection.execute(statement, (ledger, address, encoded({**present, **metadata}).decode()))
        self._outbox.saved_metadata(ledger, address, metadata)

    def totals(self, ledger: str, is_counted: Callable[[str], bool]) -> dict[str, int]:
        """The sum of the balances of the accounts that count, by asset."""
        statement = "SELECT account, asset, input, output FROM volumes WHERE ledger = ? ORDER BY asset"
        totals: dict[str, int] = {}
        for row in self._connection.execute(statement, (ledger,)):
            if is_counted(row["account"]):
                totals[row["asset"]] = totals.get(row["asset"], 0) + _volume(row).balance
        return totals


def ledger_shown(row: Any) -> Json:
    return {
        "id": row["number"],
        "name": row["name"],
        "bucket": "_default",
        "metadata": stored(row["metadata"]),
        "addedAt": timestamps.shown(row["added_at"]),
    }


def _volume(row: Any) -> Volume:
    return Volume(int(row["input"]), int(row["output"]))


def _tree(volumes: Volumes) -> Json:
    tree: Json = {}
    for (account, asset), volume in volumes.items():
        tree.setdefault(account, {})[asset] = volume.shown()
    return tree


def insufficient_fund() -> Exception:
    """As bare as a real ledger's: it names neither account nor amount."""
    return refusal(400, "INSUFFICIENT_FUND", "insufficient funds")
