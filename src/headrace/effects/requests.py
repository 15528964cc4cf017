"""From an activity to the bytes that are stored and sent.

`prepare` is the last guard (decision M8): what gets past it has only spellings that a service can take.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from headrace.effects import ledger, payments, wallets
from headrace.effects.port import Request
from headrace.effects.wire import NO_SCHEMAS, Intent, Preparer, check_complete
from headrace.workflows.activities import ACTIVITIES, Activity

REQUESTS: dict[str, Preparer] = {**ledger.REQUESTS, **wallets.REQUESTS, **payments.REQUESTS}
check_complete(REQUESTS, ACTIVITIES, "request")


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
