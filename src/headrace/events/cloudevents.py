"""CloudEvents 1.0 as envelopes: `source` becomes the app, `data` the payload, `time` the date; `type` stays.

`source` and `id` form the identity, as in the specification. Extension attributes are kept under `cloudevent`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast
from urllib.parse import unquote

from headrace.errors import InvalidValue
from headrace.events import identity
from headrace.events.envelope import MAX_NAME_CHARACTERS, Envelope, Json, envelope_of, name_of_event

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
HTTP_PREFIX = "ce-"
KAFKA_PREFIX = "ce_"
MARK = "specversion"
"""Attribute that each CloudEvent has and an envelope lacks."""

_MAPPED = ("type", "source", "id", "time", "data", MARK)


def is_cloud_event(value: object) -> bool:
    """True for a structured CloudEvent: it has `specversion`, and lacks the `payload` of an envelope."""
    return isinstance(value, dict) and MARK in value and "payload" not in value


def event_of(value: object, field: str = "body") -> Envelope:
    """Parse an envelope or a structured CloudEvent. Raises InvalidValue naming the wrong member."""
    return structured(value, field) if is_cloud_event(value) else envelope_of(value, field)


def structured(value: object, field: str = "body") -> Envelope:
    """Parse a structured CloudEvent. Raises InvalidValue."""
    if not isinstance(value, dict):
        raise InvalidValue(field, "must be a CloudEvent, which is an object")
    given = cast("Json", value)
    if "data_base64" in given:
        raise InvalidValue(f"{field}.data_base64", "is not supported; send JSON in `data`")
    if not _is_json(given.get("datacontenttype")):
        raise InvalidValue(f"{field}.datacontenttype", "must be a JSON media type, such as application/json")
    return _envelope(given, given.get("data"), field)


def binary(attributes: Mapping[str, str], data: object) -> Envelope:
    """Parse a CloudEvent in binary mode: `attributes` from `attributes_of`, `data` the decoded body.

    Raises InvalidValue.
    """
    return _envelope(dict(attributes), data, "body")


def attributes_of(headers: Iterable[tuple[str, str]], prefix: str = HTTP_PREFIX) -> dict[str, str]:
    """Return the attributes of a CloudEvent in binary mode, without prefix; empty without `specversion`.

    Also empty if the content type says that the body is the event, because its sender may copy attributes into headers.
    Raises InvalidValue.
    """
    headers = list(headers)
    if any(name.lower() == "content-type" and _is_structured(value) for name, value in headers):
        return {}
    found: dict[str, str] = {}
    for name, value in headers:
        key = name.lower()
        if not key.startswith(prefix):
            continue
        attribute = key.removeprefix(prefix)
        if attribute in found:
            raise InvalidValue(name, "is given twice")
        try:
            found[attribute] = unquote(value, errors="strict") if prefix == HTTP_PREFIX else value
        except UnicodeDecodeError:
            raise InvalidValue(name, "is not percent-encoded UTF-8") from None
        if "\0" in found[attribute]:
            raise InvalidValue(name, "holds a NUL character")
    return found if MARK in found else {}


def _is_structured(content_type: str) -> bool:
    return content_type.partition(";")[0].strip().lower() in (STRUCTURED, BATCH)


def _envelope(given: Json, data: object, field: str) -> Envelope:
    if given.get(MARK) != "1.0":
        raise InvalidValue(f"{field}.{MARK}", 'must be "1.0"')
    if not isinstance(data, dict):
        raise InvalidValue(f"{field}.data", "must be a JSON object: it is the payload that triggers see")
    source, kind = _required(given, "source", field), _required(given, "type", field)
    own = name_of_event(given, "id", field)
    if not own:
        raise InvalidValue(f"{field}.id", "is required")
    mapped: Json = {"app": source, "type": kind, "id": own, "payload": data}
    if given.get("time") is not None:
        mapped["date"] = given["time"]
    mapped["cloudevent"] = {name: value for name, value in given.items() if name not in _MAPPED}
    envelope = envelope_of(mapped, field)
    return Envelope(
        envelope.type, source, "", envelope.payload, own, identity.of_cloud_event(source, own), envelope.given
    )


def _required(given: Json, name: str, field: str) -> str:
    value = given.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= MAX_NAME_CHARACTERS:
        raise InvalidValue(f"{field}.{name}", f"is required: text of at most {MAX_NAME_CHARACTERS} characters")
    return value


def _is_json(media_type: object) -> bool:
    if media_type is None:
        return True
    kind = media_type.partition(";")[0].strip().lower() if isinstance(media_type, str) else ""
    return kind.endswith(("/json", "+json"))
