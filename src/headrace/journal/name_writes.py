"""The writes of names with versions, and of the triggers that are kept under a name.

Everything that moves or reads a name in a unit is written in the section in which commits are ordered: so a start has
the version that is current at its commit, whatever other servers do.
"""

from __future__ import annotations

from headrace.journal.write import Write


class AddHandle(Write, frozen=True, kw_only=True):
    """Give a name its first version. Changes nothing where the name is given already.

    `set_name`: the set of `headrace apply` that makes it; None: a caller of its own.
    """

    name: str
    number: int
    set_name: str | None
    at: int


class AddVersion(Write, frozen=True, kw_only=True):
    """Store a version of a name, which never changes. Changes nothing where there is one of this number."""

    name: str
    number: int
    workflow_id: str
    definition_hash: str
    created_at: int
    principal: str


class MoveHandle(Write, frozen=True, kw_only=True):
    """Make another version the current one of a name. Changes nothing where the current one is not `before`."""

    name: str
    before: int
    number: int
    at: int


class RequireVersion(Write, frozen=True, kw_only=True):
    """A guard: changes a row, to what it is, only where this version is the current one of the name."""

    name: str
    number: int


class DeleteHandle(Write, frozen=True, kw_only=True):
    """Take a name away; its versions stay. Changes nothing where it, or the number of its versions, is another one.

    Neither where a trigger uses it: by the name, by the id of a version, or by an earlier definition, which starts a
    version of it, while events wait that were accepted in its time. `greatest`: the number of the newest version.
    """

    name: str
    number: int
    greatest: int


class KeepTrigger(Write, frozen=True, kw_only=True):
    """Keep the definition of a trigger for the events that are accepted so far; `ReplaceTrigger` follows it.

    They start the version that is current as this is written: a unit that also moves the name does that afterwards.
    Changes nothing where the trigger is deleted, or has another revision.
    """

    trigger_id: str
    revision: int
    at: int


class ReplaceTrigger(Write, frozen=True, kw_only=True):
    """Give a trigger another definition, for the events after those that `KeepTrigger` has left to the earlier one.

    `event_name` is `event` in lower case. Changes nothing where the trigger or the workflow is deleted, or the
    trigger has another revision.
    """

    trigger_id: str
    revision: int
    event: str
    event_name: str
    workflow_id: str
    workflow_name: str | None
    version: str | None
    filter: str | None
    vars: str | None


class RequireTrigger(Write, frozen=True, kw_only=True):
    """A guard: changes a row, to what it is, only where the trigger has this revision, and is not deleted."""

    trigger_id: str
    revision: int


class RequireSet(Write, frozen=True, kw_only=True):
    """A guard: changes a row, to what it is, only where a set has this many workflows and triggers.

    A unit that requires each object of a set that it has read, too, is committed only where there is no other one.
    """

    set_name: str
    workflows: int
    triggers: int


NAME_WRITES: tuple[type[Write], ...] = (
    *(AddHandle, AddVersion, MoveHandle, RequireVersion, DeleteHandle, KeepTrigger, ReplaceTrigger, RequireTrigger),
    RequireSet,
)
