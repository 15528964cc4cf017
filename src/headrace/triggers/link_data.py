"""Data behind a link: the body of a response, without its `data` wrapper."""

from __future__ import annotations

from typing import Any, cast

from headrace.errors import InvalidValue
from headrace.json_text import decode
from headrace.triggers.expressions import LinkRefused

MAX_BYTES = 1 << 20


def link_data(body: bytes) -> Any:
    """Decode the data. Raises LinkRefused if it is not JSON or is too long."""
    if len(body) > MAX_BYTES:
        raise LinkRefused(f"the response has more than {MAX_BYTES} bytes")
    try:
        value: Any = decode(body)
    except InvalidValue as error:
        raise LinkRefused(f"the response {error.reason}") from None
    if isinstance(value, dict) and "data" in value:
        return cast("dict[str, Any]", value)["data"]
    return cast("Any", value)
