"""The journal on SQLite: one file, one process that owns it, one writer with group commit."""

from __future__ import annotations

from headrace.journal.sqlite.adapter import SqliteJournal

__all__ = ["SqliteJournal"]
