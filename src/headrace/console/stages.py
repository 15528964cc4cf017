"""The stages of a run: each in a sentence, with its calls, how it stands, and until when a wait lasts."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, cast

import msgspec

from headrace.console.words import STATUS_WORDS, Status, status_of, waits_for
from headrace.errors import InvalidValue
from headrace.journal.chains import ordinal_of
from headrace.journal.records import ActivityRow, Instance, ResolutionRow, Stage
from headrace.pictures.timeline import BarState, Span, StageSpan
from headrace.usecases.ports import Ports
from headrace.workflows.activities import ACTIVITIES, Json
from headrace.workflows.conditions import WHEN
from headrace.workflows.durations import duration_us, moment_us
from headrace.workflows.interpreter import CANCELED
from headrace.workflows.stages import RUN
from headrace.workflows.variables import expand

DELAY = "delay"
SCHEDULED = Status("◷", "Scheduled", "waiting")
WAITING = Status("◔", "Waiting", "waiting")
"""On the page of one run, a delay is apart from other waits; the list of runs has one status for both."""


@dataclass(frozen=True, slots=True)
class Call:
    """An activity. `moves`: whether it is an effect; `text`: a sentence; `result`: what the service made of it."""

    row: ActivityRow
    moves: bool
    service: str
    text: str
    result: str

    @property
    def state(self) -> BarState:
        return effect_state(self.row)


@dataclass(frozen=True, slots=True)
class Step:
    """A stage of the definition; `stage` None: it has not started.

    `definition`: as it was given. `waits_for`: what an open one waits for, `until_at`: at the latest; None: no limit.
    `is_inherited`: an earlier run of the case has run it.
    """

    number: int
    keyword: str
    definition: Json
    text: str
    state: BarState
    stage: Stage | None
    calls: tuple[Call, ...] = ()
    waits_for: str = ""
    until_at: int | None = None
    is_inherited: bool = False

    @property
    def effects(self) -> tuple[Call, ...]:
        return tuple(call for call in self.calls if call.moves)


async def steps_of(ports: Ports, instance: Instance) -> list[Step]:
    """Every stage of the definition, with the calls of those that have started."""
    definitions: list[Json] = msgspec.json.decode(instance.config)["stages"]
    variables: dict[str, str] = msgspec.json.decode(instance.variables)
    started = {stage.number: stage for stage in instance.stages}
    found: list[Step] = []
    for number, definition in enumerate(definitions):
        keyword = next((name for name in definition if name != WHEN), "")
        stage = started.get(number)
        rows = [] if stage is None else await ports.journal.activities(instance.id, number)
        text = sentence(keyword, _body(keyword, definition, stage, variables))
        state = _state(instance, stage, rows)
        is_last = stage is not None and stage is instance.stages[-1]
        waited = waits_for(instance) if is_last and state == "waiting" else ""
        until_at = until(stage) if waited and stage is not None else None
        calls = tuple(_call(row) for row in rows)
        is_inherited = number < (instance.from_stage or 0)
        found.append(Step(number, keyword, definition, text, state, stage, calls, waited, until_at, is_inherited))
    return found


def run_status(instance: Instance, rows: list[ActivityRow]) -> Status:
    """The status on the page of one run. `rows`: the calls of its last stage."""
    name = status_of(instance, rows)
    if name != "waiting":
        return STATUS_WORDS[name]
    last = instance.stages[-1]
    at_gate = last.gate is not None and last.gate_passed_at is None
    return SCHEDULED if last.keyword == DELAY and not at_gate else WAITING


async def verdicts(ports: Ports, step: Step) -> dict[str, ResolutionRow]:
    """The decisions of persons about effects of a stage, by their keys; also of those of earlier runs of the case."""
    found: dict[str, ResolutionRow] = {}
    for instance_id in dict.fromkeys(call.row.instance_id for call in step.calls):
        decided = [row for row in await ports.journal.resolutions(instance_id) if row.stage == step.number]
        own = await ports.journal.activities(instance_id, step.number) if decided else []
        keys = {row.position: row.key for row in own if row.instance_id == instance_id}
        found |= {keys[row.position]: row for row in decided if row.position in keys}
    return found


def spans(steps: list[Step], undone: Collection[tuple[int, int]] = ()) -> list[StageSpan]:
    """The stages as the timeline draws them, with their effects. `undone`: effects, as (stage, ordinal), by an undo."""
    found: list[StageSpan] = []
    for step in steps:
        times = (None, None) if step.stage is None else (step.stage.started_at, step.stage.terminated_at)
        effects: list[Span] = []
        for each in step.effects:
            is_undone = each.state == "booked" and (step.number, ordinal_of(each.row)) in undone
            state = "undone" if is_undone else each.state
            effects.append(Span(each.text, state, each.row.started_at, each.row.terminated_at))
        found.append(StageSpan(step.number, Span(step.text, step.state, *times), tuple(effects)))
    return found


def effect_state(row: ActivityRow) -> BarState:
    """How a call stands."""
    if row.terminated_at is not None:
        return "booked" if row.error is None else "unmade" if row.error == CANCELED else "refused"
    if row.needs_attention:
        return "unknown"
    return "moving" if row.last_failure is None else "retrying"


def until(stage: Stage) -> int | None:
    """The moment at which an open stage goes on, or gives up; None: it has no limit, or its input says no moment."""
    if stage.gate is not None and stage.gate_passed_at is None:
        return stage.deadline_at
    body: Json = msgspec.json.decode(stage.input)
    try:
        if "until" in body:
            return moment_us(body["until"])
        lasts = body.get("duration") or body.get("timeout")
        return None if lasts is None else stage.started_at + duration_us(lasts)
    except InvalidValue:
        return None


def sentence(keyword: str, body: object) -> str:
    """A stage in words, from its body; a placeholder stays where a variable has no value."""
    if keyword not in RUN:
        return keyword or "A stage without a keyword"
    return RUN[keyword].sentence(cast("Json", body) if isinstance(body, dict) else {})


def _body(keyword: str, definition: Json, stage: Stage | None, variables: Mapping[str, str]) -> Any:
    """The body of a stage with values: as it ran, else as it would."""
    ran: Json = {} if stage is None else msgspec.json.decode(stage.input)
    if ran:
        return ran
    body: Any = definition.get(keyword)
    try:
        return expand(body, variables)
    except InvalidValue:
        return body


def _call(row: ActivityRow) -> Call:
    activity = ACTIVITIES[row.name]
    try:
        text = activity.summary(msgspec.json.decode(row.input))
    except LookupError:
        text = row.name
    result = activity.result(msgspec.json.decode(row.output)) if row.output is not None else ""
    return Call(row, bool(row.key), activity.service, text, result)


def _state(instance: Instance, stage: Stage | None, rows: list[ActivityRow]) -> BarState:
    if stage is None:
        return "unmade" if instance.is_terminal else "planned"
    if stage.terminated_at is not None:
        if stage.error is not None:
            return "unmade" if stage.error == CANCELED else "refused"
        return "skipped" if stage.skipped else "booked"
    still_open = [effect_state(row) for row in rows if row.terminated_at is None]
    for state in ("unknown", "retrying", "moving"):
        if state in still_open:
            return state
    return "waiting" if not instance.is_terminal and waits_for(instance) else "moving"
