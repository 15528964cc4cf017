"""Failed calls become a bounded number of log lines, whatever their number, and an outage has a start and an end."""

from __future__ import annotations

from headrace.telemetry.outages import LINES, OUTAGE_S, REMIND_S, WINDOW_S, Line, Outage

SECOND = 1_000_000
START_AT = 1_767_225_600 * SECOND  # 2026-01-01T00:00:00Z


class Ledger:
    """An `Outage` with a clock."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.outage = Outage("ledger")

    def fails(self, after_s: float = 0.0, **fields: object) -> Line | None:
        self.now_s += after_s
        return self.outage.failed(self.now_s, START_AT + int((self.now_s - 100) * SECOND), "HTTP 500", dict(fields))

    def answers(self, after_s: float = 0.0) -> Line | None:
        self.now_s += after_s
        return self.outage.answered(self.now_s)


def test_a_single_failure_is_logged_with_its_fields_and_an_answer_after_it_is_not() -> None:
    ledger = Ledger()
    line = ledger.fails(operation="CreateTransaction", attempt=1)
    fields = {"service": "ledger", "operation": "CreateTransaction", "attempt": 1, "reason": "HTTP 500"}
    assert line == Line("attempt failed", fields)
    assert not ledger.outage.is_answering
    assert ledger.answers(1) is None
    assert ledger.outage.is_answering


def test_a_service_that_stays_away_is_failing_since_its_first_failure_and_then_back() -> None:
    ledger = Ledger()
    singles = [ledger.fails(after_s) for after_s in (0, 1, 2)]
    assert [line.event for line in singles if line] == ["attempt failed"] * 3
    assert ledger.fails(2) == Line(
        "ledger is failing", {"since": "2026-01-01T00:00:00.000000Z", "failed_calls": 4, "reason": "HTTP 500"}
    )
    assert [ledger.fails(1) for _ in range(20)] == [None] * 20
    assert ledger.answers(15) == Line(
        "ledger is back", {"since": "2026-01-01T00:00:00.000000Z", "seconds": 40, "failed_calls": 24}
    )
    assert ledger.answers() is None
    again = ledger.fails(1)
    assert again is not None and again.event == "attempt failed", "after an outage it counts from the start"


def test_failures_in_a_moment_are_no_outage_yet() -> None:
    """Many attempts are under way at once: when a connection breaks they all fail within milliseconds."""
    ledger = Ledger()
    lines = [ledger.fails() for _ in range(64)]
    assert {line.event for line in lines if line} == {"attempt failed"}
    assert ledger.answers() is None


def test_a_slow_service_is_failing_at_its_third_failure() -> None:
    ledger = Ledger()
    events = [line.event for line in (ledger.fails(60) for _ in range(3)) if line]
    assert events == ["attempt failed", "attempt failed", "ledger is failing"]


def test_an_outage_is_repeated_now_and_then() -> None:
    ledger = Ledger()
    for _ in range(3):
        ledger.fails(OUTAGE_S)
    assert ledger.fails(REMIND_S - 1) is None
    line = ledger.fails(1)
    assert line is not None and line.event == "ledger is still failing" and line.fields["failed_calls"] == 5
    assert ledger.fails(1) is None


def test_failures_between_answers_are_bounded_and_the_next_line_counts_the_others() -> None:
    """One call of three fails: no outage, and not a line for each."""
    ledger = Ledger()
    lines: list[Line] = []
    for _ in range(100):
        lines += [line for line in (ledger.fails(0.01), ledger.answers(), ledger.answers()) if line]
    assert len(lines) == LINES
    line = ledger.fails(WINDOW_S)
    assert line is not None and line.fields["more_since_last_line"] == 95
    line = ledger.fails()
    assert line is not None and "more_since_last_line" not in line.fields
