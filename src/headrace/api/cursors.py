"""Cursors of lists: a place in a list and the whole query, as an opaque text.

A cursor is sealed with the identity of the journal. It is valid as long as the journal exists, on whichever server
reads it; a changed cursor, or one of another journal, is refused. The seal hides nothing and protects no data: a caller
could ask for everything that a cursor contains.
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
"""More than the longest cursor: what a list can be filtered by is shorter."""

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
        return urlsafe_b64encode(self._seal(content) + content).decode().rstrip("=")

    def read(self, text: str) -> Cursor:
        """Raises InvalidValue for a text that `write` has not made.

        A cursor has one spelling only: neither padding nor stray bits at the end are accepted.
        """
        if len(text) > MAX_CHARACTERS:
            raise _invalid()
        try:
            sealed = b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, UnicodeEncodeError):
            raise _invalid() from None
        if urlsafe_b64encode(sealed).decode().rstrip("=") != text:
            raise _invalid()
        content = sealed[_SEAL_BYTES:]
        if not hmac.compare_digest(sealed[:_SEAL_BYTES], self._seal(content)):
            raise _invalid()
        try:
            return _decoder.decode(content)
        except msgspec.DecodeError:
            raise _invalid() from None  # written by another version of this server

    def _seal(self, content: bytes) -> bytes:
        return hmac.digest(self._key, _PURPOSE + content, "sha256")[:_SEAL_BYTES]


def _invalid() -> InvalidValue:
    return InvalidValue(FIELD, "was not issued by this server, or was changed; start again without it")
