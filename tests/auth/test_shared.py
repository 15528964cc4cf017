"""Clients and signing keys that several servers share: each follows what the others change."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from joserfc import jws
from structlog.testing import capture_logs

from headrace.auth.clients import READ, WRITE, Client, ClientsFile
from headrace.auth.shared import AuthRows, SharedAuth
from headrace.auth.signing import AHEAD, Rotation, StoredKey
from headrace.errors import InvalidValue, NotAuthenticated, Unavailable
from tests.auth.clocks import Hands

DAY_S = 86_400
ROTATION = Rotation(days=30, overlap_days=7)


class Tables:
    """As PostgreSQL has them. `meanwhile` is called once, between a server's look and its change."""

    def __init__(self) -> None:
        self.rows = AuthRows(0, {}, [])
        self.reads = 0
        self.is_away = False
        self.meanwhile: Any = None

    async def read(self, known: int | None) -> AuthRows | None:
        self.reads += 1
        if self.is_away:
            raise Unavailable("the database is away")
        return None if known == self.rows.edition else self.rows

    async def replace_keys(self, known: int, keys: list[StoredKey]) -> bool:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            await meanwhile()
        if known != self.rows.edition:
            return False
        self.rows = replace(self.rows, edition=known + 1, keys=list(keys))
        return True

    def put(self, *clients: Client) -> None:
        self.rows = replace(self.rows, edition=self.rows.edition + 1, clients={each.id: each for each in clients})

    async def close(self) -> None: ...


@pytest.fixture
def names() -> Iterator[int]:
    return itertools.count(1)


@pytest.fixture
def clock() -> Hands:
    return Hands()


async def begun(tables: Tables, clock: Hands, names: Iterator[int]) -> SharedAuth:
    auth = SharedAuth(tables, ROTATION, clock, lambda: f"key-{next(names)}")
    await auth.begin()
    return auth


def kids(auth: SharedAuth) -> list[str]:
    return [key["kid"] for key in auth.jwks()["keys"]]


async def test_two_servers_that_begin_at_once_sign_with_one_key(clock: Hands, names: Iterator[int]) -> None:
    tables = Tables()
    second = SharedAuth(tables, ROTATION, clock, lambda: f"key-{next(names)}")
    tables.meanwhile = second.begin
    first = await begun(tables, clock, names)
    assert kids(first) == kids(second) == [first.signing_key().kid] == [second.signing_key().kid]
    assert len(tables.rows.keys) == 1, "the one that came second has read the key of the first"


async def test_a_rotation_is_made_by_one_and_found_by_the_other(clock: Hands, names: Iterator[int]) -> None:
    tables = Tables()
    first, second = await begun(tables, clock, names), await begun(tables, clock, names)
    clock.pass_(30 * DAY_S - AHEAD // 1_000_000)
    await first.look()
    await second.look()
    assert kids(first) == kids(second) == ["key-1", "key-2"]
    assert first.signing_key().kid == second.signing_key().kid == "key-1"
    clock.pass_(AHEAD // 1_000_000)
    assert second.signing_key().kid == "key-2"
    await second.look()
    await first.look()
    assert first.signing_key().kid == "key-2"
    clock.pass_(7 * DAY_S)
    await first.look()
    await second.look()
    assert kids(first) == kids(second) == ["key-2"]


async def test_a_token_of_a_key_that_another_server_has_just_made_is_accepted(
    clock: Hands, names: Iterator[int]
) -> None:
    tables = Tables()
    first, second = await begun(tables, clock, names), await begun(tables, clock, names)
    clock.pass_(30 * DAY_S)
    await first.look()
    clock.pass_(AHEAD // 1_000_000)
    key = first.signing_key()
    token = jws.serialize_compact({"alg": key.algorithm, "kid": key.kid}, b"{}", key.jwk, algorithms=["ES256"])
    found = await second.key_for(key.kid, key.algorithm)
    assert jws.deserialize_compact(token, found.jwk, algorithms=["ES256"]).payload == b"{}"


async def test_tokens_with_unknown_keys_do_not_make_a_server_read_more_than_once_a_second(
    clock: Hands, names: Iterator[int]
) -> None:
    tables = Tables()
    auth = await begun(tables, clock, names)
    reads = tables.reads
    clock.pass_(2)
    for _ in range(100):
        with pytest.raises(NotAuthenticated):
            await auth.key_for("no-such-key", "ES256")
    assert tables.reads == reads + 1


async def test_clients_come_and_go(clock: Hands, names: Iterator[int], tmp_path: Path) -> None:
    tables = Tables()
    auth = await begun(tables, clock, names)
    client = ClientsFile(tmp_path / "c.json").create("shop", [READ, WRITE], clock, os.urandom).client
    assert auth.clients.get(client.id) is None
    tables.put(client)
    await auth.look()
    assert auth.clients.get(client.id) == client
    tables.put()
    await auth.look()
    assert auth.clients.get(client.id) is None


class Pauses(Hands):
    """A clock whose sleeps last until the test ends them."""

    def __init__(self) -> None:
        super().__init__()
        self.ended = asyncio.Semaphore(0)
        self.slept = asyncio.Semaphore(0)

    async def sleep(self, seconds: float) -> None:
        self.slept.release()
        await self.ended.acquire()
        self.pass_(seconds)


async def test_a_server_goes_on_with_what_it_knows_while_the_database_is_away(
    names: Iterator[int], tmp_path: Path
) -> None:
    tables, clock = Tables(), Pauses()
    auth = await begun(tables, clock, names)
    client = ClientsFile(tmp_path / "c.json").create("shop", [READ], clock, os.urandom).client
    running = asyncio.ensure_future(auth.run())
    try:
        with capture_logs() as logs:
            tables.put(client)
            tables.is_away = True
            for _ in range(3):
                await clock.slept.acquire()
                clock.ended.release()
            await clock.slept.acquire()
            assert auth.clients.get(client.id) is None
            assert auth.signing_key().kid == "key-1"
            tables.is_away = False
            clock.ended.release()
            await clock.slept.acquire()
        assert auth.clients.get(client.id) == client
        assert [line["event"] for line in logs] == ["cannot read the clients and keys; keeping the current ones"]
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_malformed_key_stops_the_start(clock: Hands, names: Iterator[int]) -> None:
    tables = Tables()
    tables.rows = AuthRows(1, {}, [StoredKey("key-1", "ES256", 0, 0, {"kty": "EC"})])
    with pytest.raises(InvalidValue, match="signing_keys: a key of the database is malformed"):
        await begun(tables, clock, names)
