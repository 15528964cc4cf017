"""Bugs of waits for events that have a time."""

from __future__ import annotations

from tests.planted.bugs import SQL, Bug, Change

_TESTS = "tests/contract/test_wait_timeouts.py"
_SUITE = "tests/contract/test_journal.py"


def _bug(name: str, file: str, find: str, put: str, *suites: str) -> Bug:
    return Bug(name, (Change(file, find, put),), suites)


WAITING: tuple[Bug, ...] = (
    _bug(
        "a wait ends though its event has come",
        SQL,
        "AND name = :name AND (stage IS NULL OR stage = :number))\n",
        "AND name = :name AND stage < 0)\n",
        _SUITE,
    ),
    _bug(
        "an event does not wake a wait that has a time",
        SQL,
        "(next_at IS NULL OR next_at > 0) AND EXISTS (",
        "next_at IS NULL AND EXISTS (",
        _SUITE,
    ),
    _bug(
        "an event wakes an instance that waits for approvals",
        SQL,
        "(next_at IS NULL OR next_at > 0) AND EXISTS (",
        "(next_at IS NULL OR next_at > 0) OR EXISTS (",
        _SUITE,
    ),
    _bug(
        "a wait that goes on without its event fails",
        "src/headrace/workflows/interpreter.py",
        "        if wait.continues:\n",
        "        if not wait:\n",
        _TESTS,
    ),
    _bug(
        "a wait ends by the clock before the mailbox is looked into",
        "src/headrace/engine/driver.py",
        "            if not is_taken and runner.wait_is_over:\n",
        "            if runner.wait_is_over:\n",
        _TESTS,
    ),
    _bug(
        "a wait ends a moment before its time",
        "src/headrace/workflows/stages/wait_event.py",
        'context.started_at + duration_us(timeout, "timeout")\n',
        'context.started_at + duration_us(timeout, "timeout") - 2\n',
        "tests/testing/test_deadlines.py",
    ),
)
