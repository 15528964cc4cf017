"""The activity that an instance performs now."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.effects.port import Request
from headrace.workflows.activities import Activity, Json


@dataclass(slots=True, eq=False)
class CurrentActivity:
    """An activity without an outcome. `stage` and `position` are its place in the journal; `shown`
    is the input that history shows.

    `attempt` counts the attempts that this process knows of, `begun` those that the journal counts as begun: while it
    is 0, none may be sent. `was_sent`: an attempt may have reached the service. `is_stored`: the journal has a row of
    it, which a read has only after a failed attempt. `is_closed`: this process has recorded its outcome.
    """

    activity: Activity
    stage: int
    position: int
    key: str
    shown: Json
    request: Request
    started_at: int
    attempt: int = 0
    begun: int = 0
    is_stored: bool = False
    was_sent: bool = False
    last_failure: str | None = None
    needs_attention: bool = False
    is_closed: bool = False
    permitted_s: float | None = None
    """The monotonic time before which the commit that counts the latest attempt was not asked for; None: long ago."""
