"""Bodies of POST /ext/events: envelopes, CloudEvents 1.0, or the raw JSON of a provider's webhook."""

from __future__ import annotations

import re
from typing import Any, cast
from urllib.parse import parse_qsl

from headrace.api.requests import Request, event_value
from headrace.errors import InvalidValue
from headrace.events import cloudevents
from headrace.events.envelope import MAX_ID_CHARACTERS, MAX_NAME_CHARACTERS, Envelope, envelope_of

MAX_EVENTS = 10_000
MAX_POINTER_CHARACTERS = 1_024
_BAD_ESCAPE = re.compile("~(?![01])")
RAW = ("app", "type", "version", "id")
"""Query parameters that describe a raw body, which is the payload of an event."""


def events_of(request: Request, body: bytes) -> tuple[list[Envelope], bool]:
    """The events of a request, and whether they came as a batch. Raises InvalidValue, UnsupportedMedia."""
    value = event_value(request, body) if body else None
    raw = _parameters(request)
    attributes = cloudevents.attributes_of(_headers(request))
    media_type = request.media_type()
    if attributes:
        _refuse_parameters(raw)
        return [cloudevents.binary(attributes, value)], False
    if media_type == cloudevents.BATCH:
        _refuse_parameters(raw)
        return _batch(value, cloudevents.structured), True
    if media_type == cloudevents.STRUCTURED:
        _refuse_parameters(raw)
        return [cloudevents.structured(value)], False
    if raw:
        return [_raw(raw, value)], False
    if isinstance(value, list):
        return _batch(cast("Any", value), cloudevents.event_of), True
    return [cloudevents.event_of(value)], False


def _batch(value: object, read: Any) -> list[Envelope]:
    if not isinstance(value, list):
        raise InvalidValue("body", "must be a batch: an array of events")
    items = cast("list[object]", value)
    if not 0 < len(items) <= MAX_EVENTS:
        raise InvalidValue("body", f"has 1 to {MAX_EVENTS} events, not {len(items)}")
    return [read(item, f"body[{number}]") for number, item in enumerate(items)]


def _refuse_parameters(raw: dict[str, str]) -> None:
    """Raise InvalidValue for parameters of a raw body: a CloudEvent describes itself."""
    for name in raw:
        raise InvalidValue(name, "is a parameter of raw bodies, and this body is a CloudEvent")


def _headers(request: Request) -> list[tuple[str, str]]:
    """The headers as text: attributes of a CloudEvent are percent-encoded, or plain UTF-8. Raises InvalidValue."""
    found: list[tuple[str, str]] = []
    for name, value in request.all_headers:
        try:
            found.append((name.decode("latin-1"), value.decode()))
        except UnicodeDecodeError:
            if name.lower().startswith(cloudevents.HTTP_PREFIX.encode()):
                raise InvalidValue(name.decode("latin-1"), "is not UTF-8") from None
    return found


# a provider's body


def _parameters(request: Request) -> dict[str, str]:
    """The parameters of a raw body. Raises InvalidValue.

    An `id` that is empty or given twice is refused: without the intended id, each delivery would be a new event.
    """
    found: dict[str, str] = {}
    for name, value in parse_qsl(request.query_string.decode("latin-1"), keep_blank_values=True):
        if name not in RAW:
            continue
        if name in found:
            raise InvalidValue(name, "is given twice")
        if "\0" in value or "\ufffd" in value:
            raise InvalidValue(name, "holds a NUL character, or is not percent-encoded UTF-8")
        found[name] = value
    if found.get("id") == "":
        raise InvalidValue("id", "is empty; leave it out, or give the place of the id in the body, such as /id")
    return {name: value for name, value in found.items() if value}


def _raw(given: dict[str, str], value: object) -> Envelope:
    """The event of a raw body: the body is its payload; the parameters give the rest, or its place in the body."""
    if not isinstance(value, dict):
        raise InvalidValue("body", "must be a JSON object: the payload of the event")
    if "type" not in given:
        raise InvalidValue("type", "is required with app, version or id: the event's type, or its place in the body")
    kind = given["type"]
    if kind.startswith("/"):
        kind = _text_at(cast("Any", value), kind, "type", MAX_NAME_CHARACTERS)
    envelope: dict[str, Any] = {"type": kind, "payload": value}
    for name in ("app", "version"):
        if name in given:
            envelope[name] = given[name]
    if "id" in given:
        envelope["id"] = _text_at(cast("Any", value), given["id"], "id", MAX_ID_CHARACTERS)
    for name in ("type", "app", "version"):
        if len(envelope.get(name, "")) > MAX_NAME_CHARACTERS:
            raise InvalidValue(name, f"must be text of at most {MAX_NAME_CHARACTERS} characters")
    return envelope_of(envelope)


def _text_at(value: Any, pointer: str, field: str, max_characters: int) -> str:
    """The text or integer at a JSON pointer (RFC 6901). Raises InvalidValue naming the parameter."""
    if len(pointer) > MAX_POINTER_CHARACTERS or not pointer.startswith("/"):
        raise InvalidValue(field, f"{pointer[:80]!r} is not a JSON pointer such as /id or /data/object/id")
    if _BAD_ESCAPE.search(pointer):
        raise InvalidValue(field, f"{pointer[:80]!r} has a ~ without 0 or 1 after it")
    found = value
    for part in pointer[1:].split("/"):
        found = _member(found, part.replace("~1", "/").replace("~0", "~"))
    if isinstance(found, int) and not isinstance(found, bool):
        found = str(found)
    if not isinstance(found, str) or not 0 < len(found) <= max_characters:
        raise InvalidValue(
            field, f"the body has no text of 1 to {max_characters} characters and no integer at {pointer[:80]!r}"
        )
    return found


def _member(value: Any, name: str) -> Any:
    """The member or item of this name; None if there is none."""
    if isinstance(value, dict):
        return cast("dict[str, Any]", value).get(name)
    if isinstance(value, list) and name.isascii() and name.isdigit() and (name == "0" or name[0] != "0"):
        items = cast("list[Any]", value)
        return items[int(name)] if len(name) < 8 and int(name) < len(items) else None
    return None
