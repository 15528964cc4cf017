"""Idempotency of requests: a write that is repeated under its key returns the stored result and runs nothing.

The result is stored in the commit of the write itself. So there is no moment at which the write has happened and its
key is unknown, and none at which the key is known and the write may still fail.

A use case whose repetition would have a second effect is written so:

    @idempotent(Workflow)
    async def create_workflow(ports: Ports, caller: Caller | None, definition: object) -> Answer[Workflow]:
        config = parse_config(definition)              # validation comes after the look-up of the key
        row = Workflow(id=ports.ids.new(), ...)
        answer = Answer(row.id, row)
        unit = Unit()
        unit.add(AddWorkflow(...))
        record(unit, caller, row.created_at, answer)   # the audit entry, and the result under the caller's key
        await ports.journal.commit(unit)
        return answer

`idempotent` looks the key up before the function runs, and again where the function fails because a concurrent request
under the same key was faster. The result type is one that msgspec can encode; `Answer(target)` is for verbs without a
result. A result must not hold more than the response shows: it is stored as long as the key. It may be read by a later
release: fields of a result type are added with a default, never renamed or removed.

A use case that may be repeated without harm (deletion) needs no decorator: it calls `record` with a caller that has no
key. HTTP makes the `Caller` from the request (`api.idempotency.caller_of`) and renders the `Answer`
(`api.idempotency.answer_response`): a repeated one has the header `Idempotency-Hit`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

import msgspec

from headrace.errors import (
    AlreadyEnded,
    InvalidValue,
    NotFound,
    NotInThisState,
    NotResolvable,
    NotRunnable,
    RepeatedKey,
)
from headrace.journal.port import Journal, Later, Results, Unit
from headrace.journal.records import Remembered
from headrace.journal.writes import AddAuditEntry, RememberKey
from headrace.usecases.ports import Ports

HEADER = "Idempotency-Key"
RESULT = 0
"""Status of a stored result. Releases up to 0.2.0 stored responses, with their HTTP status."""

P = ParamSpec("P")
T = TypeVar("T")

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class CallerKey:
    """The Idempotency-Key of a request (decision W3).

    `owner` is the caller that the key belongs to; empty: all callers, on a server without authentication. `fingerprint`
    is the hash of the meaning of the request, `bytes_fingerprint` the hash of its bytes, as release 0.1.0 stored it.
    """

    key: str
    fingerprint: bytes
    owner: str = ""
    bytes_fingerprint: bytes = b""


@dataclass(frozen=True, slots=True)
class Caller:
    """The principal that requests a write, the operation, the OAuth2 client, and the key of the request, if any."""

    principal: str
    operation: str
    client_id: str | None = None
    key: CallerKey | None = None


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """The response to a request of release 0.2.0 or earlier, byte for byte."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """The result of a use case: of this request, or of an earlier one under the same key.

    `target`: the id of what was written. `value` is None for a verb without a result, and where `response` is set.
    """

    target: str
    value: T | None = None
    is_repeated: bool = False
    response: StoredResponse | None = None


UseCase = Callable[Concatenate[Ports, Caller | None, P], Awaitable[Answer[T]]]


def idempotent(kind: type[T]) -> Callable[[UseCase[P, T]], UseCase[P, T]]:
    """Decorate a use case: a request whose key is known gets the stored result, of type `kind`."""

    def decorate(use_case: UseCase[P, T]) -> UseCase[P, T]:
        @wraps(use_case)
        async def run_once(ports: Ports, caller: Caller | None, /, *args: P.args, **kwargs: P.kwargs) -> Answer[T]:
            if caller is None or caller.key is None:
                return await use_case(ports, caller, *args, **kwargs)
            if stored := await stored_answer(ports.journal, caller, kind):
                return stored
            try:
                return await use_case(ports, caller, *args, **kwargs)
            except (RepeatedKey, AlreadyEnded, NotFound, NotInThisState, NotResolvable, NotRunnable):
                # A concurrent request under this key was faster; its effect may be the very reason of this error.
                if stored := await stored_answer(ports.journal, caller, kind):
                    return stored
                raise

        return run_once

    return decorate


async def stored_answer(journal: Journal, caller: Caller | None, kind: type[T]) -> Answer[T] | None:
    """The stored result of an earlier request under this key; None without a key, or with a new one.

    Raises InvalidValue if the key stands for another request.
    """
    key = None if caller is None else caller.key
    if key is None:
        return None
    stored = await journal.remembered(key.owner, key.key)
    if stored is None:
        return None
    wanted = key.bytes_fingerprint if stored.is_of_any_caller else key.fingerprint
    if stored.fingerprint != wanted:
        target = _target(stored)
        first = (stored.operation or "its operation is not known") + (f", {target}" if target else "")
        raise InvalidValue(HEADER, f"was used before for another request: {first}; nothing was done now")
    if stored.status != RESULT:
        response = StoredResponse(stored.status, stored.body)
        return Answer(_target(stored), is_repeated=True, response=response)
    value = msgspec.json.decode(stored.body, type=kind) if stored.body else None
    return Answer(stored.target, value, is_repeated=True)


def record(unit: Unit, caller: Caller | None, at: int, answer: Answer[Any], about: str | None = None) -> None:
    """Add the audit entry of this write and, under the caller's key, its result. `about`: target of the entry alone.

    Nothing is added for a write of the server itself, which has no caller.
    """
    if caller is None:
        return
    unit.add(_audit_entry(caller, at, answer.target if about is None else about))
    if caller.key is not None:
        unit.add(_remember(caller, caller.key, at, answer.target, answer.value))


def record_later(
    unit: Unit, caller: Caller | None, at: int, target: str, result_of: Callable[[Results], object]
) -> None:
    """As `record`, for a result that depends on what the unit's earlier writes return inside the commit."""
    if caller is None:
        return
    unit.add(_audit_entry(caller, at, target))
    if (key := caller.key) is not None:
        unit.add(Later(lambda results: _remember(caller, key, at, target, result_of(results))))


def _audit_entry(caller: Caller, at: int, target: str) -> AddAuditEntry:
    return AddAuditEntry(
        at=at, principal=caller.principal, client_id=caller.client_id, operation=caller.operation, target=target
    )


def _remember(caller: Caller, key: CallerKey, at: int, target: str, value: object) -> RememberKey:
    return RememberKey(
        owner=key.owner,
        key=key.key,
        fingerprint=key.fingerprint,
        status=RESULT,
        body=b"" if value is None else _encode(value),
        operation=caller.operation,
        target=target,
        at=at,
    )


class _Made(msgspec.Struct):
    id: str


class _Response(msgspec.Struct):
    data: _Made


def _target(stored: Remembered) -> str:
    """The id of what the first request wrote; release 0.1.0 kept it in the response only."""
    try:
        return stored.target or msgspec.json.decode(stored.body, type=_Response).data.id
    except msgspec.MsgspecError:
        return ""
