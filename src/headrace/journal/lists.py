"""Which rows a list holds, and places in it.

Every list runs from the newest row to the oldest, by (created_at, id): a row's place never changes, whatever is
inserted, ended or deleted around it.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

import msgspec


class Place(NamedTuple):
    """Between two rows, or on one: what comes after it is older, what comes before it is newer."""

    created_at: Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
    id: str

    def before(self) -> Place:
        """The place right before: what comes after it begins with this very row. No id has control characters."""
        return Place(self.created_at, self.id + "\x01")

    def after(self) -> Place:
        """A place after this row, at the end of all that were made in the same microsecond."""
        return Place(self.created_at, "")


STATUSES = ("running", "waiting", "retrying", "attention", "succeeded", "failed", "aborted")
"""The statuses of an instance. The journal stores their positions: add new ones at the end only.

running    an activity is being carried out, or begins at once
waiting    for the end of a delay, or for an event
retrying   an activity failed and is tried again
attention  the outcome of an effect is unknown; a person has to decide
"""
UNFINISHED = "unfinished"
"""Any of the first four."""

NEWEST = Place(2**63 - 1, "\U0010ffff")
"""Before every row."""


class _List(msgspec.Struct, frozen=True, array_like=True):
    """Also part of a cursor: members are added at the end only, and with a default."""


class WorkflowList(_List, frozen=True, tag="workflows"):
    """All that are not deleted."""


class InstanceList(_List, frozen=True, tag="instances"):
    """`running`: only those that have not ended."""

    workflow_id: str | None = None
    running: bool = False


class TriggerList(_List, frozen=True, tag="triggers"):
    """All that are not deleted; `name`: only those whose name holds this text, in any case."""

    name: str | None = None


class OccurrenceList(_List, frozen=True, tag="occurrences"):
    trigger_id: str


class InstanceSearch(_List, frozen=True, tag="search"):
    """Instances by status (one of STATUSES, or UNFINISHED), by error code or by the fingerprint of a variable.

    `text`: what a person looks for, as `usecases.searching` reads it. No single query answers it.
    """

    workflow_id: str | None = None
    status: str | None = None
    error_code: str | None = None
    fingerprint: int | None = None
    since_at: int | None = None
    text: str | None = None


class AttentionList(_List, frozen=True, tag="attention"):
    """Open effects that need attention, of one instance or of all. Their places are those of their instances."""

    instance_id: str | None = None


class PlanList(_List, frozen=True, tag="plans"):
    """Plans; `state`: only those that are in it at the time `at`, at which a plan may have expired."""

    state: str | None = None
    at: int = 0


class BatchList(_List, frozen=True, tag="batches"):
    """All batches, in any state."""


class HandleList(_List, frozen=True, tag="handles"):
    """All names of workflows."""


class KeptTriggerList(_List, frozen=True, tag="kept_triggers"):
    """Triggers that are kept under names, and not deleted."""


AnyList = (
    WorkflowList
    | InstanceList
    | TriggerList
    | OccurrenceList
    | InstanceSearch
    | AttentionList
    | PlanList
    | BatchList
    | HandleList
    | KeptTriggerList
)
