"""The filters of the list of runs: what a query means, and what was understood of its search text."""

from __future__ import annotations

from collections.abc import Mapping

from headrace.console.words import DAY, HOUR
from headrace.errors import InvalidValue
from headrace.journal.lists import STATUSES, InstanceSearch
from headrace.journal.searches import MAX_SEARCHED_CHARACTERS, fingerprint

SPANS = {"1h": ("Last hour", HOUR), "24h": ("Last 24 hours", DAY), "7d": ("Last 7 days", 7 * DAY)}
"""By the value of `since`: its words, and its length in microseconds."""


def kept_filters(query: Mapping[str, str]) -> dict[str, str]:
    """The filters of a list, which stay when its page or its status changes."""
    return {name: query[name] for name in ("q", "status", "workflow", "since") if query.get(name)}


def parse_search(query: Mapping[str, str], text: str, now_at: int) -> tuple[InstanceSearch | None, str]:
    """The search, and what was understood; no search for a text that has none of the forms. Raises InvalidValue."""
    status = query.get("status") or None
    if status is not None and status not in STATUSES:
        raise InvalidValue("status", f"{status[:40]!r} is not one of {', '.join(STATUSES)}")
    span = query.get("since") or None
    if span is not None and span not in SPANS:
        raise InvalidValue("since", f"{span[:40]!r} is not one of {', '.join(SPANS)}")
    since_at = None if span is None else now_at - SPANS[span][1]
    if not text:
        search = InstanceSearch(workflow_id=query.get("workflow") or None, status=status, since_at=since_at)
        return search, ""
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        return None, "This looks for a run by its whole id, or by a variable: order=A4102."
    name, value = name.strip(), value.strip()
    if len(value) > MAX_SEARCHED_CHARACTERS:
        return None, f"Values of more than {MAX_SEARCHED_CHARACTERS} characters are not found."
    left_out = "" if status is None and not query.get("workflow") else " In every status, of every workflow."
    search = InstanceSearch(fingerprint=fingerprint(name, value), since_at=since_at)
    return search, f"Runs whose variable {name} is exactly {value}.{left_out}"
