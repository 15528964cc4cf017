"""One run: what happened to its money, every call that was made for it, and who asked for what."""

from __future__ import annotations

import csv
import io
import sys
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

import msgspec
from starlette.responses import Response

from headrace.console.actions import ACTIONS, actions_for
from headrace.console.inspector import chosen, inspected, pretty
from headrace.console.pages import Page, Place
from headrace.console.sheets import cell
from headrace.console.stages import Step, run_status, spans, steps_of, verdicts
from headrace.console.words import waits_for
from headrace.errors import InvalidValue, NotFound
from headrace.journal.records import Instance
from headrace.pictures.moves import WORDS, Edge
from headrace.pictures.postings import conservation, posted_moves
from headrace.pictures.timeline import MAX_ROWS, timeline
from headrace.pictures.words import sentences
from headrace.usecases.continuations import belongs_to_undo
from headrace.usecases.descriptions import described
from headrace.usecases.flows import CaseFlow, case_flow

VIEWS = {
    "overview": "Overview",
    "postings": "Postings",
    "history": "History",
    "audit": "Audit",
    "raw": "Raw",
}
AUDIT_ROWS = 100
_LATEST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Look:
    """How the overview is looked at. `stage`: the one chosen, counted from 1; 0: none. `is_whole`: nothing folds."""

    stage: int
    is_linear: bool
    is_whole: bool

    @classmethod
    def of(cls, place: Place, stage: int) -> Look:
        """The look that the query asks for. Raises InvalidValue."""
        clock, rows = place.query.get("clock", "folded"), place.query.get("rows", "")
        if clock not in ("folded", "linear"):
            raise InvalidValue("clock", "is folded or linear")
        if rows not in ("", "all"):
            raise InvalidValue("rows", "is all, or is left out")
        return cls(stage, clock == "linear", rows == "all")

    def link(self, **changes: Any) -> str:
        """The query of this look, with some of it changed."""
        to = replace(self, **changes)
        chosen_ones = {"stage": to.stage or "", "clock": "linear" * to.is_linear, "rows": "all" * to.is_whole}
        return "?" + urlencode({name: value for name, value in chosen_ones.items() if value})

    def stage_link(self, edge: Edge) -> str:
        """A link to the stage of a drawn line; to the first one, where several moved along it."""
        return f"{self.link(stage=edge.moves[0].stage + 1)}#inspector"


async def show_run(place: Place) -> Page:
    """One view of a run. Raises NotFound for a run or a view that does not exist."""
    view = place.query.get("view", "overview")
    if view not in VIEWS:
        raise NotFound("view", view[:40])
    ports, instance_id = place.ports, place.params["id"].lower()
    found = await described(ports, instance_id)
    instance = found.instance
    steps = await steps_of(ports, instance)
    last = next((step.calls for step in reversed(steps) if step.stage is not None), ())
    rows = [call.row for call in last]
    workflow = await ports.journal.workflow(instance.workflow_id)
    is_booked = any(call.moves and call.row.output is not None for step in steps for call in step.calls)
    can_undo = instance.is_terminal and instance.kind != "undo" and found.successor is None and is_booked
    values: dict[str, Any] = {
        "instance": instance,
        "found": found,
        "status": run_status(instance, rows),
        "waits_for": waits_for(instance),
        "until_at": next((step.until_at for step in steps if step.until_at is not None), None),
        "stage_count": len(steps),
        "workflow": workflow,
        "variables": msgspec.json.decode(instance.variables),
        "view": view,
        "views": VIEWS,
        "actions": actions_for(instance, rows, place.visitor.principal, can_undo=can_undo),
        "done": ACTIONS[done].done if (done := place.query.get("done")) in ACTIONS else "",
        "steps": steps,
        "begun": 1 + max((step.number for step in steps if step.stage is not None), default=-1),
    }
    if view == "overview":
        values |= await _overview(place, instance, steps)
    elif view == "postings":
        values |= _money(await case_flow(ports, instance_id))
    elif view == "audit":
        values["entries"] = await ports.journal.audit(_LATEST, AUDIT_ROWS, target=instance_id)
    elif view == "raw":
        values["definition"] = pretty(instance.config, sys.maxsize)
        values["history"] = [(step, pretty(step.stage.input, sys.maxsize)) for step in steps if step.stage is not None]
    return Page("run.html", f"Run {instance_id[-12:]}", values)


async def _overview(place: Place, instance: Instance, steps: list[Step]) -> dict[str, Any]:
    """The values of the overview. Raises InvalidValue for a look that there is not."""
    ports = place.ports
    step = chosen(place.query.get("stage", ""), steps)
    look = Look.of(place, 0 if step is None else step.number + 1)
    is_undo = await belongs_to_undo(ports.journal, instance)
    drawn = await case_flow(ports, instance.id)
    undone = {(move.stage, move.ordinal) for move in drawn.flow.moves if move.state == "undone" and not is_undo}
    line = timeline(
        spans(steps, undone),
        ports.clock.now_at(),
        is_over=instance.is_terminal and not any(each.stage and each.stage.terminated_at is None for each in steps),
        is_linear=look.is_linear,
        selected=look.stage - 1,
        max_rows=sys.maxsize if look.is_whole else MAX_ROWS,
    )
    detail = None if step is None else inspected(step, len(steps), await verdicts(ports, step))
    return {**_money(drawn), "look": look, "is_undo": is_undo, "timeline": line, "inspected": detail}


def _money(drawn: CaseFlow) -> dict[str, Any]:
    """The values that tell of the money of a case."""
    flow = drawn.flow
    return {
        "flow": flow,
        "unplanned": drawn.unplanned,
        "words": WORDS,
        "sums": [(sums, conservation(sums)) for sums in flow.sums()],
        "moves": posted_moves(flow),
        "sentences": sentences(flow),
    }


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
        writer.writerow([move.stage + 1, *(cell(each) for each in cells)])
    name = f'attachment; filename="run-{instance_id[-12:]}.csv"'
    headers = {"content-disposition": name}
    return Response(text.getvalue().encode(), media_type="text/csv; charset=utf-8", headers=headers)
