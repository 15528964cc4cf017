"""Mutants of books: the services of an honest case are changed behind its back, or somebody else writes to them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

from headrace.certificates.case import Case, RecordedActivity
from headrace.effects.port import Request, Response
from headrace.sandbox.memory import MemorySandbox
from headrace.sandbox.releases import Releases
from headrace.testing.virtual import SeededIds, VirtualClock
from headrace.workflows.activities import ACTIVITIES, Family, Json
from tests.certificates.cases import Ran


def effects_of(case: Case, *, done: bool = True) -> list[RecordedActivity]:
    """The effects of a case that are recorded as done, or that are not."""
    return [
        row
        for stage in case.root.stages
        for row in stage.activities
        if ACTIVITIES[row.name].is_effect and (row.error is None) is done
    ]


def leaves_a_trace(row: RecordedActivity) -> bool:
    """Metadata has no key in the books, and an ingestion that of its payment."""
    return ACTIVITIES[row.name].family is not Family.METADATA and b"headrace:ingest:" not in (row.request.body or b"")


class Books:
    """The services of a case, whose tables can be changed behind their back."""

    def __init__(self, image: bytes) -> None:
        self.sandbox = MemorySandbox(VirtualClock(), SeededIds(2), Releases(), image)
        self.query = self.sandbox._connection.execute  # pyright: ignore[reportPrivateUsage]

    def image(self) -> bytes:
        return self.sandbox.image()

    def post(self, service: Any, path: str, body: Json) -> Response:
        response = self.sandbox.handle(Request(service, "POST", path, json.dumps(body).encode()))
        assert response.status < 300, response
        return response

    def ours(self, case: Case) -> list[tuple[str, int, Json]]:
        """Ledger, id and document of the transactions that the case has booked, but shared ingestions."""
        prefix = f"headrace:{case.root.id}:"
        found = self.query("SELECT ledger, id, document FROM transactions ORDER BY ledger, id").fetchall()
        return [(row["ledger"], row["id"], json.loads(row["document"])) for row in found if prefix in row["document"]]

    def rewrite(self, ledger: str, number: int, document: Json) -> None:
        self.query(
            "UPDATE transactions SET document = ?, reference = ? WHERE ledger = ? AND id = ?",
            (json.dumps(document), document.get("reference"), ledger, number),
        )

    def initiations(self, case: Case) -> list[Json]:
        prefix = f"headrace:{case.root.id}:%"
        rows = self.query("SELECT document FROM transfer_initiations WHERE reference LIKE ?", (prefix,)).fetchall()
        return [json.loads(row["document"]) for row in rows]


def lost_transaction(books: Books, ran: Ran, random: Random) -> bool:
    ours = books.ours(ran.case)
    if not ours:
        return False
    ledger, number, _ = random.choice(ours)
    books.query("DELETE FROM transactions WHERE ledger = ? AND id = ?", (ledger, number))
    books.query("DELETE FROM moves WHERE ledger = ? AND transaction_id = ?", (ledger, number))
    return True


def other_posting(books: Books, ran: Ran, random: Random) -> bool:
    ours = [each for each in books.ours(ran.case) if each[2]["postings"]]
    if not ours:
        return False
    ledger, number, document = random.choice(ours)
    posting = random.choice(document["postings"])
    name = random.choice(("source", "destination", "amount", "asset"))
    posting[name] = posting[name] + 1 if name == "amount" else posting[name] + "0"
    books.rewrite(ledger, number, document)
    return True


def a_posting_more(books: Books, ran: Ran, random: Random) -> bool:
    ours = [each for each in books.ours(ran.case) if each[2]["postings"]]
    if not ours:
        return False
    ledger, number, document = random.choice(ours)
    document["postings"].append({**document["postings"][0], "destination": "thief", "amount": 1})
    books.rewrite(ledger, number, document)
    return True


def other_reference(books: Books, ran: Ran, random: Random) -> bool:
    ours = [each for each in books.ours(ran.case) if each[2].get("reference")]
    if not ours:
        return False
    ledger, number, document = random.choice(ours)
    document["reference"] += "x"
    books.rewrite(ledger, number, document)
    return True


def other_mark(books: Books, ran: Ran, random: Random) -> bool:
    """A debit is known by its metadata."""
    ours = [each for each in books.ours(ran.case) if "headrace_effect" in each[2]["metadata"]]
    if not ours:
        return False
    ledger, number, document = random.choice(ours)
    document["metadata"]["headrace_effect"] += "x"
    books.rewrite(ledger, number, document)
    return True


def other_time(books: Books, ran: Ran, random: Random) -> bool:
    ours = [each for each in books.ours(ran.case) if _has_output(ran.case, each[2])]
    if not ours:
        return False
    ledger, number, document = random.choice(ours)
    document["timestamp"] = "2020-01-01T00:00:00Z"
    books.rewrite(ledger, number, document)
    return True


def _has_output(case: Case, document: Json) -> bool:
    return any(row.key == document.get("reference") and row.output for row in effects_of(case))


def reverted_by_hand(books: Books, ran: Ran, random: Random) -> bool:
    ours = [each for each in books.ours(ran.case) if each[2]["postings"]]
    if not ours:
        return False
    ledger, number, _ = random.choice(ours)
    request = Request("ledger", "POST", f"/v2/{ledger}/transactions/{number}/revert?force=true", None)
    return books.sandbox.handle(request).status == 201


def late_booking(books: Books, ran: Ran, random: Random) -> bool:
    """The request of a refused effect arrives once more, and is carried out."""
    refusals = [row for row in effects_of(ran.case, done=False) if leaves_a_trace(row)]
    if not refusals:
        return False
    row = random.choice(refusals)
    body = json.loads(row.request.body or b"{}")
    if row.request.service == "ledger":
        ledger = row.request.path.split("?")[0].split("/")[2]
        books.sandbox.handle(Request("ledger", "POST", f"/v2/{ledger}", b"{}"))
        body = {"reference": row.key, "metadata": {}, "postings": [_POSTING]}
        reply = books.sandbox.handle(Request("ledger", "POST", f"/v2/{ledger}/transactions", json.dumps(body).encode()))
        return reply.status < 300
    return books.sandbox.handle(replace(row.request, key="")).status < 300


_POSTING = {"source": "world", "destination": "late", "amount": 1, "asset": "USD/2"}


def an_effect_more(books: Books, ran: Ran, random: Random) -> bool:
    """A transaction under the next key of a stage, on a ledger of the case."""
    key, ledgers = _next_key(ran.case, random), {ledger for ledger, _, _ in books.ours(ran.case)}
    if not ledgers:
        return False
    body = {"reference": key, "metadata": {}, "postings": [_POSTING]}
    books.post("ledger", f"/v2/{random.choice(sorted(ledgers))}/transactions", body)
    return True


def a_debit_more(books: Books, ran: Ran, random: Random) -> bool:
    """A debit under the next key of a stage, from a wallet of the case."""
    wallets = _wallets(ran.case)
    if not wallets:
        return False
    key, wallet = _next_key(ran.case, random), random.choice(wallets)
    body: Json = {"amount": {"asset": "USD/2", "amount": 0}, "metadata": {"headrace_effect": key}}
    return (
        books.sandbox.handle(Request("wallets", "POST", f"/wallets/{wallet}/debit", json.dumps(body).encode())).status
        < 300
    )


def a_debit_twice(books: Books, ran: Ran, random: Random) -> bool:
    """The same debit again, under a new idempotency key: the wallet has two of it."""
    debits = [row for row in effects_of(ran.case) if row.name == "DebitWallet"]
    if not debits:
        return False
    return books.sandbox.handle(replace(random.choice(debits).request, key="")).status < 300


def an_initiation_more(books: Books, ran: Ran, random: Random) -> bool:
    ours = books.initiations(ran.case)
    if not ours:
        return False
    document = {**ours[0], "reference": _next_key(ran.case, random), "id": "another"}
    books.query(
        "INSERT INTO transfer_initiations (id, reference, document) VALUES (?, ?, ?)",
        (document["id"], document["reference"], json.dumps(document)),
    )
    return True


def lost_initiation(books: Books, ran: Ran, random: Random) -> bool:
    ours = books.initiations(ran.case)
    if not ours:
        return False
    books.query("DELETE FROM transfer_initiations WHERE reference = ?", (random.choice(ours)["reference"],))
    return True


def other_initiation(books: Books, ran: Ran, random: Random) -> bool:
    ours = books.initiations(ran.case)
    if not ours:
        return False
    document = random.choice(ours)
    name = random.choice(("amount", "asset", "destinationAccountID", "type"))
    for each in (name, "initialAmount") if name == "amount" else (name,):
        if each in document:
            document[each] = document[each] + 1 if isinstance(document[each], int) else f"{document[each]}0"
    books.query(
        "UPDATE transfer_initiations SET document = ? WHERE reference = ?",
        (json.dumps(document), document["reference"]),
    )
    return True


def _next_key(case: Case, random: Random) -> str:
    instance = case.root
    number = random.randrange(len(instance.definition["stages"]))
    started = [stage for stage in instance.stages if stage.number == number]
    ordinal = len([row for row in started[0].activities if row.key]) if started else 0
    return f"headrace:{instance.id}:{number}:{ordinal}"


def _wallets(case: Case) -> list[str]:
    return sorted({row.request.path.split("/")[2] for row in effects_of(case) if row.request.service == "wallets"})


BOOKS: tuple[Callable[[Books, Ran, Random], bool], ...] = (
    lost_transaction,
    other_posting,
    a_posting_more,
    other_reference,
    other_mark,
    other_time,
    reverted_by_hand,
    late_booking,
    an_effect_more,
    a_debit_more,
    a_debit_twice,
    an_initiation_more,
    lost_initiation,
    other_initiation,
)
