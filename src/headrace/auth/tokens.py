"""Authenticator for bearer tokens."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol

from headrace.auth.clients import KnownClients
from headrace.auth.keys import VerificationKey
from headrace.auth.oauth import Authority
from headrace.auth.principal import Principal
from headrace.auth.verifier import Verifier, bearer_token
from headrace.clock import Clock
from headrace.errors import NotAuthenticated

MAX_KNOWN = 4_096


class Keyring(Protocol):
    def edition(self) -> int:
        """Number that changes with the keys."""
        ...

    async def key_for(self, kid: str | None, algorithm: str) -> VerificationKey:
        """Return the key of this id. Raises NotAuthenticated, Unavailable."""
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class _Known:
    principal: Principal
    expires_at_s: float
    edition: int


class TokenAuthenticator:
    """Accepts valid bearer tokens; with `clients`, only theirs, as they are at each request: one may have been deleted.

    Verified tokens are remembered by their hash until they expire or the keys change: a signature costs
    more than the rest of a small request.
    """

    def __init__(
        self,
        authority: Authority,
        verifier: Verifier,
        keyring: Keyring,
        clock: Clock,
        clients: KnownClients | None = None,
    ) -> None:
        self.authority = authority
        self._verifier = verifier
        self._keyring = keyring
        self._clock = clock
        self._clients = clients
        self._known: OrderedDict[bytes, _Known] = OrderedDict()

    async def authenticate(self, credentials: Sequence[bytes]) -> Principal:
        """Verify the token. Raises NotAuthenticated; Unavailable without the keys."""
        fingerprint = sha256(b"\0".join(credentials)).digest()
        known = self._known.get(fingerprint)
        if known is not None and known.edition == self._keyring.edition() and self._now_s() < known.expires_at_s:
            self._known.move_to_end(fingerprint)
            principal = known.principal
        else:
            self._known.pop(fingerprint, None)
            unproven = self._verifier.read(bearer_token(credentials), self._now_s())
            key = await self._keyring.key_for(unproven.kid, unproven.algorithm)
            edition = self._keyring.edition()
            principal = self._verifier.prove(unproven, key)
            self._known[fingerprint] = _Known(principal, unproven.expires_at_s, edition)
            if len(self._known) > MAX_KNOWN:
                self._known.popitem(last=False)
        if self._clients is not None and not self._clients.is_valid(principal):
            raise NotAuthenticated("the token's client was deleted or lost a scope of the token")
        return principal

    def name_of(self, principal: str) -> str:
        return "" if self._clients is None else self._clients.name_of(principal)

    async def close(self) -> None:
        await self._keyring.close()

    def _now_s(self) -> float:
        return self._clock.now_at() / 1_000_000
