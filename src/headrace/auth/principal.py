"""The authenticated caller and its scopes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Principal:
    """The authenticated caller.

    name       subject of the token
    client_id  the program that got the token; None if the token does not name it
    key_owner  the caller that an Idempotency-Key belongs to; empty without authentication
    """

    name: str
    client_id: str | None
    scopes: frozenset[str]
    key_owner: str = ""

    @classmethod
    def of(cls, name: str, client_id: str | None, scopes: Iterable[str], key_owner: str = "") -> Principal:
        return cls(name, client_id, frozenset(_with_reading(scopes)), key_owner)

    def may(self, scope: str) -> bool:
        return scope in self.scopes


class _Everything(frozenset[str]):
    def __contains__(self, scope: object) -> bool:
        return True


ANONYMOUS = Principal("anonymous", None, _Everything())
"""The caller of a server without authentication."""


def _with_reading(scopes: Iterable[str]) -> Iterable[str]:
    """Add the read scope to the write scope, which includes it."""
    for scope in scopes:
        yield scope
        service, _, access = scope.rpartition(":")
        if access == "write" and service:
            yield f"{service}:read"
