"""Identities of events (decision T5): what makes two deliveries one event, however they arrive.

Each is the text of a JSON array, so different tuples never share a text, and none looks like a broker's position. A
digest stands for a text that is too long for the index of a database.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import msgspec

from headrace.events import event_json
from headrace.journal.event_keys import bounded


def of_envelope(app: str, kind: str, version: str, own: str) -> str:
    """Identity of an envelope. `own` is its idempotency_key, else its id."""
    return _encoded("event", app, kind, version, own)


def of_cloud_event(source: str, own: str) -> str:
    return _encoded("cloudevents", source, own)


def of_request(client_id: str | None, subject: str, key: str, entry: int | None) -> str:
    """Identity of an event without its own, from the Idempotency-Key of the request and its caller.

    `entry` is the event's index in a batch; None for a single event.
    """
    owner = ("subject", subject) if client_id is None else ("client", client_id)
    return _encoded("request", *owner, key) if entry is None else _encoded("request", *owner, key, entry)


def of_conflict(identity: str, fingerprint: bytes) -> str:
    """Identity of an event that claims a known one with another payload: a separate event, which starts nothing."""
    return msgspec.json.encode(("conflict", identity, fingerprint.hex())).decode()


def conflicting(key: str) -> str:
    """The identity claimed by the event with this key of a conflict."""
    return msgspec.json.decode(key)[1]


def fingerprint(payload: Mapping[str, Any]) -> bytes:
    """Equal for payloads that differ only in the order of members, blanks and escapes."""
    return sha256(event_json.canonical(payload)).digest()


def _encoded(*parts: str | int) -> str:
    return bounded(msgspec.json.encode(parts))
