"""A remote issuer's keys: cached, kept over an outage of an hour, asked for every 30 s at most, from nowhere else."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from headrace.auth.keyring import ASK_EVERY_S, FRESH_S, KEEP_S, RemoteKeyring, is_trustworthy
from headrace.auth.tokens import TokenAuthenticator
from headrace.errors import NotAuthenticated, Unavailable
from tests.auth.clocks import Hands
from tests.support.tokens import DISCOVERY, ISSUER, JWKS, Documents, authenticator_of, claims_of, published, signed


@pytest.fixture
def clock() -> Hands:
    return Hands()


@pytest.fixture
def documents() -> Documents:
    return Documents(published("k1"))


@pytest.fixture
def tokens(documents: Documents, clock: Hands) -> TokenAuthenticator:
    return authenticator_of(documents, clock)


async def admit(tokens: TokenAuthenticator, clock: Hands, kid: str = "k1", **claims: Any) -> str:
    """A token made now, so a new one every second."""
    token = signed(claims_of(clock.wall_s, **claims), kid=kid)
    return (await tokens.authenticate([f"Bearer {token}".encode()])).name


async def settle() -> None:
    """Let what runs beside the work end."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_keys_are_asked_for_once(tokens: TokenAuthenticator, documents: Documents, clock: Hands) -> None:
    for _ in range(5):
        assert await admit(tokens, clock) == "alice"
        clock.pass_(10)
    assert documents.asked == [DISCOVERY, JWKS]


async def test_many_at_once_ask_once(tokens: TokenAuthenticator, documents: Documents, clock: Hands) -> None:
    names = await asyncio.gather(*(admit(tokens, clock, sub=f"user-{number}") for number in range(50)))
    assert len(set(names)) == 50
    assert documents.asked == [DISCOVERY, JWKS]


async def test_nothing_is_asked_before_the_first_token(tokens: TokenAuthenticator, documents: Documents) -> None:
    for headers in ([], [b"Bearer x"], [f"Bearer {signed(claims_of(iss='https://evil.example'))}".encode()]):
        with pytest.raises(NotAuthenticated):
            await tokens.authenticate(headers)
    assert documents.asked == []


async def test_an_outage_is_survived_for_an_hour(
    tokens: TokenAuthenticator, documents: Documents, clock: Hands
) -> None:
    await admit(tokens, clock)
    documents.is_down = True
    passed = 0.0
    while passed + 60 < KEEP_S:
        clock.pass_(60)
        passed += 60
        assert await admit(tokens, clock) == "alice"
        await settle()
    clock.pass_(KEEP_S - passed)
    with pytest.raises(Unavailable):
        await admit(tokens, clock)


async def test_a_token_known_already_ends_with_the_keys(
    tokens: TokenAuthenticator, documents: Documents, clock: Hands
) -> None:
    token = signed(claims_of(clock.wall_s, exp=int(clock.wall_s) + 9_999))
    headers = [f"Bearer {token}".encode()]
    await tokens.authenticate(headers)
    documents.is_down = True
    clock.pass_(KEEP_S - 1)
    await tokens.authenticate(headers)
    await settle()
    clock.pass_(1)
    with pytest.raises(Unavailable):
        await tokens.authenticate(headers)
    documents.is_down = False
    clock.pass_(ASK_EVERY_S)
    assert (await tokens.authenticate(headers)).name == "alice"


async def test_after_an_outage_the_keys_are_there_again(
    tokens: TokenAuthenticator, documents: Documents, clock: Hands
) -> None:
    documents.is_down = True
    with pytest.raises(Unavailable):
        await admit(tokens, clock)
    asked = len(documents.asked)
    documents.is_down = False
    clock.pass_(ASK_EVERY_S - 0.5)
    with pytest.raises(Unavailable):
        await admit(tokens, clock)
    assert len(documents.asked) == asked, "an issuer that is down is not flooded"
    clock.pass_(0.5)
    assert await admit(tokens, clock) == "alice"


async def test_an_unknown_key_is_asked_for_at_a_measured_pace(
    tokens: TokenAuthenticator, documents: Documents, clock: Hands
) -> None:
    await admit(tokens, clock)
    for _ in range(100):
        with pytest.raises(NotAuthenticated):
            await admit(tokens, clock, kid="nobody")
        clock.pass_(1)
    asked = documents.asked.count(JWKS)
    assert asked == 1 + 100 // int(ASK_EVERY_S), documents.asked
    assert set(documents.asked) == {DISCOVERY, JWKS}


async def test_a_new_key_is_known_at_its_first_token(
    tokens: TokenAuthenticator, documents: Documents, clock: Hands
) -> None:
    await admit(tokens, clock)
    documents.keys.append(published("k2"))
    clock.pass_(ASK_EVERY_S)
    assert await admit(tokens, clock, kid="k2") == "alice"
    assert await admit(tokens, clock, kid="k1", sub="bob") == "bob"


async def test_a_withdrawn_key_is_trusted_no_longer_than_five_minutes(
    tokens: TokenAuthenticator, documents: Documents, clock: Hands
) -> None:
    headers = [f"Bearer {signed(claims_of(clock.wall_s, exp=int(clock.wall_s) + 9_999))}".encode()]
    await tokens.authenticate(headers)
    documents.keys[:] = [published("k2")]
    clock.pass_(FRESH_S - 1)
    await tokens.authenticate(headers)
    clock.pass_(1)
    await tokens.authenticate(headers)  # what is known is good for this once; the keys are fetched beside it
    await settle()
    with pytest.raises(NotAuthenticated):
        await tokens.authenticate(headers)


async def test_the_same_keys_again_change_nothing(documents: Documents, clock: Hands) -> None:
    keyring = RemoteKeyring(ISSUER, documents, clock)
    await keyring.key_for("k1", "ES256")
    edition = keyring.edition()
    clock.pass_(FRESH_S)
    keyring.edition()
    await settle()
    assert documents.asked.count(JWKS) == 2
    assert keyring.edition() == edition


async def test_a_known_key_is_not_asked_for_though_the_algorithm_is_another(documents: Documents, clock: Hands) -> None:
    keyring = RemoteKeyring(ISSUER, documents, clock)
    await keyring.key_for("k1", "ES256")
    clock.pass_(ASK_EVERY_S)
    with pytest.raises(NotAuthenticated):
        await keyring.key_for("k1", "RS256")
    assert documents.asked.count(JWKS) == 1


async def test_who_goes_away_does_not_take_the_question_along(documents: Documents, clock: Hands) -> None:
    gate = asyncio.Event()

    async def slow(url: str) -> bytes:
        await gate.wait()
        return await documents(url)

    tokens = authenticator_of(documents, clock)
    keyring = RemoteKeyring(ISSUER, slow, clock)
    first = asyncio.ensure_future(keyring.key_for("k1", "ES256"))
    second = asyncio.ensure_future(keyring.key_for("k1", "ES256"))
    await settle()
    first.cancel()
    await settle()
    gate.set()
    assert (await second).kid == "k1"
    assert documents.asked == [DISCOVERY, JWKS]
    await keyring.close()
    await tokens.close()


@pytest.mark.parametrize(
    "discovery",
    [
        {},
        {"issuer": ISSUER},
        {"issuer": ISSUER + "/", "jwks_uri": JWKS},
        {"issuer": "https://evil.example", "jwks_uri": JWKS},
        {"issuer": ISSUER, "jwks_uri": "http://issuer.example/keys"},
        {"issuer": ISSUER, "jwks_uri": "file:///etc/passwd"},
        {"issuer": ISSUER, "jwks_uri": "https://user:secret@issuer.example/keys"},
        {"issuer": ISSUER, "jwks_uri": "https://["},
        {"issuer": ISSUER, "jwks_uri": 5},
        [],
        None,
    ],
)
async def test_a_discovery_document_that_cannot_be_right(
    tokens: TokenAuthenticator, documents: Documents, clock: Hands, discovery: Any
) -> None:
    documents.discovery = discovery
    with pytest.raises(Unavailable):
        await admit(tokens, clock)
    assert documents.asked == [DISCOVERY]


@pytest.mark.parametrize(
    ("url", "plain", "allowed"),
    [
        ("https://issuer.example/x", True, True),
        ("http://issuer.example", False, True),
        ("http://127.0.0.1:8080", True, True),
        ("http://localhost", True, True),
        ("http://[::1]:80/", True, True),
        ("http://localhost.evil.example", False, True),
        ("http://127.0.0.1@evil.example", False, False),
        ("ftp://issuer.example", False, False),
        ("issuer.example", False, False),
        ("", False, False),
        ("https://[", False, False),
    ],
)
def test_plain_http_is_for_this_machine(url: str, plain: bool, allowed: bool) -> None:
    assert is_trustworthy(url, allow_plain=False) is plain
    assert is_trustworthy(url, allow_plain=True) is allowed
