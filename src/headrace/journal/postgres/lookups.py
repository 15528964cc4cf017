"""Searches of the PostgreSQL journal: one statement where SQLite makes a read for each term."""

from __future__ import annotations

import json
from collections.abc import Sequence

from headrace.journal.lists import Place
from headrace.journal.lookups import Lookups


class PostgresLookups(Lookups):
    async def places(self, terms: Sequence[str], place: Place, limit: int) -> list[Place]:
        """As in `Lookups`, in one round trip."""
        return [Place(*row) for row in await self._rows("places_of_terms", json.dumps(list(terms)), *place, limit)]
