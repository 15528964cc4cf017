"""JSON in and out of the API: in by the strict decoder, out with integers exact."""

from __future__ import annotations

import msgspec

from headrace.json_text import (
    MAX_DEPTH,
    TOO_DEEP,
    Malformed,
    check_text,
    decode,
    decode_event,
    fraction,
    integer,
    utf8,
)

__all__ = [
    "MAX_DEPTH",
    "TOO_DEEP",
    "Malformed",
    "check_text",
    "decode",
    "decode_event",
    "encode",
    "fraction",
    "integer",
    "utf8",
]

encode = msgspec.json.Encoder().encode
"""JSON bytes of a response: compact, integers exact."""
