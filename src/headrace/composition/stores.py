"""The journal that the settings name, and the leadership of the servers that share it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

from headrace.events.duties import Leadership, SoleProcess
from headrace.journal.group import WriterLimits
from headrace.journal.port import Journal
from headrace.journal.sqlite import SqliteJournal
from headrace.settings import Settings
from headrace.telemetry import Telemetry

JOURNAL_FILE = "journal.db"


@dataclass(frozen=True, slots=True)
class Store:
    """A journal that is open, and the leadership of those who share it."""

    journal: Journal
    leadership: Leadership


@contextlib.asynccontextmanager
async def open_store(settings: Settings, data: Path, meter: Telemetry) -> AsyncGenerator[Store]:
    """Open the journal, and close it at the end.

    Raises AlreadyOwned when another server has it, Unusable or Damaged when a person must act, Unavailable when another
    attempt may succeed.
    """
    limits = WriterLimits(
        max_batch=settings.batch_units, max_waiting=settings.queue_units, give_up_s=settings.commit_timeout_s
    )
    journal = await SqliteJournal.open(data / JOURNAL_FILE, limits=limits, meter=meter)
    try:
        yield Store(journal, SoleProcess())
    finally:
        await journal.close()
