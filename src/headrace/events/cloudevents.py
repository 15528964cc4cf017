"""CloudEvents 1.0 as envelopes: `type` stays, `source` becomes the app, `data` the payload, `time` the date.

Their identity is `source` and `id`, as their specification says. Extension attributes are kept under `cloudevent`.
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
"""Each event has this attribute, and an envelope has not."""

_MAPPED = ("type", "source", "id", "time", "data", MARK)


def is_cloud_event(value: object) -> bool:
    """A structured event, by its form: with `specversion`, and without the `payload` of an envelope."""
    return isinstance(value, dict) and MARK in value and "payload" not in value


def event_of(value: object, field: str = "body") -> Envelope:
    """An envelope, or a structured CloudEvent. Raises InvalidValue naming the member that is not right."""
    return structured(value, field) if is_cloud_event(value) else envelope_of(value, field)


def structured(value: object, field: str = "body") -> Envelope:
    """Raises InvalidValue."""
    if not isinstance(value, dict):
        raise InvalidValue(field, "a CloudEvent is wanted, which is an object")
    given = cast("Json", value)
    if "data_base64" in given:
        raise InvalidValue(f"{field}.data_base64", "is not read; send JSON in `data`")
    if not _is_json(given.get("datacontenttype")):
        raise InvalidValue(f"{field}.datacontenttype", "must be a JSON media type, such as application/json")
    return _envelope(given, given.get("data"), field)


def binary(attributes: Mapping[str, str], data: object) -> Envelope:
    """`attributes` by their names without prefix, as `attributes_of` finds them; `data` is the body's value.

    Raises InvalidValue.
    """
    return _envelope(dict(attributes), data, "body")


def attributes_of(headers: Iterable[tuple[str, str]], prefix: str = HTTP_PREFIX) -> dict[str, str]:
    """Those of a CloudEvent in binary mode; empty where the headers have no `specversion`. Raises InvalidValue."""
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
    return found if MARK in found else {}


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
