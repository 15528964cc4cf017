"""The writes of retention: each removes some rows at a time. Time is counted as servers have run."""

from __future__ import annotations

from typing import ClassVar

from headrace.journal.write import Result, ResultType, Write


class TimeServed(Result, frozen=True):
    """The seconds that servers have run on this journal."""

    seconds: int


class Removed(Result, frozen=True):
    """Some rows were removed or emptied; there may be more. `first`: a value of one of them."""

    first: int


class ForgetKeys(Write, frozen=True, kw_only=True):
    result: ClassVar[ResultType] = Removed

    before_s: int


class ForgetEnvelopes(Write, frozen=True, kw_only=True):
    result: ClassVar[ResultType] = Removed

    before_s: int


class ForgetDeadLetters(Write, frozen=True, kw_only=True):
    result: ClassVar[ResultType] = Removed

    before_s: int


class TrimOutbox(Write, frozen=True, kw_only=True):
    """Remove events that every publisher has acknowledged, and those stored before a moment of time served.

    Publishers are the positions named `to:...` that were moved or confirmed since that moment.
    """

    result: ClassVar[ResultType] = Removed

    before_s: int


class ServeTime(Write, frozen=True, kw_only=True):
    """Add the seconds that a server has run."""

    result: ClassVar[ResultType] = TimeServed

    seconds: int


RETENTION_WRITES: tuple[type[Write], ...] = (ForgetKeys, ForgetEnvelopes, ForgetDeadLetters, TrimOutbox, ServeTime)
