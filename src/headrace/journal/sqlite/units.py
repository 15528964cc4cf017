"""Writes the units of one transaction: every record by its query. Whoever begins the transaction also commits it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from msgspec.structs import astuple

from headrace.errors import RepeatedKey
from headrace.journal.port import Later, Required, Results, Unit, WhenWanted
from headrace.journal.sqlite.statements import WriteQuery
from headrace.journal.writes import Published, RememberKey, Result, WantType, Write


class UnitWriter:
    """`wanted`: types of events that are wanted, as this transaction sees them; None: not read yet."""

    def __init__(
        self, connection: sqlite3.Connection, queries: dict[type[Write], WriteQuery], statements: dict[str, str]
    ) -> None:
        self._connection = connection
        self._queries = queries
        self._read_wanted, self._move_outbox_end = statements["wanted"], statements["move_outbox_end"]
        self.wanted: set[str] | None = None

    def write(self, unit: Unit) -> Results:
        """Make the writes of one unit, in their order. Raises the error of a `Required` write that changes nothing."""
        results: list[Result] = []
        execute, queries = self._connection.execute, self._queries
        for entry in unit:
            if type(entry) is WhenWanted:
                if entry.type not in (self._wanted_types() if self.wanted is None else self.wanted):
                    continue
                write = entry.make()
            elif type(entry) is Required:
                write = entry.write
            elif type(entry) is Later:
                write = entry.make(results)
            else:
                write = entry
            query = queries[type(write)]
            try:
                cursor = execute(query.sql, astuple(write))
            except sqlite3.IntegrityError:
                if isinstance(write, RememberKey):
                    raise RepeatedKey(write.key) from None
                raise
            if type(entry) is Required and cursor.rowcount == 0:
                raise entry.error()
            if type(write) is WantType:
                self.wanted = None
            if query.result is not None and (row := cursor.fetchone()) is not None:
                results.append(query.result(*row))
        return results

    def _wanted_types(self) -> set[str]:
        """Read in this transaction, so that a type counts from the commit in which any process wanted it."""
        if self.wanted is None:
            self.wanted = {row[0] for row in self._connection.execute(self._read_wanted)}
        return self.wanted

    def end_in_order(self, results: Iterable[Results | Exception]) -> None:
        """The ordered section of a commit: what must be written in the order in which commits become visible."""
        published = [
            each.seq
            for unit in results
            if unit and not isinstance(unit, Exception)
            for each in unit
            if isinstance(each, Published)
        ]
        if published:
            self._connection.execute(self._move_outbox_end, (max(published),))
