"""The filters of the list of runs: what a query means."""

from __future__ import annotations

from collections.abc import Mapping

from headrace.console.words import DAY, HOUR, MINUTE
from headrace.errors import InvalidValue
from headrace.journal.lists import STATUSES, InstanceSearch

SPANS = {"1h": ("Last hour", HOUR), "24h": ("Last 24 hours", DAY), "7d": ("Last 7 days", 7 * DAY)}
"""By the value of `since`: its words, and its length in microseconds."""


def kept_filters(query: Mapping[str, str]) -> dict[str, str]:
    """The filters of a list, which stay when its page or its status changes."""
    return {name: query[name] for name in ("q", "status", "workflow", "since") if query.get(name)}


def begin_of(now_at: int, span: int) -> int:
    """The begin of a span that ends now, on the minute: what is counted for one visitor is good for the next."""
    return (now_at - span) // MINUTE * MINUTE


def search_of(query: Mapping[str, str], now_at: int) -> InstanceSearch:
    """The search of a query. Raises InvalidValue."""
    status = query.get("status") or None
    if status is not None and status not in STATUSES:
        raise InvalidValue("status", f"{status[:40]!r} is not one of {', '.join(STATUSES)}")
    span = query.get("since") or None
    if span is not None and span not in SPANS:
        raise InvalidValue("since", f"{span[:40]!r} is not one of {', '.join(SPANS)}")
    since_at = None if span is None else begin_of(now_at, SPANS[span][1])
    text = query.get("q", "").strip() or None
    return InstanceSearch(workflow_id=query.get("workflow") or None, status=status, since_at=since_at, text=text)
