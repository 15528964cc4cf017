"""The file of an export: a journal as JSON lines, from which the same journal is made in another database.

The first line describes the journal, each further one is a row with its table, and the last one holds the number of
rows and a SHA-256 digest of all lines before it. So a file that was cut off or changed is refused. Bytes are base64.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import os
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from operator import attrgetter
from pathlib import Path
from typing import Any, BinaryIO, Literal

import msgspec

from headrace.clock import Clock, date_time
from headrace.errors import TransferError
from headrace.journal import event_keys
from headrace.journal.transfer import (
    MOVED,
    TABLES,
    Column,
    Operator,
    RestingJournal,
    Row,
    Table,
    Value,
    about_closed,
    skip_numbers,
)

FORMAT = 1
EXPORT, UNDO_EXPORT, IMPORT = "exportJournal", "undoExportJournal", "importJournal"
"""Operations of the audit trail."""

MAX_LINE_BYTES = 1 << 30
REPORT_EVERY = 10_000
_TABLES = {table.name: (index, table) for index, table in enumerate(TABLES)}
_INTEGERS = range(-(1 << 63), 1 << 63)

Report = Callable[[str, int], None]
"""Receives a table, and how many of its rows are done."""


class Header(msgspec.Struct, frozen=True):
    """The first line. After an export of kind `move` the journal that was exported starts no more; of kind `copy`, it
    does.
    """

    format: int
    kind: Literal["move", "copy"]
    export_id: str
    created_at: str
    release: str
    revision: str
    identity: str
    counts: dict[str, int]
    numbers: dict[str, int]


class _FirstLine(msgspec.Struct, frozen=True):
    headrace_journal: Header


class _Line(msgspec.Struct, frozen=True):
    table: str
    row: dict[str, Any]


class _Trailer(msgspec.Struct, frozen=True):
    rows: int
    sha256: str


class _LastLine(msgspec.Struct, frozen=True):
    end: _Trailer


# export


def export_journal(
    journal: RestingJournal, path: Path, operator: Operator, clock: Clock, *, is_copy: bool, report: Report
) -> Header:
    """Write everything to a new file.

    Unless it is a copy, the journal is closed before the file is complete: however the export ends, there is never a
    complete file of a journal that still starts. Raises TransferError, or OSError.
    """
    if path.exists():
        raise TransferError(f"{path} exists already, and an export overwrites nothing")
    is_closed = False
    with _new_file(path) as writer:
        with journal.transaction():
            state = journal.state()
            if state.closed is not None:
                raise TransferError(f"{journal.address}: {about_closed(state.closed, state.closed_at)}")
            header = Header(
                format=FORMAT,
                kind="copy" if is_copy else "move",
                export_id=operator.operation_id,
                created_at=date_time(clock.now_at()),
                release=operator.release,
                revision=state.revision,
                identity=state.identity,
                counts={table.name: journal.count(table) for table in TABLES},
                numbers=journal.numbers(),
            )
            writer.write(_FirstLine(header))
            for table in TABLES:
                for number, row in enumerate(journal.rows(table), start=1):
                    writer.write(_Line(table.name, row))
                    if number % REPORT_EVERY == 0:
                        report(table.name, number)
            writer.to_disk()
            journal.record(EXPORT, operator.principal, operator.operation_id, clock.now_at())
            if not is_copy:
                journal.set_closed(MOVED, clock.now_at())
            is_closed = not is_copy
        try:
            writer.end()
        except OSError as error:
            about = ". The journal is closed already: `headrace export --undo` opens it again" if is_closed else ""
            raise TransferError(f"{path} could not be completed: {error.strerror}{about}") from error
    return header


def undo_export(journal: RestingJournal, operator: Operator, clock: Clock) -> None:
    """Open a journal again that was exported. Raises TransferError where it was not."""
    with journal.transaction():
        if journal.state().closed != MOVED:
            raise TransferError(f"{journal.address} is not closed by an export, so there is nothing to undo")
        journal.set_closed(None, clock.now_at())
        journal.record(UNDO_EXPORT, operator.principal, operator.operation_id, clock.now_at())


class _Writer:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._encoder = msgspec.json.Encoder()
        self._digest = hashlib.sha256()
        self._rows = 0
        self.is_complete = False

    def write(self, line: _FirstLine | _Line | _LastLine) -> None:
        encoded = self._encoder.encode(line) + b"\n"
        self._digest.update(encoded)
        self._file.write(encoded)
        self._rows += isinstance(line, _Line)

    def to_disk(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())

    def end(self) -> None:
        self.write(_LastLine(_Trailer(self._rows, self._digest.hexdigest())))
        self.to_disk()
        self.is_complete = True


@contextmanager
def _new_file(path: Path) -> Generator[_Writer]:
    """A file that gets its name once it is complete, readable by its owner only: it holds stored responses."""
    unfinished = path.with_name(f"{path.name}.part")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        writer = _Writer(file)
        try:
            yield writer
        finally:
            if not writer.is_complete:
                unfinished.unlink(missing_ok=True)
    unfinished.rename(path)
    folder = os.open(path.absolute().parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


# import


def import_journal(journal: RestingJournal, path: Path, operator: Operator, clock: Clock, *, report: Report) -> Header:
    """Load a file into a journal that holds nothing yet: all of it in one transaction, or nothing.

    A copy's numbers skip some, so that its events do not get the ids of later events of the original. Raises
    TransferError, or OSError where the file cannot be read.
    """
    with path.open("rb") as file, journal.transaction():
        for table in TABLES:
            if table.has_one_row or not journal.count(table):
                continue
            with closing(journal.rows(table)) as found:
                row = next(found)
                shown = ", ".join(str(row[name]) for name in table.key)
                raise TransferError(
                    f"{journal.address} is in use already: its table {table.name} has rows, such as {shown}. "
                    "Import into a new database or data folder."
                )
        reader = _Reader(file, path, journal.state().revision)
        for table, rows in reader.tables():
            journal.load(table, _reported(table, rows, report))
        journal.set_numbers(reader.header.numbers)
        if reader.header.kind == "copy":
            skip_numbers(journal)
        journal.record(IMPORT, operator.principal, reader.header.export_id, clock.now_at())
    return reader.header


def _reported(table: Table, rows: Iterable[Row], report: Report) -> Iterator[Row]:
    for number, row in enumerate(rows, start=1):
        yield row
        if number % REPORT_EVERY == 0:
            report(table.name, number)


class _Reader:
    """Reads a file from its beginning to its end, checks each line, and keeps none."""

    def __init__(self, file: BinaryIO, path: Path, revision: str) -> None:
        """`revision`: that of the database. Raises TransferError for a file that this release cannot import."""
        self._file = file
        self._path = path
        self._digest = hashlib.sha256()
        self._number = 0
        self._counts = dict.fromkeys(_TABLES, 0)
        first = self._next_line()
        self._digest.update(first)
        try:
            self.header = msgspec.json.decode(first, type=_FirstLine).headrace_journal
        except msgspec.MsgspecError:
            raise TransferError(f"{path} is no export of a journal: its first line is not that of one") from None
        if self.header.format != FORMAT or self.header.revision > revision:
            raise TransferError(
                f"{path} was written by a newer release of Headrace ({self.header.release}, schema "
                f"{self.header.revision}; this release knows up to {revision}). Import it with that release."
            )

    def tables(self) -> Iterator[tuple[Table, Iterator[Row]]]:
        """The tables, each with its rows, which must be read before the next. Raises TransferError at the end too."""
        last = -1
        for name, lines in itertools.groupby(self._rows(), attrgetter("table")):
            index, table = _TABLES.get(name, (-1, None))
            if table is None or index <= last:
                raise self._wrong(f"a row of table {name!r} is not expected here")
            last = index
            yield table, (self._row(table, line.row) for line in lines)
        for name, count in self._counts.items():
            if self.header.counts.get(name, 0) != count:
                expected = self.header.counts.get(name, 0)
                raise TransferError(f"{self._path} is not whole: {count} rows of {name} instead of {expected}")
        for table in TABLES:
            if table.has_one_row and self._counts[table.name] != 1:
                raise TransferError(f"{self._path} is not whole: it has no row of {table.name}")

    def _rows(self) -> Iterator[_Line]:
        while line := self._next_line():
            is_last = line.startswith(b'{"end":')
            digest = self._digest.hexdigest()
            self._digest.update(line)
            try:
                decoded = msgspec.json.decode(line, type=_LastLine if is_last else _Line)
            except msgspec.MsgspecError as error:
                raise self._wrong(str(error)) from None
            if isinstance(decoded, _Line):
                if decoded.table in self._counts:
                    self._counts[decoded.table] += 1
                yield decoded
                continue
            if decoded.end.sha256 != digest or decoded.end.rows != sum(self._counts.values()):
                raise TransferError(f"{self._path} is damaged: its content does not match the digest in its last line")
            if self._file.read(1):
                raise self._wrong("the file goes on after its last line")
            return
        raise TransferError(f"{self._path} is not whole: it was cut off after line {self._number}")

    def _next_line(self) -> bytes:
        """Empty at the end of the file, and where the last line is cut off."""
        line = self._file.readline(MAX_LINE_BYTES)
        if not line.endswith(b"\n"):
            return b""
        self._number += 1
        return line

    def _row(self, table: Table, given: dict[str, Any]) -> Row:
        if unknown := given.keys() - set(table.names):
            raise self._wrong(f"table {table.name} has no column {min(unknown)}")
        try:
            return {column.name: self._value(table, column, given) for column in table.columns}
        except ValueError as error:
            raise self._wrong(f"{table.name}.{error}") from None

    def _value(self, table: Table, column: Column, given: dict[str, Any]) -> Value:
        """The value of one column. Raises ValueError."""
        if column.name not in given:
            if self.header.revision < column.since:
                return column.fallback
            raise ValueError(f"{column.name} is missing")
        value = given[column.name]
        if value is None and column.may_be_null:
            return None
        match column.kind, value:
            case "text", str():
                is_unbounded = self.header.revision < event_keys.REVISION
                return (
                    event_keys.rebounded(value)
                    if is_unbounded and (table.name, column.name) in event_keys.COLUMNS
                    else value
                )
            case "flag", bool():
                return value
            case "integer", int() if value in _INTEGERS and not isinstance(value, bool):
                return value
            case "bytes", str():
                with suppress(ValueError):
                    return base64.b64decode(value, validate=True)
            case _:
                pass
        raise ValueError(f"{column.name} is not of the kind {column.kind}")

    def _wrong(self, reason: str) -> TransferError:
        return TransferError(f"{self._path}, line {self._number}: {reason}")
