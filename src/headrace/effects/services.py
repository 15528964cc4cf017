"""Request, outcome and look-up of every activity, whichever service it belongs to.

`prepare` is the last guard (decision M8): what gets past it has only spellings that a service can take. `outcome` says
what an answer proves (decision M4): what is not provably done or documented as a refusal is unknown, and it is asked
again. `look_up` finds out whether an effect stands in the books of its service (decisions M5, M6, C3). It works from a
*stored* request, which another release may have written, and it ends: found with our values or with others, absent
where the service's own answers prove it, undecided after a bounded number of pages, unknown where an answer cannot be
read. It never concludes anything from a clock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from headrace.effects import ledger, payments, wallets
from headrace.effects.port import Outcome, Refused, Request, Response, Search
from headrace.effects.wire import (
    NO_SCHEMAS,
    ExceptionReader,
    Intent,
    Preparer,
    Reader,
    Searcher,
    Unreadable,
    service_error,
    unknown,
    with_reason,
)
from headrace.workflows.activities import ACTIVITIES, Activity, Service
from headrace.workflows.activity import check_complete, effect_names

REQUESTS: dict[str, Preparer] = {**ledger.REQUESTS, **wallets.REQUESTS, **payments.REQUESTS}
check_complete(REQUESTS, ACTIVITIES, "request")
READERS: dict[str, Reader] = {**ledger.READERS, **wallets.READERS, **payments.READERS}
check_complete(READERS, ACTIVITIES, "reader of its responses")
EXCEPTIONS: dict[str, ExceptionReader] = {**ledger.EXCEPTIONS, **wallets.EXCEPTIONS, **payments.EXCEPTIONS}
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
SEARCHES: dict[str, Searcher] = {**ledger.SEARCHES, **wallets.SEARCHES, **payments.SEARCHES}
"""By the name of an activity. Reads have none."""
check_complete(SEARCHES, effect_names(), "look-up")


def prepare(activity: Activity, key: str, started_at: int, schemas: Mapping[str, str] = NO_SCHEMAS) -> Request:
    """The full request of an activity. `key` is "" for a read; `started_at` is its stage's stored start.

    `schemas`: the schema version of each ledger that has one. It becomes part of the request, so an effect that is
    stored keeps the version that it was stored with.

    Raises InvalidValue, which names the field: then nothing may be stored or sent.
    """
    return REQUESTS[activity.name](activity, Intent(key, started_at, schemas))


def scheduled_moment(request: Request) -> str | None:
    """When a transfer initiation is scheduled, as its request has it; None: the request is no initiation."""
    if request.service != "payments" or request.body is None:
        return None
    return msgspec.json.decode(request.body).get("scheduledAt")


def create_ledger(name: str) -> Request:
    """Creates the internal ledger of payment ingestion (decision Q22). It needs no key: a second time is refused."""
    return ledger.create(name)


def outcome(name: str, request: Request, response: Response) -> Outcome:
    """Classify the response to one attempt. Done.output is shown in the history, in the orchestration's schemas."""
    if not 200 <= response.status < 300:
        if not 400 <= response.status < 500 or response.status in NEVER_REFUSALS:
            return unknown(request, response)
        if name in EXCEPTIONS and (found := EXCEPTIONS[name](request, response)) is not None:
            return found
        error = service_error(response)
        refusals = ledger.CREATION_REFUSALS if name == "CreateLedger" else REFUSALS[request.service]
        if error is None or error.code not in refusals:
            return unknown(request, response)
        asked = ASKED_FOR[request.service](request, error.code)
        return Refused(error.code, with_reason(asked, error.message) if asked else error.message)
    try:
        return READERS[name](request, response)
    except Unreadable as error:
        return unknown(request, response, str(error))


def look_up(name: str, request: Request) -> Search:
    """The look-up of the effect with this stored request; values are compared, always."""
    search = SEARCHES[name](request)
    question = next(search)
    while True:
        response = yield question
        try:
            question = search.send(response)
        except StopIteration as ended:
            return ended.value
        except Unreadable as error:
            return unknown(request, response, str(error))
