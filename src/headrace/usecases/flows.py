"""The flow of funds of a case: what its history shows, and what the planner foresees of the rest."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import msgspec

from headrace.engine.cases import rows_of
from headrace.errors import NotFound, NotInThisState, Silent, TooLarge
from headrace.journal.chains import is_done, ordinal_of
from headrace.journal.port import Journal
from headrace.journal.records import ActivityRow, Instance
from headrace.pictures.effects import Effect, Known, flow_of, foreseen_end, known_in, planned_effects
from headrace.pictures.moves import Flow, State
from headrace.planning.planner import plan
from headrace.usecases.asking import answered
from headrace.usecases.certificates import case_of
from headrace.usecases.continuations import continuing, open_gate, rest_of
from headrace.usecases.plans import terms_for
from headrace.usecases.ports import Ports
from headrace.usecases.undo import report_of
from headrace.workflows.activities import ACTIVITIES, Json
from headrace.workflows.interpreter import CANCELED
from headrace.workflows.undo import reverted_key

PLAN_S = 5.0
"""The time that the services have for the reads of what is planned: a picture is looked at while they may be down."""


class CaseFlow(msgspec.Struct, frozen=True):
    """The flow of the case of an instance. `unplanned`: why moves that are not reached are missing; empty: none are."""

    flow: Flow
    unplanned: str = ""


async def case_flow(ports: Ports, instance_id: str) -> CaseFlow:
    """Find the moves of an instance's case: made, under way and still to come. Sends reads only. Raises NotFound.

    A case is the run, the instances that continue it, and its undo: what that one has reverted is shown as undone.
    """
    ids = await case_of(ports.journal, instance_id)
    instances = [await _read(ports.journal, each) for each in ids]
    before_undo = next((place for place, each in enumerate(instances) if each.kind == "undo"), len(instances))
    planned, why = await _planned(ports, instances[before_undo - 1].id)
    last = await _read(ports.journal, ids[before_undo - 1])  # read after the plan: what is reached by now is no plan
    rows = await rows_of(ports.journal, last)
    undone = await _undone(ports.journal, instances[-1].id) if before_undo < len(instances) else set[str]()
    known = Known() if planned is None else known_in(planned)
    for row in rows:
        output: Json = {} if row.output is None else msgspec.json.decode(row.output)
        known.read(row.name, output.get("data"))
    effects = [_effect(row, undone) for row in rows if row.key]
    reached = {(each.stage, each.ordinal) for each in effects}
    if planned is not None and not (last.is_terminal and last.error is None):
        ahead = planned_effects(planned, "unmade" if last.is_terminal else "planned")
        effects += [each for each in ahead if (each.stage, each.ordinal) not in reached]
    effects.sort(key=lambda each: (each.stage, each.ordinal))
    return CaseFlow(flow_of(effects, known), why)


def _effect(row: ActivityRow, undone: Iterable[str]) -> Effect:
    output: Json = {} if row.output is None else msgspec.json.decode(row.output)
    note = ACTIVITIES[row.name].result(output) if output else ""
    state = "undone" if row.key in undone else _state(row)
    return Effect(row.name, row.stage, ordinal_of(row), msgspec.json.decode(row.input), state, note)


def _state(row: ActivityRow) -> State:
    if row.terminated_at is not None:
        if row.error == CANCELED:
            return "unmade"
        return "booked" if row.error is None else "refused"
    if row.needs_attention:
        return "unknown"
    return "moving" if row.last_failure is None else "retrying"


async def _undone(journal: Journal, undo_id: str) -> set[str]:
    """The keys of effects that the undo of a case has reverted so far.

    Until it has ended, those count that it has sent a revert of: what it has left as it is, is known at the end.
    """
    undo = await _read(journal, undo_id)
    report = await report_of(journal, undo)
    kept = set[str]() if report is None else {each.key for each in report.kept}
    stages = msgspec.json.decode(undo.config)["stages"]
    found: set[str] = set()
    for each in undo.stages:
        if each.terminated_at is None or each.error is not None:
            continue
        rows = [] if undo.is_terminal else await journal.activities(undo_id, each.number)
        if undo.is_terminal or any(row.key and is_done(row) for row in rows):
            found.add(reverted_key(stages[each.number]))
    return found - kept


async def _planned(ports: Ports, instance_id: str) -> tuple[Json | None, str]:
    """The plan of what a run would still do, and why some of it is missing; no plan where it succeeded, or none is."""
    standing = await ports.journal.standing(instance_id)
    if standing is None or not standing.instance.stages:
        return None, ""
    instance = standing.instance
    if instance.is_terminal and instance.error is None:
        return None, ""
    is_at_gate = open_gate(instance) is not None
    try:
        subject = await rest_of(ports.journal, instance_id) if is_at_gate else continuing(standing)
        async with asyncio.timeout(PLAN_S), ports.plans:
            document = await answered(plan(subject, terms_for(ports, subject)), ports.downstream, ports.clock)
    except NotInThisState:  # approved or denied meanwhile
        return None, "it went on while it was looked at: look again"
    except (Silent, TimeoutError):
        return None, "a service does not answer, so what is not reached yet cannot be planned"
    except TooLarge as error:
        return None, str(error)
    return document, foreseen_end(document)


async def _read(journal: Journal, instance_id: str) -> Instance:
    instance = await journal.instance(instance_id)
    if instance is None:
        raise NotFound("instance", instance_id)
    return instance
