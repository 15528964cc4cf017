"""Clients and signing keys in PostgreSQL: tables `clients`, `signing_keys`, and `auth_state` with their edition.

Each change raises the edition in its transaction, which also keeps two changes apart.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterable, Sequence
from typing import Any

import msgspec
import psycopg

from headrace.auth.clients import MAX_CLIENTS, Client, ClientStore, checked_scopes, too_many
from headrace.auth.shared import AuthRows
from headrace.auth.signing import StoredKey
from headrace.errors import InvalidValue, NotFound, Unavailable

CONNECT_S = 5
OPTIONS: dict[str, Any] = {
    "application_name": "headrace auth",
    "connect_timeout": CONNECT_S,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}

_CLIENTS = "SELECT id, name, scopes, secret, created_at FROM clients ORDER BY id"
_KEYS = "SELECT kid, algorithm, created_at, signs_from, retired_at, jwk FROM signing_keys ORDER BY signs_from, kid"
_EDITION = "SELECT edition FROM auth_state"
_RAISE = "UPDATE auth_state SET edition = edition + 1"
_PUT = (
    "INSERT INTO clients (id, name, scopes, secret, created_at) VALUES (%s, %s, %s, %s, %s) "
    "ON CONFLICT (id) DO UPDATE SET name = excluded.name, scopes = excluded.scopes, secret = excluded.secret"
)
_ADD_KEY = (
    "INSERT INTO signing_keys (kid, algorithm, created_at, signs_from, retired_at, jwk) VALUES (%s, %s, %s, %s, %s, %s)"
)


class PostgresAuthTables:
    """Implements `auth.shared.AuthTables` on one connection, which is made again after a failure."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: psycopg.AsyncConnection[tuple[Any, ...]] | None = None

    async def read(self, known: int | None) -> AuthRows | None:
        try:
            connection = await self._connected()
            async with connection.transaction():
                edition = _edition_of(await (await connection.execute(_EDITION)).fetchone())
                if edition == known:
                    return None
                clients = await (await connection.execute(_CLIENTS)).fetchall()
                keys = await (await connection.execute(_KEYS)).fetchall()
        except psycopg.Error as error:
            raise await self._failed(error) from error
        return AuthRows(edition, _clients_of(clients), [_key_of(row) for row in keys])

    async def replace_keys(self, known: int, keys: list[StoredKey]) -> bool:
        try:
            connection = await self._connected()
            async with connection.transaction():
                if (await connection.execute(f"{_RAISE} WHERE edition = %s", (known,))).rowcount == 0:
                    return False
                await connection.execute("DELETE FROM signing_keys")
                for key in keys:
                    await connection.execute(_ADD_KEY, _row_of(key))
        except psycopg.Error as error:
            raise await self._failed(error) from error
        return True

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    async def _connected(self) -> psycopg.AsyncConnection[tuple[Any, ...]]:
        if self._connection is None or self._connection.closed:
            self._connection = await psycopg.AsyncConnection.connect(self._url, autocommit=True, **OPTIONS)
        return self._connection

    async def _failed(self, error: psycopg.Error) -> Unavailable:
        await self.close()
        return Unavailable(f"the clients and keys cannot be read: {_reason(error)}")


class ClientsTable(ClientStore):
    """The clients of a database, for programs that change them. Raises InvalidValue where it cannot be used."""

    def __init__(self, url: str) -> None:
        self._url = url

    def read(self) -> dict[str, Client]:
        with self._connected() as connection:
            return _clients_of(connection.execute(_CLIENTS).fetchall())

    def put(self, client: Client) -> None:
        with self._connected() as connection:
            connection.execute(_RAISE)
            connection.execute(
                _PUT, (client.id, client.name, " ".join(client.scopes), client.secret, client.created_at)
            )
            if len(connection.execute("SELECT id FROM clients").fetchall()) > MAX_CLIENTS:
                raise too_many()

    def delete(self, client_id: str) -> None:
        with self._connected() as connection:
            connection.execute(_RAISE)
            if connection.execute("DELETE FROM clients WHERE id = %s", (client_id,)).rowcount == 0:
                raise NotFound("client", client_id)

    @contextlib.contextmanager
    def _connected(self) -> Generator[psycopg.Connection[tuple[Any, ...]]]:
        """A transaction, which is rolled back where its block raises."""
        try:
            with psycopg.connect(self._url, **OPTIONS) as connection:
                yield connection
        except psycopg.Error as error:
            raise InvalidValue("HEADRACE_DATABASE_URL", _reason(error)) from None


def _edition_of(row: tuple[Any, ...] | None) -> int:
    if row is None:
        raise InvalidValue("auth_state", "the table is empty: run `headrace migrate`")
    return row[0]


def _clients_of(rows: Iterable[Sequence[Any]]) -> dict[str, Client]:
    return {
        client_id: Client(client_id, checked_scopes(scopes.split()), secret, name, created_at)
        for client_id, name, scopes, secret, created_at in rows
    }


def _key_of(row: Sequence[Any]) -> StoredKey:
    kid, algorithm, created_at, signs_from, retired_at, jwk = row
    return StoredKey(kid, algorithm, created_at, signs_from, msgspec.json.decode(jwk), retired_at)


def _row_of(key: StoredKey) -> tuple[Any, ...]:
    jwk = msgspec.json.encode(key.jwk).decode()
    return key.kid, key.algorithm, key.created_at, key.signs_from, key.retired_at, jwk


def _reason(error: psycopg.Error) -> str:
    if isinstance(error, psycopg.errors.UndefinedTable):
        return "its schema is not that of this release: run `headrace migrate`"
    return str(error).strip().replace("\n", " ") or type(error).__name__
