"""Typed responses about names with versions, triggers that are kept under names, and apply."""

from __future__ import annotations

from headrace_client.models import Model, Timestamp


class WorkflowVersion(Model, kw_only=True):
    """An immutable version of a name. `deleted`: its workflow was deleted by its id, and starts no more."""

    version: int
    workflow_id: str
    hash: str
    created_at: Timestamp
    created_by: str
    deleted: bool = False


class NamedWorkflow(Model, kw_only=True):
    """A name of a workflow. `version` is the number of its current version, `workflow_id` the workflow of it.

    `versions`: all of them, the newest first. `set`: the set of `headrace apply` that has made the name.
    """

    name: str
    version: int
    workflow_id: str
    created_at: Timestamp
    updated_at: Timestamp
    versions: list[WorkflowVersion]
    set: str | None = None


class KeptTrigger(Model, kw_only=True):
    """A trigger under a name. `workflow`: the name whose current version it starts; `workflow_id`: that workflow, now.

    `revision` counts its definitions. `set`: the set of `headrace apply` that has made it.
    """

    id: str
    name: str
    revision: int
    event: str
    workflow_id: str
    created_at: Timestamp
    workflow: str | None = None
    filter: str | None = None
    version: str | None = None
    vars: dict[str, str] | None = None
    set: str | None = None


class AppliedDocument(Model, kw_only=True):
    """One document of an apply. `kind`: workflow or trigger; `action`: created, updated, unchanged or pruned.

    `version`: of a workflow, or the revision of a trigger; `id`: of either.
    """

    kind: str
    name: str
    action: str
    version: int
    id: str


class Applied(Model, kw_only=True):
    """The result of `apply`. `dry_run`: nothing was written."""

    documents: list[AppliedDocument]
    set: str = ""
    dry_run: bool = False
