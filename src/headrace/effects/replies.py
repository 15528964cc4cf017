"""From an answer to what it proves: done, refused or unknown (decision M4).

What is not provably done or documented as a refusal is unknown, and will be asked again.
"""

from __future__ import annotations

from collections.abc import Callable

from headrace.effects import ledger, payments, wallets
from headrace.effects.port import Outcome, Refused, Reply, Request
from headrace.effects.wire import (
    ExceptionReader,
    Reader,
    Unreadable,
    check_complete,
    service_error,
    unknown,
    with_reason,
)
from headrace.workflows.activities import ACTIVITIES, Service

READERS: dict[str, Reader] = {**ledger.READERS, **wallets.READERS, **payments.READERS}
check_complete(READERS, ACTIVITIES, "reader of its replies")
EXCEPTIONS: dict[str, ExceptionReader] = {**ledger.EXCEPTIONS, **wallets.EXCEPTIONS}
REFUSALS: dict[Service, frozenset[str]] = {
    "ledger": ledger.REFUSALS,
    "wallets": wallets.REFUSALS,
    "payments": payments.REFUSALS,
}
ASKED_FOR: dict[Service, Callable[[Request, str], str]] = {
    "ledger": ledger.asked_for,
    "wallets": wallets.asked_for,
    "payments": payments.asked_for,
}
NEVER_REFUSALS = frozenset({401, 403, 408, 429})
"""Statuses about the caller or the moment, whatever their body says."""


def outcome(name: str, request: Request, reply: Reply) -> Outcome:
    """Classify the response to one attempt. Done.output is shown in the history, in the orchestration's schemas."""
    if not 200 <= reply.status < 300:
        if not 400 <= reply.status < 500 or reply.status in NEVER_REFUSALS:
            return unknown(request, reply)
        if name in EXCEPTIONS and (found := EXCEPTIONS[name](request, reply)) is not None:
            return found
        error = service_error(reply)
        refusals = ledger.CREATION_REFUSALS if name == "CreateLedger" else REFUSALS[request.service]
        if error is None or error.code not in refusals:
            return unknown(request, reply)
        asked = ASKED_FOR[request.service](request, error.code)
        return Refused(error.code, with_reason(asked, error.message) if asked else error.message)
    try:
        return READERS[name](request, reply)
    except Unreadable as error:
        return unknown(request, reply, str(error))


def is_idempotency_mismatch(refused: Refused) -> bool:
    """Whether the service holds our key with other bytes: our own fault, and never to be resent (decision M6b)."""
    return refused.code == "VALIDATION" and "invalid idempotency hash" in refused.message.lower()
