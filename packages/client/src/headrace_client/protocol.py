"""Build requests, and define the steps of an operation: token, exchange, response. Performs no I/O."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, TypeVar, cast
from urllib.parse import quote, urlencode

import httpx2
import msgspec

from headrace_client.credentials import Credentials
from headrace_client.errors import ClientError, InvalidRequest
from headrace_client.hooks import Hooks
from headrace_client.models import Result, wire_name
from headrace_client.operations import PREFIX, Operation
from headrace_client.options import Options
from headrace_client.requests import Request, chosen_request
from headrace_client.responses import failure_error, read_response
from headrace_client.retries import AttemptResult, RetryConfig, check_retries, with_retries
from headrace_client.security import token_cache
from headrace_client.servers import checked_root
from headrace_client.steps import (
    Access,
    HttpFailure,
    HttpRequest,
    HttpResponse,
    NeedToken,
    Scope,
    Steps,
    exchange,
    token,
)

T = TypeVar("T")

VERSION = "0.2.0"
USER_AGENT = f"headrace-client/{VERSION}"
# A server answers `wait=true` after at most 50 s.
DEFAULT_TIMEOUT_S = 60.0
KEY_HEADER = "Idempotency-Key"

_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_PLACEHOLDER = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of one client for all its requests."""

    root: str
    security: Credentials | None
    timeout_s: float | None
    headers: Mapping[str, str]
    hooks: Hooks
    retries: RetryConfig | None = None


class Protocol:
    """Builds requests and reads responses for one client."""

    def __init__(self, settings: Settings) -> None:
        check_timeout(settings.timeout_s)
        check_retries("retry_config", settings.retries)
        self._settings = settings
        self._headers = checked_headers(settings.headers)
        if KEY_HEADER in self._headers:
            raise InvalidRequest(f"{KEY_HEADER} belongs to one request: pass idempotency_key= to the method")
        self._tokens = token_cache(settings.security, USER_AGENT, settings.hooks.monotonic_s)

    @property
    def hooks(self) -> Hooks:
        return self._settings.hooks

    def at_most_s(self, limit_s: float | None) -> float | None:
        """The time-out of a request that may take `limit_s`: at most the client's own. None means the client's own."""
        usual_s = self._settings.timeout_s or DEFAULT_TIMEOUT_S
        return limit_s if limit_s is not None and limit_s < usual_s else None

    def retries_within(self, limit_s: float | None) -> RetryConfig | None:
        """The retries of an operation that may take `limit_s` in total, attempts and pauses included."""
        usual = self._settings.retries
        return usual if usual is None or limit_s is None else usual.within(limit_s)

    def call(
        self, operation: Operation[T], request: object, arguments: Mapping[str, object], options: Options
    ) -> Steps[Result[T]]:
        """Perform one operation, from its arguments to its result."""
        if options.idempotency_key is not None and not operation.is_write:
            raise InvalidRequest(f"{operation.name} is a read: only writes take an idempotency_key")
        chosen = chosen_request(operation.request, request, arguments)
        content = _content(operation, chosen)
        url = f"{self._root(options)}{PREFIX}{_path(operation, chosen)}{_query(operation, chosen)}"
        timeout_s = options.timeout_s
        check_timeout(timeout_s)
        http_request = HttpRequest(
            method=operation.method,
            url=url,
            headers=self._call_headers(operation, options, has_content=content is not None),
            content=content,
            timeout_s=self._settings.timeout_s if timeout_s is None else timeout_s,
        )
        retries = self._settings.retries if options.retries is None else options.retries
        # No token is needed without security, or if the caller sets the header.
        if self._tokens is None or "Authorization" in http_request.headers:
            access = None
        else:
            access = Access(self._root(options), operation.scope)

        # The exchange alone is repeated: the request, with its key, is built once.
        key = http_request.headers.get(KEY_HEADER)
        hooks = self.hooks
        try:
            attempt = partial(self._attempted, http_request, access)
            response = yield from with_retries(attempt, retries, hooks.monotonic_s, hooks.chance)
            if isinstance(response, ClientError):
                raise response
            if isinstance(response, HttpFailure):
                raise failure_error(http_request, response, key)
            return read_response(operation, http_request, response)
        except ClientError as error:
            error.idempotency_key = key
            raise

    def obtain_token(self, need: NeedToken) -> Steps[str]:
        assert self._tokens is not None, "a token is asked for only where there is security"
        return (yield from self._tokens.obtain(need))

    def authorization(self, scope: Scope) -> Steps[str | None]:
        """The Authorization header of requests with this scope; None without credentials."""
        if self._tokens is None:
            return None
        access = Access(self._settings.root, scope)
        value = self._tokens.kept(access) or (yield from token(NeedToken(access, self._settings.timeout_s)))
        return f"Bearer {value}"

    def _attempted(self, http_request: HttpRequest, access: Access | None) -> Steps[AttemptResult]:
        try:
            if access is None or self._tokens is None:
                return (yield from exchange(http_request))
            value = self._tokens.kept(access) or (yield from token(NeedToken(access, http_request.timeout_s)))
            response = yield from exchange(_with_token(http_request, value))
            if not _is_unauthorized(response):
                return response
            fresh = yield from token(NeedToken(access, http_request.timeout_s, rejected=value))
            if fresh == value:
                self._tokens.drop(access, fresh)
                return response
            response = yield from exchange(_with_token(http_request, fresh))
            if _is_unauthorized(response):
                self._tokens.drop(access, fresh)
            return response
        except ClientError as error:
            return error

    def _root(self, options: Options) -> str:
        server_url = options.server_url
        return self._settings.root if server_url is None else checked_root(server_url)

    def _call_headers(self, operation: Operation[Any], options: Options, *, has_content: bool) -> httpx2.Headers:
        headers = httpx2.Headers({"Accept": "application/json", "User-Agent": USER_AGENT})
        headers.update(self._headers)
        headers.update(checked_headers(options.headers or {}))
        if has_content:
            headers["Content-Type"] = "application/json"
        if operation.is_write:
            given = options.idempotency_key
            key = headers.get(KEY_HEADER) if given is None else given
            headers[KEY_HEADER] = self.hooks.new_key() if key is None else checked_key(key)
        return headers


def checked_key(key: str) -> str:
    if not _KEY.fullmatch(key):
        raise InvalidRequest("idempotency_key must be 1 to 255 visible ASCII characters")
    return key


def checked_headers(headers: Mapping[str, str]) -> httpx2.Headers:
    """Validate headers before anything is sent, so that no value can add another header."""
    for name, value in headers.items():
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
            raise InvalidRequest(f"{name!r} is not the name of a header")
        if not re.fullmatch(r"[\t\x20-\x7e]*", value):
            raise InvalidRequest(f"the header {name} may hold ASCII text only, on one line")
    return httpx2.Headers(dict(headers))


def check_timeout(timeout_s: float | None) -> None:
    """Check a time-out: seconds above zero; infinity means no limit."""
    if timeout_s is not None and not timeout_s > 0:
        raise InvalidRequest(f"timeout_s must be above 0, not {timeout_s}")


def _is_unauthorized(response: HttpResponse | HttpFailure) -> bool:
    return isinstance(response, HttpResponse) and response.status == 401


def _with_token(http_request: HttpRequest, value: str) -> HttpRequest:
    return http_request.with_header("Authorization", f"Bearer {value}")


def _path(operation: Operation[Any], request: Request) -> str:
    return _PLACEHOLDER.sub(lambda match: _path_part(match[1], getattr(request, match[1])), operation.path)


def _path_part(name: str, value: object) -> str:
    """Encode one segment of a path: its value cannot reach another path, not even as `..`."""
    text = str(value)
    if not text:
        raise InvalidRequest(f"{name} must not be empty")
    if not text.strip("."):
        return "%2E" * len(text)
    try:
        return quote(text, safe="")
    except UnicodeEncodeError as error:
        raise InvalidRequest(f"{name} holds characters that cannot be sent: {text!r}") from error


def _query(operation: Operation[Any], request: Request) -> str:
    pairs = [(name, getattr(request, attribute)) for name, attribute in operation.query.items()]
    try:
        text = urlencode([(name, _query_value(value)) for name, value in pairs if value is not None])
    except UnicodeEncodeError as error:
        raise InvalidRequest(f"{operation.name}: a parameter holds characters that cannot be sent") from error
    return f"?{text}" if text else ""


def _query_value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)


def _content(operation: Operation[Any], request: Request) -> bytes | None:
    """Encode the body as JSON with exact integers; None if the operation or the caller has none.

    Bytes are sent unchanged.
    """
    if operation.body is None:
        return None
    value: object = request if operation.body == "*" else getattr(request, operation.body)
    if value is None or isinstance(value, bytes):
        return value
    try:
        plain = cast("object", msgspec.to_builtins(value))
        if operation.body == "*":
            plain = {wire_name(name): member for name, member in cast("dict[str, object]", plain).items()}
        return json.dumps(plain, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequest(f"{operation.name}: the body cannot be sent as JSON: {error}") from error
