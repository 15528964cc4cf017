"""The adapters that the suites of journal and engine are run for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.journal.sqlite import SqliteJournal
from headrace.journal.testing import Capabilities
from tests.support.slow_reads import SlowReads

JOURNALS = ["sqlite", "slow-sqlite"]
"""By name. One that has no adapter fails every test it is named for."""


@asynccontextmanager
async def _sqlite(path: Path) -> AsyncIterator[Any]:
    opened = await SqliteJournal.open(path)
    yield opened
    await opened.close()


@asynccontextmanager
async def _slow_sqlite(path: Path) -> AsyncIterator[Any]:
    async with _sqlite(path) as opened:
        yield SlowReads(opened)


@dataclass(frozen=True, slots=True)
class Adapter:
    """`open` opens the store of a path; opened again, it is the same one."""

    open: Callable[[Path], AbstractAsyncContextManager[Any]]
    capabilities: Capabilities


_ADAPTERS = {"sqlite": Adapter(_sqlite, Capabilities()), "slow-sqlite": Adapter(_slow_sqlite, Capabilities())}


def adapter(name: str) -> Adapter:
    """Raises LookupError for a name without an adapter: it must not pass as if it had been tested."""
    if name not in _ADAPTERS:
        raise LookupError(f"there is no journal adapter {name!r}; there are {', '.join(_ADAPTERS)}")
    return _ADAPTERS[name]
