"""Clients and signing keys in a real PostgreSQL: written by the command line, read by servers."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import pytest

from headrace.auth.clients import READ, WRITE, Client, ClientsFile
from headrace.auth.postgres import ClientsTable, PostgresAuthTables
from headrace.auth.shared import SharedAuth
from headrace.auth.signing import Rotation
from headrace.errors import InvalidValue, NotFound, Unavailable
from tests.auth.clocks import Hands
from tests.support.postgres import MISSING, new_database, programs

pytestmark = pytest.mark.skipif(programs() is None, reason=MISSING)

ROTATION = Rotation(days=30, overlap_days=7)


@pytest.fixture
def url() -> str:
    return new_database()


@pytest.fixture
def clock() -> Hands:
    return Hands()


@asynccontextmanager
async def server(url: str, clock: Hands, name: str = "a") -> AsyncIterator[SharedAuth]:
    numbers = itertools.count(1)
    auth = SharedAuth(PostgresAuthTables(url), ROTATION, clock, lambda: f"{name}{next(numbers)}")
    try:
        await auth.begin()
        yield auth
    finally:
        await auth.close()


def kids(auth: SharedAuth) -> list[str]:
    return [key["kid"] for key in auth.jwks()["keys"]]


async def test_servers_that_begin_at_once_share_one_key(url: str, clock: Hands) -> None:
    async with server(url, clock) as first:
        others = [SharedAuth(PostgresAuthTables(url), ROTATION, clock, lambda n=n: f"x{n}") for n in range(5)]
        await asyncio.gather(*(other.begin() for other in others))
        assert {tuple(kids(each)) for each in (first, *others)} == {("a1",)}
        clock.pass_(30 * 86_400)
        await asyncio.gather(*(each.look() for each in (first, *others)))
        await asyncio.gather(*(each.look() for each in (first, *others)))
        (found,) = {tuple(kids(each)) for each in (first, *others)}
        assert (len(found), found[0]) == (2, "a1")
        for other in others:
            await other.close()


async def test_keys_come_back_as_they_were(url: str, clock: Hands) -> None:
    async with server(url, clock) as first:
        shown = first.jwks()
    async with server(url, clock, "b") as again:
        assert again.jwks() == shown
        assert again.signing_key().kid == "a1"


async def test_a_client_of_the_command_line_is_known_at_the_next_look(url: str, clock: Hands) -> None:
    table = ClientsTable(url)
    async with server(url, clock) as auth:
        client = table.create("shop", [READ, WRITE], clock, os.urandom).client
        await auth.look()
        assert auth.clients.get(client.id) == client
        table.put(Client(client.id, (READ,), client.secret, "shop 2", client.created_at))
        await auth.look()
        assert auth.clients.get(client.id) == Client(client.id, (READ,), client.secret, "shop 2", client.created_at)
        table.delete(client.id)
        await auth.look()
        assert auth.clients.get(client.id) is None
    with pytest.raises(NotFound):
        table.delete(client.id)


async def test_the_bound_of_clients_holds(url: str, clock: Hands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.auth.postgres.MAX_CLIENTS", 2)
    table = ClientsTable(url)
    for name in ("a", "b"):
        table.create(name, [READ], clock, os.urandom)
    with pytest.raises(InvalidValue, match="already"):
        table.create("c", [READ], clock, os.urandom)
    assert {client.name for client in table.read().values()} == {"a", "b"}


async def test_a_connection_that_is_cut_is_made_again(url: str, clock: Hands) -> None:
    async with server(url, clock) as auth:
        with psycopg.connect(url, autocommit=True) as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND application_name = 'headrace auth'"
            )
        with pytest.raises(Unavailable):
            await auth.look()
        assert auth.signing_key().kid == "a1"
        await auth.look()


async def test_a_database_without_the_tables_says_what_to_do(clock: Hands) -> None:
    url = new_database(is_empty=True)
    with pytest.raises(InvalidValue, match=r"HEADRACE_DATABASE_URL: .*headrace migrate"):
        ClientsTable(url).read()
    with pytest.raises(Unavailable, match="headrace migrate"):
        async with server(url, clock):
            pass


def headrace(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
    command = [str(Path(sys.executable).parent / "headrace"), *arguments]
    environ = {**inherited, "HEADRACE_DATABASE_URL": url}
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False)


def test_a_file_of_clients_is_imported_once(url: str, clock: Hands, tmp_path: Path) -> None:
    file = ClientsFile(tmp_path / "clients.json")
    made = [file.create(name, [READ], clock, os.urandom).client for name in ("a", "b")]
    result = headrace(url, "clients", "import", str(file.path))
    assert (result.returncode, result.stdout) == (0, "2 clients imported; 0 were known already.\n"), result.stderr
    assert ClientsTable(url).read() == {client.id: client for client in made}
    ClientsTable(url).delete(made[0].id)
    result = headrace(url, "clients", "import", str(file.path))
    assert result.stdout == "1 clients imported; 1 were known already.\n"
    listed = json.loads(headrace(url, "clients", "list", "--output", "json").stdout)
    assert {client["id"] for client in listed["data"]["clients"]} == {client.id for client in made}
    missing = headrace(url, "clients", "import", str(tmp_path / "nothing.json"))
    assert missing.returncode == 2
    assert "does not exist" in missing.stderr
