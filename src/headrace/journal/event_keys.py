"""Keys of events that fit an index: PostgreSQL refuses an entry of more than about 2,700 bytes."""

from __future__ import annotations

from hashlib import sha256
from typing import Literal

import msgspec

MAX_KEY_BYTES = 1_024
"""Limit of an identity. The key of a conflict holds one, escaped, so it has at most 2,200 bytes."""
REVISION = "0020"
"""Schema revision from which on every key is bounded."""
COLUMNS = frozenset({("inbox", "key"), ("event_keys", "key"), ("occurrences", "event_key"), ("audit", "target")})
"""Tables and their columns with such keys."""


def bounded(key: bytes) -> str:
    """The key of an identity, which is the text of a JSON array. A digest stands for one that is too long."""
    if len(key) > MAX_KEY_BYTES:
        key = msgspec.json.encode(("digest", sha256(key).hexdigest()))
    return key.decode()


def rebounded(key: str) -> str:
    """The key that an earlier release stored unbounded, as this release makes it. Any other one stays as it is."""
    text = key.encode()
    if len(text) <= MAX_KEY_BYTES or not key.startswith("["):  # a broker's position, or a key of release 0.1.0
        return key
    try:
        kind, identity, fingerprint = _conflict.decode(text)
    except msgspec.MsgspecError:
        return bounded(text)
    return msgspec.json.encode((kind, rebounded(identity), fingerprint)).decode()


_conflict = msgspec.json.Decoder(tuple[Literal["conflict"], str, str])
