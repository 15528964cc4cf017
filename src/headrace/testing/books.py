"""Compares the books of the services with the history: each effect booked once, each booking explained, nothing lost.

It reads both and shares nothing with what has written them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from headrace.journal.records import ActivityRow
from headrace.sandbox.books import REVERTS
from headrace.sandbox.given import GIVEN
from headrace.sandbox.memory import Contents
from headrace.workflows.activities import ACTIVITIES, Family
from headrace.workflows.interpreter import CANCELED

Json = dict[str, Any]


def problems_of(contents: Contents, rows: Iterable[ActivityRow]) -> list[str]:
    """Contradictions, in sentences. `rows`: all activities of all instances that the services have served."""
    return [*_conservation(contents), *_effects(contents, [row for row in rows if ACTIVITIES[row.name].is_effect])]


def _conservation(contents: Contents) -> Iterator[str]:
    """Balances follow from the transactions, and each posting gives what it takes."""
    booked: dict[tuple[str, str, str], int] = defaultdict(int)
    for ledger, transaction in contents.transactions:
        for moved in transaction["postings"]:
            booked[ledger, moved["source"], moved["asset"]] -= moved["amount"]
            booked[ledger, moved["destination"], moved["asset"]] += moved["amount"]
    totals: dict[tuple[str, str], int] = defaultdict(int)
    for (ledger, account, asset), balance in contents.balances.items():
        totals[ledger, asset] += balance
        if booked[ledger, account, asset] != balance:
            yield f"{ledger}: {account} holds {balance} {asset}, its transactions say {booked[ledger, account, asset]}"
    for (ledger, asset), total in totals.items():
        if total:
            yield f"{ledger}: all balances in {asset} sum to {total}, not to 0"


def _effects(contents: Contents, rows: list[ActivityRow]) -> Iterator[str]:
    bookings: dict[str, list[tuple[str, Json]]] = defaultdict(list)
    for ledger, transaction in contents.transactions:
        if transaction["metadata"] != GIVEN:
            bookings[_key_of(ledger, transaction)].append((ledger, transaction))
    for initiation in contents.initiations:
        bookings[initiation["reference"]].append(("payments", initiation))

    written: dict[tuple[str, str, str], str] = {}
    for row in rows:
        values: Json = msgspec.json.decode(row.input)
        family = ACTIVITIES[row.name].family
        if family is Family.METADATA:
            if row.terminated_at is not None and row.error is None:
                written |= {(values["ledger"], values["id"], name): text for name, text in values["metadata"].items()}
            continue
        if family is Family.REVERSAL:
            continue  # it books nothing: the initiation's status says it
        key = values["data"]["reference"] if family is Family.TRANSACTION else row.key
        if family is Family.REVERT:
            key = _revert_of(values["ledger"], values["id"])
        yield from _booked_as_recorded(row, values, bookings.pop(key, []))
    for (ledger, account, name), text in written.items():
        held = contents.metadata.get((ledger, account), {}).get(name)
        if held != text:
            yield f"{ledger}: metadata {name} of {account} is {held!r}, the history says {text!r}"
    for key, found in bookings.items():
        yield f"booked, but no history has it: {key or 'without a key'}, {len(found)} times"


def _booked_as_recorded(row: ActivityRow, values: Json, found: list[tuple[str, Json]]) -> Iterator[str]:
    """An effect that is recorded as done is booked once, one that was refused or canceled never."""
    what = f"{row.name} of stage {row.stage} ({row.key})"
    if row.terminated_at is None:
        if len(found) > 1:
            yield f"{what} is not settled, and booked {len(found)} times"
        return
    wanted = 1 if row.error is None else 0
    if len(found) != wanted:
        said = "done" if row.error is None else "canceled" if row.error == CANCELED else "refused"
        yield f"{what} is recorded as {said}, and booked {len(found)} times"
    elif found and not _is_same(ACTIVITIES[row.name].family, values, *found[0]):
        yield f"{what} is booked with other values than the history says"


def _key_of(ledger: str, transaction: Json) -> str:
    """The key of the effect that has booked a transaction, as it was sent."""
    metadata: Json = transaction["metadata"]
    if (reverted := metadata.get(REVERTS)) is not None:
        return _revert_of(ledger, reverted)
    return transaction.get("reference") or metadata.get("headrace_effect") or ""


def _revert_of(ledger: str, number: str) -> str:
    """A key for the transaction that reverts this one: it has no reference."""
    return f"revert of {number} on {ledger}"


def _is_same(family: Family, values: Json, place: str, booking: Json) -> bool:
    data: Json = values.get("data") or {}
    if family is Family.REVERT:
        return place == values["ledger"]
    if family is Family.TRANSACTION:
        return place == values["ledger"] and booking["postings"] == data["postings"]
    if family is Family.INITIATION:
        names = {"amount": "amount", "asset": "asset", "type": "type", "destination": "destinationAccountID"}
        return all(values[ours] == booking[theirs] for ours, theirs in names.items())
    moved = data["amount"]
    is_amount = sum(each["amount"] for each in booking["postings"]) == moved["amount"]
    prefix = f"wallets:{values['id'].replace('-', '')}:"
    side = "destination" if "sources" in data else "source"  # only a credit names sources
    return is_amount and all(
        each["asset"] == moved["asset"] and each[side].startswith(prefix) for each in booking["postings"]
    )
