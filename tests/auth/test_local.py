"""Our own token endpoint's rules, and the tokens it gives."""

from __future__ import annotations

import asyncio
import os
from base64 import b64encode
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import msgspec
import pytest

from headrace.auth import local
from headrace.auth.authenticator import Authenticator
from headrace.auth.clients import READ, WRITE, ClientsFile, Created
from headrace.auth.failures import PER_ADDRESS, PER_CLIENT, Failures
from headrace.auth.oauth import Asked, Granted, Refused, TooManyFailures
from headrace.clock import RandomIds
from headrace.composition.authentication import build_authenticator
from headrace.errors import NotAuthenticated
from headrace.settings import Settings
from tests.auth.clocks import Hands

URL = "http://127.0.0.1:8484"


class Fixture:
    """An authenticator with two clients, and the clock that it goes by."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = Hands()
        self.file = ClientsFile(folder / "clients.json")
        self.writer = self.file.create("writer", [READ, WRITE], self.clock, os.urandom)
        self.reader = self.file.create("reader", [READ], self.clock, os.urandom)
        self.authenticator = self.open()

    def open(self, **settings: Any) -> Authenticator:
        return build_authenticator(Settings(auth="local", **settings), self.folder, URL, self.clock, RandomIds())

    async def ask(self, *, address: str = "10.0.0.1", authorization: bytes | None = None, **form: str) -> Granted:
        fields = {name: [value] for name, value in {"grant_type": "client_credentials", **form}.items()}
        asked = Asked(fields, [] if authorization is None else [authorization], address)
        return await self.authenticator.authority.grant(asked)

    async def token(self, created: Created, **options: Any) -> Granted:
        return await self.ask(client_id=created.client.id, client_secret=created.secret, **options)

    async def admitted(self, granted: Granted) -> Any:
        return await self.authenticator.authenticate([f"Bearer {granted.token}".encode()])


@pytest.fixture
def fixture(tmp_path: Path) -> Fixture:
    return Fixture(tmp_path)


async def refusal(work: Any) -> str:
    with pytest.raises(Refused) as caught:
        await work
    return caught.value.code


# who asks


async def test_a_client_gets_a_token_that_is_accepted(fixture: Fixture) -> None:
    granted = await fixture.token(fixture.writer)
    principal = await fixture.admitted(granted)
    assert (principal.name, principal.client_id) == (fixture.writer.client.id, fixture.writer.client.id)
    assert principal.may(READ) and principal.may(WRITE)
    assert (granted.life_s, granted.scope) == (3_600, f"{READ} {WRITE}")
    assert granted.token not in repr(granted)


async def test_basic_is_read_too(fixture: Fixture) -> None:
    client_id, secret = fixture.writer.client.id, fixture.writer.secret
    for scheme in (b"Basic ", b"basic ", b"BASIC  "):
        header = scheme + b64encode(f"{quote_plus(client_id)}:{quote_plus(secret)}".encode())
        assert (await fixture.ask(authorization=header)).token
        assert (await fixture.ask(authorization=header, client_id=client_id)).token


@pytest.mark.parametrize(
    ("form", "header", "code"),
    [
        ({}, None, "invalid_client"),
        ({"client_id": "ID"}, None, "invalid_client"),
        ({"client_secret": "SECRET"}, None, "invalid_client"),
        ({"client_id": "ID", "client_secret": ""}, None, "invalid_client"),
        ({"client_id": "ID", "client_secret": "wrong"}, None, "invalid_client"),
        ({"client_id": "nobody", "client_secret": "SECRET"}, None, "invalid_client"),
        ({"client_id": "x" * 10_000, "client_secret": "SECRET"}, None, "invalid_client"),
        ({"client_id": "\ud800", "client_secret": "\ud800"}, None, "invalid_client"),
        ({}, b"Bearer x", "invalid_client"),
        ({}, b"Basic", "invalid_client"),
        ({}, b"Basic !!!", "invalid_client"),
        ({}, b"Basic " + b64encode(b"no colon"), "invalid_client"),
        ({}, b"Basic " + b64encode(b"\xff:\xff"), "invalid_client"),
        ({}, b"Basic " + b64encode(b"ID:wrong"), "invalid_client"),
        ({"client_secret": "SECRET"}, b"Basic " + b64encode(b"a:b"), "invalid_request"),
        ({"client_id": "other"}, b"Basic " + b64encode(b"a:b"), "invalid_request"),
        ({"grant_type": ""}, None, "invalid_request"),
        ({"grant_type": "password"}, None, "unsupported_grant_type"),
        ({"grant_type": "authorization_code"}, None, "unsupported_grant_type"),
    ],
)
async def test_who_gets_none(fixture: Fixture, form: dict[str, str], header: bytes | None, code: str) -> None:
    known = {"ID": fixture.writer.client.id, "SECRET": fixture.writer.secret}
    form = {name: known.get(value, value) for name, value in form.items()}
    assert await refusal(fixture.ask(authorization=header, **form)) == code


async def test_a_field_is_there_once(fixture: Fixture) -> None:
    for name in ("grant_type", "client_id", "client_secret", "scope"):
        form = {"grant_type": ["client_credentials"], "client_id": [fixture.writer.client.id]}
        form |= {"client_secret": [fixture.writer.secret], name: ["a", "a"]}
        assert await refusal(fixture.authenticator.authority.grant(Asked(form, [], ""))) == "invalid_request"


async def test_two_authorization_headers_are_too_many(fixture: Fixture) -> None:
    header = b"Basic " + b64encode(f"{fixture.writer.client.id}:{fixture.writer.secret}".encode())
    asked = Asked({"grant_type": ["client_credentials"]}, [header, header], "")
    assert await refusal(fixture.authenticator.authority.grant(asked)) == "invalid_request"


async def test_unknown_and_wrong_are_told_apart_by_nothing(fixture: Fixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Same words, same work: one slow hash each."""
    guesses: list[str] = []

    def counted(secret: str, stored: str) -> bool:
        guesses.append(stored)
        return real(secret, stored)

    real = local.matches
    monkeypatch.setattr(local, "matches", counted)
    told: list[str] = []
    for client_id in (fixture.writer.client.id, "nobody"):
        with pytest.raises(Refused) as caught:
            await fixture.ask(client_id=client_id, client_secret="wrong")
        told.append(f"{caught.value.code}: {caught.value}")
    assert told[0] == told[1]
    assert len(guesses) == 2
    assert guesses[0].rsplit("$", 2)[0] == guesses[1].rsplit("$", 2)[0], "the same cost"


async def test_no_secret_is_that_of_nobody(fixture: Fixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even a secret that fits the stand-in hash makes no client of an unknown one."""
    monkeypatch.setattr(local, "matches", lambda secret, stored: True)
    assert await refusal(fixture.ask(client_id="nobody", client_secret="x")) == "invalid_client"


async def test_a_secret_that_was_right_is_quick_the_next_time(
    fixture: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fixture.token(fixture.writer)

    def fail(secret: str, stored: str) -> bool:
        raise AssertionError("hashed again")

    monkeypatch.setattr(local, "matches", fail)
    assert (await fixture.token(fixture.writer)).token
    for created in (fixture.reader, Created(fixture.writer.client, fixture.reader.secret)):
        with pytest.raises(AssertionError, match="hashed again"):
            await fixture.token(created)


# for what


@pytest.mark.parametrize(
    ("scope", "granted"),
    [
        ("", f"{READ} {WRITE}"),
        (READ, READ),
        (WRITE, WRITE),
        (f"{WRITE} {READ} {WRITE}", f"{WRITE} {READ}"),
        (f"openid {READ} email", READ),
        ("openid", f"{READ} {WRITE}"),
    ],
)
async def test_scopes_that_are_granted(fixture: Fixture, scope: str, granted: str) -> None:
    given = await fixture.token(fixture.writer, scope=scope)
    assert given.scope == granted
    principal = await fixture.admitted(given)
    assert principal.may(WRITE) == (WRITE in granted)


@pytest.mark.parametrize("scope", [WRITE, f"{READ} {WRITE}", "ledger:read", "orchestration:*", "x" * 5_000])
async def test_scopes_that_a_reader_does_not_get(fixture: Fixture, scope: str) -> None:
    assert await refusal(fixture.token(fixture.reader, scope=scope)) == "invalid_scope"


# for how long


async def test_a_token_outlives_a_restart_and_an_exchange_of_keys(fixture: Fixture) -> None:
    fixture.clock.pass_(30 * 86_400 - 3_600)
    assert len(fixture.authenticator.authority.jwks()["keys"]) == 2, "the next key is published"
    fixture.clock.pass_(3_590)
    granted = await fixture.token(fixture.writer)
    fixture.clock.pass_(60)
    fixture.authenticator = fixture.open()
    assert (await fixture.admitted(granted)).name == fixture.writer.client.id
    after = await fixture.token(fixture.writer)
    assert after.token.split(".")[0] != granted.token.split(".")[0], "signed by another key"
    assert (await fixture.admitted(after)).name == fixture.writer.client.id
    assert (await fixture.admitted(granted)).name == fixture.writer.client.id


async def test_a_token_ends(fixture: Fixture) -> None:
    fixture.authenticator = fixture.open(token_life_s=120)
    granted = await fixture.token(fixture.writer)
    fixture.clock.pass_(149)
    await fixture.admitted(granted)
    fixture.clock.pass_(1)
    with pytest.raises(NotAuthenticated, match="expired"):
        await fixture.admitted(granted)


async def test_the_tokens_of_a_deleted_client_are_refused(fixture: Fixture) -> None:
    granted = await fixture.token(fixture.writer)
    await fixture.admitted(granted)
    fixture.file.delete(fixture.writer.client.id)
    fixture.clock.pass_(1)
    with pytest.raises(NotAuthenticated, match="deleted"):
        await fixture.admitted(granted)
    assert await refusal(fixture.token(fixture.writer)) == "invalid_client"


async def test_a_client_that_may_less_is_not_helped_by_an_older_token(fixture: Fixture) -> None:
    writing, reading = await fixture.token(fixture.writer), await fixture.token(fixture.writer, scope=READ)
    await fixture.admitted(writing)
    fixture.file.put(msgspec.structs.replace(fixture.writer.client, scopes=(READ,)))
    fixture.clock.pass_(1)
    with pytest.raises(NotAuthenticated):
        await fixture.admitted(writing)
    assert (await fixture.admitted(reading)).may(READ)


async def test_a_token_is_for_its_issuer_and_audience(fixture: Fixture) -> None:
    granted = await fixture.token(fixture.writer)
    for settings in ({"issuer": "https://other.example"}, {"audience": "billing"}):
        fixture.authenticator = fixture.open(**settings)
        with pytest.raises(NotAuthenticated):
            await fixture.admitted(granted)
        assert (await fixture.admitted(await fixture.token(fixture.writer))).may(WRITE)


async def test_no_two_tokens_are_equal(fixture: Fixture) -> None:
    tokens = {(await fixture.token(fixture.writer)).token for _ in range(5)}
    assert len(tokens) == 5


def test_what_it_says_of_itself(fixture: Fixture) -> None:
    found = fixture.authenticator.authority.metadata()
    assert found is not None
    assert found["issuer"] == f"{URL}/api/auth"
    assert found["token_endpoint"] == f"{URL}/api/auth/oauth/token"
    assert found["jwks_uri"] == f"{URL}/api/auth/.well-known/jwks.json"
    other = fixture.open(issuer="https://pay.example/api/auth/").authority.metadata()
    assert other is not None
    assert (other["issuer"], other["token_endpoint"]) == (
        "https://pay.example/api/auth/",
        "https://pay.example/api/auth/oauth/token",
    )


# failures


async def test_failures_are_limited_and_the_client_itself_is_not(fixture: Fixture) -> None:
    await fixture.token(fixture.writer)
    codes = [await refusal(fixture.ask(client_id=fixture.writer.client.id, client_secret="no")) for _ in range(12)]
    assert codes == ["invalid_client"] * PER_CLIENT.burst + ["slow_down"] * 2
    assert (await fixture.token(fixture.writer)).token, "who was proven before is not locked out"
    assert (
        await refusal(fixture.token(Created(fixture.writer.client, "right?"), address="10.0.0.2")) == "invalid_client"
    )
    fixture.clock.pass_(PER_CLIENT.every_s)
    assert await refusal(fixture.ask(client_id=fixture.writer.client.id, client_secret="no")) == "invalid_client"


async def _at_once(fixture: Fixture, secret: str, monkeypatch: pytest.MonkeyPatch) -> tuple[list[Any], int]:
    """What forty requests of one client at the same moment get, and how many secrets were looked at."""
    guesses: list[str] = []

    def counted(secret: str, stored: str) -> bool:
        guesses.append(secret)
        return real(secret, stored)

    real = local.matches
    monkeypatch.setattr(local, "matches", counted)
    asked = (fixture.token(Created(fixture.writer.client, secret)) for _ in range(40))
    return await asyncio.gather(*asked, return_exceptions=True), len(guesses)


async def test_guesses_at_the_same_moment_are_limited_too(fixture: Fixture, monkeypatch: pytest.MonkeyPatch) -> None:
    results, guesses = await _at_once(fixture, "no", monkeypatch)
    codes = [result.code for result in results]
    assert guesses == codes.count("invalid_client") < PER_CLIENT.burst + local.GUESSES_AT_ONCE
    assert codes.count("slow_down") == 40 - guesses


async def test_a_client_that_comes_many_times_at_once_is_proven_once(
    fixture: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    results, guesses = await _at_once(fixture, fixture.writer.secret, monkeypatch)
    assert all(isinstance(result, Granted) for result in results)
    assert guesses <= local.GUESSES_AT_ONCE


async def test_a_right_secret_waits_too_while_it_is_not_known(fixture: Fixture) -> None:
    for _ in range(PER_CLIENT.burst):
        await refusal(fixture.ask(client_id=fixture.writer.client.id, client_secret="no"))
    with pytest.raises(TooManyFailures) as caught:
        await fixture.token(fixture.writer)
    assert 0 < caught.value.wait_s <= PER_CLIENT.every_s
    assert (await fixture.token(fixture.writer, address="10.9.9.9")).token, "nobody is locked out from elsewhere"


async def test_guesses_do_not_pile_up(fixture: Fixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "MAX_GUESSES", 3)
    asked = (fixture.ask(client_id=str(number), client_secret="x", address=str(number)) for number in range(6))
    results = await asyncio.gather(*asked, return_exceptions=True)
    codes = [result.code for result in results if isinstance(result, Refused)]
    assert sorted(codes) == ["invalid_client"] * 3 + ["slow_down"] * 3


def test_an_address_that_tries_many_clients_is_slowed_down() -> None:
    clock = Hands()
    failures = Failures(clock.monotonic_s)
    for number in range(PER_ADDRESS.burst):
        assert failures.wait_s(f"client-{number}", "10.0.0.1") == 0
        failures.add(f"client-{number}", "10.0.0.1")
    assert 0 < failures.wait_s("another", "10.0.0.1") <= PER_ADDRESS.every_s
    assert failures.wait_s("another", "10.0.0.2") == 0
    clock.pass_(PER_ADDRESS.every_s)
    assert failures.wait_s("another", "10.0.0.1") == 0


def test_a_network_of_ipv6_is_one_address() -> None:
    clock = Hands()
    failures = Failures(clock.monotonic_s)
    for number in range(PER_CLIENT.burst):
        failures.add("client", f"2001:db8:0:1::{number:x}")
    assert failures.wait_s("client", "2001:db8:0:1:ffff::1") > 0
    assert failures.wait_s("client", "2001:db8:0:2::1") == 0


def test_ipv4_in_the_clothes_of_ipv6_is_ipv4() -> None:
    clock = Hands()
    failures = Failures(clock.monotonic_s)
    for _ in range(PER_CLIENT.burst):
        failures.add("client", "::ffff:10.0.0.1")
    assert failures.wait_s("client", "::ffff:10.0.0.1") > 0
    assert failures.wait_s("client", "10.0.0.1") > 0
    assert failures.wait_s("client", "::ffff:10.0.0.2") == 0


def test_failures_are_bounded_in_memory() -> None:
    failures = Failures(Hands().monotonic_s, max_kept=100)
    for number in range(1_000):
        failures.add("x" * 100_000 + str(number), f"10.0.{number // 256}.{number % 256}")
        failures.add("client", f"{number} " + "x" * 100_000)
    kept = failures._spent  # pyright: ignore[reportPrivateUsage]
    assert len(kept) == 100
    assert max(len(part) for key in kept for part in key) < 200


def test_failures_are_forgiven_in_time() -> None:
    clock = Hands()
    failures = Failures(clock.monotonic_s)
    for _ in range(PER_CLIENT.burst):
        failures.add("client", "a")
    clock.pass_(PER_CLIENT.every_s * PER_CLIENT.burst)
    for _ in range(PER_CLIENT.burst):
        assert failures.wait_s("client", "a") == 0
        failures.add("client", "a")
    assert failures.wait_s("client", "a") > 0
