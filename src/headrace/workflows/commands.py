"""Commands: what a stage yields. A stage performs nothing itself; the runner carries out each command in turn."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.workflows.activities import Activity, Json


@dataclass(frozen=True, slots=True)
class SleepUntil:
    """Go on at this moment (microseconds since the epoch); at once when it has passed."""

    deadline_at: int


@dataclass(frozen=True, slots=True)
class WaitEvent:
    """Go on when an event of this name has come, now or earlier, or at `deadline_at`.

    `continues`: without the event the stage goes on, and does not fail.
    """

    event: str
    deadline_at: int | None = None
    continues: bool = False


@dataclass(frozen=True, slots=True)
class WaitApproval:
    """Go on when so many persons have approved the rest of the run. `timeout_us`: for how long they may, or None."""

    approvals: int
    timeout_us: int | None = None


@dataclass(frozen=True, slots=True)
class Amend:
    """Show this as the stage's input in history from now on (a wallet's name was resolved)."""

    input: Json


Command = Activity | SleepUntil | WaitEvent | WaitApproval | Amend
