"""One run: what happened to its money, every call that was made for it, and who asked for what."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.responses import Response

from headrace.console.actions import ACTIONS, actions_for
from headrace.console.pages import Page, Place
from headrace.console.words import STATUS_WORDS, status_of, waits_for
from headrace.errors import NotFound
from headrace.journal.records import ActivityRow, Instance, Stage
from headrace.pictures.moves import WORDS
from headrace.pictures.postings import conservation, posted_moves
from headrace.pictures.words import sentences, visible
from headrace.usecases.descriptions import described
from headrace.usecases.flows import case_flow
from headrace.usecases.ports import Ports
from headrace.workflows.activities import ACTIVITIES

VIEWS = {
    "overview": "Overview",
    "postings": "Postings",
    "history": "History",
    "audit": "Audit",
    "raw": "Raw",
}
AUDIT_ROWS = 100
_LATEST = 2**63 - 1
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that a spreadsheet would calculate."""


@dataclass(frozen=True, slots=True)
class Call:
    """An activity. `moves`: whether it is an effect; `result`: what the service made of it."""

    row: ActivityRow
    moves: bool
    service: str
    result: str


@dataclass(frozen=True, slots=True)
class Step:
    """A stage of the definition; `stage` None: it has not started."""

    number: int
    keyword: str
    stage: Stage | None
    calls: tuple[Call, ...] = ()


async def show_run(place: Place) -> Page:
    """One view of a run. Raises NotFound for a run or a view that does not exist."""
    view = place.query.get("view", "overview")
    if view not in VIEWS:
        raise NotFound("view", view[:40])
    ports, instance_id = place.ports, place.params["id"].lower()
    found = await described(ports, instance_id)
    instance = found.instance
    steps = await _steps(ports, instance)
    last = next((step.calls for step in reversed(steps) if step.stage is not None), ())
    rows = [call.row for call in last]
    workflow = await ports.journal.workflow(instance.workflow_id)
    values: dict[str, Any] = {
        "instance": instance,
        "found": found,
        "status": STATUS_WORDS[status_of(instance, rows)],
        "waits_for": waits_for(instance),
        "stage_count": len(steps),
        "workflow": workflow,
        "variables": msgspec.json.decode(instance.variables),
        "view": view,
        "views": VIEWS,
        "actions": actions_for(instance, rows, place.visitor.principal),
        "done": ACTIONS[done].done if (done := place.query.get("done")) in ACTIONS else "",
        "steps": steps,
        "begun": sum(step.stage is not None for step in steps),
    }
    if view in ("overview", "postings"):
        drawn = await case_flow(ports, instance_id)
        values |= {"flow": drawn.flow, "unplanned": drawn.unplanned, "words": WORDS}
        values |= {"sums": [(sums, conservation(sums)) for sums in drawn.flow.sums()]}
        values |= {"moves": posted_moves(drawn.flow), "sentences": sentences(drawn.flow)}
    elif view == "audit":
        values["entries"] = await ports.journal.audit(_LATEST, AUDIT_ROWS, target=instance_id)
    elif view == "raw":
        values["definition"] = _pretty(instance.config)
        values["history"] = [(step, _pretty(step.stage.input)) for step in steps if step.stage is not None]
    return Page("run.html", f"Run {instance_id[-12:]}", values)


async def download_postings(place: Place) -> Response:
    """The moves of the case as CSV, for a spreadsheet: amounts are exact, and no cell is a formula."""
    instance_id = place.params["id"].lower()
    flow = (await case_flow(place.ports, instance_id)).flow
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["stage", "from", "from_place", "to", "to_place", "amount", "asset", "state", "note"])
    for move in flow.moves:
        places = (move.source, move.destination)
        names = [text for node in places for text in (flow.title(node), flow.caption(node))]
        cells = (*names, str(move.amount), move.asset, WORDS[move.state], move.note)
        writer.writerow([move.stage + 1, *(_cell(each) for each in cells)])
    name = f'attachment; filename="run-{instance_id[-12:]}.csv"'
    headers = {"content-disposition": name}
    return Response(text.getvalue().encode(), media_type="text/csv; charset=utf-8", headers=headers)


def _cell(text: str) -> str:
    """A cell as text: an apostrophe stands before one that a spreadsheet would calculate."""
    shown = visible(text)
    return f"'{shown}" if shown.startswith(_FORMULA) else shown


async def _steps(ports: Ports, instance: Instance) -> list[Step]:
    """Every stage of the definition, with the calls of those that have started."""
    stages = msgspec.json.decode(instance.config)["stages"]
    started = {stage.number: stage for stage in instance.stages}
    found: list[Step] = []
    for number, definition in enumerate(stages):
        keyword = next((name for name in definition if name != "when"), "")
        stage = started.get(number)
        rows = [] if stage is None else await ports.journal.activities(instance.id, number)
        calls: list[Call] = []
        for row in rows:
            activity = ACTIVITIES[row.name]
            result = activity.result(msgspec.json.decode(row.output)) if row.output is not None else ""
            calls.append(Call(row, bool(row.key), activity.service, result))
        found.append(Step(number, keyword, stage, tuple(calls)))
    return found


def _pretty(text: str) -> str:
    return msgspec.json.format(text, indent=2)
