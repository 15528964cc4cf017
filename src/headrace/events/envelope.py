"""The envelope of an event, and its members that triggers match."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from headrace.errors import InvalidValue
from headrace.events import event_json, identity

MAX_NAME_CHARACTERS = 1_024
MAX_ID_CHARACTERS = 512
OLD_APP = "ledger"
"""App of messages without `app`: older ledgers send them, with the ledger's name beside the payload."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Envelope:
    """An event as it was sent. `payload` is `event` in expressions; `given` is the complete envelope.

    `identity` is the sender's identity for it (decision T5), None if it has none; `id` is the member of that name.
    """

    type: str
    app: str
    version: str
    payload: Json
    id: str | None
    identity: str | None
    given: Json

    @property
    def qualified_type(self) -> str:
        """App and type in lower case, such as `ledger.committed_transactions`."""
        return f"{self.app}.{self.type}".lower() if self.app else ""

    @property
    def names(self) -> tuple[str, str]:
        """Names of the event that a trigger may use, in lower case."""
        return self.type.lower(), self.qualified_type

    @property
    def text(self) -> str:
        return event_json.stored(self.given)


def envelope_of(value: object, field: str = "body") -> Envelope:
    """Parse an envelope. Raises InvalidValue naming the wrong member.

    Older ledger messages have neither `app` nor `version`; unknown members are kept.
    A member `idempotency_key` or `id` that is empty counts as absent.
    """
    if not isinstance(value, dict):
        raise InvalidValue(field, 'must be an envelope: {"type": ..., "app": ..., "version": ..., "payload": {...}}')
    given = cast("Json", value)
    payload = given.get("payload")
    if not isinstance(payload, dict):
        raise InvalidValue(f"{field}.payload", "must be an object")
    app = _text(given, "app", field) or (OLD_APP if "ledger" in given else "")
    _text(given, "date", field)
    kind = _text(given, "type", field)
    if not kind:
        raise InvalidValue(f"{field}.type", "is required: the event's type, such as SAVED_PAYMENT")
    version = _text(given, "version", field)
    key, own = (name_of_event(given, name, field) for name in ("idempotency_key", "id"))
    named = key or own
    known_by = identity.of_envelope(app, kind, version, named) if named else None
    return Envelope(kind, app, version, cast("Json", payload), own or None, known_by, given)


def stored_envelope(text: str) -> Envelope:
    """Parse an envelope that was checked when it was stored."""
    return envelope_of(event_json.read(text))


def _text(given: Json, name: str, field: str) -> str:
    value = given.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > MAX_NAME_CHARACTERS:
        raise InvalidValue(f"{field}.{name}", f"must be text of at most {MAX_NAME_CHARACTERS} characters")
    return value


def name_of_event(given: Mapping[str, Any], name: str, field: str) -> str:
    """The identity in this member. A number becomes its digits; an empty text becomes None."""
    value = given.get(name)
    if value is None:
        return ""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or len(text) > MAX_ID_CHARACTERS:
        raise InvalidValue(f"{field}.{name}", f"must be text of at most {MAX_ID_CHARACTERS} characters")
    return text
