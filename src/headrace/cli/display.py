"""What people and programs see. Answers go to standard output; notes, errors and progress to standard error.

Names and errors come from elsewhere: control characters in them never reach a terminal, nor does markup.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any


def line(text: str = "", *, flush: bool = False) -> None:
    sys.stdout.write(printable(text) + "\n")
    if flush:
        sys.stdout.flush()


def note(text: str) -> None:
    sys.stderr.write(printable(text) + "\n")
    sys.stderr.flush()


def store(value: dict[str, Any]) -> None:
    """The answer for a program: `{"data": value}`."""
    sys.stdout.write(json.dumps({"data": value}, indent=2, ensure_ascii=False) + "\n")


def error(kind: str, message: str, hint: str, *, as_json: bool) -> None:
    if as_json:
        answer = {"errorCode": kind, "errorMessage": message} | ({"hint": hint} if hint else {})
        sys.stderr.write(json.dumps(answer, ensure_ascii=False) + "\n")
        return
    label = "\x1b[31merror:\x1b[0m" if sys.stderr.isatty() else "error:"
    sys.stderr.write(f"{label} {printable(message)}\n")
    if hint:
        sys.stderr.write(f"  {printable(hint)}\n")


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns that are never cut or wrapped, so that an id can be copied and a pipe reads whole lines."""
    cells = [[printable(cell).replace("\n", " ") for cell in row] for row in rows]
    widths = [max(len(row[index]) for row in [columns, *cells]) for index in range(len(columns))]
    heading(_aligned(columns, widths))
    for row in cells:
        line(_aligned(row, widths))


def facts(pairs: Sequence[tuple[str, str]]) -> None:
    """A heading's facts, one a line."""
    width = max(len(name) for name, _ in pairs)
    for name, value in pairs:
        line(f"{name.ljust(width)}  {value}")


def heading(text: str) -> None:
    """A line that stands out on a terminal."""
    sys.stdout.write(f"\x1b[1m{printable(text)}\x1b[0m\n" if sys.stdout.isatty() else printable(text) + "\n")


@contextmanager
def progress(text: str) -> Generator[Callable[[str], None]]:
    """A moving line on standard error while something is awaited; nothing unless it is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.markup import escape

    with Console(stderr=True).status(escape(text)) as status:
        yield lambda now: status.update(escape(printable(now)))


def printable(text: str) -> str:
    """`text` without what could move a cursor or hide what follows."""
    return "".join(character if character.isprintable() or character in "\n\t" else "�" for character in text)


def moment(value: str | datetime | None) -> str:
    """A time for people: UTC, to the millisecond."""
    if value is None:
        return ""
    at = datetime.fromisoformat(value) if isinstance(value, str) else value
    return at.strftime("%Y-%m-%d %H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
