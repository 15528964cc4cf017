"""The operator's file of webhook endpoints: URLs for published events, and the keys that sign them."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import msgspec
import yarl
from msgspec import UNSET, UnsetType

from headrace.buses.event_types import APP, TYPES, type_named
from headrace.errors import InvalidValue

SETTING = "HEADRACE_WEBHOOKS"
MAX_FILE_BYTES = 1 << 20
MAX_ENDPOINTS = 100
MAX_URL_CHARACTERS = 2_048
MIN_KEY_BYTES = 16

_BASE64_PREFIX = "whsec_"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_PLACE = re.compile(r" \(line \d+, column \d+\)$", re.ASCII)
_NOT_IN_URLS = frozenset(' \\"<>^`{|}')

Decode = Callable[[bytes], object]
"""Decodes the file's YAML or JSON. Raises InvalidValue, whose reason ends with `(line n, column n)`.

The strict decoders belong to the API, which this package may not import, so the caller passes one.
"""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A destination of events. Its representation shows neither the key nor the URL's path, which may be secret."""

    label: str
    """Name and origin, for people."""
    publisher: str
    """Permanent name of the publisher, while name and URL stay."""
    types: frozenset[str]
    url: str = field(repr=False)
    key: bytes = field(repr=False)


# the operator's file


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    url: str
    secret: str | UnsetType = UNSET
    secret_env: str | UnsetType = UNSET
    events: list[str] | UnsetType = UNSET
    name: str | UnsetType = UNSET


class _File(msgspec.Struct, forbid_unknown_fields=True):
    endpoints: list[_Entry]


def read_endpoints(file: Path, environ: Mapping[str, str], decode: Decode) -> tuple[Endpoint, ...]:
    """Read the file. Raises InvalidValue with the file, the entry and the reason, never a secret."""
    try:
        try:
            with file.open("rb") as opened:
                content = opened.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            raise InvalidValue("", f"cannot be read ({error.strerror or type(error).__name__})") from None
        if len(content) > MAX_FILE_BYTES:
            raise InvalidValue("", f"has more than {MAX_FILE_BYTES} bytes")

        try:
            value = decode(content)
        except InvalidValue as error:
            # Only the place in the decoder's reason is shown: the reason may quote an unquoted secret.
            place = _PLACE.search(error.reason)
            at = place.group() if place else ""
            raise InvalidValue(
                "", f"is not plain YAML or JSON{at}; text with special characters needs quotes"
            ) from None

        try:
            entries = msgspec.convert(value, _File).endpoints
        except msgspec.ValidationError as error:
            what, _, where = str(error).partition(" - at `$.")
            raise InvalidValue(where.rstrip("`"), what[0].lower() + what[1:]) from None
        if not 0 < len(entries) <= MAX_ENDPOINTS:
            raise InvalidValue("endpoints", f"has 1 to {MAX_ENDPOINTS} entries, not {len(entries)}")

        endpoints = tuple(_endpoint(entry, f"endpoints[{number}]", environ) for number, entry in enumerate(entries))
        numbers: dict[str, int] = {}
        for number, endpoint in enumerate(endpoints):
            first = numbers.setdefault(endpoint.publisher, number)
            if first != number:
                reason = f"has the URL and name of endpoints[{first}]: give one of them another name"
                raise InvalidValue(f"endpoints[{number}]", reason)
    except InvalidValue as error:
        raise InvalidValue(SETTING, f"{file}: {error}") from None
    return endpoints


def _endpoint(entry: _Entry, place: str, environ: Mapping[str, str]) -> Endpoint:
    parts = _url_parts(entry.url, f"{place}.url")
    name = "" if entry.name is UNSET else entry.name
    if entry.name is not UNSET and not _NAME.fullmatch(name):
        reason = "must be 1 to 64 of a-z, A-Z, 0-9, `.`, `_`, `-`, the first a letter or digit"
        raise InvalidValue(f"{place}.name", reason)
    origin = f"{parts.scheme}://{parts.netloc}"
    identity = sha256(f"{name}\n{entry.url}".encode()).hexdigest()[:16]
    return Endpoint(
        label=f"{name} ({origin})" if name else origin,
        publisher=f"webhook:{name or parts.netloc}:{identity}",
        types=_types(entry, f"{place}.events"),
        url=entry.url,
        key=_key(entry, place, environ),
    )


def _url_parts(text: str, field: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        url = yarl.URL(text, encoded=True)
        is_sound = url.host == parts.hostname and parts.port != 0 and len(text) <= MAX_URL_CHARACTERS
    except ValueError:
        parts, is_sound = urlsplit(""), False
    is_plain = text.isascii() and text.isprintable() and not _NOT_IN_URLS & set(text)
    has_more = "@" in parts.netloc or "#" in text
    if parts.scheme not in ("http", "https") or not parts.hostname or not is_sound or not is_plain or has_more:
        example = "https://hooks.example.com/headrace"
        raise InvalidValue(field, f"must be an http or https URL without credentials or fragment, such as {example}")
    return parts


def _types(entry: _Entry, field: str) -> frozenset[str]:
    if entry.events is UNSET:
        return frozenset(TYPES)
    if not entry.events:
        raise InvalidValue(field, "must name at least one event; without it the endpoint gets all")
    kinds: set[str] = set()
    for number, name in enumerate(entry.events):
        if (kind := type_named(name)) is None:
            reason = f"unknown event; known are {', '.join(TYPES)}, also written {APP}.{TYPES[0].lower()}"
            raise InvalidValue(f"{field}[{number}]", reason)
        kinds.add(kind)
    return frozenset(kinds)


def _key(entry: _Entry, place: str, environ: Mapping[str, str]) -> bytes:
    if (entry.secret is UNSET) == (entry.secret_env is UNSET):
        raise InvalidValue(place, "must have either `secret` or `secret_env`")
    if entry.secret is not UNSET:
        return key_of(entry.secret, f"{place}.secret")
    assert entry.secret_env is not UNSET
    field = f"{place}.secret_env"
    # The value may be the secret itself, by mistake, so it is not quoted.
    if not _VARIABLE.fullmatch(entry.secret_env):
        raise InvalidValue(field, "must be the name of an environment variable")
    if not environ.get(entry.secret_env):
        raise InvalidValue(field, "the environment variable of this name is not set")
    return key_of(environ[entry.secret_env], field)


def key_of(secret: str, field: str) -> bytes:
    """Derive the key: `whsec_` and base64 as in Standard Webhooks, else the text's bytes. Raises InvalidValue."""
    if secret.startswith(_BASE64_PREFIX):
        try:
            key = base64.b64decode(secret.removeprefix(_BASE64_PREFIX), validate=True)
        except (binascii.Error, ValueError):
            raise InvalidValue(field, f"after `{_BASE64_PREFIX}` base64 with padding must follow") from None
    elif not secret.isprintable() or secret != secret.strip():
        raise InvalidValue(field, "must not hold control characters, nor white space at either end")
    else:
        key = secret.encode()
    if len(key) < MIN_KEY_BYTES:
        raise InvalidValue(field, f"the key must have at least {MIN_KEY_BYTES} bytes; it has {len(key)}")
    return key
