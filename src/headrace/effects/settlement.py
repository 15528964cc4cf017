"""How one effect is brought to a certain end, without paying twice (decisions M2 to M6b, Q19, Q22, E6).

A pure state machine: it receives the outcome and time of each attempt or look-up, and chooses the next step, `action`.
It reads no clock (`now_s` is monotonic and handed in) and performs nothing, so every engine shares it and a test can
walk every path. Only the stored intent survives a restart. An intent without an outcome counts as an unknown attempt;
the settle time starts again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from headrace.effects.port import Absent, Done, Found, FoundOther, LookUp, Outcome, Refused, Undecided, Unknown
from headrace.workflows.activities import INTERNAL_LEDGER, Family

MAX_RETRY_AFTER_S = 3_600.0
LOOKED_UP = frozenset({Family.INITIATION, Family.REVERSAL})
"""Families without a key: never sent again without a look-up just before (decision M5)."""
REVERTED = frozenset({"ALREADY_REVERT", "CONFLICT"})
"""Codes by which a ledger may say that a transaction is reverted: by an earlier attempt, or by another caller."""


# What to do next.


class Send:
    """Begin an attempt with the stored bytes."""


class LookUpFirst:
    """Ask the service whether the effect stands in its books."""


class CreateLedger:
    """The internal ledger of payment ingestion does not exist yet: create it."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait, then ask again what to do. `failure` is shown in history as `lastFailure`.

    `is_settling`: the wait is part of the proof and must be completed by this process. Otherwise it is a back-off,
    which any process may finish.
    """

    seconds: float
    failure: str
    is_settling: bool = False


@dataclass(frozen=True, slots=True)
class NotBooked:
    """The instance was aborted and the service has no such effect."""


Doubt = Literal["other_bytes", "other_values", "not_found", "not_listed"]
"""Why a person must decide.

other_bytes   the service knows our key with another content than the stored request
other_values  the service's books hold our key or reference with other values
not_found     an attempt had no answer, no later one can succeed, and the books do not show the effect
not_listed    the same, and the service lists too much for the look-up to see all of it
"""


@dataclass(frozen=True, slots=True)
class NeedsAttention:
    """Neither a resend nor a look-up can decide: a person must (decision M6b)."""

    message: str
    doubt: Doubt


@dataclass(frozen=True, slots=True)
class Unbooked:
    """A person decided that the service has no such effect. It is not sent again, and its stage ends."""


SEND, LOOK_UP, CREATE_LEDGER = Send(), LookUpFirst(), CreateLedger()
Action = Send | LookUpFirst | CreateLedger | Pause | Done | Refused | NotBooked | NeedsAttention


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential with full jitter. `jitter` gives a number from 0 to 1.

    The jitter comes on top of a `Retry-After`, so that effects which got the same one are not retried at the same
    moment.
    """

    base_s: float
    cap_s: float
    jitter: Callable[[], float]

    def seconds(self, failures: int, retry_after_s: float | None) -> float:
        drawn = self.jitter() * min(self.cap_s, self.base_s * 2 ** min(failures - 1, 30))
        return drawn + min(retry_after_s or 0.0, MAX_RETRY_AFTER_S)


class EffectProtocol:
    """One effect (or read) from its intent to its end. Do what `action` says, and report what came of it."""

    __slots__ = (
        "_after_pause",
        "_backoff",
        "_failures",
        "_family",
        "_first_refusal_s",
        "_has_created",
        "_is_aborted",
        "_is_unknown",
        "_last_attempt_s",
        "_ledger",
        "_refusal",
        "_sent_s",
        "_settle_s",
        "_why_unknown",
        "action",
    )

    def __init__(
        self,
        family: Family,
        *,
        backoff: Backoff,
        settle_s: float,
        now_s: float,
        was_sent: bool = False,
        is_aborted: bool = False,
        failures: int = 0,
        ledger: str = "",
    ) -> None:
        self._family = family
        self._backoff = backoff
        self._settle_s = settle_s
        self._ledger = ledger
        self._is_unknown = was_sent
        self._is_aborted = is_aborted
        self._why_unknown = "an attempt had no answer"
        self._failures = failures
        self._has_created = False
        self._refusal: Refused | None = None
        self._first_refusal_s: float | None = None
        self._sent_s = now_s
        self._last_attempt_s = now_s
        must_look = is_aborted or family is Family.INGESTION or (was_sent and family in LOOKED_UP)
        self.action: Action = LOOK_UP if must_look else SEND
        self._after_pause: Action = SEND

    def paused(self) -> None:
        """The pause is over."""
        self.action = LOOK_UP if self._is_aborted else self._after_pause

    def abort(self) -> None:
        """No attempt may begin any more: from here on, only look-ups. Idempotent."""
        if not self._is_aborted and isinstance(self.action, Send | Pause | CreateLedger | NeedsAttention):
            self.action = LOOK_UP
        self._is_aborted = True

    # what an attempt answered

    def sent(self, outcome: Outcome, begun_s: float, now_s: float) -> None:
        """Handle the outcome of an attempt that began at `begun_s`."""
        self._sent_s, self._last_attempt_s = begun_s, now_s
        match outcome:
            case Done():
                self.action = outcome
            case Unknown():
                self._first_refusal_s = None
                self._refusal = None
                self._is_unknown = self._family is not Family.READ
                self._why_unknown = outcome.message
                self._retry(outcome, LOOK_UP if self._family in LOOKED_UP else SEND)
            case Refused():
                self._refusal = outcome
                if self._family is Family.READ:
                    self.action = outcome
                elif is_idempotency_mismatch(outcome):
                    self.action = NeedsAttention(
                        f"{outcome.message}: the stored request and the service's record differ", "other_bytes"
                    )
                elif outcome.code == "LEDGER_NOT_FOUND" and self._may_create_ledger:
                    self.action = CREATE_LEDGER
                elif (
                    self._family is Family.INGESTION
                    or self._family in LOOKED_UP
                    or (self._is_aborted and self._is_unknown)
                ):
                    self.action = LOOK_UP
                elif self._family is Family.REVERT:
                    self.action = LOOK_UP if self._is_unknown or outcome.code in REVERTED else outcome
                elif not self._is_confirmed(now_s):
                    self._resend_when_settled(outcome)
                elif (self._family is Family.WALLET and self._is_unknown) or outcome.code == "CONFLICT":
                    self.action = LOOK_UP
                else:
                    self.action = outcome

    @property
    def _may_create_ledger(self) -> bool:
        books = self._family in (Family.TRANSACTION, Family.INGESTION)
        return books and self._ledger == INTERNAL_LEDGER and not self._is_aborted

    def _is_confirmed(self, now_s: float) -> bool:
        """Decision M2b: after an unknown attempt it takes two refusals, settle_s apart."""
        if not self._is_unknown:
            return True
        if self._first_refusal_s is None:
            self._first_refusal_s = now_s
            return False
        return self._sent_s >= self._first_refusal_s + self._settle_s

    def _resend_when_settled(self, refusal: Refused) -> None:
        assert self._first_refusal_s is not None
        wait_s = max(0.0, self._first_refusal_s + self._settle_s - self._last_attempt_s)
        self._after_pause = SEND
        if self._family in LOOKED_UP:
            self._after_pause, self._refusal = LOOK_UP, None
        self.action = Pause(wait_s, f"{refusal.message} (will be sent again: an earlier attempt had no answer)", True)

    # what a look-up answered

    def looked_up(self, found: LookUp, now_s: float) -> None:
        """Handle the result of a look-up."""
        match found:
            case Found():
                self.action = Done(found.output)
            case FoundOther():
                if self._family in (Family.TRANSACTION, Family.INGESTION, Family.REVERSAL):
                    self.action = Refused("CONFLICT", found.message, is_conflict=True)
                else:
                    self.action = NeedsAttention(found.message, "other_values")
            case Undecided():
                # A person decides, once nothing of the effect can be on its way any more.
                may_be_under_way = self._is_aborted or (self._is_unknown and self._family in LOOKED_UP)
                if may_be_under_way and not self._has_settled(now_s):
                    self._look_again_when_settled(now_s)
                elif self._refusal is not None:
                    self.action = NeedsAttention(f"{self._refusal.message}; {found.message}", "not_listed")
                else:
                    self.action = NeedsAttention(f"{self._why_unknown}; {found.message}", "not_listed")
            case Unknown():
                self._retry(found, LOOK_UP)
            case Absent(ledger_is_missing=True) if self._refusal is None and self._may_create_ledger:
                self.action = CREATE_LEDGER
            case Absent():
                self._absent(now_s)

    def _absent(self, now_s: float) -> None:
        if self._is_aborted:
            if not self._has_settled(now_s):
                self._look_again_when_settled(now_s)
            elif self._family is Family.WALLET:
                self.action = NeedsAttention(
                    "aborted; an attempt had no answer and is not among the wallet's transactions", "not_found"
                )
            else:
                self.action = NotBooked()
        elif self._refusal is not None:
            if self._family is Family.WALLET:
                why = "an earlier attempt had no answer and is not among the wallet's transactions"
                self.action = NeedsAttention(f"{self._refusal.message}; {why}", "not_found")
            elif self._family is Family.TRANSACTION:  # CONFLICT, yet the reference is not there: ask once more
                if self._is_unknown:
                    self.action = self._refusal
                else:
                    self._is_unknown = True
                    self._first_refusal_s = self._last_attempt_s
                    self._resend_when_settled(self._refusal)
            else:
                # A ledger that calls a transaction reverted and shows it as not reverted contradicts itself.
                contradicts = self._family is Family.REVERT and self._refusal.code in REVERTED
                self._is_unknown = self._is_unknown or contradicts
                if not self._is_confirmed(now_s):
                    self._resend_when_settled(self._refusal)
                elif contradicts:
                    why = "the transaction is not reverted where the ledger shows it"
                    self.action = NeedsAttention(f"{self._refusal.message}; {why}", "other_values")
                else:
                    self.action = self._refusal
        elif self._is_unknown and self._family in LOOKED_UP:
            if self._has_settled(now_s):
                self.action = SEND
            else:
                self._look_again_when_settled(now_s)
        else:
            self.action = SEND

    def _has_settled(self, now_s: float) -> bool:
        return now_s >= self._last_attempt_s + self._settle_s

    def _look_again_when_settled(self, now_s: float) -> None:
        self._after_pause = LOOK_UP
        wait_s = self._last_attempt_s + self._settle_s - now_s
        self.action = Pause(wait_s, f"{self._why_unknown}; not in the service's books yet", True)

    # the internal ledger

    def created(self, outcome: Outcome) -> None:
        """Handle the response to the creation of the internal ledger (decision Q22)."""
        match outcome:
            case Unknown():
                self._retry(outcome, CREATE_LEDGER)
            case Refused(code=code) if code != "LEDGER_ALREADY_EXISTS":
                self.action = outcome
            case _:
                self._refusal = None
                if self._is_aborted:
                    self.action = LOOK_UP
                elif self._has_created:
                    # Back off: the ledger was created but is still not found.
                    self._retry(Unknown("the internal ledger exists, and is not found"), SEND)
                else:
                    self._has_created, self.action = True, SEND

    def _retry(self, unknown: Unknown, then: Action) -> None:
        self._failures += 1
        self._after_pause = then
        self.action = Pause(self._backoff.seconds(self._failures, unknown.retry_after_s), unknown.message)


def is_idempotency_mismatch(refused: Refused) -> bool:
    """Whether the service holds our key with other bytes: our own fault, and never to be resent (decision M6b)."""
    return refused.code == "VALIDATION" and "invalid idempotency hash" in refused.message.lower()
