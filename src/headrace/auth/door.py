"""The door: what stands between a request's credentials and a principal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from headrace.auth.oauth import Authority
from headrace.auth.principal import ANONYMOUS, Principal


class Door(Protocol):
    @property
    def authority(self) -> Authority: ...

    async def admit(self, credentials: Sequence[bytes]) -> Principal:
        """Who shows these Authorization headers. Raises NotAuthenticated; Unavailable if the keys cannot be had."""
        ...

    async def close(self) -> None: ...


class OpenDoor:
    """Everybody gets in."""

    def __init__(self, authority: Authority) -> None:
        self.authority = authority

    async def admit(self, credentials: Sequence[bytes]) -> Principal:
        return ANONYMOUS

    async def close(self) -> None:
        """There is nothing to close."""
