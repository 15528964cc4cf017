"""The check of an undo: it has reversed effects of its case and no others, and what it has not reversed is declared."""

from __future__ import annotations

from collections.abc import Iterable

from headrace.certificates.books import Entry
from headrace.certificates.case import Case
from headrace.errors import NotCertifiable
from headrace.workflows.activity import Family
from headrace.workflows.reversals import RejectTransferInitiation, ReverseTransferInitiation, RevertTransaction


def undo_state(case: Case) -> str:
    """The state in which the undo of a case has ended."""
    if case.undo[-1].error is not None:
        return "undo_failed"
    return "undone_but" if case.kept else "undone"


def check_undo(case: Case, own: Iterable[Entry], entries: Iterable[Entry]) -> None:
    """Check the undo of a case. `own`: the entries of the case without its undo; `entries`: all of them.

    Raises NotCertifiable.
    """
    own = list(own)
    transactions = {(entry.ledger, entry.transaction_id) for entry in own if entry.transaction_id is not None}
    initiations = {entry.initiation_id for entry in own if entry.initiation_id}
    for entry in entries:
        match entry.effect.activity:
            case RevertTransaction(id=number, ledger=ledger) if (ledger, number) not in transactions:
                raise _foreign(entry, f"transaction {number} of ledger {ledger}")
            case RejectTransferInitiation(id=found) | ReverseTransferInitiation(id=found) if found not in initiations:
                raise _foreign(entry, f"transfer initiation {found}")
            case _:
                pass
    kept = {each.key for each in case.kept}
    ended_well = case.undo[-1].error is None
    for entry in own:
        if entry.effect.state != "done" or entry.effect.activity.settlement is Family.INGESTION:
            continue  # an ingestion has no key of its own, and is always kept
        is_reversed = entry.is_reverted or (bool(entry.initiation_id) and not entry.paid)
        if is_reversed and entry.is_reverted and entry.effect.key in kept:
            raise NotCertifiable("differs", f"{entry.effect.key} is listed as kept, and was reverted")
        if ended_well and not is_reversed and entry.effect.key not in kept:
            raise NotCertifiable("differs", f"{entry.effect.key} was neither reversed by the undo nor listed as kept")


def _foreign(entry: Entry, what: str) -> NotCertifiable:
    return NotCertifiable("replay_differs", f"{entry.effect.key} reverses {what}, which is not of this case")
