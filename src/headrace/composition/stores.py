"""The journal that the settings name, and the leadership of the servers that share it."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from pathlib import Path

from headrace.background import in_background
from headrace.clock import Clock
from headrace.errors import InvalidValue, Unusable
from headrace.events.duties import Leadership, SoleProcess
from headrace.journal.group import WriterLimits
from headrace.journal.port import Journal, Unit
from headrace.journal.writes import SwitchEngine
from headrace.settings import Settings
from headrace.telemetry import Telemetry

JOURNAL_FILE = "journal.db"
POSTGRES = "PostgreSQL"
OWN_EVERY_S = 1.0
"""Time between two attempts of a standby to become the owner."""
STANDBY = "standby: another server owns the journal; this one takes over when that one is gone"


@dataclass(frozen=True, slots=True)
class Store:
    """A journal that is open, and the leadership of those who share it.

    `lost` is set when another server has taken over the journal: this process must end. `kind`, `revision`: of the
    journal and of its schema; `file`: where it is one.
    """

    journal: Journal
    leadership: Leadership
    lost: asyncio.Event
    watch_inbox: Callable[[Callable[[], None]], None] | None = None
    """Ask to be called when another process has put events into the inbox; None: no other process does."""
    kind: str = ""
    revision: str = ""
    file: Path | None = None


@contextlib.asynccontextmanager
async def open_store(
    settings: Settings, data: Path, meter: Telemetry, clock: Clock, on_wait: Callable[[str], None]
) -> AsyncGenerator[Store]:
    """Open the journal, and close it at the end. `on_wait` is called with the reason while a standby waits.

    Raises AlreadyOwned when another server has the file, Unusable or Damaged when a person must act, Unavailable when
    another attempt may succeed.
    """
    if settings.database_url is None:
        from headrace.journal.sqlite import SqliteJournal
        from headrace.journal.sqlite.migrations import HEAD as SQLITE_HEAD

        in_file = await SqliteJournal.open(data / JOURNAL_FILE, limits=_limits(settings), meter=meter)
        try:
            file = data / JOURNAL_FILE
            yield Store(in_file, SoleProcess(), asyncio.Event(), kind="SQLite", revision=SQLITE_HEAD, file=file)
        finally:
            await in_file.close()
    else:
        async with _shared_store(settings, settings.database_url, meter, clock, on_wait) as store:
            yield store


@contextlib.asynccontextmanager
async def _shared_store(
    settings: Settings, url: str, meter: Telemetry, clock: Clock, on_wait: Callable[[str], None]
) -> AsyncGenerator[Store]:
    """The journal of a database: owned by this process where the engine is embedded, else shared with others."""
    if importlib.util.find_spec("psycopg") is None:
        raise InvalidValue("HEADRACE_DATABASE_URL", "needs the postgres extra: pip install 'headrace[postgres]'")
    from headrace.journal.postgres import PostgresJournal
    from headrace.journal.postgres.leadership import PostgresLeadership
    from headrace.journal.postgres.migrations import HEAD

    async with contextlib.AsyncExitStack() as stack:
        journal = await PostgresJournal.open(
            url, limits=_limits(settings), meter=meter, readers=settings.database_readers
        )
        stack.push_async_callback(journal.close)
        await _require_engine(journal, settings.engine)
        if settings.engine == "embedded":
            while not await journal.owner.try_own():
                on_wait(STANDBY)
                await clock.sleep(OWN_EVERY_S)
            await _require_engine(journal, settings.engine)  # it may have been switched meanwhile
            yield Store(journal, SoleProcess(), journal.owner.lost, kind=POSTGRES, revision=HEAD)
        else:
            leadership = PostgresLeadership(url, clock)
            stack.push_async_callback(leadership.close)
            await stack.enter_async_context(in_background(leadership.run, clock))
            watch = journal.watch_inbox
            yield Store(journal, leadership, journal.owner.lost, watch, kind=POSTGRES, revision=HEAD)


async def _require_engine(journal: Journal, engine: str) -> None:
    """Require that this engine drives the instances of the journal; the first engine is written down.

    Raises Unusable where another one does: both would drive the same instances.
    """
    before = (await journal.engine()).engine
    if not before:
        unit = Unit()
        unit.add(SwitchEngine(engine=engine, before=""))
        await journal.commit(unit)
        before = (await journal.engine()).engine
    if before != engine:
        raise Unusable(
            f"the journal is driven by the engine {before}: set HEADRACE_ENGINE={before}, or stop every server and "
            f"worker and run `headrace engine switch {engine}`"
        )


def _limits(settings: Settings) -> WriterLimits:
    return WriterLimits(
        max_batch=settings.batch_units, max_waiting=settings.queue_units, give_up_s=settings.commit_timeout_s
    )
