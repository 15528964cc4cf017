"""Callers may be safe too (decision W3): a write sent again under its Idempotency-Key is answered, not done, again.

The answer is stored in the commit of the write itself. So there is no moment at which the write has happened
and its key is unknown, and none at which the key is known and the write may still fail.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from hashlib import sha256

from headrace.api.replies import Headers, Reply, json_reply, no_content
from headrace.api.requests import Request
from headrace.errors import AlreadyEnded, InvalidValue, NotFound, RepeatedKey
from headrace.journal.port import Caller, CallerKey, Journal

HEADER = "Idempotency-Key"
HIT: Headers = ((b"idempotency-hit", b"true"),)

_KEY = re.compile(rb"[\x21-\x7e]{1,255}")


def caller_of(request: Request, body: bytes) -> Caller:
    """Who asks for this write, with the key it came with. Raises InvalidValue for one that is no key."""
    principal = request.principal
    return Caller(principal.name, request.operation_id, principal.client_id, _caller_key(request, body))


def unkeyed_caller(request: Request) -> Caller:
    """Of a write that is the same however often it is done."""
    return Caller(request.principal.name, request.operation_id, request.principal.client_id)


def _caller_key(request: Request, body: bytes) -> CallerKey | None:
    """The key and what it stands for."""
    key = request.headers.get(b"idempotency-key")
    if key is None:
        return None
    if not _KEY.fullmatch(key):
        raise InvalidValue(HEADER, "must be 1 to 255 visible ASCII characters")
    stands_for = b"\0".join((request.method.encode(), request.path.encode(errors="replace"), body))
    return CallerKey(key.decode("ascii"), sha256(stands_for).digest())


async def once(journal: Journal, caller: Caller, write: Callable[[], Awaitable[Reply]]) -> Reply:
    """Do this write, or give the answer it got before."""
    if caller.key is None:
        return await write()
    if stored := await stored_answer(journal, caller):
        return stored
    try:
        return await write()
    except (RepeatedKey, AlreadyEnded, NotFound):
        # Another request under this key was faster; what it did may be the very reason of this refusal.
        if stored := await stored_answer(journal, caller):
            return stored
        raise


async def stored_answer(journal: Journal, caller: Caller) -> Reply | None:
    """None where the caller has no key, or one that is new."""
    remembered = None if caller.key is None else await journal.remembered(caller.key.key)
    if remembered is None or caller.key is None:
        return None
    if remembered.fingerprint != caller.key.fingerprint:
        raise InvalidValue(HEADER, "was used before, for another request; take a fresh one")
    return no_content(HIT) if remembered.status == 204 else json_reply(remembered.status, remembered.body, HIT)
