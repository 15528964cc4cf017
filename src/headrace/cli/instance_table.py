"""The list of instances: STATUS WORKFLOW STAGE AGE ID ERROR, within the width of a terminal.

An id is never cut, so that it can be copied. On a terminal a long workflow name is cut, and an error that does not fit
wraps below its line. Elsewhere every instance has one line and nothing is cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from headrace.cli import display
from headrace.cli.display import Heading

Json = dict[str, Any]

COLUMNS = ("STATUS", "WORKFLOW", "STAGE", "AGE", "ID", "ERROR")
LEAST_WORKFLOW = 8
"""Minimum columns of a workflow's name on a narrow terminal."""

_WORKFLOW = COLUMNS.index("WORKFLOW")
_AGES = ((86_400, "d"), (3_600, "h"), (60, "m"))


def table_lines(pages: Iterable[Sequence[Json]], now_at: int) -> Iterator[str]:
    """Yield the lines of each page. The first page sets the widths of the columns."""
    layout: _Layout | None = None
    for page in pages:
        rows = [_row(instance, now_at) for instance in page]
        if layout is None:
            layout = _Layout(rows, display.terminal_width())
            yield Heading(layout.heading())
        for row in rows:
            yield from layout.lines(row)


def age(created_at: str, now_at: int) -> str:
    """Age in the largest unit of which there are at least 2: `90s`, `3m`, `47h`, `12d`."""
    seconds = max(0, now_at // 1_000_000 - int(datetime.fromisoformat(created_at).timestamp()))
    for length, unit in _AGES:
        if seconds >= 2 * length:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


def _row(instance: Json, now_at: int) -> list[str]:
    cells = [
        instance["status"],
        instance.get("workflowName") or "-",
        instance.get("stage", {}).get("name", "-"),
        age(instance["createdAt"], now_at),
        instance["instanceId"],
        instance.get("error", ""),
    ]
    return [display.printable(cell).replace("\n", " ") for cell in cells]


class _Layout:
    def __init__(self, rows: Sequence[Sequence[str]], limit: int | None) -> None:
        columns = range(len(COLUMNS) - 1)
        self._limit = limit
        self._widths = [max(display.width(row[index]) for row in [COLUMNS, *rows]) for index in columns]
        if limit is not None:
            others = sum(self._widths) + 2 * (len(self._widths) - 1) - self._widths[_WORKFLOW]
            self._widths[_WORKFLOW] = min(self._widths[_WORKFLOW], max(LEAST_WORKFLOW, limit - others))

    def heading(self) -> str:
        return self._fitting(COLUMNS) or self._aligned(COLUMNS)

    def lines(self, row: Sequence[str]) -> list[str]:
        """One line; the error goes below if both do not fit."""
        whole = self._fitting(row)
        if whole is not None:
            return [whole]
        return [self._aligned(row), *display.wrapped(row[-1], self._limit, indent="  ")]

    def _fitting(self, row: Sequence[str]) -> str | None:
        text = f"{self._aligned(row, is_filled=True)}  {row[-1]}".rstrip()
        return text if self._limit is None or display.width(text) <= self._limit else None

    def _aligned(self, row: Sequence[str], *, is_filled: bool = False) -> str:
        cells = [self._cell(index, row[index]) for index in range(len(self._widths))]
        text = "  ".join(cells)
        return text if is_filled else text.rstrip()

    def _cell(self, index: int, text: str) -> str:
        width = self._widths[index]
        is_cut = index == _WORKFLOW and self._limit is not None
        return display.padded(display.cut(text, width) if is_cut else text, width)
