"""The one place that gives errors their HTTP statuses and their envelope.

    {"errorCode": "VALIDATION" | "NOT_FOUND" | "INTERNAL", "errorMessage": text, "details"?: [problem]}

The three codes are all that the official clients can read. What is not ours is answered 500 with an incident
id and nothing of the inside; the log line under that id has the rest.
"""

from __future__ import annotations

from typing import Any, Literal

import structlog

from headrace import errors
from headrace.api import codec
from headrace.api.responses import Headers, Response, json_response
from headrace.api.yaml import Mark
from headrace.clock import Ids

ErrorCode = Literal["VALIDATION", "NOT_FOUND", "INTERNAL"]

Marks = dict[str, Mark]

MAX_PROBLEMS = 100
"""Named in one answer; a hostile definition has as many as it has bytes."""

_log = structlog.stdlib.get_logger(__name__)


class Rejected(errors.HeadraceError):
    """The request is refused for what only HTTP knows of."""


class BodyTooLarge(Rejected):
    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"body: has more than {max_bytes} bytes")


class BodyTooSlow(Rejected):
    def __init__(self, within_s: float) -> None:
        super().__init__(f"body: has not come within {within_s:g} s")


class TooManyBodies(Rejected):
    def __init__(self) -> None:
        super().__init__("body: too many large bodies are on their way to this server; send it again in a moment")


class UnsupportedMedia(Rejected):
    """A content type or encoding that is not read here."""


class LocatedDefinition(errors.InvalidDefinition):
    """An InvalidDefinition whose problems are known by line and column."""

    def __init__(self, problems: list[errors.Problem], marks: Marks) -> None:
        super().__init__(problems)
        self.marks = marks


class UnknownRoute(Rejected):
    def __init__(self, path: str) -> None:
        super().__init__(f"there is no {path[:200]!r} here; /openapi.json lists what there is")


class MethodNotAllowed(Rejected):
    def __init__(self, method: str, allowed: tuple[str, ...]) -> None:
        super().__init__(f"{method[:40]} is not allowed here; allowed: {', '.join(allowed)}")
        self.allowed = allowed


class OtherSite(Rejected):
    """A browser writes for a page that is not ours, where nobody is asked for a token."""

    def __init__(self) -> None:
        super().__init__("a page of another site may not write here: this server asks for no tokens")


class ForeignHost(Rejected):
    """A server without authentication is asked under a name that is not a loopback one."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"Host: {name[:100]!r} is not a loopback name or address, and this server asks for no tokens; "
            "HEADRACE_ALLOWED_HOSTS lists further names"
        )


_STATUSES: tuple[tuple[type[errors.HeadraceError], int, ErrorCode], ...] = (
    (BodyTooSlow, 408, "VALIDATION"),
    (BodyTooLarge, 413, "VALIDATION"),
    (TooManyBodies, 429, "VALIDATION"),
    (UnsupportedMedia, 415, "VALIDATION"),
    (UnknownRoute, 404, "NOT_FOUND"),
    (MethodNotAllowed, 405, "VALIDATION"),
    (errors.InvalidValue, 400, "VALIDATION"),
    (errors.NotAuthenticated, 401, "VALIDATION"),
    (errors.NotAllowed, 403, "VALIDATION"),
    (OtherSite, 403, "VALIDATION"),
    (ForeignHost, 403, "VALIDATION"),
    (errors.AlreadyEnded, 400, "VALIDATION"),
    (errors.RepeatedKey, 400, "VALIDATION"),
    (errors.NotFound, 404, "NOT_FOUND"),
    (errors.Conflict, 503, "INTERNAL"),
    (errors.Unavailable, 503, "INTERNAL"),
)


def error_response(error: Exception, ids: Ids) -> Response:
    """What this error is answered with."""
    for kind, status, code in _STATUSES:
        if isinstance(error, kind):
            return _refusal(status, code, error)
    incident_id = ids.new()
    _log.error("request failed", incident_id=incident_id, exc_info=error)
    return _envelope(500, "INTERNAL", f"something went wrong here; the log tells more under incident {incident_id}")


def _refusal(status: int, code: ErrorCode, error: errors.HeadraceError) -> Response:
    if isinstance(error, errors.InvalidDefinition):
        marks: Marks = error.marks if isinstance(error, LocatedDefinition) else {}
        return _envelope(status, code, _summary(error.problems, marks), _details(error.problems, marks))
    return _envelope(status, code, str(error), headers=_headers(error))


def _envelope(
    status: int,
    code: ErrorCode,
    message: str,
    details: list[dict[str, Any]] | None = None,
    headers: Headers = (),
) -> Response:
    envelope: dict[str, Any] = {"errorCode": code, "errorMessage": _writable(message)}
    if details:
        envelope["details"] = details
    return json_response(status, codec.encode(envelope), headers)


def _writable(message: str) -> str:
    """A message may quote what a caller sent; what UTF-8 cannot carry must not turn a refusal into a failure."""
    return message.encode(errors="replace").decode()


def _details(problems: list[errors.Problem], marks: Marks) -> list[dict[str, Any]]:
    return [_located(problem, marks.get(problem.path)) for problem in problems[:MAX_PROBLEMS]]


def _located(problem: errors.Problem, mark: Mark | None) -> dict[str, Any]:
    detail: dict[str, Any] = {"path": _writable(problem.path), "reason": _writable(problem.reason)}
    if problem.rule:
        detail["rule"] = problem.rule
    if mark is not None:
        detail["line"], detail["column"] = mark
    return detail


def _summary(problems: list[errors.Problem], marks: Marks) -> str:
    shown = [_placed(problem, marks.get(problem.path)) for problem in problems[:MAX_PROBLEMS]]
    more = len(problems) - len(shown)
    return "; ".join(shown) + (f"; and {more} more" if more else "")


def _placed(problem: errors.Problem, mark: Mark | None) -> str:
    return str(problem) if mark is None else f"{problem} (line {mark[0]}, column {mark[1]})"


def _headers(error: Exception) -> Headers:
    if isinstance(error, MethodNotAllowed):
        return ((b"allow", ", ".join(error.allowed).encode()),)
    if isinstance(error, errors.NotAuthenticated):
        return ((b"www-authenticate", b'Bearer error="invalid_token"' if error.has_token else b"Bearer"),)
    if isinstance(error, errors.NotAllowed):
        return ((b"www-authenticate", f'Bearer error="insufficient_scope", scope="{error.scope}"'.encode()),)
    if isinstance(error, errors.Unavailable | errors.Conflict | TooManyBodies):
        return ((b"retry-after", b"1"),)
    if isinstance(error, BodyTooSlow):
        return ((b"connection", b"close"),)
    return ()
