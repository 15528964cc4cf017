"""Output of commands. Results go to standard output; notes, errors and progress go to standard error.

Control characters and markup in names and errors from elsewhere never reach the terminal.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, TextIO

from headrace.money import readable_money


class Output(StrEnum):
    """The form of a result: a table or sentences for people, a document for programs."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


COLUMNS = 80
"""Width of a plan, a certificate or a batch, which persons read from top to bottom."""
LONGEST_TIME = 24
LEAST_TEXT = 12
"""Minimum columns for a long text in the last column of a table."""


class Heading(str):
    """A line that a terminal shows in bold."""

    __slots__ = ()


def prepare_streams() -> None:
    """Keep output from failing where a stream is closed or cannot encode a character."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - open until the process ends
    reconfigure: Callable[..., None] | None = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None and not _takes_any_text(sys.stdout):
        reconfigure(errors="backslashreplace")


def line(text: str = "", *, flush: bool = False) -> None:
    _write(sys.stdout, text)
    if flush:
        sys.stdout.flush()


def lines(texts: Iterable[str]) -> None:
    for text in texts:
        _write(sys.stdout, text)


def heading(text: str) -> None:
    _write(sys.stdout, Heading(text))


def note(text: str) -> None:
    _write(sys.stderr, text)
    sys.stderr.flush()


def store(value: dict[str, Any], output: Output = Output.JSON) -> None:
    """Write `{"data": value}` for a program."""
    sys.stdout.write(document_text({"data": value}, output) + "\n")


def document_text(value: dict[str, Any], output: Output, *, in_one_line: bool = False) -> str:
    """Encode a document as JSON or YAML that cannot move the cursor."""
    is_ascii = not _takes_any_text(sys.stdout)
    if output is Output.YAML:
        from headrace.cli.yaml_text import yaml_text

        return yaml_text(value, is_ascii=is_ascii)
    indent, separators = (None, (",", ":")) if in_one_line else (2, None)
    text = json.dumps(value, indent=indent, separators=separators, ensure_ascii=is_ascii)
    if text.isprintable():
        return text

    # Control characters are escaped: the document stays the same.
    escaped = {"\n": "\n", "\x7f": "\\u007f"}
    return "".join(each if each.isprintable() else escaped.get(each) or json.dumps(each)[1:-1] for each in text)


def error(kind: str, message: str, hint: str, output: Output) -> None:
    if output is not Output.TABLE:
        answer = {"errorCode": kind, "errorMessage": message} | ({"hint": hint} if hint else {})
        sys.stderr.write(document_text(answer, output, in_one_line=True) + "\n")
        return
    label = "\x1b[31merror:\x1b[0m" if has_style(sys.stderr) else "error:"
    sys.stderr.write(f"{label} {printable(message)}\n")
    if hint:
        sys.stderr.write(f"  {printable(hint)}\n")


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    lines(table_lines(columns, rows))


def table_lines(columns: Sequence[str], rows: Sequence[Sequence[str]], *, spare: str = "") -> list[str]:
    """Lay out columns that are never cut or wrapped, so that an id can be copied and a pipe reads whole lines.

    On a narrow terminal the column `spare` is left out first; if that does not suffice, each value gets its own line.
    A long text in the last column wraps below itself.
    """
    cells = [[printable(cell).replace("\n", " ") for cell in row] for row in rows]
    limit = terminal_width()
    whole = _Table(columns, cells)
    if limit is None or whole.fits(limit):
        return whole.lines(limit)
    smaller = whole.without(spare)
    return smaller.lines(limit) if smaller.fits(limit) else whole.records()


def fact_lines(pairs: Sequence[tuple[str, str]]) -> list[str]:
    """One line per fact; on a terminal, a long value wraps below itself."""
    widest = max(width(name) for name, _ in pairs)
    found: list[str] = []
    for name, value in pairs:
        first, *others = wrapped(printable(value), terminal_width(), indent=" " * (widest + 2)) or [""]
        found += [f"{padded(name, widest)}  {first.strip()}".rstrip(), *others]
    return found


def wrapped(text: str, limit: int | None, *, indent: str = "") -> list[str]:
    """Wrap at spaces to at most `limit` columns; a longer word stays whole, so that it can be copied."""
    if limit is None:
        return [indent + text]
    found: list[str] = []
    line = ""
    for word in text.split():
        if line and width(indent) + width(line) + 1 + width(word) > limit:
            found.append(indent + line)
            line = ""
        line = f"{line} {word}" if line else word
    return [*found, indent + line] if line else found


def hanging(text: str, indent: str) -> list[str]:
    """Lines of at most 80 columns where the words allow it; the first keeps its own indentation."""
    own = text[: len(text) - len(text.lstrip())]
    first, *others = wrapped(printable(text).replace("\n", " "), COLUMNS, indent=indent) or [""]
    return [own + first.removeprefix(indent), *others]


money = readable_money
"""`40.00 USD` for 4000 USD/2, in every text for people."""


def person(principal: str, name: str | None) -> str:
    """A principal with its name in front, where one is known: `Paul Kuhn (0c5e…)`."""
    return f"{name} ({principal})" if name else principal


def cut(text: str, limit: int) -> str:
    """Cut to at most `limit` columns, with an ellipsis for the rest."""
    if width(text) <= limit:
        return text
    while text and width(text) > limit - 1:
        text = text[:-1]
    return f"{text}…"


@contextmanager
def progress(text: str, *, is_shown: bool = True) -> Generator[Callable[[str], None]]:
    """Show progress on standard error: one updated line on a terminal, else one line per change.

    Shows nothing if `is_shown` is False.
    """
    if not is_shown:
        yield lambda _: None
        return
    if not sys.stderr.isatty():
        last = ""

        def note_change(text: str) -> None:
            """Skip a text equal to the last one."""
            nonlocal last
            if text != last:
                note(text)
            last = text

        yield note_change
        return
    from rich.console import Console
    from rich.markup import escape

    with Console(stderr=True).status(escape(text)) as status:
        yield lambda now: status.update(escape(printable(now)))


def printable(text: str) -> str:
    """`text` without characters that could move the cursor or hide other text."""
    return "".join(character if character.isprintable() or character in "\n\t" else "�" for character in text)


def moment(value: str | datetime | None) -> str:
    """Format a time for people: UTC, to the millisecond."""
    if value is None:
        return ""
    at = datetime.fromisoformat(value) if isinstance(value, str) else value
    return at.strftime("%Y-%m-%d %H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def has_style(stream: TextIO) -> bool:
    """True if the stream takes bold and colour (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _takes_any_text(stream: TextIO) -> bool:
    return (stream.encoding or "utf-8").lower().replace("_", "-") in ("utf-8", "utf8")


def terminal_width() -> int | None:
    """Columns of the terminal, or None if standard output is not a terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _write(stream: TextIO, text: str) -> None:
    is_bold = isinstance(text, Heading) and has_style(stream)
    stream.write(f"\x1b[1m{printable(text)}\x1b[0m\n" if is_bold else printable(text) + "\n")


class _Table:
    """Columns and rows of printable cells without line breaks."""

    def __init__(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        self._columns = columns
        self._rows = rows
        self._widths = [max(width(row[index]) for row in [columns, *rows]) for index in range(len(columns))]

    def fits(self, limit: int) -> bool:
        """True if no line is wider than `limit`: a text in the last column wraps at spaces, an id there does not."""
        *others, last = self._widths
        longest_word = max((width(word) for row in self._rows for word in row[-1].split()), default=0)
        needed = min(last, max(LEAST_TEXT, longest_word)) if last > LONGEST_TIME else last
        return sum(others) + 2 * len(others) + needed <= limit

    def without(self, name: str) -> _Table:
        kept = [index for index, column in enumerate(self._columns) if column != name]
        return _Table([self._columns[index] for index in kept], [[row[index] for index in kept] for row in self._rows])

    def lines(self, limit: int | None) -> list[str]:
        return [
            Heading(self._aligned(self._columns)),
            *(line for row in self._rows for line in self._wrapped(row, limit)),
        ]

    def _wrapped(self, row: Sequence[str], limit: int | None) -> list[str]:
        whole = self._aligned(row)
        if limit is None or width(whole) <= limit:
            return [whole]
        indent = " " * (sum(self._widths[:-1]) + 2 * (len(row) - 1))
        first, *others = wrapped(row[-1], limit, indent=indent)
        return [self._aligned([*row[:-1], first.strip()]), *others]

    def records(self) -> list[str]:
        texts: list[str] = []
        for row in self._rows:
            texts += [""] if texts else []
            texts += fact_lines([(name, cell) for name, cell in zip(self._columns, row, strict=True) if cell])
        return texts

    def _aligned(self, cells: Sequence[str]) -> str:
        return "  ".join(padded(cell, wide) for cell, wide in zip(cells, self._widths, strict=True)).rstrip()


def padded(text: str, columns: int) -> str:
    return text + " " * (columns - width(text))


def width(text: str) -> int:
    """Terminal columns of a text: a wide character takes two, a combining accent none."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)
