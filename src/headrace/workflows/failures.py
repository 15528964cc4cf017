"""Why an instance failed, as data: what may be done about it is decided by the kind, never by the text of an error."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

FailureKind = Literal[
    "refused", "invalid", "conflict", "plan", "timeout", "expired", "rejected", "unbooked", "canceled", "unclassified"
]
"""Kinds. refused: a service declined. invalid: a value, the result of a read or an expression cannot be used. conflict:
our reference belongs to something else in the books. plan: what would be done is not what was signed. timeout: an event
did not come. expired, rejected: an approval was not given. unbooked: a person decided that an effect was not booked.
canceled: aborted. unclassified: a server of an earlier release ended it, and its rows do not say why.
"""
FAILURE_KINDS: tuple[FailureKind, ...] = get_args(FailureKind)

InstanceKind = Literal["run", "continuation", "undo"]
INSTANCE_KINDS: tuple[InstanceKind, ...] = get_args(InstanceKind)


NOT_UNDONE: frozenset[FailureKind] = frozenset({"canceled", "conflict", "unclassified"})
"""Kinds after which `on_failure: undo` starts nothing: a person has aborted the run, or its books are not clear."""


class Failure(NamedTuple):
    """`code`: of the service that declined, such as INSUFFICIENT_FUND; only a refusal and a conflict have one."""

    kind: FailureKind
    code: str | None = None


INVALID = Failure("invalid")
ABORTED = Failure("canceled")
OFF_PLAN = Failure("plan")
NOT_BOOKED = Failure("unbooked")
TIMED_OUT = Failure("timeout")
TIMEOUT_TEXT = "timeout: "
"""Start of the error of a wait whose event has not come in time."""
EXPIRED = Failure("expired")
EXPIRED_TEXT = "expired: not approved in time"
REJECTED = Failure("rejected")
