"""What a caller sent, read with a limit on everything."""

from __future__ import annotations

import asyncio
import re
from typing import Any
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope

from headrace.api import codec, yaml
from headrace.api.body_budget import SMALL_BYTES, BodyBudget
from headrace.api.errors import BodyTooLarge, BodyTooSlow, UnsupportedMedia
from headrace.auth.principal import ANONYMOUS, Principal
from headrace.errors import InvalidValue
from headrace.settings import Settings

YAML_TYPES = ("application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml")

_THREAD_FROM_BYTES = 16 << 10
"""YAML of this size is read beside the event loop: the parser is some hundred times slower than JSON's."""

_FLAGS = {"true": True, "1": True, "false": False, "0": False, "": False}


BODY_S = 30.0
"""A megabyte in this time is what the slowest of lines can do."""


_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)


def canonical_id(text: str) -> str:
    """A UUID in lower case, as ids are stored; some languages write it in capitals. Any other text as it is."""
    return text.lower() if _UUID.fullmatch(text) else text


class ClientGone(Exception):
    """The caller went away before the whole request was here: there is nobody to answer."""


class Request:
    """One request: who makes it by which operation, its path's parameters, its query, its headers, its body."""

    __slots__ = (
        *("_held_bytes", "_receive", "_bodies", "all_headers", "client", "headers", "method", "operation_id", "params"),
        *("path", "principal", "query_string", "repeats_as"),
    )

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        path: str,
        operation_id: str = "",
        principal: Principal = ANONYMOUS,
        bodies: BodyBudget | None = None,
        same_as: str = "",
    ) -> None:
        self._receive = receive
        self._bodies = bodies or BodyBudget()
        self._held_bytes = 0
        self.operation_id = operation_id
        self.repeats_as = same_as or operation_id
        self.principal = principal
        self.method: str = scope["method"]
        self.path = path
        self.params = {name: canonical_id(value) for name, value in scope["path_params"].items()}
        self.all_headers: list[tuple[bytes, bytes]] = scope["headers"]
        self.headers: dict[bytes, bytes] = dict(self.all_headers)
        self.client: tuple[str, int] | None = scope.get("client")
        self.query_string: bytes = scope["query_string"]

    def header(self, name: str) -> str:
        """Empty when it is not there."""
        return self.headers.get(name.lower().encode(), b"").decode("latin-1")

    def query(self, name: str) -> str | None:
        """A query parameter; an empty one is as good as absent (official clients send those)."""
        if not self.query_string:
            return None
        pairs = parse_qsl(self.query_string.decode("latin-1"), keep_blank_values=True)
        return dict(pairs).get(name) or None

    def flag(self, name: str) -> bool:
        text = self.query(name) or ""
        value = _FLAGS.get(text.lower())
        if value is None:
            raise InvalidValue(name, f"{text[:40]!r} is neither true nor false")
        return value

    async def body(self, max_bytes: int) -> bytes:
        """The whole body.

        Raises UnsupportedMedia if it is compressed, BodyTooLarge as soon as it is too long, BodyTooSlow, TooManyBodies.
        """
        encoding = self.headers.get(b"content-encoding", b"identity")
        if encoding.strip().lower() not in (b"identity", b""):
            raise UnsupportedMedia(f"Content-Encoding: {encoding[:40].decode('latin-1')!r} is not read here")
        announced = self.headers.get(b"content-length", b"")
        if announced.isdigit() and int(announced) > max_bytes:
            raise BodyTooLarge(max_bytes)
        try:
            async with asyncio.timeout(BODY_S):
                body = await self._whole(max_bytes)
        except TimeoutError:
            raise BodyTooSlow(BODY_S) from None
        if self._held_bytes:
            await self._bodies.turn()
        return body

    async def _whole(self, max_bytes: int) -> bytes:
        parts: list[bytes] = []
        length = 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            parts.append(message.get("body", b""))
            length += len(parts[-1])
            if length > max_bytes:
                raise BodyTooLarge(max_bytes)
            self._hold(length)
            if not message.get("more_body", False):
                return parts[0] if len(parts) == 1 else b"".join(parts)

    def _hold(self, length: int) -> None:
        if length > SMALL_BYTES:
            self._bodies.take(length - self._held_bytes)
            self._held_bytes = length

    def release(self) -> None:
        """It has been answered: nobody needs its body any more."""
        self._bodies.give_back(self._held_bytes)
        self._held_bytes = 0

    def media_type(self) -> str:
        """Of the body, in lower case; JSON where nothing is said. Raises UnsupportedMedia for a charset but UTF-8."""
        media_type, _, parameters = self.headers.get(b"content-type", b"").decode("latin-1").lower().partition(";")
        charset = parameters.partition("charset=")[2].partition(";")[0].strip(' "')
        if charset not in ("", "utf-8", "utf8", "us-ascii"):
            raise UnsupportedMedia(f"Content-Type: charset {charset[:40]!r} is not read here; send UTF-8")
        return media_type.strip() or "application/json"


def json_value(request: Request, body: bytes) -> Any:
    """The value of a JSON body that is not empty."""
    _check_json(request)
    return codec.decode(body)


def event_value(request: Request, body: bytes) -> Any:
    """The value of an event's JSON body that is not empty; integers may have any length (`LongInteger`)."""
    _check_json(request)
    return codec.decode_event(body)


def _check_json(request: Request) -> None:
    """Raises UnsupportedMedia where the body is not announced as JSON."""
    media_type = request.media_type()
    if not _is_json(media_type):
        raise UnsupportedMedia(f"Content-Type: {media_type[:80]!r} is not read here; send application/json")


async def document(request: Request, body: bytes, settings: Settings, bodies: BodyBudget) -> yaml.Document:
    """A definition, in JSON or YAML. An empty body is a document that holds nothing."""
    if not body:
        return yaml.Document(None)
    media_type = request.media_type()
    if media_type in YAML_TYPES:
        return await _yaml_document(body, settings, bodies)
    if not _is_json(media_type):
        raise UnsupportedMedia(
            f"Content-Type: {media_type[:80]!r} is not read here; send application/json or application/yaml"
        )
    return yaml.Document(codec.decode(body))


async def _yaml_document(body: bytes, settings: Settings, bodies: BodyBudget) -> yaml.Document:
    if len(body) > settings.max_yaml_bytes:
        raise BodyTooLarge(settings.max_yaml_bytes)
    if len(body) < _THREAD_FROM_BYTES:
        return yaml.decode(body)
    async with bodies.few:
        return await asyncio.to_thread(yaml.decode, body)


def _is_json(media_type: str) -> bool:
    return media_type == "application/json" or (media_type.startswith("application/") and media_type.endswith("+json"))
