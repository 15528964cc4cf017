"""Places in lists: a page begins after one, and the link to the next page holds one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlencode

from headrace.errors import InvalidValue
from headrace.journal.lists import NEWEST, Place

_PLACE = re.compile(r"(-?[0-9]{1,19})\.([0-9A-Za-z-]{1,64})", re.ASCII)


def page_place(query: Mapping[str, str]) -> Place:
    """The place that a page begins after; NEWEST for the first page. Raises InvalidValue."""
    text = query.get("before")
    if text is None:
        return NEWEST
    given = _PLACE.fullmatch(text)
    if given is None or abs(int(given[1])) >= 2**63:
        raise InvalidValue("before", "is not a place in this list")
    return Place(int(given[1]), given[2])


def older_link(filters: Mapping[str, str], place: Place | None) -> str | None:
    """The query of the page after a place, with the same filters; None where there is none."""
    return None if place is None else "?" + urlencode({**filters, "before": f"{place.created_at}.{place.id}"})
