"""The queries of this adapter: `queries.sql`."""

from __future__ import annotations

from pathlib import Path

from headrace.journal.queries import QueryFile, WriteQuery
from headrace.journal.writes import Write

QUERIES = Path(__file__).parent / "queries.sql"


def named_statements() -> dict[str, str]:
    """The queries that belong to no record, by name; parameters are numbered in the order of their first use."""
    return QueryFile(QUERIES, "?").reads()


def write_queries() -> dict[type[Write], WriteQuery]:
    """The query of every record. Raises ValueError where one is missing, or leaves out a field of its record."""
    return QueryFile(QUERIES, "?").writes()
