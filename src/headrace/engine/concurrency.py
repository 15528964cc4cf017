"""How many requests to one service may be under way: an adaptive limit, pure arithmetic over what the service answers.

Additive increase, multiplicative decrease, as in TCP, in proportion to what fails, as in DCTCP (RFC 8257). A round is
as many requests as the limit. A round of answers raises the limit by one while it is in use; each request that the
service turns away (a failed connection, 429, 502, 503) lowers it by a half. So a service that turns all requests away
is called half as often after each round, one that turns away what exceeds its capacity is called just above that
capacity, and one that drops every tenth request, whatever the load, keeps eighteen under way. The limit stays between 1
and its ceiling.

A time-out halves the limit at once, and only once for all requests that were under way at that moment. It is costly to
provoke: a ledger whose connection pool is exhausted answers nothing until requests give up. So the level at which a
service stood still is remembered once a lower level has proved to work. The limit then stays a fifth below it, and
tries the level again after five minutes, then ten, up to an hour.
"""

from __future__ import annotations

import enum
from typing import NamedTuple

START = 8
OUTLIER_ROUNDS = 10
"""A request that times out while the service answers this many rounds of others says nothing about the service."""
SLOW_ERROR_S = 5.0
"""A 5xx that took this long is a time-out of the service's own."""
FIRST_HOLD_S = 300.0
LONGEST_HOLD_S = 3_600.0


class Signal(enum.Enum):
    """What the end of one request says about the load of its service."""

    ANSWERED = enum.auto()
    OVERLOADED = enum.auto()
    TIMED_OUT = enum.auto()
    NEUTRAL = enum.auto()


def signal_of(status: int, took_s: float) -> Signal:
    """The signal of an HTTP response. A gateway reports a time-out as 504, a failed connection as 502.

    Other server errors are neutral: they may be the fault of a single request, which must not slow down all others.
    """
    if status in (408, 504) or (status >= 500 and took_s >= SLOW_ERROR_S):
        return Signal.TIMED_OUT
    if status in (429, 502, 503):
        return Signal.OVERLOADED
    if status >= 500 or 300 <= status < 400 or status in (401, 403):
        return Signal.NEUTRAL
    return Signal.ANSWERED


class Mark(NamedTuple):
    """Taken when a request begins, so that its end can be related to what happened meanwhile."""

    cuts: int
    answers: int


class AdaptiveLimit:
    """The limit of one service, `value`. Call `begin` before each request and `end` after it."""

    __slots__ = (
        "_answers",
        "_answers_since_cut",
        "_ceiling",
        "_credit",
        "_cuts",
        "_edge",
        "_failures_in_a_row",
        "_hold",
        "_suspect",
        "value",
    )

    def __init__(self, ceiling: int, *, start: int = START) -> None:
        self._ceiling = ceiling
        self.value = min(start, ceiling)
        self._credit = 0  # + 2 for an answer while the limit is in use, - value for a failure; a slot is 2 * value
        self._failures_in_a_row = 0
        self._cuts = 0
        self._answers = 0
        self._answers_since_cut = 0
        self._suspect: int | None = None  # the level of the latest standstill, until a lower level has worked
        self._edge: int | None = None  # the level at which the service is known to stand still
        self._hold = (FIRST_HOLD_S, 0.0)  # how long the edge is respected, and until when

    @property
    def is_failing(self) -> bool:
        """True while a full round of requests, the latest ones, has brought no answer."""
        return self._failures_in_a_row >= self.value

    def begin(self) -> Mark:
        return Mark(self._cuts, self._answers)

    def end(self, mark: Mark, signal: Signal, in_flight: int, now_s: float) -> None:
        """`in_flight` includes the request that ends; `now_s` is monotonic."""
        if signal is Signal.ANSWERED:
            self._answers += 1
        if signal is Signal.NEUTRAL or mark.cuts != self._cuts:
            return  # a request from before the last halving belongs to the overload that caused it
        if signal is Signal.ANSWERED:
            self._failures_in_a_row = 0
            self._answers_since_cut += 1
            self._confirm(now_s)
            if in_flight >= self.value:
                self._credit += 2
                self._grow(now_s)
        elif signal is Signal.OVERLOADED:
            self._failures_in_a_row += 1
            self._credit -= self.value
            if self._credit <= -2 * self.value:
                self.value = max(1, self.value - 1)
                self._credit = 0
        else:
            others = self._answers - mark.answers
            if others <= OUTLIER_ROUNDS * self.value:
                stood_still = others <= self.value and in_flight >= self.value
                self._halve(is_suspect=stood_still and self._answers_since_cut >= self.value // 2)

    def _grow(self, now_s: float) -> None:
        if self._credit < 2 * self.value:
            return
        self._credit = 0
        bound = self._ceiling
        if self._edge is not None:
            if now_s < self._hold[1]:
                bound = min(bound, max(1, self._edge - max(1, self._edge // 5)))
            elif self.value >= self._edge:
                self._edge = None
        if self.value < bound:
            self.value += 1

    def _halve(self, *, is_suspect: bool) -> None:
        """A service that fails at every level is down, which teaches nothing about levels: then nothing is suspect."""
        self._suspect = self.value if is_suspect and self.value > 1 else None
        self.value = max(1, self.value // 2)
        self._cuts += 1
        self._credit = 0
        self._answers_since_cut = 0
        self._failures_in_a_row = self.value

    def _confirm(self, now_s: float) -> None:
        """A full round of answers at the lower level shows that the suspect level was the cause."""
        if self._suspect is None or self._answers_since_cut < self.value:
            return
        hold_s = FIRST_HOLD_S if self._edge is None else min(LONGEST_HOLD_S, 2 * self._hold[0])
        self._edge, self._hold = self._suspect, (hold_s, now_s + hold_s)
        self._suspect = None
