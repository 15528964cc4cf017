"""Rules of the local token endpoint: client authentication, granted scopes, and the token itself."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
from base64 import b64decode
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import unquote_plus

import msgspec
from joserfc import jws

from headrace.auth.clients import APPROVE, READ, WRITE, Client, KnownClients
from headrace.auth.failures import Failures
from headrace.auth.hashing import RandomBytes, hashed, matches
from headrace.auth.oauth import GRANT, Asked, Form, Granted, Json, Refused, TooManyFailures, metadata
from headrace.auth.signing import KnownKeys
from headrace.clock import Clock, Ids

MAX_PROVEN = 10_000
GUESSES_AT_ONCE = 2
MAX_GUESSES = 64
"""Maximum requests that wait or run."""
_IGNORED_SCOPES = ("openid", "profile", "email", "offline_access")
"""Scopes of OpenID Connect that clients request by habit; they have no effect here."""


@dataclass(frozen=True, slots=True)
class TokenShape:
    """Claims of every local token. `audience` None means the issuer itself."""

    issuer: str
    audience: str | None
    life_s: int


class LocalAuthority:
    """Issues tokens to local clients."""

    def __init__(
        self,
        shape: TokenShape,
        keys: KnownKeys,
        clients: KnownClients,
        clock: Clock,
        ids: Ids,
        random_bytes: RandomBytes,
    ) -> None:
        self._shape = shape
        self._keys = keys
        self._clients = clients
        self._clock = clock
        self._ids = ids
        self._secrets = Secrets(Failures(clock.monotonic_s), random_bytes)

    async def grant(self, asked: Asked) -> Granted:
        """Issue a token for client credentials. Raises Refused."""
        grant_type = _only(asked.form, "grant_type")
        if not grant_type:
            raise Refused("invalid_request", "send a form (application/x-www-form-urlencoded) with a grant_type")
        if grant_type != GRANT:
            raise Refused("unsupported_grant_type", f"only {GRANT} is supported")

        # The credentials are in the body or in HTTP Basic, not in both.
        client_id, secret = _only(asked.form, "client_id"), _only(asked.form, "client_secret")
        if asked.authorization:
            if secret or len(asked.authorization) > 1:
                raise Refused("invalid_request", "give client credentials once: by Basic or in the body")
            basic_id, secret = _basic(asked.authorization[0])
            if client_id not in ("", basic_id):
                raise Refused("invalid_request", "the client_id in the body differs from the one in Authorization")
            client_id = basic_id
        if not client_id or not secret:
            raise Refused("invalid_client", "client_id and client_secret are required")

        client = self._clients.get(client_id)
        await self._secrets.check(client_id, secret, client, asked.address)
        if client is None:
            raise _unknown_client()
        scope = " ".join(_granted_scopes(client, _only(asked.form, "scope")))

        now_s = self._clock.now_at() // 1_000_000
        key = self._keys.signing_key()
        claims = {
            "iss": self._shape.issuer,
            "aud": self._shape.audience or self._shape.issuer,
            "sub": client.id,
            "client_id": client.id,
            "scope": scope,
            "iat": now_s,
            "exp": now_s + self._shape.life_s,
            "jti": self._ids.new(),
        }
        header = {"alg": key.algorithm, "kid": key.kid, "typ": "at+jwt"}
        token = jws.serialize_compact(header, msgspec.json.encode(claims), key.jwk, algorithms=[key.algorithm])
        return Granted(token, self._shape.life_s, scope)

    def metadata(self) -> Json:
        return metadata(self._shape.issuer, (READ, WRITE, APPROVE))

    def jwks(self) -> Json:
        return self._keys.jwks()


class Secrets:
    """Verifies client secrets: slow for a guess, fast for a secret that was verified before.

    An unknown client gets the same message after the same time as a wrong secret.
    """

    def __init__(self, failures: Failures, random_bytes: RandomBytes) -> None:
        self._failures = failures
        self._pepper = random_bytes(32)
        self._unmatchable = hashed(random_bytes(32).hex(), random_bytes)
        self._proven: dict[str, bytes] = {}
        self._slots = asyncio.Semaphore(GUESSES_AT_ONCE)
        self._guesses = 0

    async def check(self, client_id: str, secret: str, client: Client | None, address: str) -> None:
        """Verify a secret. Raises Refused. No secret matches a `client` of None."""
        stored = self._unmatchable if client is None else client.secret
        # The fingerprint of a secret and its hash is useless outside this process.
        content = f"{stored}\0{secret}".encode(errors="replace")
        attempt = hmac.new(self._pepper, content, sha256).digest()
        if self._is_proven(client_id, attempt):
            return
        self._must_not_wait(client_id, address)
        async with self._few_at_a_time():
            if self._is_proven(client_id, attempt):
                return
            self._must_not_wait(client_id, address)  # other requests may have failed meanwhile
            is_right = await asyncio.to_thread(matches, secret, stored)
        if not is_right or client is None:
            self._failures.add(client_id, address)
            raise _unknown_client()
        if len(self._proven) >= MAX_PROVEN:
            self._proven.clear()
        self._proven[client_id] = attempt

    def _is_proven(self, client_id: str, attempt: bytes) -> bool:
        """True if this secret was verified before. An unknown client's never was: its hash is a substitute."""
        return hmac.compare_digest(self._proven.get(client_id, b""), attempt)

    @contextlib.asynccontextmanager
    async def _few_at_a_time(self) -> AsyncGenerator[None]:
        """Limit concurrent hashing, because each one takes memory and a processor."""
        if self._guesses >= MAX_GUESSES:
            raise TooManyFailures(1.0)
        self._guesses += 1
        try:
            async with self._slots:
                yield
        finally:
            self._guesses -= 1

    def _must_not_wait(self, client_id: str, address: str) -> None:
        wait_s = self._failures.wait_s(client_id, address)
        if wait_s > 0:
            raise TooManyFailures(wait_s)


def _unknown_client() -> Refused:
    return Refused("invalid_client", "the client is unknown, or its secret is wrong")


def _only(form: Form, name: str) -> str:
    values = form.get(name, ())
    if len(values) > 1:
        raise Refused("invalid_request", f"{name} is given more than once")
    return values[0] if values else ""


def _basic(header: bytes) -> tuple[str, str]:
    scheme, _, encoded = header.strip().partition(b" ")
    try:
        if scheme.lower() != b"basic":
            raise ValueError
        client_id, colon, secret = b64decode(encoded.strip(), validate=True).decode("utf-8").partition(":")
        if not colon:
            raise ValueError
    except ValueError:
        raise Refused("invalid_client", "Authorization must be Basic") from None
    return unquote_plus(client_id), unquote_plus(secret)


def _granted_scopes(client: Client, wanted: str) -> list[str]:
    """Return the requested scopes if the client has them all; without a request, every scope of the client."""
    asked = [scope for scope in wanted.split() if scope not in _IGNORED_SCOPES]
    if not asked:
        return list(client.scopes)
    allowed = {*client.scopes, *(scope.replace(":write", ":read") for scope in client.scopes)}
    missing = [scope for scope in asked if scope not in allowed]
    if missing:
        raise Refused("invalid_scope", f"the client may not have {missing[0][:100]!r}")
    return list(dict.fromkeys(asked))
