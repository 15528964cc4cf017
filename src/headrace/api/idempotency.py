"""Idempotency-Key over HTTP (decision W3): parse the header, and render the answer of a use case.

A key belongs to its caller and stands for the meaning of a request: the operation, the ids in its path and the
canonical JSON of its body. V1 and V2 of an operation count as one: they have the same effect and response, and a client
that is upgraded between two attempts must not run a workflow twice. `wait` is no part of the meaning. The result is
stored by `headrace.usecases.idempotency`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from hashlib import sha256
from typing import Any, TypeVar

from headrace.api.requests import Request
from headrace.api.responses import Headers, Response, json_response, no_content
from headrace.errors import InvalidValue
from headrace.usecases.idempotency import HEADER, Answer, Caller, CallerKey

T = TypeVar("T")

HIT: Headers = ((b"idempotency-hit", b"true"),)

_KEY = re.compile(rb"[\x21-\x7e]{1,255}")


def caller_of(request: Request, body: bytes, meaning: Any) -> Caller:
    """The caller of this write, with its key. `meaning` is the JSON value that the body stands for.

    Raises InvalidValue for a header that is no key.
    """
    if b"idempotency-key" not in request.headers:
        return unkeyed_caller(request)
    key = key_of(request)
    assert key is not None, "the header is there"
    principal = request.principal
    by_bytes = b"\0".join((request.method.encode(), request.path.encode(errors="replace"), body))
    # Without choices: members sorted, no blanks, all but ASCII escaped, integers exact. `1` and `1.0` differ.
    canonical = json.dumps(
        [request.method, request.idempotent_as, request.params, meaning], sort_keys=True, separators=(",", ":")
    )
    caller_key = CallerKey(
        key,
        sha256(canonical.encode()).digest(),
        request.principal.key_owner,
        sha256(by_bytes).digest(),
    )
    return Caller(principal.name, request.operation_id, principal.client_id, caller_key)


def unkeyed_caller(request: Request) -> Caller:
    """The caller of a write without a key, or of one that may be repeated without harm."""
    principal = request.principal
    return Caller(principal.name, request.operation_id, principal.client_id)


def key_of(request: Request) -> str | None:
    """The request's Idempotency-Key. Raises InvalidValue for a header that is no key, or that is sent twice."""
    keys = [value for name, value in request.all_headers if name == b"idempotency-key"]
    if not keys:
        return None
    if len(keys) > 1:
        raise InvalidValue(HEADER, f"is sent {len(keys)} times; a request has one")
    if not _KEY.fullmatch(keys[0]):
        raise InvalidValue(HEADER, "must be 1 to 255 visible ASCII characters")
    return keys[0].decode("ascii")


def answer_response(answer: Answer[T], status: int, render: Callable[[T], bytes]) -> Response:
    """The response to the answer of a use case: its value as `render` shows it, marked if the request is a repeat.

    A response that release 0.2.0 or an earlier one stored is sent again byte for byte.
    """
    if answer.response is not None:
        return json_response(answer.response.status, answer.response.body, HIT)
    assert answer.value is not None, "the use case has a result"
    return json_response(status, render(answer.value), HIT if answer.is_repeated else ())


def empty_response(answer: Answer[None]) -> Response:
    """The response 204 to a use case without a result."""
    return no_content(HIT if answer.is_repeated else ())
