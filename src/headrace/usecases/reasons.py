"""Why a person decides something, and who: mandatory wherever a decision changes what happens to money."""

from __future__ import annotations

from typing import Any, cast

from headrace.errors import InvalidValue
from headrace.usecases.idempotency import Caller
from headrace.workflows.variables import check_text, shown

MAX_REASON_BYTES = 1_024
ANONYMOUS = "anonymous"


def check_reason(value: object) -> str:
    """The reason of a decision. Raises InvalidValue."""
    reason = check_text(value, "reason")
    if not reason.strip() or len(reason.encode()) > MAX_REASON_BYTES:
        raise InvalidValue("reason", f"must be text of 1 to {MAX_REASON_BYTES} bytes")
    return reason


def members_of(value: object, *known: str) -> dict[str, Any]:
    """The members of a body that is an object with no others than these. Raises InvalidValue."""
    if not isinstance(value, dict):
        raise InvalidValue("body", f"must be an object with {', '.join(known)}")
    members = cast("dict[str, Any]", value)
    for name in members:
        if name not in known:
            raise InvalidValue(shown(name), f"is not a member: there is {', '.join(known)}")
    return members


def principal_of(caller: Caller | None) -> str:
    return ANONYMOUS if caller is None else caller.principal
