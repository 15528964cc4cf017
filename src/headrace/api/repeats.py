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
from headrace.journal.port import CallerKey, Journal

HEADER = "Idempotency-Key"
HIT: Headers = ((b"idempotency-hit", b"true"),)

_KEY = re.compile(rb"[\x21-\x7e]{1,255}")


def caller_key(request: Request, body: bytes) -> CallerKey | None:
    """The key this request came with and what it stands for. Raises InvalidValue for one that is no key."""
    key = request.headers.get(b"idempotency-key")
    if key is None:
        return None
    if not _KEY.fullmatch(key):
        raise InvalidValue(HEADER, "must be 1 to 255 visible ASCII characters")
    stands_for = b"\0".join((request.method.encode(), request.path.encode(errors="replace"), body))
    return CallerKey(key.decode("ascii"), sha256(stands_for).digest())


async def once(journal: Journal, caller: CallerKey | None, write: Callable[[], Awaitable[Reply]]) -> Reply:
    """Do this write, or give the answer it got before."""
    if caller is None:
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


async def stored_answer(journal: Journal, caller: CallerKey) -> Reply | None:
    remembered = await journal.remembered(caller.key)
    if remembered is None:
        return None
    if remembered.fingerprint != caller.fingerprint:
        raise InvalidValue(HEADER, "was used before, for another request; take a fresh one")
    return no_content(HIT) if remembered.status == 204 else json_reply(remembered.status, remembered.body, HIT)
