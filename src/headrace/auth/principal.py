"""Who asks, and what they may do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Principal:
    """`name`: the token's subject. `client_id`: the program that got the token, None where that is not said.

    `key_owner`: the caller that an Idempotency-Key belongs to; empty where there is no authentication.
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
"""Everybody, where there is no authentication."""


def _with_reading(scopes: Iterable[str]) -> Iterable[str]:
    """Who may write may read."""
    for scope in scopes:
        yield scope
        service, _, access = scope.rpartition(":")
        if access == "write" and service:
            yield f"{service}:read"
