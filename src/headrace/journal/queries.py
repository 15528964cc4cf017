"""Reading the queries of an adapter: a file of SQL, in which `-- name: X` begins a query with named parameters.

Databases bind numbers faster than names, so each query is numbered once, when the file is read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from headrace.journal.writes import Result, Write, record_types

_PARAMETER = re.compile(r"(?<![:\w]):([a-z_]+)")


@dataclass(frozen=True, slots=True)
class WriteQuery:
    """`sql` takes the fields of its record, in their order, then what `derived_fields` gives for it."""

    sql: str
    result: type[Result] | None


class QueryFile:
    """`mark` stands before the number of a parameter: `?` or `$`."""

    def __init__(self, path: Path, mark: str) -> None:
        self._name = path.name
        self._mark = mark
        self._blocks = _blocks(path)

    def reads(self) -> dict[str, str]:
        """The queries that belong to no record, by name; parameters are numbered in the order of their first use."""
        writes = {each.__name__ for each in record_types()}
        found = {name: sql for name, sql in self._blocks.items() if name.partition("*")[0] not in writes}
        return {name: self._numbered(sql, parameters_of(sql)) for name, sql in found.items()}

    def writes(self) -> dict[type[Write], WriteQuery]:
        """The query of every record. Raises ValueError where one is missing, or leaves out a field of its record."""
        found: dict[type[Write], WriteQuery] = {}
        for record in record_types():
            fields, sql = record.__struct_fields__, self._blocks.get(record.__name__, "")
            if not sql or set(parameters_of(sql)) != set(fields):
                raise ValueError(f"{self._name}: the query {record.__name__} must use exactly {', '.join(fields)}")
            found[record] = WriteQuery(self._numbered(sql, fields), record.result)
        return found

    def _numbered(self, sql: str, parameters: Sequence[str]) -> str:
        return _PARAMETER.sub(lambda match: f"{self._mark}{parameters.index(match[1]) + 1}", sql)


def parameters_of(sql: str) -> list[str]:
    """The names of the parameters, in the order of their first use."""
    return list(dict.fromkeys(_PARAMETER.findall(sql)))


def _blocks(path: Path) -> dict[str, str]:
    blocks: dict[str, list[str]] = {}
    block: list[str] = []
    for line in path.read_text("utf-8").splitlines():
        if line.startswith("-- name: "):
            block = blocks.setdefault(line.removeprefix("-- name: ").strip(), [])
        elif not line.startswith("--"):
            block.append(line)
    return {name: "\n".join(lines).strip() for name, lines in blocks.items()}
