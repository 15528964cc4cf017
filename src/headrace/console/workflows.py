"""Workflows: what is deployed, one with its stages, its other versions and its triggers."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import unified_diff
from itertools import islice

import msgspec

from headrace.auth.clients import WRITE
from headrace.console.ids import canonical_id
from headrace.console.inspector import pretty
from headrace.console.pages import Page, Place
from headrace.console.places import older_link, page_place
from headrace.errors import InvalidValue, NotFound
from headrace.journal.lists import UNFINISHED, InstanceSearch, WorkflowList
from headrace.journal.lists import Place as Row
from headrace.journal.records import Trigger, Version, Workflow
from headrace.usecases.ports import Ports
from headrace.workflows.activities import Json
from headrace.workflows.stages import STAGES

ROWS = 50
MAX_TRIGGERS = 1_000
"""Triggers that are looked through for those of a workflow."""
MAX_LINES = 2_000
MAX_TEXT = 200_000


@dataclass(frozen=True, slots=True)
class Line:
    """A stage in words. `condition`: its `when`; empty: it has none."""

    number: int
    text: str
    condition: str


async def show_workflows(place: Place) -> Page:
    """A page of workflows, newest first, each with how many of its runs have not ended. Raises InvalidValue."""
    ports = place.ports
    rows = await ports.journal.workflows_after(WorkflowList(), page_place(place.query), ROWS + 1)
    last = Row(rows[ROWS - 1].created_at, rows[ROWS - 1].id) if len(rows) > ROWS else None
    values = {
        "rows": [
            (row, len(stages_of(row)), await place.counts.of(ports.journal, open_runs(row))) for row in rows[:ROWS]
        ],
        "older": older_link({}, last),
        "is_first": "before" not in place.query,
    }
    return Page("workflows.html", "Workflows", values)


def open_runs(workflow: Workflow) -> InstanceSearch:
    """The runs of a workflow that have not ended."""
    return InstanceSearch(workflow_id=workflow.id, status=UNFINISHED)


def stages_of(workflow: Workflow) -> list[Json]:
    return msgspec.json.decode(workflow.config)["stages"]


async def show_workflow(place: Place) -> Page:
    """A workflow, and its difference to another one. Raises NotFound, InvalidValue."""
    ports = place.ports
    workflow = await read_workflow(ports, place.params["id"])
    other = place.query.get("against", "")
    found: Workflow | None = None
    if other:
        found = await ports.journal.workflow(canonical_id(other))
        if found is None:
            raise InvalidValue("against", f"{other[:40]!r} is not a workflow")
    versions = await versions_beside(ports, workflow)
    triggers = [each for each in await some_triggers(ports) if each.workflow_id == workflow.id]
    values = {
        "workflow": workflow,
        "lines": lines_of(workflow),
        "definition": pretty(workflow.config, MAX_TEXT),
        "count": await place.counts.of(ports.journal, open_runs(workflow)),
        "failed": await place.counts.of(ports.journal, InstanceSearch(workflow_id=workflow.id, status="failed")),
        "versions": versions,
        "triggers": triggers,
        "against": found,
        "difference": [] if found is None else difference(found, workflow),
        "may_write": place.visitor.principal.may(WRITE) and workflow.deleted_at is None,
    }
    return Page("workflow.html", f"Workflow {workflow.name or workflow.id[-12:]}", values)


async def read_workflow(ports: Ports, given: str) -> Workflow:
    """A workflow, also a deleted one. Raises NotFound."""
    workflow = await ports.journal.workflow(canonical_id(given))
    if workflow is None:
        raise NotFound("workflow", given[:40])
    return workflow


def lines_of(workflow: Workflow) -> list[Line]:
    """The stages of a definition in words."""
    found: list[Line] = []
    for number, stage in enumerate(stages_of(workflow)):
        keyword = next((name for name in stage if name != "when"), "")
        text = STAGES[keyword].sentence(stage[keyword]) if keyword in STAGES else keyword
        found.append(Line(number, text, stage.get("when", "")))
    return found


async def versions_beside(ports: Ports, workflow: Workflow) -> list[Version]:
    """The versions of the name that a workflow is one of, the newest first; none where it is of no name."""
    found = [] if workflow.name is None else await ports.journal.versions(workflow.name)
    return found if any(each.workflow_id == workflow.id for each in found) else []


async def some_triggers(ports: Ports) -> list[Trigger]:
    """The newest triggers, MAX_TRIGGERS at most."""
    found: list[Trigger] = []
    async for page in ports.journal.triggers():
        found += page
        if len(found) >= MAX_TRIGGERS:
            break
    return found[:MAX_TRIGGERS]


def difference(before: Workflow, after: Workflow) -> list[tuple[str, str]]:
    """The lines of two definitions that differ, with their neighbours: each with its kind: added, removed, same."""
    old, new = (pretty(each.config, MAX_TEXT).split("\n") for each in (before, after))
    kinds = {"+": "added", "-": "removed"}
    lines = islice(unified_diff(old, new, lineterm="", n=2), 2, MAX_LINES)
    return [(kinds.get(line[:1], "same"), line) for line in lines]
