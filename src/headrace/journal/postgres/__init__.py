"""The journal on PostgreSQL: one writer with group commit, some connections for reads, one that listens."""

from __future__ import annotations

from headrace.journal.postgres.adapter import PostgresJournal
from headrace.journal.postgres.migrations import migrate

__all__ = ["PostgresJournal", "migrate"]
