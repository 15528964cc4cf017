"""JSON given on the command line, `@FILE`, or `-` for standard input."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, cast

from headrace.cli.errors import USAGE, Failure


def json_argument(text: str, what: str, *, is_event: bool = False) -> Any:
    """Parse the value as strictly as the server does. Raises Failure, naming `what`, for anything else.

    With `is_event`, integers may have any length, as in events that the server accepts.
    """
    from headrace import json_text

    if text == "-":
        body = sys.stdin.buffer.read()
    elif text.startswith("@"):
        body = Path(text[1:]).read_bytes()
    else:
        body = text.encode(errors="surrogateescape")
    try:
        return json_text.decode_event(body) if is_event else json_text.decode(body)
    except json_text.Malformed as malformed:
        raise Failure(f"{what} {malformed.reason}", code=USAGE) from None


def json_object(text: str, what: str) -> dict[str, Any]:
    """Parse a value that must be an object. Raises Failure, naming `what`, for anything else."""
    value = json_argument(text, what)
    if not isinstance(value, dict):
        raise Failure(f"{what} must be a JSON object", code=USAGE)
    return cast("dict[str, Any]", value)
