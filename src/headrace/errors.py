"""The error tree. HTTP statuses are chosen in `api/errors.py` only.

HeadraceError
|- InvalidValue        a field has an unacceptable value; names the field and the reason
|  |- InvalidDefinition  the problems of one workflow definition
|  `- TooLarge           a plan beyond its limits of reads, time or size
|- NotFound            no such workflow, instance, stage, trigger
|- NotAuthenticated    the token is missing or invalid
|- NotAllowed          a valid token without the scope
|- NotPermitted        this principal may not decide this; names the reason
|- AlreadyEnded        the instance has ended: no event, no abort
|- NotResolvable       the state or the books do not allow a person's decision; names the reason
|- NotCertifiable      the history or the books do not show what a certificate would say; names the reason
|- NotInThisState      the state of an instance does not allow a redrive or an undo; names the reason
|  `- VersionMoved        another version of a name became the current one; nothing was written
|- Conflict            the instance changed since it was read; nothing was written
|- Deposed             another process reads or publishes in this one's place; nothing was written
|- RepeatedKey         this caller's Idempotency-Key is already stored
|- Silent              a service does not answer a read that a plan or a certificate needs; nothing was stored
|- Unavailable         the journal cannot commit now; nothing was accepted
|  `- Damaged             the journal's file is corrupt
|- Unusable            the journal cannot be opened before a person has acted
|- AlreadyOwned        another server owns the journal
|- TakenOver           another server has taken over the journal from this one
|- TransferError       an export, import, backup or restore is refused; nothing was changed
`- StageError          ends a stage with this text
"""

from __future__ import annotations

from dataclasses import dataclass


class HeadraceError(Exception):
    """Base of every error that Headrace defines."""


class InvalidValue(HeadraceError):
    """A field has an unacceptable value."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}" if field else reason)
        self.field = field
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem of a definition. `path` is like `stages[0].send.amount.asset`.

    `rule` is the name of the broken rule in `headrace.workflows.rules`, or empty.
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


class TooLarge(InvalidValue):
    """A plan or a certificate needs more reads, time or space than one may take. Nothing was stored."""

    code = "too_large"


class NotFound(HeadraceError):
    """An object with this id does not exist."""

    def __init__(self, what: str, identity: str) -> None:
        super().__init__(what, identity)

    def __str__(self) -> str:
        """Formatted on demand: every unit of an instance holds such an error, and hardly one is raised."""
        what, identity = self.args
        return f"{what} {identity!r} does not exist"


class NotAuthenticated(HeadraceError):
    """The caller is not authenticated: the token is missing or invalid. The reason never quotes the token."""

    def __init__(self, reason: str, *, has_token: bool = True) -> None:
        super().__init__(reason)
        self.has_token = has_token


class NotAllowed(HeadraceError):
    """The caller is authenticated, but lacks the scope of this operation."""

    def __init__(self, scope: str) -> None:
        super().__init__(f"this needs the scope {scope}, which the token does not have")
        self.scope = scope


class NotPermitted(HeadraceError):
    """The principal may not decide this. Nothing was changed; `code` is a word for programs."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class AlreadyEnded(HeadraceError):
    """The instance has ended."""

    def __init__(self, instance_id: str) -> None:
        super().__init__(f"instance {instance_id!r} has already ended")


class NotResolvable(HeadraceError):
    """A person's decision about an effect is refused, and nothing was changed. `code` is a word for programs."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class NotCertifiable(HeadraceError):
    """No certificate can be given, and nothing was stored. `code` is a word for programs.

    open                an instance has not ended, or an effect is in progress
    replay_differs      the definition does not lead to the recorded effects
    not_in_books        an effect is recorded as done, and its service does not show it
    differs             the service shows it with other values
    reverted_elsewhere  the transaction was reverted, and not by this case
    extra_in_books      something stands in the books that is not recorded as done
    unbalanced          the books do not show both sides of a `send`

    `case`: the case that prevents the certificate of a period.
    """

    def __init__(self, code: str, message: str, case: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.case = case


class NotRunnable(HeadraceError):
    """A plan cannot be used as was asked, and nothing was changed. `code` is a word for programs."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class NotInThisState(HeadraceError):
    """The state of an instance does not allow what is wanted. Nothing was changed; `code` is a word for programs."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class VersionMoved(NotInThisState):
    """Another version of a name has become the current one, or the name was taken away. Nothing was written."""

    def __init__(self, name: str) -> None:
        super().__init__("version", f"{name!r} has moved to another version meanwhile: look again")


class HashDiffers(HeadraceError):
    """The hash that the caller has signed is not that of the plan or batch. Nothing was changed."""

    code = "hash_differs"

    def __init__(self, given: str, stored: str, what: str = "plan") -> None:
        super().__init__(f"hash: is {given[:80]!r}, and the {what} has {stored}")


class Conflict(HeadraceError):
    """The instance changed since it was read: reload it. Nothing was written."""

    def __init__(self, instance_id: str) -> None:
        super().__init__(instance_id)

    def __str__(self) -> str:
        return f"instance {self.args[0]!r} has changed meanwhile"


class Deposed(HeadraceError):
    """Another process has moved this position: it reads or publishes in this one's place. Nothing was written."""

    def __init__(self, source: str) -> None:
        super().__init__(f"another process has moved the position of {source!r}")


class RepeatedKey(HeadraceError):
    """The caller's Idempotency-Key was stored by an earlier write."""


class Silent(HeadraceError):
    """A service does not answer a read that a plan or a certificate needs, or not usably. Nothing was stored."""

    code = "silent"

    def __init__(self, why: str, subject: str = "a plan") -> None:
        super().__init__(f"{subject} needs an answer that no service gave: {why}")
        self.why = why


class Unavailable(HeadraceError):
    """The journal cannot commit now. Nothing was accepted."""


class Damaged(Unavailable):
    """The journal's file is damaged: stored data may be lost."""


class Unusable(HeadraceError):
    """The journal cannot be opened, and a retry does not help: no permission, a newer release, no journal at all."""


class AlreadyOwned(HeadraceError):
    """Another server owns this journal."""


class TakenOver(HeadraceError):
    """Another server has taken over the journal, as this one could not reach it for a time: this process must end."""


class TransferError(HeadraceError):
    """An export, import, backup or restore is refused. Nothing was changed, unless the text says so."""


class StageError(HeadraceError):
    """Ends the stage, and with it the instance, with this text as error."""
