"""Mutants of cases: one lie each, in the rows of the journal or in the books of the services.

`mutants(ran, random)` yields them for one honest case. Each must be refused. A mutant changes what was booked, or what
the history says of it; what no money hangs on (a time of ours, a member of a read that no stage uses) is left alone.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from headrace.certificates.case import Case, RecordedActivity, RecordedInstance, RecordedStage
from headrace.certificates.replay import replay
from headrace.errors import NotCertifiable
from headrace.sandbox.memory import MemorySandbox
from headrace.sandbox.releases import Releases
from headrace.testing.virtual import SeededIds, VirtualClock
from headrace.workflows.activities import ACTIVITIES, Json
from headrace.workflows.conditions import parts_of
from tests.certificates.book_mutants import BOOKS, Books, leaves_a_trace
from tests.certificates.cases import Ran

CANCELED = "canceled"


@dataclass(frozen=True, slots=True)
class Mutant:
    """A case with one lie in it. `books` None: its services are those of the honest case."""

    name: str
    case: Case
    books: bytes | None = None


def refused(ran: Ran, mutant: Mutant, certify: Callable[..., Json]) -> Json:
    """The certificate of a mutant. Raises NotCertifiable where it is refused, as it must be."""
    if mutant.books is None:
        return certify(mutant.case, ran.handle)
    sandbox = MemorySandbox(VirtualClock(), SeededIds(1), Releases(), mutant.books)
    try:
        return certify(mutant.case, sandbox.handle)
    finally:
        sandbox.close()


def mutants(ran: Ran, random: Random) -> Iterator[Mutant]:
    """All mutants of a case: one of each kind that the case allows."""
    instance = ran.case.root
    for change in ROWS:
        changed = change(instance, random)
        if changed is not None and changed != instance:
            yield Mutant(change.__name__, Case((changed,)))
    for alter in BOOKS:
        books = Books(ran.run.sandbox.image())
        if alter(books, ran, random):
            yield Mutant(alter.__name__, ran.case, books.image())
        books.sandbox.close()


# rows


def _effects(instance: RecordedInstance, *, done: bool = True) -> list[tuple[RecordedStage, RecordedActivity]]:
    return [
        (stage, row)
        for stage in instance.stages
        for row in stage.activities
        if ACTIVITIES[row.name].is_effect and (row.error is None) is done
    ]


def _with_row(
    instance: RecordedInstance, stage: RecordedStage, row: RecordedActivity, **changes: Any
) -> RecordedInstance:
    rows = tuple(replace(each, **changes) if each is row else each for each in stage.activities)
    return _with_stage(instance, stage, activities=rows)


def _with_stage(instance: RecordedInstance, stage: RecordedStage, **changes: Any) -> RecordedInstance:
    stages = tuple(replace(each, **changes) if each is stage else each for each in instance.stages)
    return replace(instance, stages=stages)


def _pick_effect(instance: RecordedInstance, random: Random) -> tuple[RecordedStage, RecordedActivity] | None:
    effects = _effects(instance)
    return random.choice(effects) if effects else None


def _edited(value: Any, random: Random, *, names: tuple[str, ...] = ()) -> Any:
    """A copy of JSON with one leaf changed: under one of these names, or any."""
    copied = json.loads(json.dumps(value))
    leaves = list(_leaves(copied))
    leaves = [leaf for leaf in leaves if not names or leaf[1] in names]
    if not leaves:
        return None
    holder, name, leaf = random.choice(leaves)
    holder[name] = leaf + 1 if isinstance(leaf, int) else f"{leaf}x"
    return copied


def _leaves(value: Any) -> Iterator[tuple[Any, Any, Any]]:
    for name, item in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(item, dict | list):
            yield from _leaves(item)
        elif isinstance(item, str | int) and not isinstance(item, bool):
            yield value, name, item


def changed_input(instance: RecordedInstance, random: Random) -> RecordedInstance | None:
    found = _pick_effect(instance, random)
    edited = found and _edited(found[1].input, random)
    return _with_row(instance, *found, input=edited) if found and edited else None


def changed_body(instance: RecordedInstance, random: Random) -> RecordedInstance | None:
    found = _pick_effect(instance, random)
    if not found or not found[1].request.body:
        return None
    edited = _edited(json.loads(found[1].request.body), random)
    if edited is None:
        return None
    body = json.dumps(edited, separators=(",", ":")).encode()
    return _with_row(instance, *found, request=replace(found[1].request, body=body))


def body_with_two_amounts(instance: RecordedInstance, random: Random) -> RecordedInstance | None:
    """A member twice: most readers take the last, some the first."""
    found = _pick_effect(instance, random)
    if not found or not found[1].request.body or b'"amount":' not in found[1].request.body:
        return None
    body = found[1].request.body.replace(b'"amount":', b'"amount":1,"amount":', 1)
    return _with_row(instance, *found, request=replace(found[1].request, body=body))


def changed_path(instance: RecordedInstance, random: Random) -> RecordedInstance | None:
    found = _pick_effect(instance, random)
    if not found:
        return None
    path = found[1].request.path
    segments = path.split("/")
    place = random.randrange(1, len(segments))
    segments[place] += "x"
    return _with_row(instance, *found, request=replace(found[1].request, path="/".join(segments)))


def changed_method(instance: RecordedInstance, random: Random) -> RecordedInstance | None:
    found = _pick_effect(instance, random)
    return found and _with_row(instance, *found, request=replace(found[1].request, method="PUT"))


def changed_key(instance: RecordedInstance, random: Random) -> RecordedInstance | None:
    found = _pick_effect(instance, random)
    return found and _with_row(instance, *found, key=found[1].key[:-1] + "7")


def changed_output(instance: RecordedInstance, random: Random) -> RecordedInstance | None:
    effects = [each for each in _effects(instance) if each[1].output is not None]
    if not effects:
        return None
    stage, row = random.choice(effects)
    names = ("id", "source", "destination", "amount", "asset", "timestamp", "reference")
    return _with_row(instance, stage, row, output=_edited(row.output, random, names=names))


def other_activity(instance: RecordedInstance, random: Random) -> RecordedInstance | None:
    found = _pick_effect(instance, random)
    names = [name for name, each in ACTIVITIES.items() if each.is_effect and found and name != found[1].name]
    return found and _with_row(instance, *found, name=random.choice(names))


def moved_row(instance: RecordedInstance, random: Random) -> RecordedInstance | None:
    found = _pick_effect(instance, random)
    return found and _with_row(instance, *found, position=found[1].position + 1)


def lost_row(instance: RecordedInstance, random: Random) -> RecordedInstance | None:
    found = _pick_effect(instance, random)
    if not found:
        return None
    stage, row = found
    return _with_stage(instance, stage, activities=tuple(each for each in stage.activities if each is not row))


def twice_the_row(instance: RecordedInstance, random: Random) -> RecordedInstance | None:
    found = _pick_effect(instance, random)
    if not found:
        return None
    stage, row = found
    again = replace(row, position=len(stage.activities), key=row.key[:-1] + "1")
    return _with_stage(instance, stage, activities=(*stage.activities, again))


def swapped_rows(instance: RecordedInstance, random: Random) -> RecordedInstance | None:
    stages = [stage for stage in instance.stages if len([r for r in stage.activities if r.key]) > 1]
    if not stages:
        return None
    stage = random.choice(stages)
    rows = list(stage.activities)
    rows[-1], rows[-2] = replace(rows[-2], position=rows[-1].position), replace(rows[-1], position=rows[-2].position)
    return _with_stage(instance, stage, activities=tuple(rows))


def refused_is_done(instance: RecordedInstance, random: Random) -> RecordedInstance | None:
    """A refused effect is said to be done: the row alone."""
    refusals = _effects(instance, done=False)
    return _with_row(instance, *refusals[-1], error=None) if refusals else None


def refused_is_done_throughout(instance: RecordedInstance, random: Random) -> RecordedInstance | None:
    """The same, and so are its stage and the instance, where nothing more would follow."""
    refusals = _effects(instance, done=False)
    if not refusals or refusals[-1][0].number != len(instance.definition["stages"]) - 1:
        return None
    stage, row = refusals[-1]
    if not leaves_a_trace(row):
        return None
    changed = _with_row(instance, stage, row, error=None)
    return replace(_with_stage(changed, changed.stages[-1], error=None), error=None)


def done_is_refused(instance: RecordedInstance, random: Random) -> RecordedInstance | None:
    found = _pick_effect(instance, random)
    return found and _with_row(instance, *found, error="INSUFFICIENT_FUND: too little")


def done_is_refused_throughout(instance: RecordedInstance, random: Random) -> RecordedInstance | None:
    """The last booked effect is said to be refused, and everything after it never to have been."""
    effects = [each for each in _effects(instance) if leaves_a_trace(each[1])]
    if not effects:
        return None
    stage, row = effects[-1]
    rows = [each for each in stage.activities if each.position < row.position]
    rows.append(replace(row, error="INSUFFICIENT_FUND: too little", output=None))
    return _ended(instance, stage, rows, f"{row.name}: INSUFFICIENT_FUND: too little", None)


def lost_end(instance: RecordedInstance, random: Random) -> RecordedInstance | None:
    """The last booked effect and all after it are missing, and the instance is said to have been aborted before."""
    effects = [each for each in _effects(instance) if leaves_a_trace(each[1])]
    if not effects:
        return None
    stage, row = effects[-1]
    rows = [each for each in stage.activities if each.position < row.position]
    return _ended(instance, stage, rows, CANCELED, CANCELED)


def lost_stage(instance: RecordedInstance, random: Random) -> RecordedInstance | None:
    """The last stage that booked something is missing, and the instance is said to have been aborted before it."""
    numbers = [stage.number for stage, row in _effects(instance) if leaves_a_trace(row)]
    if not numbers or numbers[-1] == 0:
        return None
    before = instance.stages[numbers[-1] - 1]
    return _ended(instance, before, list(before.activities), CANCELED, CANCELED)


def _ended(
    instance: RecordedInstance,
    stage: RecordedStage,
    rows: list[RecordedActivity],
    stage_error: str,
    error: str | None,
) -> RecordedInstance:
    """The instance ended in this stage; what it had booked is named in the error, as the product names it."""
    kept = (*instance.stages[: stage.number], replace(stage, activities=tuple(rows), error=stage_error))
    ended = replace(instance, stages=kept, error=error or stage_error)
    try:
        replay(ended, ended.id)
    except NotCertifiable as mismatch:  # it says how the stage would end
        text = str(mismatch)
        if " and ends with " in text:
            stage_error = _literal(text.rpartition(" and ends with ")[2])
            kept = (*kept[:-1], replace(kept[-1], error=stage_error))
            ended = replace(instance, stages=kept, error=error or stage_error)
    return ended


def _literal(text: str) -> str:
    found = ast.literal_eval(text)
    return found if isinstance(found, str) else ""


def refused_read(instance: RecordedInstance, random: Random) -> RecordedInstance | None:
    """The first read of the last stage that booked something is said to be refused; the rest never to have been."""
    booked = {stage.number for stage, row in _effects(instance) if leaves_a_trace(row)}
    if not booked:
        return None
    stage = instance.stages[max(booked)]
    row = stage.activities[0]
    if ACTIVITIES[row.name].is_effect:
        return None
    refused = replace(row, error="NOT_FOUND: it does not exist", output=None)
    return _ended(instance, stage, [refused], f"{row.name}: NOT_FOUND: it does not exist", None)


def changed_stage_input(instance: RecordedInstance, random: Random) -> RecordedInstance | None:
    stage = random.choice(instance.stages)
    edited = _edited(stage.input, random)
    return None if edited is None else _with_stage(instance, stage, input=edited)


def other_keyword(instance: RecordedInstance, random: Random) -> RecordedInstance | None:
    stage = random.choice(instance.stages)
    return _with_stage(instance, stage, keyword="delay" if stage.keyword != "delay" else "send")


def other_stage_error(instance: RecordedInstance, random: Random) -> RecordedInstance | None:
    stage = random.choice(instance.stages)
    return _with_stage(instance, stage, error="something else" if stage.error is None else None)


def other_end(instance: RecordedInstance, random: Random) -> RecordedInstance | None:
    return replace(instance, error="something else" if instance.error is None else None)


def aborted_end(instance: RecordedInstance, random: Random) -> RecordedInstance | None:
    return None if instance.error == CANCELED else replace(instance, error=CANCELED)


def stages_out_of_order(instance: RecordedInstance, random: Random) -> RecordedInstance | None:
    return replace(instance, stages=instance.stages[::-1]) if len(instance.stages) > 1 else None


def missing_stage(instance: RecordedInstance, random: Random) -> RecordedInstance | None:
    place = random.randrange(len(instance.stages))
    return replace(instance, stages=instance.stages[:place] + instance.stages[place + 1 :])


def changed_definition(instance: RecordedInstance, random: Random) -> RecordedInstance | None:
    """Another amount or party in the definition of a stage that has booked something."""
    found = _pick_effect(instance, random)
    if not found:
        return None
    definition = json.loads(json.dumps(instance.definition))
    number = found[0].number
    names = ("amount", "asset", "id", "ledger", "psp")
    edited = _edited(definition["stages"][number], random, names=names)
    if edited is None:
        return None
    definition["stages"][number] = edited
    return replace(instance, definition=definition)


def changed_variable(instance: RecordedInstance, random: Random) -> RecordedInstance | None:
    started = json.dumps(instance.definition["stages"][: len(instance.stages)])
    used = [name for name in instance.variables if f"${{{name}}}" in started]
    if not used:
        return None
    name = random.choice(used)
    return replace(instance, variables={**instance.variables, name: instance.variables[name] + "1"})


def a_lie_throughout(instance: RecordedInstance, random: Random) -> RecordedInstance | None:
    """Another amount of one effect in the definition, the inputs, the requests and the outputs: all rows agree."""
    found = _pick_effect(instance, random)
    if not found or found[0].keyword != "send" or not leaves_a_trace(found[1]):
        return None
    stage = found[0]
    keyword, raw = parts_of(instance.definition["stages"][stage.number])
    if not isinstance(raw["amount"]["amount"], int) and not str(raw["amount"]["amount"]).isdigit():
        return None
    old = int(raw["amount"]["amount"])
    new = max(old - 1, 0) if old else 1
    definition = json.loads(json.dumps(instance.definition))
    definition["stages"][stage.number][keyword]["amount"]["amount"] = str(new)
    stage_input = {**stage.input, "amount": {**stage.input["amount"], "amount": new}}
    rows = tuple(_with_amount(row, old, new) if row.key else row for row in stage.activities)
    lied = _with_stage(instance, stage, activities=rows, input=stage_input)
    return replace(lied, definition=definition)


def _with_amount(row: RecordedActivity, old: int, new: int) -> RecordedActivity:
    if b"headrace:ingest:" in (row.request.body or b""):
        return row

    def changed(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: new if name == "amount" and item == old else changed(item) for name, item in value.items()}
        if isinstance(value, list):
            return [changed(item) for item in value]
        if isinstance(value, str) and value.endswith(f" {old}"):
            return value.removesuffix(f" {old}") + f" {new}"
        return value

    body = row.request.body
    if body is not None:
        body = json.dumps(changed(json.loads(body)), separators=(",", ":"), ensure_ascii=False).encode()
    return replace(row, input=changed(row.input), output=changed(row.output), request=replace(row.request, body=body))


def still_running(instance: RecordedInstance, random: Random) -> RecordedInstance | None:
    return replace(instance, is_open=True)


def an_open_effect(instance: RecordedInstance, random: Random) -> RecordedInstance | None:
    found = _pick_effect(instance, random)
    return found and _with_row(instance, *found, is_open=True)


ROWS: tuple[Callable[[RecordedInstance, Random], RecordedInstance | None], ...] = (
    changed_input,
    changed_body,
    body_with_two_amounts,
    changed_path,
    changed_method,
    changed_key,
    changed_output,
    other_activity,
    moved_row,
    lost_row,
    twice_the_row,
    swapped_rows,
    refused_is_done,
    refused_is_done_throughout,
    done_is_refused,
    done_is_refused_throughout,
    lost_end,
    lost_stage,
    refused_read,
    changed_stage_input,
    other_keyword,
    other_stage_error,
    other_end,
    aborted_end,
    stages_out_of_order,
    missing_stage,
    changed_definition,
    changed_variable,
    a_lie_throughout,
    still_running,
    an_open_effect,
)


def of_case(ran: Ran, seed: int) -> Generator[Mutant]:
    """The mutants of a case, drawn by its seed."""
    yield from mutants(ran, Random(f"mutants:{seed}"))
