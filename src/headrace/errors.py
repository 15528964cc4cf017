"""The error tree. HTTP statuses are chosen in `api/errors.py` only.

HeadraceError
|- InvalidValue        a field holds what it must not; names the field and the reason
|  `- InvalidDefinition  several of them, found in one workflow definition
|- NotFound            no such workflow, instance, stage, trigger
|- NotAuthenticated    no token, or one that is not good
|- NotAllowed          a good token without the scope
|- AlreadyEnded        the instance has ended: no event, no abort
|- Conflict            the instance has moved on since it was read; nothing was written
|- Deposed             another process reads or publishes in this one's place; nothing was written
|- RepeatedKey         this caller's Idempotency-Key is already stored
|- Unavailable         the journal cannot commit now; nothing was accepted
|  `- Damaged             the journal's file holds what was never written to it
|- Unusable            the journal cannot be opened before a person has acted
|- AlreadyOwned        another server has the journal
`- StageError          ends a stage with this text
"""

from __future__ import annotations

from dataclasses import dataclass


class HeadraceError(Exception):
    """Base of every error that is ours."""


class InvalidValue(HeadraceError):
    """A field holds what it must not."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}" if field else reason)
        self.field = field
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a definition. `path` is like `stages[0].send.amount.asset`.

    `rule` is the name of the rule that was broken, of those in `headrace.workflows.rules`; empty where rules have none.
    """

    path: str
    reason: str
    rule: str = ""

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}" if self.path else self.reason


class InvalidDefinition(InvalidValue):
    """A workflow definition with one or more problems."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("", "; ".join(str(problem) for problem in problems))


class NotFound(HeadraceError):
    """There is no such thing."""

    def __init__(self, what: str, identity: str) -> None:
        super().__init__(f"{what} {identity!r} does not exist")


class NotAuthenticated(HeadraceError):
    """Who asks is not known: there is no token, or it is not good. The reason never quotes the token."""

    def __init__(self, reason: str, *, has_token: bool = True) -> None:
        super().__init__(reason)
        self.has_token = has_token


class NotAllowed(HeadraceError):
    """Who asks is known, and may not do this."""

    def __init__(self, scope: str) -> None:
        super().__init__(f"this needs the scope {scope}, which the token does not have")
        self.scope = scope


class AlreadyEnded(HeadraceError):
    """The instance has ended."""

    def __init__(self, instance_id: str) -> None:
        super().__init__(f"instance {instance_id!r} has already ended")


class Conflict(HeadraceError):
    """The instance has moved on since it was read: reload it. Nothing was written."""

    def __init__(self, instance_id: str) -> None:
        super().__init__(f"instance {instance_id!r} has moved on meanwhile")


class Deposed(HeadraceError):
    """Another process has moved this position on: it reads or publishes in this one's place. Nothing was written."""

    def __init__(self, source: str) -> None:
        super().__init__(f"another process has moved the position of {source!r}")


class RepeatedKey(HeadraceError):
    """The caller's Idempotency-Key was stored by an earlier write."""


class Unavailable(HeadraceError):
    """The journal cannot commit at the moment. Nothing was accepted."""


class Damaged(Unavailable):
    """The journal's file is damaged: what was stored may be lost."""


class Unusable(HeadraceError):
    """The journal cannot be opened, however often it is tried: no permission, a newer release, no journal at all."""


class AlreadyOwned(HeadraceError):
    """Another server owns this journal."""


class StageError(HeadraceError):
    """Ends the stage, and with it the instance, with this text."""
