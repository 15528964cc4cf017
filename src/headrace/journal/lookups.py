"""Searches: from a term to the instances that have it, and from a filter to how many match.

A term is text, as `headrace.workflows.search_terms` writes it. Every read costs what it returns, however many instances
there are.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice
from typing import Any, NamedTuple

from headrace.journal.list_queries import list_query, since, summary_of
from headrace.journal.lists import InstanceSearch, Place
from headrace.journal.records import InstanceSummary

Rows = Callable[..., Awaitable[list[tuple[Any, ...]]]]
"""Reads the rows of a query by its name, with these parameters."""


class Ends(NamedTuple):
    """The finds among the ids that a read has looked at. `last`: the last place of these; None: there are no more."""

    places: list[Place]
    last: Place | None


class Lookups:
    """Reads of one journal. Each raises Unavailable where the database cannot be read."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    async def terms(self, first: str, before: str, limit: int) -> list[str]:
        """The different terms from `first` on and before `before`, in order."""
        return [row[0] for row in await self._rows("terms_between", first, before, limit)]

    async def places(self, terms: Sequence[str], place: Place, limit: int) -> list[Place]:
        """Places of the instances that have any of the terms, after `place`, the newest first, each once."""
        found = [await self._rows("places_of_term", term, *place, limit) for term in terms]
        merged = heapq.merge(*found, reverse=True)
        return [Place(*row) for row in islice(dict.fromkeys(merged), limit)]

    async def places_between(self, first: str, before: str, limit: int) -> list[Place]:
        """Places of instances that have a term from `first` on and before `before`: the first ones by term."""
        return [Place(*row) for row in await self._rows("places_between_terms", first, before, limit)]

    async def ends(self, end: str, place: Place, limit: int) -> Ends:
        """Instances among the next `limit` after `place` whose id ends so, the newest first."""
        found = [Place(*row) for row in await self._rows("places_of_end", *place, limit, end)]
        last = await self._rows("place_beyond", *place, limit - 1)
        return Ends(found, Place(*last[0]) if last else None)

    async def summaries(self, ids: Sequence[str]) -> list[InstanceSummary]:
        """The instances that exist of these, in no certain order."""
        return [summary_of(row) for row in await self._rows("summaries", json.dumps(list(ids)))]

    async def count(self, rows: InstanceSearch, limit: int) -> int:
        """How many instances a search finds: `limit` where there are more."""
        name, filters = list_query(rows)
        found = await self._rows(f"{name}_count", *filters, since(rows), limit)
        return found[0][0]

    async def amounts(self, rows: InstanceSearch, limit: int) -> list[str]:
        """The amounts that the first effects of `limit` of these instances move, as `sortable_amount` writes it."""
        name, filters = list_query(rows)
        found = await self._rows(f"{name}_amounts", *filters, since(rows), limit)
        return [row[0] for row in found if row[0] is not None]
