"""Authenticator: turns the credentials of a request into a principal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from headrace.auth.oauth import Authority
from headrace.auth.principal import ANONYMOUS, Principal


class Authenticator(Protocol):
    """Turns the credentials of a request into a principal, and knows the authority that issues tokens."""

    @property
    def authority(self) -> Authority: ...

    async def authenticate(self, credentials: Sequence[bytes]) -> Principal:
        """Return the principal of these Authorization headers.

        Raises NotAuthenticated; Unavailable without the keys.
        """
        ...

    def name_of(self, principal: str) -> str:
        """Return the name that the operator has given a principal; empty where this server knows none."""
        ...

    async def close(self) -> None: ...


class AnonymousAuthenticator:
    """Accepts every request as the anonymous principal."""

    def __init__(self, authority: Authority) -> None:
        self.authority = authority

    async def authenticate(self, credentials: Sequence[bytes]) -> Principal:
        return ANONYMOUS

    def name_of(self, principal: str) -> str:
        return ""

    async def close(self) -> None:
        """Nothing needs closing."""
