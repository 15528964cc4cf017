"""The queries of this adapter: `queries.sql`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from headrace.journal.list_queries import search_texts
from headrace.journal.queries import numbered, parameters_of, read_queries, read_texts
from headrace.journal.writes import Result, Write, record_types

QUERIES = Path(__file__).parent / "queries.sql"


@dataclass(frozen=True, slots=True)
class WriteQuery:
    """`sql` takes the fields of its record, in their order."""

    sql: str
    result: type[Result] | None


def named_statements() -> dict[str, str]:
    """The queries that belong to no record, by name; parameters are numbered in the order of their first use."""
    writes = {each.__name__ for each in record_types()}
    found = {name: sql for name, sql in read_queries(QUERIES, "?").items() if name not in writes}
    return found | search_texts("CROSS JOIN", "SELECT value FROM json_each(?)")


def write_queries() -> dict[type[Write], WriteQuery]:
    """The query of every record. Raises ValueError where one is missing, or leaves out a field of its record."""
    texts = read_texts(QUERIES)
    found: dict[type[Write], WriteQuery] = {}
    for record in record_types():
        fields, sql = record.__struct_fields__, texts.get(record.__name__, "")
        if not sql or set(parameters_of(sql)) != set(fields):
            raise ValueError(f"{QUERIES.name}: the query {record.__name__} must use exactly {', '.join(fields)}")
        found[record] = WriteQuery(numbered(sql, fields, "?"), record.result)
    return found
