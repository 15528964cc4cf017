"""Records as the JSON that a write query takes.

PostgreSQL stores no NUL character. In what a service said it becomes U+FFFD; anywhere else a unit with one is refused.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from headrace.errors import InvalidValue
from headrace.journal.writes import Write

SAID = frozenset({"error", "failure", "last_failure", "reason"})
"""Fields with texts of services, which are shown to people and never compared."""
_NUL_IN_JSON = b"\\u0000"

encode = msgspec.json.Encoder().encode


def encoded(writes: Sequence[Write]) -> bytes:
    """Encode records as JSON. Raises InvalidValue, which names the field."""
    text = encode(writes)
    if _NUL_IN_JSON in text:  # or a text that holds such an escape
        text = encode([_without_nul(write) for write in writes])
    return text


def _without_nul(write: Write) -> Write:
    values = {name: getattr(write, name) for name in write.__struct_fields__}
    broken = [name for name, value in values.items() if isinstance(value, str) and "\0" in value]
    for name in broken:
        if name not in SAID:
            raise InvalidValue(name, "must not contain the character NUL")
    return msgspec.structs.replace(write, **{name: values[name].replace("\0", "\ufffd") for name in broken})
