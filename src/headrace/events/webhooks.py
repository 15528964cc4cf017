"""Our events as signed HTTP POSTs: one publisher for each endpoint of the operator's file.

Signed as Standard Webhooks says; the same three values stand under the Orchestration API's names as well. An answer
that is not 2xx, or none, means: ask again later. The receiver knows a repeat by its id.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import aiohttp
import msgspec
import yarl
from msgspec import UNSET, UnsetType

from headrace.clock import Clock
from headrace.errors import InvalidValue
from headrace.events.bus import BusUnavailable, Publication, PublicationRefused
from headrace.events.outbox import APP, TYPES, type_named

SETTING = "HEADRACE_WEBHOOKS"
TIMEOUT_S = 10.0
PAGE = 20
"""One after the other: what a crash has sent again at most."""
KEEP_ALIVE_S = 4.0
"""Shorter than what servers keep an idle connection for: one closed under our hands is a needless second attempt."""
MAX_ANSWER_BYTES = 64 << 10
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
"""Makes plain data of the file's YAML or JSON; raises InvalidValue, with `(line n, column n)` at the end of its reason.

The house's strict readers are at the API's edge, above this room: they are handed in.
"""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where events go. Neither the key nor the rest of the URL, which may be as secret, shows in a representation."""

    label: str
    """For people: its name and its origin."""
    publisher: str
    """The same for ever, as long as its name and URL are."""
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
    """Raises InvalidValue naming the file, the entry and the reason, never a secret."""
    try:
        entries = _entries(_decoded(_content(file), decode))
        endpoints = tuple(_endpoint(entry, f"endpoints[{number}]", environ) for number, entry in enumerate(entries))
        _refuse_repeats(endpoints)
    except InvalidValue as error:
        raise InvalidValue(SETTING, f"{file}: {error}") from None
    return endpoints


def _content(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise InvalidValue("", f"cannot be read ({error.strerror or type(error).__name__})") from None
    if len(content) > MAX_FILE_BYTES:
        raise InvalidValue("", f"has more than {MAX_FILE_BYTES} bytes")
    return content


def _decoded(content: bytes, decode: Decode) -> object:
    """Of the decoder's reason only the place is told: an unquoted secret may be what it stumbled over."""
    try:
        return decode(content)
    except InvalidValue as error:
        place = _PLACE.search(error.reason)
        at = place.group() if place else ""
        raise InvalidValue("", f"is not plain YAML or JSON{at}; text with special characters needs quotes") from None


def _entries(value: object) -> list[_Entry]:
    try:
        entries = msgspec.convert(value, _File).endpoints
    except msgspec.ValidationError as error:
        what, _, place = str(error).partition(" - at `$.")
        raise InvalidValue(place.rstrip("`"), what[0].lower() + what[1:]) from None
    if not 0 < len(entries) <= MAX_ENDPOINTS:
        raise InvalidValue("endpoints", f"has 1 to {MAX_ENDPOINTS} entries, not {len(entries)}")
    return entries


def _endpoint(entry: _Entry, place: str, environ: Mapping[str, str]) -> Endpoint:
    parts = _url_parts(entry.url, f"{place}.url")
    name = _name(entry, f"{place}.name")
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


def _name(entry: _Entry, field: str) -> str:
    if entry.name is UNSET:
        return ""
    if not _NAME.fullmatch(entry.name):
        raise InvalidValue(field, "must be 1 to 64 of a-z, A-Z, 0-9, `.`, `_`, `-`, the first a letter or digit")
    return entry.name


def _types(entry: _Entry, field: str) -> frozenset[str]:
    if entry.events is UNSET:
        return frozenset(TYPES)
    if not entry.events:
        raise InvalidValue(field, "names one event at least; without it the endpoint gets all of them")
    kinds: set[str] = set()
    for number, name in enumerate(entry.events):
        if (kind := type_named(name)) is None:
            reason = f"no such event; there are {', '.join(TYPES)}, also written {APP}.{TYPES[0].lower()}"
            raise InvalidValue(f"{field}[{number}]", reason)
        kinds.add(kind)
    return frozenset(kinds)


def _key(entry: _Entry, place: str, environ: Mapping[str, str]) -> bytes:
    if (entry.secret is UNSET) == (entry.secret_env is UNSET):
        raise InvalidValue(place, "has one of `secret` and `secret_env`")
    if entry.secret is not UNSET:
        return key_of(entry.secret, f"{place}.secret")
    assert entry.secret_env is not UNSET
    field = f"{place}.secret_env"
    # What stands here may be the secret itself, by mistake: it is not repeated.
    if not _VARIABLE.fullmatch(entry.secret_env):
        raise InvalidValue(field, "must be the name of an environment variable")
    if not environ.get(entry.secret_env):
        raise InvalidValue(field, "the environment variable it names is not set")
    return key_of(environ[entry.secret_env], field)


def key_of(secret: str, field: str) -> bytes:
    """`whsec_` and base64, as Standard Webhooks writes it, else the text's own bytes. Raises InvalidValue."""
    key = _base64_key(secret, field) if secret.startswith(_BASE64_PREFIX) else _text_key(secret, field)
    if len(key) < MIN_KEY_BYTES:
        raise InvalidValue(field, f"the key must have {MIN_KEY_BYTES} bytes at least; it has {len(key)}")
    return key


def _base64_key(secret: str, field: str) -> bytes:
    try:
        return base64.b64decode(secret.removeprefix(_BASE64_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidValue(field, f"after `{_BASE64_PREFIX}` there must be base64, with its padding") from None


def _text_key(secret: str, field: str) -> bytes:
    if not secret.isprintable() or secret != secret.strip():
        raise InvalidValue(field, "must not hold control characters, nor white space at either end")
    return secret.encode()


def _refuse_repeats(endpoints: Sequence[Endpoint]) -> None:
    numbers: dict[str, int] = {}
    for number, endpoint in enumerate(endpoints):
        first = numbers.setdefault(endpoint.publisher, number)
        if first != number:
            reason = f"has the URL and name of endpoints[{first}]: give one of them another name"
            raise InvalidValue(f"endpoints[{number}]", reason)


# signing


def signature(key: bytes, webhook_id: str, timestamp: str, body: bytes) -> str:
    signed = f"{webhook_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, signed, sha256)).decode()


def headers_of(publication: Publication, key: bytes, now_at: int) -> dict[str, str]:
    """The timestamp is that of the attempt, so that a receiver may refuse an old one; the id stays."""
    timestamp = str(now_at // 1_000_000)
    signed = {
        "webhook-id": publication.id,
        "webhook-timestamp": timestamp,
        "webhook-signature": signature(key, publication.id, timestamp, publication.body),
    }
    return {
        "Content-Type": "application/json",
        "Idempotency-Key": publication.id,
        **signed,
        **{f"formance-{name}": value for name, value in signed.items()},
        **publication.headers,
    }


# the publisher


class Webhook:
    """Implements `events.bus.Publisher` for one endpoint. Nothing is sent, or checked, before the first event."""

    def __init__(self, endpoint: Endpoint, clock: Clock, *, timeout_s: float = TIMEOUT_S) -> None:
        self._endpoint = endpoint
        self._url = yarl.URL(endpoint.url, encoded=True)
        self._clock = clock
        self._timeout_s = timeout_s
        self._opened: aiohttp.ClientSession | None = None
        self._taken: set[str] = set()
        """What the endpoint has taken of a batch that failed further on, so that its retry goes on from there."""

    @property
    def name(self) -> str:
        return self._endpoint.publisher

    @property
    def page(self) -> int:
        return PAGE

    def wants(self, kind: str) -> bool:
        return kind in self._endpoint.types

    async def publish(self, publications: Sequence[Publication]) -> None:
        self._taken &= {publication.id for publication in publications}
        for publication in publications:
            if publication.id not in self._taken:
                await self._post(publication)
                self._taken.add(publication.id)
        self._taken.clear()

    async def close(self) -> None:
        if self._opened is not None:
            await self._opened.close()
            self._opened = None

    async def _post(self, publication: Publication) -> None:
        headers = headers_of(publication, self._endpoint.key, self._clock.now_at())
        try:
            async with self._session().post(
                self._url, data=publication.body, headers=headers, allow_redirects=False
            ) as response:
                status = response.status
                await _discard(response)
        except TimeoutError:
            raise self._failure(f"no answer within {self._timeout_s:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise self._failure(_kind(error)) from None
        if status in _ITS_OWN:
            raise PublicationRefused(publication.id, f"webhook {self._endpoint.label}: answered {status}")
        if not 200 <= status < 300:
            raise self._failure(f"answered {status}{_REMARKS.get(status // 100, '')}")

    def _session(self) -> aiohttp.ClientSession:
        if self._opened is None:
            self._opened = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=1, keepalive_timeout=KEEP_ALIVE_S),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=self._timeout_s),
                headers={"User-Agent": "headrace", "Accept-Encoding": "identity"},
                auto_decompress=False,
                trust_env=False,
            )
        return self._opened

    def _failure(self, reason: str) -> BusUnavailable:
        return BusUnavailable(f"webhook {self._endpoint.label}: {reason}")


_ITS_OWN = frozenset({400, 409, 413, 422, 500})
"""Answers that may be about this event alone: whatever else fails is the endpoint's."""
_REMARKS = {3: ", a redirect, which is not followed"}


async def _discard(response: aiohttp.ClientResponse) -> None:
    """The status has said it all; a short answer is read only so that its connection can be used again."""
    size = 0
    with contextlib.suppress(aiohttp.ClientError, OSError):  # a time-out is an OSError
        while part := await response.content.readany():
            size += len(part)
            if size > MAX_ANSWER_BYTES:
                break
        else:
            return
    response.close()


def _kind(error: Exception) -> str:
    """What happened, without the URL it happened to."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "its host name cannot be resolved"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return "its certificate is not trusted"
    if isinstance(error, aiohttp.ClientConnectorSSLError):
        return "no TLS connection could be made"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"cannot connect ({error.os_error.strerror or type(error.os_error).__name__})"
    if isinstance(error, aiohttp.ServerDisconnectedError | ConnectionError | aiohttp.ClientOSError):
        return "the connection was closed without an answer"
    return f"no usable answer ({type(error).__name__})"
