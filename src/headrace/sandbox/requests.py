"""One request taken apart: method, path segments, query, body, key; and paging, which all lists share."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import parse_qsl, unquote

import msgspec

from headrace.effects.port import Request, Response
from headrace.sandbox import timestamps
from headrace.sandbox.bodies import as_object, json_of
from headrace.sandbox.responses import Json, answer, invalid

DEFAULT_PAGE_SIZE = 15
_NUMBER = re.compile(r"[0-9]{1,9}")

Query = dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class Call:
    """One request to an imitated service."""

    method: str
    segments: list[str]
    query: Query
    body: bytes | None
    key: str

    def parameter(self, name: str) -> str:
        return self.query.get(name, [""])[0]

    @property
    def operation(self) -> str:
        return f"{self.method} /{'/'.join(self.segments)}"


def call_of(request: Request) -> Call:
    """Parse an HTTP request into a call."""
    path, _, query = request.path.partition("?")
    try:
        segments = [unquote(segment, errors="strict") for segment in path.removeprefix("/").split("/")]
        pairs = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=100)
    except ValueError:
        raise invalid("the path is not UTF-8, or its query has more than 100 parts") from None
    if any(_is_unfit(text) for text in (*segments, request.key, *(part for pair in pairs for part in pair))):
        raise invalid("path and key must not hold NUL or half a surrogate pair")
    values: Query = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)

    # A list takes its filter in the body as well.
    if request.method == "GET" and request.body:
        try:
            text = request.body.decode().strip()
        except UnicodeDecodeError:
            raise invalid("the body is not JSON: it is not UTF-8") from None
        if _is_unfit(text):
            raise invalid("the body must not hold NUL or half a surrogate pair")
        if text not in ("", "{}"):
            values.setdefault("query", [text])
    return Call(request.method, segments, values, request.body, request.key)


def _is_unfit(text: str) -> bool:
    return "\x00" in text or any("\ud800" <= character <= "\udfff" for character in text)


def number_of(text: str) -> int | None:
    """A small number from a path or a query, or None."""
    return int(text) if _NUMBER.fullmatch(text) else None


def match_of(query: Query, fields: Sequence[str]) -> tuple[str, str] | None:
    """Field and value of `query={"$match": {field: value}}`, or None without a query."""
    text = query.get("query", [""])[0]
    if not text:
        return None
    condition = as_object(json_of(text), "query")
    match = as_object(condition.get("$match"), "query.$match")
    if len(condition) == len(match) == 1:
        field, value = next(iter(match.items()))
        if field in fields and isinstance(value, str):
            return field, value
    raise invalid(f'query: the sandbox knows {{"$match": {{FIELD: TEXT}}}} with FIELD one of {", ".join(fields)}')


def times_of(query: Query) -> tuple[int, int] | None:
    """The bounds of `query={"$and": [{"$gte": {"timestamp": A}}, {"$lt": {"timestamp": B}}]}`; None without `$and`."""
    text = query.get("query", [""])[0]
    if '"$and"' not in text:
        return None
    try:
        first, second = as_object(json_of(text), "query")["$and"]
        bounds = first["$gte"]["timestamp"], second["$lt"]["timestamp"]
        return timestamps.microseconds(bounds[0]), timestamps.microseconds(bounds[1])
    except (KeyError, TypeError, ValueError):
        raise invalid('query: the sandbox knows {"$and": [{"$gte": {"timestamp": TIME}}, {"$lt": ..}]}') from None


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a list. `after` is the key of the last item seen, None on the first page."""

    size: int
    after: int | str | None
    query: Query

    @property
    def limit(self) -> int:
        """One more than fits, to know whether there is a next page."""
        return self.size + 1

    def before(self) -> int:
        """For lists with the newest first: only keys below this one."""
        return self.after if isinstance(self.after, int) else 2**62

    def beyond(self) -> str:
        """For lists in alphabetical order: only keys above this one."""
        return self.after if isinstance(self.after, str) else ""

    def response(self, rows: Sequence[Any], key: Callable[[Any], int | str], shown: Callable[[Any], Json]) -> Response:
        cursor: Json = {"pageSize": self.size, "hasMore": len(rows) > self.size}
        if cursor["hasMore"]:
            state = _CursorState(self.size, key(rows[self.size - 1]), self.query)
            cursor["next"] = base64.urlsafe_b64encode(msgspec.json.encode(state)).decode().rstrip("=")
        cursor["data"] = [shown(row) for row in rows[: self.size]]
        return answer(200, {"cursor": cursor})


class _CursorState(msgspec.Struct, array_like=True):
    size: Annotated[int, msgspec.Meta(gt=0)]
    after: Annotated[int, msgspec.Meta(ge=0, lt=2**62)] | str
    query: Query


def page_of(call: Call, *, max_size: int, clamps: bool = True) -> Page:
    """Read `pageSize`, or a `cursor`, which contains the complete query."""
    token = call.parameter("cursor")
    if token:
        try:
            text = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True).decode()
            state = msgspec.json.decode(text, type=_CursorState)
        except (ValueError, msgspec.DecodeError):
            raise invalid("cursor: not issued by this server") from None
        values = (text for values in state.query.values() for text in values)
        if state.size > max_size or any(_is_unfit(text) for text in values) or not all(state.query.values()):
            raise invalid("cursor: not issued by this server")
        return Page(state.size, state.after, state.query)
    text = call.parameter("pageSize")
    size = number_of(text) if text else DEFAULT_PAGE_SIZE
    if not size or (size > max_size and not clamps):
        raise invalid(f"pageSize must be a number from 1 to {max_size}")
    return Page(min(size, max_size), None, {name: v for name, v in call.query.items() if name != "pageSize"})
