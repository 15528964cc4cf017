"""Opt-in retries: which failures, with which pauses, and until when.

The request is built once, so every attempt carries the same Idempotency-Key: a server that stores keys carries a
write out once, however many attempts reach it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from typing import Literal

from headrace_client.errors import ClientError, ConnectionFailure, InvalidRequest, SDKError
from headrace_client.steps import HttpFailure, HttpResponse, Steps, pause

RETRIED = (429, 500, 502, 503, 504)
"""HTTP statuses after which a retry may succeed."""

AttemptResult = HttpResponse | HttpFailure | ClientError
"""The result of an attempt; an error if no token could be obtained."""


@dataclass(frozen=True, slots=True)
class BackoffStrategy:
    """Pauses in milliseconds: the first, the longest, and how long after the first attempt another may begin.

    Each pause is `exponent` times the one before. Half of it is random, so that clients do not return at the same
    moment.
    """

    initial_interval_ms: int = 500
    max_interval_ms: int = 60_000
    exponent: float = 1.5
    max_elapsed_time_ms: int = 3_600_000

    def __post_init__(self) -> None:
        if self.initial_interval_ms <= 0 or self.max_interval_ms <= 0 or self.max_elapsed_time_ms < 0:
            raise InvalidRequest("BackoffStrategy: intervals must be above 0, the elapsed time not below it")
        if not 1 <= self.exponent < math.inf:
            raise InvalidRequest(f"BackoffStrategy: exponent must be at least 1, not {self.exponent}")

    def pause_s(self, retries: int, chance: float) -> float:
        """The pause after this many retries, in seconds. `chance` is from 0 to 1."""
        try:
            longest_ms = self.initial_interval_ms * self.exponent**retries
        except OverflowError:
            longest_ms = self.max_interval_ms
        return min(longest_ms, self.max_interval_ms) * (1 + chance) / 2_000


@dataclass(frozen=True, slots=True)
class RetryConfig:
    """Retries for a client or for one request. `strategy` "none" disables them.

    Statuses in `RETRIED` are retried; a lost connection or a time-out only with `retry_connection_errors`.
    """

    strategy: Literal["backoff", "none"] = "backoff"
    backoff: BackoffStrategy = field(default_factory=BackoffStrategy)
    retry_connection_errors: bool = True

    def __post_init__(self) -> None:
        if self.strategy not in ("backoff", "none"):
            raise InvalidRequest(f'RetryConfig: strategy must be "backoff" or "none", not {self.strategy!r}')

    def within(self, limit_s: float) -> RetryConfig:
        """Limit the retries: no attempt begins later than `limit_s` seconds after the first."""
        limit_ms = min(self.backoff.max_elapsed_time_ms, int(limit_s * 1_000))
        return replace(self, backoff=replace(self.backoff, max_elapsed_time_ms=limit_ms))


def check_retries(name: str, given: object) -> None:
    if given is not None and not isinstance(given, RetryConfig):
        raise TypeError(f"{name} takes a RetryConfig, not {given!r}")


def with_retries(
    attempt: Callable[[], Steps[AttemptResult]],
    config: RetryConfig | None,
    monotonic_s: Callable[[], float],
    chance: Callable[[], float],
) -> Steps[AttemptResult]:
    """Repeat the attempt as configured. Returns the last result."""
    if config is None or config.strategy == "none":
        return (yield from attempt())
    last_s = monotonic_s() + config.backoff.max_elapsed_time_ms / 1_000
    retries = 0
    while True:
        result = yield from attempt()
        if not _may_change(result, config):
            return result
        pause_s = max(config.backoff.pause_s(retries, chance()), _wanted_s(result))
        if monotonic_s() + pause_s > last_s:
            return result
        yield from pause(pause_s)
        retries += 1


def _may_change(result: AttemptResult, config: RetryConfig) -> bool:
    if isinstance(result, HttpFailure | ConnectionFailure):
        return config.retry_connection_errors
    return isinstance(result, HttpResponse | SDKError) and result.status in RETRIED


def _wanted_s(result: AttemptResult) -> float:
    """Seconds that the server asks for by Retry-After; a date is read against the server's own clock."""
    if not isinstance(result, HttpResponse | SDKError):
        return 0.0
    text = result.headers.get("retry-after", "")
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        until, now = parsedate_to_datetime(text), parsedate_to_datetime(result.headers.get("date", ""))
        return max((until - now).total_seconds(), 0.0)
    except (TypeError, ValueError):
        return 0.0
