"""The queries of this adapter: `queries.sql`, in which `-- name: X` begins a query with named parameters.

SQLite binds numbers faster than names, so each query is numbered once, when the file is read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from headrace.journal.writes import Result, Write, record_types

QUERIES = Path(__file__).parent / "queries.sql"

_PARAMETER = re.compile(r"(?<![:\w]):([a-z_]+)")


@dataclass(frozen=True, slots=True)
class WriteQuery:
    """`sql` takes the fields of its record, in their order."""

    sql: str
    result: type[Result] | None


def named_statements() -> dict[str, str]:
    """The queries that belong to no record, by name; parameters are numbered in the order of their first use."""
    writes = {each.__name__ for each in record_types()}
    return {name: _numbered(sql, _parameters(sql)) for name, sql in _blocks().items() if name not in writes}


def write_queries() -> dict[type[Write], WriteQuery]:
    """The query of every record. Raises ValueError where one is missing, or leaves out a field of its record."""
    blocks = _blocks()
    found: dict[type[Write], WriteQuery] = {}
    for record in record_types():
        fields, sql = record.__struct_fields__, blocks.get(record.__name__, "")
        if not sql or set(_parameters(sql)) != set(fields):
            raise ValueError(f"{QUERIES.name}: the query {record.__name__} must use exactly {', '.join(fields)}")
        found[record] = WriteQuery(_numbered(sql, fields), record.result)
    return found


def _blocks() -> dict[str, str]:
    blocks: dict[str, list[str]] = {}
    block: list[str] = []
    for line in QUERIES.read_text("utf-8").splitlines():
        if line.startswith("-- name: "):
            block = blocks.setdefault(line.removeprefix("-- name: ").strip(), [])
        elif not line.startswith("--"):
            block.append(line)
    return {name: "\n".join(lines).strip() for name, lines in blocks.items()}


def _parameters(sql: str) -> list[str]:
    return list(dict.fromkeys(_PARAMETER.findall(sql)))


def _numbered(sql: str, parameters: Sequence[str]) -> str:
    return _PARAMETER.sub(lambda match: f"?{parameters.index(match[1]) + 1}", sql)
