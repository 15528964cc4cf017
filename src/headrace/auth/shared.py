"""Clients and signing keys of several servers, in the database that they share.

Each server looks every second whether they have changed. The keys rotate by compare-and-set: of two servers that find
a rotation due, one writes it and the other reads it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import structlog

from headrace.auth.clients import LOOK_EVERY_S, Client, KnownClients
from headrace.auth.keys import VerificationKey
from headrace.auth.signing import KnownKeys, Rotation, StoredKey, rotated
from headrace.clock import Clock
from headrace.errors import InvalidValue, NotAuthenticated, Unavailable

_log = structlog.stdlib.get_logger("headrace.auth")


@dataclass(frozen=True, slots=True)
class AuthRows:
    """Everything that the tables hold, the keys in the order in which they sign. `edition` grows with every change."""

    edition: int
    clients: dict[str, Client]
    keys: list[StoredKey]


class AuthTables(Protocol):
    """The tables of clients and signing keys."""

    async def read(self, known: int | None) -> AuthRows | None:
        """Read all of them; None where the edition is still `known`. Raises Unavailable."""
        ...

    async def replace_keys(self, known: int, keys: list[StoredKey]) -> bool:
        """Replace the keys and raise the edition, if it is still `known`. Raises Unavailable."""
        ...

    async def close(self) -> None: ...


class SharedAuth(KnownKeys):
    """The signing keys and the `clients` of a server, as the tables hold them."""

    def __init__(self, tables: AuthTables, rotation: Rotation, clock: Clock, new_kid: Callable[[], str]) -> None:
        super().__init__(clock.now_at)
        self.clients = KnownClients({})
        self._tables = tables
        self._rotation = rotation
        self._clock = clock
        self._new_kid = new_kid
        self._known: int | None = None
        self._looked_s = 0.0

    async def begin(self) -> None:
        """Read the tables, and create the first key where there is none.

        Raises InvalidValue where they hold something malformed, and Unavailable.
        """
        while not self._stored:
            await self.look()

    async def run(self) -> None:
        """Follow the changes of the tables, and rotate the keys, until cancelled.

        While the database is unreachable the server goes on with what it knows.
        """
        is_said = False
        while True:
            await self._clock.sleep(LOOK_EVERY_S)
            try:
                await self.look()
            except (InvalidValue, Unavailable) as error:
                if not is_said:
                    _log.error("cannot read the clients and keys; keeping the current ones", reason=str(error))
                is_said = True
            else:
                is_said = False

    async def look(self) -> None:
        """Take over what has changed, and rotate the keys where that is due. Raises InvalidValue, Unavailable."""
        self._looked_s = self._clock.monotonic_s()
        rows = await self._tables.read(self._known)
        if rows is not None:
            try:
                self.take(rows.keys)
            except ValueError as error:
                raise InvalidValue("signing_keys", f"a key of the database is malformed: {error}") from None
            self.clients.replace(rows.clients)
            self._known = rows.edition
        assert self._known is not None
        changed = rotated(self._stored, self._now_at(), self._rotation, self._new_kid)
        if changed is not None and await self._tables.replace_keys(self._known, changed):
            self.take(changed)
            self._known += 1

    async def key_for(self, kid: str | None, algorithm: str) -> VerificationKey:
        """As `KnownKeys`. For an unknown key the tables are read, once a second at most: another server may have it."""
        try:
            return await super().key_for(kid, algorithm)
        except NotAuthenticated:
            if self._clock.monotonic_s() < self._looked_s + LOOK_EVERY_S:
                raise
            await self.look()
            return await super().key_for(kid, algorithm)

    async def close(self) -> None:
        await self._tables.close()
