"""The sandbox in memory, on the caller's thread: for tests of workflows, which need no server and no time.

A fault hits the request that it is given with, not one that dice choose.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.resources import files
from typing import TypeVar

from headrace.clock import Clock, Ids
from headrace.effects.port import NoResponse, Request, Response
from headrace.sandbox.bodies import stored
from headrace.sandbox.execution import Executor, race_response
from headrace.sandbox.faults import Fault
from headrace.sandbox.given import Given, fill
from headrace.sandbox.releases import Releases
from headrace.sandbox.responses import Json, is_done

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Contents:
    """Books of all ledgers, and the transfer initiations.

    `transactions`: ledger and document. `balances`: by ledger, account and asset. `metadata`: by ledger and account.
    """

    transactions: list[tuple[str, Json]]
    balances: dict[tuple[str, str, str], int]
    metadata: dict[tuple[str, str], dict[str, str]]
    initiations: list[Json]


class MemorySandbox:
    """Services that hold what an image does, as `image` returned it; without one they are empty."""

    def __init__(self, clock: Clock, ids: Ids, releases: Releases, image: bytes | None = None) -> None:
        self._connection = sqlite3.connect(":memory:", isolation_level=None, cached_statements=256)
        self._connection.row_factory = sqlite3.Row
        self._connection.deserialize(_empty() if image is None else image)
        self._executor = Executor(self._connection, clock, ids, releases)
        self._races: set[tuple[str, str, str]] = set()

    def image(self) -> bytes:
        """All that the services hold, for other sandboxes to begin with."""
        return self._connection.serialize()

    def close(self) -> None:
        self._connection.close()

    def fill(self, given: Given) -> None:
        """Write what the services hold before a workflow runs. For services that hold nothing yet."""
        self._within(lambda: fill(self._executor.services, given))

    def handle(self, request: Request) -> Response:
        """The response by the rules, without faults."""
        return self._within(lambda: self._executor.answer(request))

    def attempt(self, request: Request, fault: Fault | None = None) -> Response:
        """The response, or what a fault makes of it; a delay is the caller's to wait for. Raises NoResponse."""
        name = (request.service, request.path, request.key)
        if request.method == "POST" and name in self._races:
            self._races.remove(name)
            keyless = replace(request, key="")
            rehearsed = self._within(lambda: self._executor.answer(keyless, is_rehearsal=True))
            return race_response(request, rehearsed) or self.handle(request)
        if fault is not None and fault.kind == "status":
            return fault.response()
        response = self.handle(request)
        if fault is not None and fault.kind == "overlap" and is_done(response):
            self._races.add(name)
            raise NoResponse("the answer was dropped by the sandbox (overlap)")
        if fault is not None and fault.kind == "drop":
            raise NoResponse("the answer was dropped by the sandbox (drop)")
        return response

    def contents(self) -> Contents:
        """All that the services hold now."""
        query = self._connection.execute
        return Contents(
            transactions=[
                (row["ledger"], stored(row["document"]))
                for row in query("SELECT ledger, document FROM transactions ORDER BY ledger, id")
            ],
            balances={
                (row["ledger"], row["account"], row["asset"]): int(row["input"]) - int(row["output"])
                for row in query("SELECT * FROM volumes ORDER BY ledger, account, asset")
            },
            metadata={
                (row["ledger"], row["address"]): stored(row["metadata"])
                for row in query("SELECT * FROM accounts ORDER BY ledger, address")
            },
            initiations=[
                stored(row["document"]) for row in query("SELECT document FROM transfer_initiations ORDER BY number")
            ],
        )

    def _within(self, work: Callable[[], _T]) -> _T:
        self._connection.execute("BEGIN")
        try:
            done = work()
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")
        return done


@lru_cache(maxsize=1)
def _empty() -> bytes:
    connection = sqlite3.connect(":memory:")
    try:
        connection.executescript(files("headrace.sandbox").joinpath("schema.sql").read_text("utf-8"))
        return connection.serialize()
    finally:
        connection.close()
