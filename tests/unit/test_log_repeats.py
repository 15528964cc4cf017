"""A fault that lasts is logged a few times a minute, however often it is met."""

from __future__ import annotations

from typing import Any

import structlog

from headrace.telemetry.log_repeats import LINES, MAX_KEYS, WINDOW_S, Repeats


class Clock:
    now_s = 100.0

    def now_at(self) -> int:
        raise NotImplementedError

    def monotonic_s(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError


class Log:
    def __init__(self) -> None:
        self.clock = Clock()
        self._repeats = Repeats(self.clock)

    def line(self, event: str, method: str = "warning", **fields: Any) -> dict[str, Any] | None:
        try:
            return dict(self._repeats(None, method, {"event": event, **fields}))
        except structlog.DropEvent:
            return None


def test_a_fault_that_lasts_is_logged_a_few_times_a_minute() -> None:
    log = Log()
    logged: list[dict[str, Any]] = []
    for _ in range(180):
        if line := log.line("cannot commit", reason="disk full"):
            logged.append(line)
        log.clock.now_s += 1.0
    assert len(logged) == 3 * LINES
    assert [line.get("same_dropped") for line in logged if "same_dropped" in line] == [int(WINDOW_S) - LINES] * 2


def test_another_reason_has_lines_of_its_own() -> None:
    log = Log()
    assert [log.line("cannot commit", reason="disk full") is None for _ in range(LINES + 1)] == [False] * LINES + [True]
    assert log.line("cannot commit", reason="read-only")
    assert log.line("cannot start", reason="disk full")


def test_other_lines_pass() -> None:
    log = Log()
    for _ in range(3 * LINES):
        assert log.line("instance ended", "info", reason="x")
        assert log.line("a conflict")
        assert log.line("attempt failed", service="ledger", reason="HTTP 500"), "outages bound these"


def test_many_reasons_take_bounded_memory() -> None:
    log = Log()
    for number in range(3 * MAX_KEYS):
        assert log.line("cannot be read", reason=str(number))
    assert len(log._repeats._seen) == MAX_KEYS
