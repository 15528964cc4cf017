"""Texts that repeat another text of the same instance, its base: each fact is on the disk once.

The input that history shows for an activity, and the output of its service, repeat most of the request's body:
postings, metadata, the reference. A stage's input repeats the variables and the definition. Such a text is compressed
with its base as the preset dictionary (RFC 1950), which costs 3 microseconds and leaves some 40 bytes. The format holds
checksums of both, so a text is read as it was or not at all. A base never changes, which the schema guards. A request,
which may be sent again, is never packed.

SQLite keeps a packed text as a BLOB and any other as TEXT, so rows of earlier releases are read as they are.
"""

from __future__ import annotations

import zlib

MAX_CHARACTERS = 64 << 10
"""A longer text takes milliseconds, in which nothing else would run."""
LEVEL, WINDOW_BITS, MEMORY_LEVEL = 1, 15, 8


def packed(text: str | None, base: str | bytes | None) -> str | bytes | None:
    """The text as it is stored, which is shorter where it repeats parts of the base."""
    if text is None or not base or len(text) > MAX_CHARACTERS:
        return text
    encoded = text.encode()
    compressor = zlib.compressobj(
        LEVEL, zlib.DEFLATED, WINDOW_BITS, MEMORY_LEVEL, zlib.Z_DEFAULT_STRATEGY, _bytes(base)
    )
    found = compressor.compress(encoded) + compressor.flush()
    return found if len(found) < len(encoded) else text


def unpacked(stored: str | bytes | None, base: str | bytes | None) -> str | None:
    """The text that `packed` was given. Raises zlib.error where it or its base is not what was stored."""
    if not isinstance(stored, bytes):
        return stored
    decompressor = zlib.decompressobj(WINDOW_BITS, zdict=_bytes(base or b""))
    text = decompressor.decompress(stored) + decompressor.flush()
    if not decompressor.eof:
        raise zlib.error("a packed text is cut off")
    return text.decode()


def _bytes(base: str | bytes) -> bytes:
    return base.encode() if isinstance(base, str) else base
