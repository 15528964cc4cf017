"""Requests: path, query, headers and body of what a client sent, each read within limits."""

from __future__ import annotations

import asyncio
import re
from typing import Any, cast
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope

from headrace import json_text
from headrace.api import yaml
from headrace.api.body_budget import SMALL_BYTES, BodyBudget
from headrace.api.errors import BodyTooLarge, BodyTooSlow, UnsupportedMedia
from headrace.auth.principal import ANONYMOUS
from headrace.errors import InvalidValue
from headrace.settings import Settings

YAML_TYPES = ("application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml")

_THREAD_FROM_BYTES = 16 << 10
"""YAML of this size is parsed on a thread: the parser is a hundred times slower than that of JSON."""

_FLAGS = {"true": True, "1": True, "false": False, "0": False, "": False}


BODY_S = 30.0
"""Time for a whole body: a megabyte over the slowest of lines."""


_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)


def canonical_id(text: str) -> str:
    """A UUID in lower case, as ids are stored; some languages write it in capitals. Any other text as it is."""
    return text.lower() if _UUID.fullmatch(text) else text


def with_canonical_ids(value: object, *names: str) -> object:
    """A body in which the members of these names, where they are texts, are ids as they are stored."""
    if not isinstance(value, dict):
        return value
    members = cast("dict[str, object]", value)
    given = {name: members.get(name) for name in names}
    return members | {name: canonical_id(text) for name, text in given.items() if isinstance(text, str)}


class ClientGone(Exception):
    """The client disconnected before its request was complete; no response can be sent."""


class Request:
    """A request: its principal and operation, the parameters of its path, its query, headers and body.

    `idempotent_as` names the operation that a key stands for: V1 and V2 of one operation are the same there.
    """

    __slots__ = (
        *("_bodies", "_held_bytes", "_receive", "all_headers", "client", "headers", "idempotent_as", "method"),
        *("operation_id", "params", "path", "principal", "query_string"),
    )

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        path: str,
        params: dict[str, str] | None = None,
        headers: dict[bytes, bytes] | None = None,
        bodies: BodyBudget | None = None,
    ) -> None:
        self._receive = receive
        self._bodies = bodies or BodyBudget()
        self._held_bytes = 0
        self.operation_id = self.idempotent_as = ""
        self.principal = ANONYMOUS
        self.method: str = scope["method"]
        self.path = path
        self.params = params or {}
        for name, value in self.params.items():
            if _UUID.fullmatch(value):
                self.params[name] = value.lower()
        self.all_headers: list[tuple[bytes, bytes]] = scope["headers"]
        self.headers: dict[bytes, bytes] = dict(self.all_headers) if headers is None else headers
        self.client: tuple[str, int] | None = scope.get("client")
        self.query_string: bytes = scope["query_string"]

    def header(self, name: str) -> str:
        """The value of a header; empty if the request has none of this name."""
        return self.headers.get(name.lower().encode(), b"").decode("latin-1")

    def query(self, name: str) -> str | None:
        """A query parameter, None if it is absent or empty (official clients send empty ones)."""
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
            raise UnsupportedMedia(f"Content-Encoding: {encoding[:40].decode('latin-1')!r} is not supported")
        announced = self.headers.get(b"content-length", b"")
        if announced.isdigit() and int(announced) > max_bytes:
            raise BodyTooLarge(max_bytes)
        parts: list[bytes] = []
        length = 0
        try:
            async with asyncio.timeout(BODY_S):
                has_more = True
                while has_more:
                    message = await self._receive()
                    if message["type"] == "http.disconnect":
                        raise ClientGone
                    parts.append(message.get("body", b""))
                    length += len(parts[-1])
                    if length > max_bytes:
                        raise BodyTooLarge(max_bytes)
                    if length > SMALL_BYTES:
                        self._bodies.reserve(length - self._held_bytes)
                        self._held_bytes = length
                    has_more = message.get("more_body", False)
        except TimeoutError:
            raise BodyTooSlow(BODY_S) from None
        if self._held_bytes:
            await self._bodies.wait_turn()
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def release(self) -> None:
        """The response is complete: the memory of the body can be used for another one."""
        if self._held_bytes:
            self._bodies.release(self._held_bytes)
            self._held_bytes = 0

    def media_type(self) -> str:
        """The media type of the body, in lower case; JSON by default. Raises UnsupportedMedia, also for a charset."""
        media_type, _, parameters = self.headers.get(b"content-type", b"").decode("latin-1").lower().partition(";")
        charset = parameters.partition("charset=")[2].partition(";")[0].strip(' "')
        if charset not in ("", "utf-8", "utf8", "us-ascii"):
            raise UnsupportedMedia(f"Content-Type: charset {charset[:40]!r} is not supported; send UTF-8")
        return media_type.strip() or "application/json"


def json_value(request: Request, body: bytes) -> Any:
    """The value of a JSON body that is not empty."""
    _check_json(request)
    return json_text.decode(body)


def event_value(request: Request, body: bytes) -> Any:
    """The value of an event's JSON body that is not empty; integers may have any length (`LongInteger`)."""
    _check_json(request)
    return json_text.decode_event(body)


def _check_json(request: Request) -> None:
    """Raise UnsupportedMedia for a body that is not announced as JSON."""
    if request.headers.get(b"content-type") == b"application/json":  # nearly all requests
        return
    media_type = request.media_type()
    if not _is_json(media_type):
        raise UnsupportedMedia(f"Content-Type: {media_type[:80]!r} is not supported; send application/json")


async def document(request: Request, body: bytes, settings: Settings, bodies: BodyBudget) -> yaml.Document:
    """The document of a body in JSON or YAML; that of an empty body has the value None."""
    if not body:
        return yaml.Document(None)
    media_type = request.media_type()
    if media_type in YAML_TYPES:
        if len(body) > settings.max_yaml_bytes:
            raise BodyTooLarge(settings.max_yaml_bytes)
        if len(body) < _THREAD_FROM_BYTES:
            return yaml.decode(body)
        async with bodies.parses:
            return await asyncio.to_thread(yaml.decode, body)
    if not _is_json(media_type):
        raise UnsupportedMedia(
            f"Content-Type: {media_type[:80]!r} is not supported; send application/json or application/yaml"
        )
    return yaml.Document(json_text.decode(body))


def _is_json(media_type: str) -> bool:
    return media_type == "application/json" or (media_type.startswith("application/") and media_type.endswith("+json"))
