"""Whether an effect stands in the books of its service: what to ask, and what the answers prove (decisions M5, M6, C3).

A look-up works from a *stored* request, which another release may have written. It ends: found with our values or with
others, absent where the service's own answers prove it, undecided after a bounded number of pages, unknown where an
answer cannot be read. It never concludes anything from a clock.
"""

from __future__ import annotations

from headrace.effects import ledger, payments, wallets
from headrace.effects.port import Request, Search
from headrace.effects.wire import Searcher, Unreadable, check_complete, unknown
from headrace.workflows.activities import ACTIVITIES

SEARCHES: dict[str, Searcher] = {**ledger.SEARCHES, **wallets.SEARCHES, **payments.SEARCHES}
"""By the name of an activity. Reads have none."""
check_complete(SEARCHES, [name for name, activity in ACTIVITIES.items() if activity.is_effect], "look-up")


def look_up(name: str, request: Request) -> Search:
    """The look-up of the effect with this stored request; values are compared, always."""
    search = SEARCHES[name](request)
    question = next(search)
    while True:
        reply = yield question
        try:
            question = search.send(reply)
        except StopIteration as ended:
            return ended.value
        except Unreadable as error:
            return unknown(request, reply, str(error))
