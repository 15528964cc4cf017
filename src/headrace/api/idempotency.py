"""Idempotency-Key (decision W3): a repeated write returns the stored answer and has no further effect.

The answer is stored in the commit of the write itself. So there is no moment at which the write has happened
and its key is unknown, and none at which the key is known and the write may still fail.

A key belongs to its caller and stands for the meaning of a request: the operation, the ids in its path and the
canonical JSON of its body. V1 and V2 of an operation are one operation here: their writes do the same and answer the
same, and a client that is upgraded between two tries must not run a workflow twice. `wait` is no part of the meaning.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Any, TypeVar

import msgspec

from headrace.api.requests import Request
from headrace.api.responses import Headers, Response, json_response, no_content
from headrace.errors import AlreadyEnded, InvalidValue, NotFound, RepeatedKey
from headrace.journal.port import Caller, CallerKey, Journal
from headrace.journal.records import Remembered
from headrace.usecases.idempotency import Answer

T = TypeVar("T")

HEADER = "Idempotency-Key"
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


def stored_response(stored: Remembered) -> Response:
    return no_content(HIT) if stored.status == 204 else json_response(stored.status, stored.body, HIT)


async def _stored_response(stored: Remembered) -> Response:
    return stored_response(stored)


def answer_response(answer: Answer[T], status: int, render: Callable[[T], bytes]) -> Response:
    """The response to a use case's answer: its value as `render` shows it, marked where it repeats an earlier one.

    A request that release 0.2.0 or an earlier one answered gets that response again, byte for byte.
    """
    if answer.response is not None:
        return json_response(answer.response.status, answer.response.body, HIT)
    assert answer.value is not None, "a use case with a result gives it"
    return json_response(status, render(answer.value), HIT if answer.is_repeated else ())


def empty_response(answer: Answer[None]) -> Response:
    """The response 204 to a use case without a result."""
    return no_content(HIT if answer.is_repeated else ())


Replay = Callable[[Remembered], Awaitable[Response]]


async def once(
    journal: Journal, caller: Caller, write: Callable[[], Awaitable[Response]], replay: Replay = _stored_response
) -> Response:
    """Do this write, or answer as it was answered before."""
    if caller.key is None:
        return await write()
    if stored := await _remembered(journal, caller):
        return await replay(stored)
    try:
        return await write()
    except (RepeatedKey, AlreadyEnded, NotFound):
        # Another request under this key was faster; what it did may be the very reason of this refusal.
        if stored := await _remembered(journal, caller):
            return await replay(stored)
        raise


async def stored_answer(journal: Journal, caller: Caller) -> Response | None:
    """None where the caller has no key, or one that is new."""
    stored = await _remembered(journal, caller)
    return None if stored is None else stored_response(stored)


async def _remembered(journal: Journal, caller: Caller) -> Remembered | None:
    """Raises InvalidValue if the key stands for another request."""
    key = caller.key
    stored = None if key is None else await journal.remembered(key.owner, key.key)
    if stored is None or key is None:
        return None
    wanted = key.bytes_fingerprint if stored.is_of_any_caller else key.fingerprint
    if stored.fingerprint != wanted:
        raise InvalidValue(HEADER, f"was used before for another request: {_first(stored)}; nothing was done now")
    return stored


class _Made(msgspec.Struct):
    id: str


class _Answer(msgspec.Struct):
    data: _Made


def _first(stored: Remembered) -> str:
    """What the first request under a key did, and to what."""
    operation = stored.operation or "its operation is not known"
    return f"{operation}, {target}" if (target := target_of(stored)) else operation


def target_of(stored: Remembered) -> str:
    """The id of what the first request made or changed; release 0.1.0 kept it in the answer only."""
    try:
        return stored.target or msgspec.json.decode(stored.body, type=_Answer).data.id
    except msgspec.MsgspecError:
        return ""
