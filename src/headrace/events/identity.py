"""Identities of events (decision T5): what makes two deliveries one event, whatever way they come.

Each is the text of a JSON array, so two different tuples never share a text, and none looks like a broker's position.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import msgspec

from headrace.events import texts


def of_envelope(app: str, kind: str, version: str, own: str) -> str:
    """`own`: the envelope's idempotency_key, else its id."""
    return _encoded("event", app, kind, version, own)


def of_cloud_event(source: str, own: str) -> str:
    return _encoded("cloudevents", source, own)


def of_request(client_id: str | None, subject: str, key: str, entry: int | None) -> str:
    """An event without an identity of its own, sent under an Idempotency-Key, which belongs to its caller.

    `entry`: its place in a batch; None for an event that was sent alone.
    """
    owner = ("subject", subject) if client_id is None else ("client", client_id)
    return _encoded("request", *owner, key) if entry is None else _encoded("request", *owner, key, entry)


def of_conflict(identity: str, fingerprint: bytes) -> str:
    """An event with a known identity and another payload: it is an event of its own, which starts nothing."""
    return _encoded("conflict", identity, fingerprint.hex())


def conflicting(key: str) -> str:
    """The identity that an event with the key of a conflict claimed."""
    return msgspec.json.decode(key)[1]


def fingerprint(payload: Mapping[str, Any]) -> bytes:
    """Equal for payloads that differ in the order of members, blanks and escapes only."""
    return sha256(texts.canonical(payload)).digest()


def _encoded(*parts: str | int) -> str:
    return msgspec.json.encode(parts).decode()
