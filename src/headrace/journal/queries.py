"""Reading the queries of an adapter: a file of SQL, in which `-- name: X` begins a query with named parameters."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

_PARAMETER = re.compile(r"(?<![:\w]):([a-z_]+)")


def read_texts(path: Path) -> dict[str, str]:
    """The queries of a file by name, as they are written."""
    blocks: dict[str, list[str]] = {}
    block: list[str] = []
    for line in path.read_text("utf-8").splitlines():
        if line.startswith("-- name: "):
            block = blocks.setdefault(line.removeprefix("-- name: ").strip(), [])
        elif not line.startswith("--"):
            block.append(line)
    return {name: "\n".join(lines).strip() for name, lines in blocks.items()}


def read_queries(path: Path, mark: str) -> dict[str, str]:
    """The queries of a file by name, with their parameters numbered in the order of their first use: `mark` 1, 2, .."""
    return {name: numbered(sql, parameters_of(sql), mark) for name, sql in read_texts(path).items()}


def parameters_of(sql: str) -> list[str]:
    """The names of the parameters, in the order of their first use."""
    return list(dict.fromkeys(_PARAMETER.findall(sql)))


def numbered(sql: str, parameters: Sequence[str], mark: str) -> str:
    """The query with a number for each name: databases bind numbers faster."""
    return _PARAMETER.sub(lambda match: f"{mark}{parameters.index(match[1]) + 1}", sql)
