"""The envelope every event comes in, and what has to be known of one to match it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import msgspec

from headrace.errors import InvalidValue

MAX_NAME_CHARACTERS = 1_024
MAX_ID_CHARACTERS = 512
OLD_APP = "ledger"
"""Who sends messages without `app`: the older ledgers, which put their ledger's name beside the payload."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Envelope:
    """An event as it was sent. `payload` is what expressions know as `event`; `given` is all of it."""

    type: str
    app: str
    version: str
    payload: Json
    id: str | None
    given: Json

    @property
    def qualified_type(self) -> str:
        """`ledger.committed_transactions`"""
        return f"{self.app}.{self.type}".lower() if self.app else ""

    @property
    def names(self) -> tuple[str, str]:
        """What a trigger's `event` may be, in lower case."""
        return self.type.lower(), self.qualified_type

    @property
    def text(self) -> str:
        return msgspec.json.encode(self.given).decode()


def envelope_of(value: object, field: str = "body") -> Envelope:
    """Raises InvalidValue naming the member that is not as it should be.

    Older ledger messages have neither `app` nor `version`; members that are not known here are kept.
    """
    if not isinstance(value, dict):
        raise InvalidValue(field, 'an envelope is wanted: {"type": ..., "app": ..., "version": ..., "payload": {...}}')
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
    return Envelope(kind, app, version, cast("Json", payload), _id(given, field), given)


def stored_envelope(text: str) -> Envelope:
    """One that was checked when it came."""
    return envelope_of(msgspec.json.decode(text))


def _text(given: Json, name: str, field: str) -> str:
    value = given.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > MAX_NAME_CHARACTERS:
        raise InvalidValue(f"{field}.{name}", f"must be text of at most {MAX_NAME_CHARACTERS} characters")
    return value


def _id(given: Json, field: str) -> str | None:
    """The sender's own id of the event; a number counts as its digits."""
    value = given.get("id")
    if value is None:
        return None
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not 0 < len(text) <= MAX_ID_CHARACTERS:
        raise InvalidValue(f"{field}.id", f"must be text of 1 to {MAX_ID_CHARACTERS} characters")
    return text
