"""Searches of instances: the fingerprints by which an instance is found by the value of a variable."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from itertools import islice

MAX_SEARCHED_VARIABLES = 50
"""The first variables of an instance, in the order given, are searched."""
MAX_SEARCHED_CHARACTERS = 256
"""A longer value is not found."""


def fingerprints(variables: Mapping[str, str]) -> list[int]:
    """The fingerprints of the variables by which a search finds the instance."""
    searched = islice(variables.items(), MAX_SEARCHED_VARIABLES)
    return [fingerprint(name, value) for name, value in searched if len(value) <= MAX_SEARCHED_CHARACTERS]


def fingerprint(name: str, value: str) -> int:
    """64 bits of a hash, as SQLite has integers. No name and no value holds a NUL character."""
    digest = blake2b(f"{name}\0{value}".encode(errors="replace"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
