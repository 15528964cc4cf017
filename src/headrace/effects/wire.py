"""Encoding common to the three services: canonical JSON and path parts in requests, strict reading of responses.

Nothing a service answers is passed through: every member is read by one of the functions here, which gives
a value of the declared kind or raises Unreadable. An unreadable success is an unknown outcome, never *done*.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from types import MappingProxyType
from typing import Any, NamedTuple, cast
from urllib.parse import quote

import msgspec

from headrace.effects.port import Done, Outcome, Request, Response, Search, Unknown
from headrace.errors import InvalidValue
from headrace.money import MAX_KEY_BYTES, opaque_id
from headrace.workflows.activities import Json
from headrace.workflows.durations import moment_of
from headrace.workflows.variables import check_text

MAX_MESSAGE_CHARACTERS = 1_000
MAX_CURSOR_CHARACTERS = 8_192

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.decode
_KEY = re.compile(r"[!-~]+", re.ASCII)
_OUR_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{5}[1-9])?Z", re.ASCII)
_LOOSE_MOMENT = re.compile(r"([0-9-]{10})[Tt ]([0-9:.]+)(Z|z|[+-][0-9]{2}:?[0-9]{2})?", re.ASCII)

NO_SCHEMAS: Mapping[str, str] = MappingProxyType({})


class Intent(NamedTuple):
    """Context of a request beyond its activity: the effect's key ("" for a read), its stage's stored start, and the
    schema version of each ledger that has one."""

    key: str
    started_at: int
    schemas: Mapping[str, str] = NO_SCHEMAS


Preparer = Callable[[Any, Intent], Request]
"""Makes the request of one activity. Raises InvalidValue, which names the field."""

Reader = Callable[[Request, Response], Outcome]
"""Reads a 2xx. Raises Unreadable where it is not what the service documents."""

ExceptionReader = Callable[[Request, Response], Outcome | None]
"""Classifies a 4xx with a special meaning for one activity; returns None for the usual meaning."""

Searcher = Callable[[Request], Search]
"""Looks up the effect of a stored request. Raises Unreadable where an answer is not what the service documents."""

MAX_LOOK_UP_PAGES = 100
KEY_PREFIX = "headrace:"
"""Start of the key of each effect."""


class Unreadable(Exception):
    """The answer is not what the service documents; the text says what is wrong with it."""


# going out


def canonical(body: Json) -> bytes:
    """Compact JSON in the order given, integers exact. Raises InvalidValue for what no service can take."""
    try:
        encoded = _encode(body)
    except (UnicodeEncodeError, TypeError, ValueError):
        encoded = b""
    # Each member was checked where it was put in; this is the second look, and only a suspicion costs a walk.
    if not encoded or b"\\u0000" in encoded or b"null" in encoded:
        check_body(body, "")
    return encoded or _encode(body)


def check_body(value: object, field: str) -> None:
    if isinstance(value, str):
        check_text(value, field)
    elif isinstance(value, dict):
        for name, item in cast("dict[object, object]", value).items():
            check_body(item, f"{field}.{check_text(name, field)}" if field else check_text(name, field))
    elif isinstance(value, list):
        for position, item in enumerate(cast("list[object]", value)):
            check_body(item, f"{field}[{position}]")
    elif not isinstance(value, int):
        raise InvalidValue(field, f"must not be sent as {type(value).__name__}")


def sorted_map(values: Mapping[str, str], field: str) -> dict[str, str]:
    """A map of text to text in one order, whatever order it was written in."""
    for name, value in values.items():
        check_text(name, field)
        check_text(value, f"{field}.{name}")
    return dict(sorted(values.items()))


def idempotency_key(key: str) -> str:
    if not _KEY.fullmatch(key) or len(key) > MAX_KEY_BYTES:
        raise InvalidValue("key", f"must be 1 to {MAX_KEY_BYTES} visible ASCII characters")
    return key


def foreign_id(value: object, field: str) -> str:
    """An id another service gave out, as it may stand in a body. Raises InvalidValue."""
    return opaque_id(check_text(value, field), field)


def path_part(value: object, field: str) -> str:
    """Such an id as one segment of a path or one value of a query: everything but unreserved characters is encoded."""
    return quote(foreign_id(value, field), safe="")


def query_part(value: str) -> str:
    return quote(value, safe="")


def matching(reference: str) -> str:
    """The `query` parameter that picks what has this reference."""
    return query_part(_encode({"$match": {"reference": reference}}).decode())


# coming in


def members_of(response: Response) -> Json:
    """The JSON object an answer holds. Raises Unreadable."""
    kind = response.headers.get("content-type", "application/json")
    if "json" not in kind.lower():
        raise Unreadable("an answer that is not JSON")
    try:
        value = _decode(response.body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise Unreadable("an unreadable answer") from None
    return object_of(value, "answer")


def stored(request: Request) -> Json:
    """The body of a request that we have written ourselves."""
    return _decode(request.body or b"{}")


def object_of(value: object, field: str) -> Json:
    if not isinstance(value, dict):
        raise Unreadable(f"an answer whose {field} is not an object")
    return cast("Json", value)


def objects_of(value: object, field: str) -> list[Json]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise Unreadable(f"an answer whose {field} is not a list")
    return [object_of(item, field) for item in cast("list[object]", value)]


def text_of(value: object, field: str) -> str:
    if not isinstance(value, str) or not value:
        raise Unreadable(f"an answer without {field}")
    return value


def loose_text(value: object) -> str:
    """Text that only people read: empty where there is none."""
    return value if isinstance(value, str) else ""


def integer_of(value: object, field: str) -> int:
    if not is_integer(value):
        raise Unreadable(f"an answer whose {field} is not an integer")
    return cast("int", value)


def natural_of(value: object, field: str) -> int:
    number = integer_of(value, field)
    if number < 0:
        raise Unreadable(f"an answer whose {field} is negative")
    return number


def is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def string_map(value: object) -> dict[str, str]:
    """Metadata: text stays text, null is left out, anything else becomes its JSON."""
    if not isinstance(value, dict):
        return {}
    members = cast("dict[str, object]", value)
    return {
        name: (item if isinstance(item, str) else _encode(item).decode())
        for name, item in members.items()
        if item is not None
    }


def moment_in(value: object, field: str) -> str:
    """A date-time in UTC with `Z`. One without an offset is taken as UTC."""
    text = text_of(value, field)
    try:
        if _OUR_MOMENT.fullmatch(text):
            datetime.fromisoformat(text)
            return text
        if (match := _LOOSE_MOMENT.fullmatch(text)) is not None:
            offset = (match[3] or "Z").upper()
            offset = f"{offset[:3]}:{offset[3:]}" if len(offset) == 5 else offset
            text = f"{match[1]}T{match[2]}{offset}"
        return moment_of(text, field)
    except (InvalidValue, ValueError):
        raise Unreadable(f"an answer whose {field} is not a date") from None


def postings_of(value: object) -> list[Json]:
    return [
        {
            "source": text_of(item.get("source"), "source"),
            "destination": text_of(item.get("destination"), "destination"),
            "amount": natural_of(item.get("amount"), "amount"),
            "asset": text_of(item.get("asset"), "asset"),
        }
        for item in objects_of(value, "postings")
    ]


@dataclass(frozen=True, slots=True)
class Page:
    items: list[Json]
    page_size: int
    next: str | None
    """The cursor of the page that follows, if one does."""
    has_more: bool


def page_of(response: Response) -> Page:
    """Read a page of a list. Raises Unreadable for any other shape."""
    cursor = object_of(members_of(response).get("cursor"), "cursor")
    if "data" not in cursor:
        raise Unreadable("a page without data")
    items = objects_of(cursor["data"], "data")
    following = cursor.get("next")
    is_usable = isinstance(following, str) and 0 < len(following) <= MAX_CURSOR_CHARACTERS
    has_more = cursor.get("hasMore", bool(following))
    if not isinstance(has_more, bool):
        raise Unreadable("a page whose hasMore is not true or false")
    page_size = cursor.get("pageSize")
    return Page(
        items,
        cast("int", page_size) if is_integer(page_size) else len(items),
        cast("str", following) if is_usable and has_more else None,
        has_more,
    )


def paging_of(page: Page) -> Json:
    """Members of a page that history shows besides its items."""
    return {"pageSize": page.page_size, "hasMore": page.has_more, **({"next": page.next} if page.next else {})}


# answers without a body


def read_empty(request: Request, response: Response) -> Outcome:
    """204 alone: any other success may be a proxy's page, behind which nothing was booked."""
    expect_status(response, 204)
    return Done()


def expect_status(response: Response, status: int) -> None:
    """Check the status. Raises Unreadable unless it is the documented one of a success."""
    if response.status != status:
        raise Unreadable(f"where the service documents {status}")


# failures


@dataclass(frozen=True, slots=True)
class ServiceError:
    """The error envelope of all three services."""

    code: str
    message: str


def service_error(response: Response) -> ServiceError | None:
    """Read the error envelope; None if the body is not one."""
    try:
        members = members_of(response)
    except Unreadable:
        return None
    code = members.get("errorCode")
    if not isinstance(code, str) or not code:
        return None
    return ServiceError(clean(code), clean(loose_text(members.get("errorMessage"))))


def with_reason(asked: str, message: str) -> str:
    """Combine the subject of a request with the message of the service."""
    return f"{asked} ({message})" if message else asked


def clean(text: str) -> str:
    """Shorten a message of a service, and replace what a journal cannot store."""
    return text[:MAX_MESSAGE_CHARACTERS].replace("\0", "\ufffd")


def unknown(request: Request, response: Response, why: str = "") -> Unknown:
    """The outcome of an attempt whose answer proves nothing."""
    text = f"{request.service}: {response.status}"
    if why:
        text += f", {why}"
    elif 300 <= response.status < 400:
        text += ", a redirect, which is not followed"
    elif (error := service_error(response)) is not None:
        text += f" {error.code}: {error.message}" if error.message else f" {error.code}"
    return Unknown(text, retry_after_s(response), response.status)


def retry_after_s(response: Response) -> float | None:
    """`Retry-After` in seconds; a date is taken relative to the answer's own `Date`."""
    value = response.headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit() and len(value) <= 9:
        return int(value)
    if not value or "date" not in response.headers:
        return None
    try:
        until, sent = parsedate_to_datetime(value), parsedate_to_datetime(response.headers["date"])
        return max(0.0, (until - sent).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return None
