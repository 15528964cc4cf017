"""The queries of this adapter: `queries.sql`. A write takes records as one JSON array: one statement writes many."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from msgspec.structs import fields

from headrace.journal.list_queries import search_texts
from headrace.journal.queries import read_queries, read_texts
from headrace.journal.writes import Result, Write, record_types

QUERIES = Path(__file__).parent / "queries.sql"
MAX_PAGE_BYTES = 48 << 20
"""Limit of the bytes of a page; a page that would be larger holds fewer rows."""
MAX_WAITING_BYTES = 4 << 20

_COLUMN = re.compile(r"\br\.([a-z_]+)")
_TYPES = {int: "bigint", bool: "boolean", str: "text", bytes: "text"}
"""Bytes are base64 in JSON."""
_BOUNDED = {"waiting_events": MAX_WAITING_BYTES, "unidentified_events": MAX_WAITING_BYTES}
_SIZES = {
    "workflows_page": "octet_length(config)",
    "named_triggers_page": "octet_length(vars)",
    "triggers_page": "octet_length(vars)",
    "kept_triggers_page": "octet_length(vars)",
    "occurrences_page": "octet_length(event)",
    "attention_page": "octet_length(request_body)",
    "waiting_events": "octet_length(envelope)",
    "unidentified_events": "octet_length(envelope)",
    "outbox_page": "octet_length(payload)",
    **dict.fromkeys(
        (
            "instances_page",
            "running_instances_page",
            "instances_of_workflow_page",
            "running_instances_of_workflow_page",
        ),
        "octet_length(config) + octet_length(variables)",
    ),
}
"""Columns that make the rows of a query long."""


@dataclass(frozen=True, slots=True)
class WriteQuery:
    """`sql` takes one JSON array of records. `is_numbered`: each row it returns begins with its record's number."""

    sql: str
    result: type[Result] | None
    is_numbered: bool


@cache
def named_statements() -> dict[str, str]:
    """The queries that belong to no record, by name; parameters are `$1`, `$2`, in the order of their first use."""
    writes = {each.__name__ for each in record_types()}
    found = {name: sql for name, sql in read_queries(QUERIES, "$").items() if name not in writes}
    found |= {
        name: _numbered(sql) for name, sql in search_texts("JOIN", "SELECT json_array_elements_text(?::json)").items()
    }
    return {name: _bounded(name, sql) for name, sql in found.items()}


@cache
def write_queries() -> dict[type[Write], WriteQuery]:
    """The query of every record. Raises ValueError where one is missing, or leaves out a field of its record."""
    texts = read_texts(QUERIES)
    found: dict[type[Write], WriteQuery] = {}
    for record in record_types():
        names, sql = record.__struct_fields__, texts.get(record.__name__, "")
        if ":rows" not in sql or set(_COLUMN.findall(sql)) - {"n"} != set(names):
            raise ValueError(f"{QUERIES.name}: the query {record.__name__} must use exactly {', '.join(names)}")
        rows = _rows(record)
        found[record] = WriteQuery(sql.replace(":rows", rows), record.result, "RETURNING r.n" in sql)
    return found


def _rows(record: type[Write]) -> str:
    """The records as rows of `r`. One without fields is `{}`, whose row has its number only."""
    columns = [f"{each.name} {_type(each.type)}" for each in fields(record)] or ["nothing text"]
    names = [column.split()[0] for column in columns]
    return (
        f"ROWS FROM (json_to_recordset($1) AS ({', '.join(columns)})) WITH ORDINALITY AS r({', '.join([*names, 'n'])})"
    )


def _type(hint: object) -> str:
    kinds = [each for each in getattr(hint, "__args__", (hint,)) if each is not type(None)]  # a tuple is JSON text
    return next(_TYPES[kind] for kind in kinds if kind in _TYPES)


def _numbered(sql: str) -> str:
    parts = sql.split("?")
    return "".join(f"{part}${number}" for number, part in enumerate(parts[:-1], 1)) + parts[-1]


def _bounded(name: str, sql: str) -> str:
    """The same query, which returns the first of its rows, one at least, that hold no more than the limit."""
    size = _SIZES.get(name)
    if size is None:
        return sql
    order = sql[sql.rindex("ORDER BY") : sql.rindex("LIMIT")].strip()
    limit = _BOUNDED.get(name, MAX_PAGE_BYTES)
    sizes = f"row_number() OVER ({order}) AS place, sum(coalesce({size}, 0)) OVER ({order}) AS bytes"
    inner = f"SELECT p.*, {sizes} FROM ({sql}) AS p"
    return f"SELECT * FROM ({inner}) AS q WHERE place = 1 OR bytes <= {limit} {order}"
