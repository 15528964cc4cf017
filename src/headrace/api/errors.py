"""HTTP statuses and bodies of errors: no other module chooses them.

    {"errorCode": "VALIDATION" | "NOT_FOUND" | "INTERNAL", "errorMessage": text,
     "details"?: [problem] | {"reason": code, "case"?: id}}

Official clients know these three codes only. An unexpected error becomes a 500 with an incident id and no details; the
log has them under that id.
"""

from __future__ import annotations

from typing import Any, Literal

import structlog

from headrace import errors, json_text
from headrace.api.responses import Headers, Response, json_response
from headrace.api.yaml import Mark
from headrace.clock import Ids

ErrorCode = Literal["VALIDATION", "NOT_FOUND", "INTERNAL"]

Marks = dict[str, Mark]

MAX_PROBLEMS = 100
"""In one response; a hostile definition has as many problems as bytes."""

_log = structlog.stdlib.get_logger(__name__)


class Rejected(errors.HeadraceError):
    """The request is refused by a rule of HTTP, before any use case."""


class BodyTooLarge(Rejected):
    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"body: has more than {max_bytes} bytes")


class BodyTooSlow(Rejected):
    def __init__(self, within_s: float) -> None:
        super().__init__(f"body: was not complete within {within_s:g} s")


class TooManyBodies(Rejected):
    def __init__(self) -> None:
        super().__init__("body: too many large bodies are being received; send it again in a moment")


class UnsupportedMedia(Rejected):
    """The content type or encoding of the body is not supported."""


class LocatedDefinition(errors.InvalidDefinition):
    """An invalid definition, with the lines and columns of its problems."""

    def __init__(self, problems: list[errors.Problem], marks: Marks) -> None:
        super().__init__(problems)
        self.marks = marks


class UnknownRoute(Rejected):
    def __init__(self, path: str) -> None:
        super().__init__(f"{path[:200]!r} does not exist; /openapi.json lists all paths")


class MethodNotAllowed(Rejected):
    def __init__(self, method: str, allowed: tuple[str, ...]) -> None:
        super().__init__(f"{method[:40]} is not allowed; allowed: {', '.join(allowed)}")
        self.allowed = allowed


class CrossSiteRequest(Rejected):
    """A browser writes for a page of another site, to a server without authentication."""

    def __init__(self) -> None:
        super().__init__("cross-site request: a server without authentication accepts writes of its own pages only")


class ForeignHost(Rejected):
    """A server without authentication was addressed by a name that is not a loopback name (DNS rebinding)."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"Host: {name[:100]!r} is not a loopback name or address, and this server runs without authentication; "
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
    (errors.NotPermitted, 403, "VALIDATION"),
    (CrossSiteRequest, 403, "VALIDATION"),
    (ForeignHost, 403, "VALIDATION"),
    (errors.AlreadyEnded, 400, "VALIDATION"),
    (errors.NotResolvable, 409, "VALIDATION"),
    (errors.NotCertifiable, 409, "VALIDATION"),
    (errors.NotRunnable, 409, "VALIDATION"),
    (errors.NotInThisState, 409, "VALIDATION"),
    (errors.HashDiffers, 412, "VALIDATION"),
    (errors.RepeatedKey, 400, "VALIDATION"),
    (errors.NotFound, 404, "NOT_FOUND"),
    (errors.Conflict, 503, "INTERNAL"),
    (errors.Silent, 503, "INTERNAL"),
    (errors.Unavailable, 503, "INTERNAL"),
)


_WITH_CODE = (
    errors.NotPermitted,
    errors.NotResolvable,
    errors.NotCertifiable,
    errors.NotRunnable,
    errors.NotInThisState,
    errors.HashDiffers,
    errors.TooLarge,
    errors.Silent,
)


def error_response(error: Exception, ids: Ids) -> Response:
    """The response to a request that failed with this error."""
    for kind, status, code in _STATUSES:
        if isinstance(error, kind):
            if isinstance(error, errors.InvalidDefinition):
                return _invalid_definition(error, status, code)
            details = {"reason": error.code} if isinstance(error, _WITH_CODE) else None
            if isinstance(error, errors.NotCertifiable) and error.case:
                details = {"reason": error.code, "case": error.case}
            return _envelope(status, code, str(error), details, headers=_headers(error))
    incident_id = ids.new()
    _log.error("request failed", incident_id=incident_id, exc_info=error)
    return _envelope(500, "INTERNAL", f"unexpected error; the log has the details under incident {incident_id}")


def _envelope(
    status: int,
    code: ErrorCode,
    message: str,
    details: list[dict[str, Any]] | dict[str, Any] | None = None,
    headers: Headers = (),
) -> Response:
    envelope: dict[str, Any] = {"errorCode": code, "errorMessage": _writable(message)}
    if details:
        envelope["details"] = details
    return json_response(status, json_text.encode(envelope), headers)


def _writable(message: str) -> str:
    """A text that UTF-8 can carry: a message may quote a lone surrogate, which must not turn a 400 into a 500."""
    return message.encode(errors="replace").decode()


def _invalid_definition(error: errors.InvalidDefinition, status: int, code: ErrorCode) -> Response:
    """The response that names every problem, with line and column where they are known."""
    marks: Marks = error.marks if isinstance(error, LocatedDefinition) else {}
    summaries: list[str] = []
    details: list[dict[str, Any]] = []
    for problem in error.problems[:MAX_PROBLEMS]:
        mark = marks.get(problem.path)
        detail: dict[str, Any] = {"path": _writable(problem.path), "reason": _writable(problem.reason)}
        if problem.rule:
            detail["rule"] = problem.rule
        if mark is None:
            summaries.append(str(problem))
        else:
            summaries.append(f"{problem} (line {mark[0]}, column {mark[1]})")
            detail["line"], detail["column"] = mark
        details.append(detail)
    more = len(error.problems) - len(details)
    return _envelope(status, code, "; ".join(summaries) + (f"; and {more} more" if more else ""), details)


def _headers(error: Exception) -> Headers:
    if isinstance(error, MethodNotAllowed):
        return ((b"allow", ", ".join(error.allowed).encode()),)
    if isinstance(error, errors.NotAuthenticated):
        return ((b"www-authenticate", b'Bearer error="invalid_token"' if error.has_token else b"Bearer"),)
    if isinstance(error, errors.NotAllowed):
        return ((b"www-authenticate", f'Bearer error="insufficient_scope", scope="{error.scope}"'.encode()),)
    if isinstance(error, errors.Unavailable | errors.Conflict | errors.Silent | TooManyBodies):
        return ((b"retry-after", b"1"),)
    if isinstance(error, BodyTooSlow):
        return ((b"connection", b"close"),)
    return ()
