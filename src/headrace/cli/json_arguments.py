"""JSON given on the command line, `@FILE`, or `-` for standard input."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, cast

from headrace.cli.exits import USAGE, Failure


def json_argument(text: str, what: str, *, is_event: bool = False) -> Any:
    """The value, read as strictly as the server reads it. Raises Failure naming `what` for anything else.

    `is_event`: its integers may have any length, as the server accepts them in events.
    """
    from headrace.api import codec

    if text == "-":
        body = sys.stdin.buffer.read()
    elif text.startswith("@"):
        body = Path(text[1:]).read_bytes()
    else:
        body = text.encode(errors="surrogateescape")
    try:
        return codec.decode_event(body) if is_event else codec.decode(body)
    except codec.Malformed as malformed:
        raise Failure(f"{what} {malformed.reason}", code=USAGE) from None


def json_object(text: str, what: str) -> dict[str, Any]:
    """The value, which must be an object. Raises Failure naming `what` for anything else."""
    value = json_argument(text, what)
    if not isinstance(value, dict):
        raise Failure(f"{what} must be a JSON object", code=USAGE)
    return cast("dict[str, Any]", value)
