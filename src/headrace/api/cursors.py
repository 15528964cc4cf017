"""Cursors of lists: a place in a list, with all that the query said, in a text that tells a caller nothing.

A cursor is sealed with the journal's own name. It is good for as long as the journal is, on whatever server reads it;
one that was changed, or is another journal's, is refused. The seal keeps nothing secret and nobody out: what a cursor
holds, its caller could ask for as well.
"""

from __future__ import annotations

import binascii
import hmac
from base64 import b64decode, urlsafe_b64encode
from typing import Annotated

import msgspec

from headrace.errors import InvalidValue
from headrace.journal.lists import AnyList, Place

FIELD = "cursor"
MAX_PAGE = 1_000
MAX_CHARACTERS = 32_768
"""No cursor of ours is longer: what a list can be filtered by is shorter."""

_SEAL_BYTES = 16
_PURPOSE = b"headrace cursor 1\0"

_encode = msgspec.msgpack.Encoder().encode


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """A page: the rows of a list after a place, or those before it."""

    rows: AnyList
    place: Place
    page_size: Annotated[int, msgspec.Meta(ge=1, le=MAX_PAGE)]
    is_backward: bool = False


_decoder = msgspec.msgpack.Decoder(Cursor)


class Seal:
    """Writes and reads the cursors of one journal."""

    def __init__(self, identity: str) -> None:
        self._key = identity.encode()

    def write(self, cursor: Cursor) -> str:
        content = _encode(cursor)
        return urlsafe_b64encode(self._of(content) + content).decode().rstrip("=")

    def read(self, text: str) -> Cursor:
        """Raises InvalidValue for one that `write` has not made."""
        sealed = _bytes(text)
        content = sealed[_SEAL_BYTES:]
        if not hmac.compare_digest(sealed[:_SEAL_BYTES], self._of(content)):
            raise _refused()
        try:
            return _decoder.decode(content)
        except msgspec.DecodeError:
            raise _refused() from None  # made by another version of this server

    def _of(self, content: bytes) -> bytes:
        return hmac.digest(self._key, _PURPOSE + content, "sha256")[:_SEAL_BYTES]


def _bytes(text: str) -> bytes:
    """Exactly one text stands for some bytes: neither padding nor stray bits at its end are taken."""
    if len(text) > MAX_CHARACTERS:
        raise _refused()
    try:
        found = b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise _refused() from None
    if urlsafe_b64encode(found).decode().rstrip("=") != text:
        raise _refused()
    return found


def _refused() -> InvalidValue:
    return InvalidValue(FIELD, "is none that this server has given out, or was changed; begin again without it")
