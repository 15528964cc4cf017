"""Journal and services in memory for one life after the other, each within a transaction that is rolled back.

A connection that stays open keeps its statements prepared, which takes most of the time of a short life.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Generator
from functools import lru_cache
from typing import TypeVar

from headrace.clock import Clock, Ids
from headrace.composition.memory import MemoryJournal
from headrace.journal.port import Results, Unit
from headrace.sandbox.execution import Executor
from headrace.sandbox.given import read_given
from headrace.sandbox.memory import MemorySandbox
from headrace.sandbox.releases import Releases
from headrace.testing.virtual import SeededIds, VirtualClock
from tests.interleavings.schedule import ASSET

T = TypeVar("T")


class LifeJournal(MemoryJournal):
    """The journal of one life. It is empty again once the life is over."""

    def begin(self) -> None:
        self._reader.execute("BEGIN")

    def roll_back(self) -> None:
        self._reader.execute("ROLLBACK")

    @property
    def connection(self) -> sqlite3.Connection:
        return self._reader

    async def commit(self, unit: Unit) -> Results:
        """Commit within the transaction of the life."""
        self._reader.execute("SAVEPOINT unit")
        try:
            self._units.wanted = None
            results = self._units.write(unit)
            self._units.end_in_order([results])
        except BaseException:
            self._reader.execute("ROLLBACK TO unit")
            raise
        finally:
            self._reader.execute("RELEASE unit")
        return results

    @contextlib.contextmanager
    def _snapshot(self) -> Generator[None]:
        """Nothing else commits meanwhile: there is one thread."""
        yield


class LifeSandbox(MemorySandbox):
    """The services of one life. They hold what they did before, once it is over."""

    def begin(self, clock: Clock, ids: Ids) -> None:
        self._executor = Executor(self._connection, clock, ids, Releases())
        self._races.clear()
        self._connection.execute("BEGIN")

    def roll_back(self) -> None:
        self._connection.execute("ROLLBACK")

    def _within(self, work: Callable[[], T]) -> T:
        self._connection.execute("SAVEPOINT request_of_life")
        try:
            return work()
        except BaseException:
            self._connection.execute("ROLLBACK TO request_of_life")
            raise
        finally:
            self._connection.execute("RELEASE request_of_life")


@lru_cache(maxsize=1)
def the_journal() -> LifeJournal:
    return LifeJournal()


@lru_cache(maxsize=8)
def the_sandbox(number: int) -> LifeSandbox:
    """Filled services: much money, or so little that most sends are refused until their accounts are funded."""
    much = number == 0
    accounts = {
        "a": {"balance": {ASSET: 1_000 if much else 120}, "metadata": {"formanceAccountID": "acc_1"}},
        "b": {"balance": {ASSET: 200 if much else 0}, "metadata": {"formanceAccountID": "acc_2"}},
        "c": {"balance": {ASSET: 100}},
    }
    given = read_given(
        {
            "ledgers": {"main": accounts, "other": {"o": {"balance": {ASSET: 500 if much else 0}}}},
            "wallets": [{"id": "w1", "name": "jane", "balances": {"main": {ASSET: 300 if much else 50}}}],
            "payments": [{"id": "p1", "amount": 200, "asset": ASSET}, {"id": "p2", "amount": 100, "asset": ASSET}],
        }
    )
    filled = MemorySandbox(VirtualClock(), SeededIds(number), Releases())
    filled.fill(given)
    image = filled.image()
    filled.close()
    return LifeSandbox(VirtualClock(), SeededIds(number), Releases(), image)
