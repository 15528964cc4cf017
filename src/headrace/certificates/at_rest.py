"""Money of an open case that is on its way: it went in on a bridge, and had not come out at a time.

This is declared, not certified: it is what the history records, and no service is asked about it.
"""

from __future__ import annotations

from headrace.certificates.case import Case, RecordedActivity, RecordedInstance
from headrace.effects.ledger import wanted_postings
from headrace.effects.wire import stored
from headrace.workflows.activities import ACTIVITIES
from headrace.workflows.undo import INGESTION_PREFIX


def at_rest(case: Case, at: int) -> dict[str, int]:
    """The amounts by asset that a case had on bridges at a time."""
    found: dict[str, int] = {}
    own = [each for each in case.instances if each.kind != "undo" and each.started_at < at]
    undoing = [each for each in case.undo if each.started_at < at]
    reversed_keys = _reversed(undoing[-1], at) if undoing else set[str]()
    for stage in own[-1].stages:
        legs = [row for row in stage.activities if stage.keyword == "send" and _is_done(row, at) and _is_leg(row)]
        is_over = all(row.ended_at is not None and row.ended_at < at for row in stage.activities)
        has_succeeded = not stage.is_open and stage.error is None and is_over
        if not legs or (len(legs) == 1 and has_succeeded):
            continue  # a movement with one leg leaves nothing on its way
        body = stored(legs[0].request)  # the first leg is no payout
        moved = body["amount"] if legs[0].request.service == "wallets" else wanted_postings(body)[0]
        asset, amount = moved["asset"], moved["amount"]
        for leg, sign in zip(legs, (1, -1), strict=False):
            if leg.key not in reversed_keys:
                found[asset] = found.get(asset, 0) + sign * amount
    return {asset: amount for asset, amount in found.items() if amount}


def _is_done(row: RecordedActivity, at: int) -> bool:
    return row.error is None and not row.is_open and row.ended_at is not None and row.ended_at < at


def _is_leg(row: RecordedActivity) -> bool:
    """Whether an activity is an effect of its `send`; an ingestion is shared by all that send from the payment."""
    if not ACTIVITIES[row.name].is_effect:
        return False
    return not stored(row.request).get("reference", "").startswith(INGESTION_PREFIX)


def _reversed(undo: RecordedInstance, at: int) -> set[str]:
    """The keys of effects that an undo had reversed."""
    found: set[str] = set()
    for stage in undo.stages:
        if any(ACTIVITIES[row.name].is_effect and _is_done(row, at) for row in stage.activities):
            (given,) = stage.input.values()
            found.add(given.get("key") or given.get("reference", ""))
    return found
