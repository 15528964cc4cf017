"""Known event types, and a warning about a type that is neither known nor received."""

from __future__ import annotations

from difflib import get_close_matches

from headrace.cli.session import Session

KNOWN = {
    "ledger": ("COMMITTED_TRANSACTIONS", "REVERTED_TRANSACTION", "SAVED_METADATA", "DELETED_METADATA"),
    "payments": (
        *("SAVED_PAYMENT", "SAVED_ACCOUNT", "SAVED_BALANCE", "SAVED_BANK_ACCOUNT", "SAVED_POOL", "DELETED_POOL"),
        *("SAVED_TRANSFER_INITIATION", "DELETED_TRANSFER_INITIATION", "SAVED_PAYMENT_INITIATION"),
        *("SAVED_PAYMENT_INITIATION_ADJUSTMENT", "SAVED_PAYMENT_INITIATION_RELATED_PAYMENT", "CONNECTOR_RESET"),
    ),
    "orchestration": (
        *("STARTED_WORKFLOW", "SUCCEEDED_WORKFLOW", "FAILED_WORKFLOW", "STARTED_WORKFLOW_STAGE"),
        *("SUCCEEDED_WORKFLOW_STAGE", "FAILED_WORKFLOW_STAGE", "SUCCEEDED_TRIGGER", "FAILED_TRIGGER"),
    ),
}


def remark_on_type(session: Session, event: str) -> str | None:
    """Warn about an unknown type. None if it is known or was received lately, or the server does not list events."""
    spelt = {each.lower(): each for app, types in KNOWN.items() for kind in types for each in (kind, f"{app}.{kind}")}
    if event.lower() in spelt:
        return None
    spelt |= {each.lower(): each for each in _seen(session)}
    if event.lower() in spelt:
        return None
    near = get_close_matches(event.lower(), spelt, n=1)
    advice = f"; did you mean {spelt[near[0]]}?" if near else ""
    return f"no event of type {event!r} is known or has been received{advice}"


def _seen(session: Session) -> set[str]:
    from headrace_client import ClientError

    try:
        return {each.type for each in session.ext.list_events().data}
    except ClientError:
        return set()
