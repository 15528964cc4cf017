"""The transactions of the ledgers in a period, compared with the effects of cases."""

from __future__ import annotations

import asyncio

from headrace.certificates.listing import Listed, listed
from headrace.certificates.period import Period, Place
from headrace.certificates.statement import checked_text
from headrace.errors import NotCertifiable
from headrace.journal.port import Journal
from headrace.usecases.certificates import answered, case_of
from headrace.usecases.ports import Ports
from headrace.workflows.activities import Json


async def unexplained(ports: Ports, period: Period, booked: set[Place], keys: set[str]) -> list[Json]:
    """Ingestions on the ledgers that no case of the period has booked; their references name no case.

    Raises NotCertifiable (`extra_in_books`) for any other transaction that no case has booked.
    """
    times = (checked_text(each) for each in (period.from_at, period.to_at))
    found: list[Json] = []
    for each in await answered(listed(*times), ports):
        if (each.ledger, each.id) in booked or each.reference in keys:
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
    """Whether a case has an effect with this reference that is done, or in progress."""
    parts = found.reference.split(":")
    if len(parts) != 4 or not parts[2].isdecimal() or len(parts[2]) > 9 or await journal.instance(parts[1]) is None:
        return False
    for instance_id in await case_of(journal, parts[1]):
        for row in await journal.activities(instance_id, int(parts[2])):
            if row.key == found.reference and row.error is None:
                return True
    return False
