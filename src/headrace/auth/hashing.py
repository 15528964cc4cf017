"""Client secrets at rest: salted and slow to guess. `scrypt$N$r$p$salt$hash`, both parts in base64url."""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable

COST = 1 << 14
BLOCK = 8
LANES = 1
"""Cost of scrypt: 16 MiB and about 40 ms per guess."""
MAX_MEMORY_BYTES = 1 << 27

_STORED = re.compile(
    r"scrypt\$([0-9]{1,7})\$([0-9]{1,3})\$([0-9]{1,3})\$([A-Za-z0-9_-]{8,200})\$([A-Za-z0-9_-]{20,200})"
)

RandomBytes = Callable[[int], bytes]


def hashed(secret: str, random_bytes: RandomBytes) -> str:
    salt = random_bytes(16)
    digest = _digest(secret, salt, COST, BLOCK, LANES, 32)
    return f"scrypt${COST}${BLOCK}${LANES}${_text(salt)}${_text(digest)}"


def is_hash(stored: str) -> bool:
    found = _STORED.fullmatch(stored)
    if found is None:
        return False
    cost, block, lanes = int(found[1]), int(found[2]), int(found[3])
    is_power = cost > 1 and cost & (cost - 1) == 0
    return is_power and block > 0 and lanes > 0 and 128 * cost * block * lanes < MAX_MEMORY_BYTES


def matches(secret: str, stored: str) -> bool:
    """Compare in a time independent of the secret. `stored` must pass `is_hash`."""
    _, cost, block, lanes, salt, digest = stored.split("$")
    wanted = _bytes(digest)
    given = _digest(secret, _bytes(salt), int(cost), int(block), int(lanes), len(wanted))
    return hmac.compare_digest(given, wanted)


def _digest(secret: str, salt: bytes, cost: int, block: int, lanes: int, length: int) -> bytes:
    content = secret.encode(errors="replace")
    return hashlib.scrypt(content, salt=salt, n=cost, r=block, p=lanes, maxmem=2 * MAX_MEMORY_BYTES, dklen=length)


def _text(content: bytes) -> str:
    return urlsafe_b64encode(content).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
