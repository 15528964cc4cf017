"""The transactions of the ledgers in a period, compared with the effects of cases."""

from __future__ import annotations

import asyncio

import msgspec

from headrace.certificates.listing import Listed, listed
from headrace.certificates.period import Period, Place
from headrace.certificates.statement import checked_text
from headrace.errors import NotCertifiable
from headrace.journal.port import Journal
from headrace.journal.records import ActivityRow
from headrace.usecases.certificates import answered, case_of
from headrace.usecases.ports import Ports
from headrace.workflows.activities import Json

Reference = tuple[str, str]
"""A ledger, and the reference of a transaction on it."""


def reference_of(row: ActivityRow) -> Reference | None:
    """The reference with which an effect is booked that is done or in progress; None: it books nothing itself."""
    parts = row.request_path.split("?")[0].split("/")
    if row.error is not None or not row.request_body or parts[:2] != ["", "v2"] or parts[3:] != ["transactions"]:
        return None  # metadata may have a member of that name, too
    reference = msgspec.json.decode(row.request_body).get("reference")
    return (parts[2], reference) if isinstance(reference, str) else None


async def unexplained(ports: Ports, period: Period, booked: set[Place], in_open: set[Reference]) -> list[Json]:
    """Ingestions on the ledgers that no case of the period has booked; their references name no case.

    `booked`: the transactions of the cases that ended; `in_open`: the references of those that had not.

    Raises NotCertifiable (`extra_in_books`) for any other transaction that no case has booked.
    """
    times = (checked_text(each) for each in (period.from_at, period.to_at))
    found: list[Json] = []
    for each in await answered(listed(*times), ports):
        if (each.ledger, each.id) in booked or (each.ledger, each.reference) in in_open:
            continue
        parts = each.reference.split(":")
        if parts[1] == "ingest":
            why = f"transaction {each.id} of ledger {each.ledger} ingests a payment for no case of the period"
            found.append({"key": each.reference, "why": why})
        elif not await has_effect(ports.journal, each):
            why = f"transaction {each.id} of ledger {each.ledger} has the reference {each.reference}, of no effect"
            raise NotCertifiable("extra_in_books", why, parts[1])
        await asyncio.sleep(0)
    return found


async def has_effect(journal: Journal, found: Listed) -> bool:
    """Whether a case has an effect with this reference on this ledger that is done, or in progress."""
    parts = found.reference.split(":")
    if len(parts) != 4 or not parts[2].isdecimal() or len(parts[2]) > 9 or await journal.instance(parts[1]) is None:
        return False
    for instance_id in await case_of(journal, parts[1]):
        for row in await journal.activities(instance_id, int(parts[2])):
            if reference_of(row) == (found.ledger, found.reference):
                return True
    return False
