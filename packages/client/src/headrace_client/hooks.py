"""Sources of keys, randomness, time and pauses for a client. They are injected, so that tests control them."""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass


def random_key() -> str:
    """Return a fresh Idempotency-Key: a random UUID (version 4)."""
    return str(uuid.UUID(bytes=os.urandom(16), version=4))


def random_fraction() -> float:
    """Return a fresh number from 0 to 1, so that pauses of different clients differ."""
    return int.from_bytes(os.urandom(4), "big") / 2**32


@dataclass(frozen=True, slots=True)
class Hooks:
    new_key: Callable[[], str] = random_key
    chance: Callable[[], float] = random_fraction
    monotonic_s: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    sleep_async: Callable[[float], Awaitable[None]] = asyncio.sleep
