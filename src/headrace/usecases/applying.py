"""Triggers that are kept under names, and `apply`: many documents in one unit, all of them or none.

What made an object is stored with it: the name of a *set*. A set prunes only what it has made itself, never what a
caller or another set has made.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

import msgspec

from headrace.errors import InvalidDefinition, InvalidValue, NotInThisState, Problem, TooLarge
from headrace.journal.lists import NEWEST, HandleList, KeptTriggerList, Place
from headrace.journal.name_writes import KeepTrigger, ReplaceTrigger, RequireSet, RequireTrigger, RequireVersion
from headrace.journal.port import Required, Unit
from headrace.journal.records import Trigger
from headrace.journal.writes import AddAuditEntry, AddTrigger, DeleteTrigger
from headrace.triggers.definition import Definition, parse_definition
from headrace.usecases.idempotency import Answer, Caller, idempotent, record
from headrace.usecases.names import (
    CREATED,
    PRUNED,
    UNCHANGED,
    UPDATED,
    NameChange,
    NamedWorkflow,
    add_deletion,
    add_name_change,
    check_name,
    check_owner,
    forget,
    name_change,
    named_config,
    number_in,
    set_in,
    with_versions,
)
from headrace.usecases.ports import Ports
from headrace.usecases.reasons import members_of, principal_of
from headrace.workflows.activities import Json
from headrace.workflows.config import Config
from headrace.workflows.variables import shown

MAX_DOCUMENTS = 1_000
MAX_PROBLEMS = 100
"""Problems that are listed of all documents together."""
DEFAULT_SET = "default"
WORKFLOW, TRIGGER = "workflow", "trigger"
_PAGE = 200
_PLACEHOLDER = "-"
_MEMBERS = ("event", "workflow", "workflowID", "filter", "version", "vars")


@dataclass(frozen=True, slots=True)
class KeptDefinition:
    """A trigger under a name. `workflow_name`: it starts the current version of this name; None: one workflow by id."""

    name: str
    definition: Definition
    workflow_name: str | None


class PutTrigger(msgspec.Struct, frozen=True):
    """The result of putting a trigger."""

    trigger: Trigger
    action: str


class Change(msgspec.Struct, frozen=True):
    """An action on a document. `number`: the version of a workflow, the revision of a trigger. `id`: of either."""

    kind: str
    name: str
    action: str
    number: int
    id: str


class Applied(msgspec.Struct, frozen=True):
    """The result of an apply, in the order of the names; first the workflows. `is_dry`: nothing was written."""

    set_name: str
    is_dry: bool
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class _Wanted:
    set_name: str
    workflows: dict[str, Config]
    triggers: dict[str, KeptDefinition]
    prunes: bool
    is_dry: bool


async def kept_definition(ports: Ports, name: str, wanted: object, path: str = "") -> KeptDefinition:
    """Parse the definition of a trigger that is kept under a name. Raises InvalidDefinition naming every problem.

    `wanted` has `event`, either `workflow`, a name, or `workflowID`, and perhaps `filter`, `version` and `vars`.
    """
    below = f"{path}." if path else ""
    if not isinstance(wanted, dict):
        raise InvalidDefinition([Problem(path or "body", "must be a trigger: an object with `event` and `workflow`")])
    members = cast("Json", wanted)
    problems = [
        Problem(f"{below}{shown(each)}", f"is unknown; a trigger has {', '.join(_MEMBERS)}")
        for each in members
        if each not in _MEMBERS
    ]
    problems += [Problem(f"{below}{each}", "must not be null") for each in _MEMBERS if members.get(each, "") is None]
    by_name = members.get("workflow")
    if (by_name is None) == (members.get("workflowID") is None):
        problems.append(Problem(f"{below}workflow", "either it or workflowID is required"))
    if by_name is not None:
        try:
            check_name(by_name, f"{below}workflow")
        except InvalidValue as error:
            problems.append(Problem(error.field, error.reason))
    given = {each: value for each, value in members.items() if each in _MEMBERS and each != "workflow"}
    if by_name is not None or members.get("workflowID") is None:
        given["workflowID"] = _PLACEHOLDER
    try:
        async with ports.compilations:
            definition = await asyncio.to_thread(parse_definition, {**given, "name": name})
    except InvalidDefinition as error:
        problems += [Problem(f"{below}{each.path}", each.reason, each.rule) for each in error.problems]
        raise InvalidDefinition(problems) from None
    if problems:
        raise InvalidDefinition(problems)
    return KeptDefinition(name, definition, cast("str | None", by_name))


@dataclass(frozen=True, slots=True)
class _TriggerChange:
    wanted: KeptDefinition
    before: Trigger | None
    action: str


async def _trigger_change(ports: Ports, wanted: KeptDefinition, set_name: str | None) -> _TriggerChange:
    """Compare a definition with the trigger that is kept under its name. Raises NotInThisState."""
    before = await ports.journal.kept_trigger(wanted.name)
    if before is None:
        return _TriggerChange(wanted, None, CREATED)
    check_owner(f"trigger {wanted.name!r}", before.set_name, set_name)
    made = wanted.definition
    is_same = (
        (before.event, before.version, before.filter) == (made.event, made.version, made.filter)
        and _variables(before.vars) == _variables(made.vars_text)
        and before.workflow_name == wanted.workflow_name
        and (wanted.workflow_name is not None or before.workflow_id == made.workflow_id)
    )
    return _TriggerChange(wanted, before, UNCHANGED if is_same else UPDATED)


def _variables(text: str | None) -> Json:
    return {} if text is None else msgspec.json.decode(text)


def _add_trigger_change(
    unit: Unit, ports: Ports, change: _TriggerChange, workflow: tuple[str, int | None], set_name: str | None, at: int
) -> Trigger:
    """Add the writes of a change to a unit. `workflow`: the one that starts now, and the number of its version."""
    wanted, before = change.wanted, change.before
    made = wanted.definition
    workflow_id, current = workflow
    gone = partial(NotInThisState, "version", f"trigger {wanted.name!r} has changed meanwhile: look again")
    if before is None:
        row = Trigger(
            ports.ids.new(),
            wanted.name,
            made.event,
            workflow_id,
            made.version,
            made.filter,
            made.vars_text,
            at,
            workflow_name=wanted.workflow_name,
            current=current,
            handle=wanted.name,
            set_name=set_name,
        )
        added = AddTrigger(
            trigger_id=row.id,
            name=row.name,
            event=row.event,
            event_name=row.event.lower(),
            workflow_id=row.workflow_id,
            version=row.version,
            filter=row.filter,
            vars=row.vars,
            created_at=at,
            workflow_name=row.workflow_name,
            handle=row.handle,
            set_name=row.set_name,
        )
        unit.add(Required(added, gone))
        ports.outbox.want(unit, row.event)
        return row
    if change.action == UNCHANGED:
        unit.add(Required(RequireTrigger(trigger_id=before.id, revision=before.revision), gone))
        return before
    # Before the name moves: the earlier definition keeps the version for which it was made.
    unit.insert(0, Required(KeepTrigger(trigger_id=before.id, revision=before.revision, at=at), gone))
    replaced = ReplaceTrigger(
        trigger_id=before.id,
        revision=before.revision,
        event=made.event,
        event_name=made.event.lower(),
        workflow_id=workflow_id,
        workflow_name=wanted.workflow_name,
        version=made.version,
        filter=made.filter,
        vars=made.vars_text,
    )
    unit.add(Required(replaced, gone))
    ports.outbox.want(unit, made.event)
    return msgspec.structs.replace(
        before,
        event=made.event,
        workflow_id=workflow_id,
        version=made.version,
        filter=made.filter,
        vars=made.vars_text,
        workflow_name=wanted.workflow_name,
        current=current,
        revision=before.revision + 1,
    )


async def _workflow_of(
    ports: Ports, unit: Unit, change: _TriggerChange, made: dict[str, NamedWorkflow], path: str
) -> tuple[str, int | None]:
    """The workflow that a trigger starts now: by its name, also one that this unit makes, or by its id.

    Raises InvalidValue where it is deleted, unless the trigger stays as it is: it may belong to others.
    """
    wanted, stays = change.wanted, change.action == UNCHANGED
    name = wanted.workflow_name
    if name is None:
        workflow_id = wanted.definition.workflow_id
        workflow = await ports.journal.workflow(workflow_id)
        if not stays and (workflow is None or workflow.deleted_at is not None):
            raise InvalidValue(f"{path}workflowID", f"there is no workflow {workflow_id[:100]!r}")
        return workflow_id, None
    handle = made[name].handle if name in made else await ports.journal.handle(name)
    if handle is None:
        raise InvalidValue(f"{path}workflow", f"there is no workflow with the name {name!r}")
    if name not in made:
        workflow = await ports.journal.workflow(handle.workflow_id)
        if not stays and (workflow is None or workflow.deleted_at is not None):
            reason = f"the workflow of {name!r}, version {handle.current}, was deleted: put another version"
            raise InvalidValue(f"{path}workflow", reason)
        guard = RequireVersion(name=name, number=handle.current)
        unit.add(Required(guard, partial(NotInThisState, "version", f"{name!r} has moved meanwhile: look again")))
    return handle.workflow_id, handle.current


@idempotent(PutTrigger)
async def put_trigger(ports: Ports, caller: Caller | None, name: str, wanted: object) -> Answer[PutTrigger]:
    """Make a definition that of the trigger under a name; events that were accepted before have the earlier one.

    `wanted` is as `kept_definition` has it, with `ifRevision` and `set` as `put_workflow` has its own. Raises
    InvalidValue, NotInThisState (`version`, `set`), Unavailable.
    """
    check_name(name)
    members = members_of(wanted, *_MEMBERS, "ifRevision", "set")
    if_revision, set_name = number_in(members, "ifRevision"), set_in(members)
    definition = {each: value for each, value in members.items() if each in _MEMBERS}
    parsed = await kept_definition(ports, name, definition)
    change = await _trigger_change(ports, parsed, set_name)
    revision = 0 if change.before is None else change.before.revision
    if if_revision is not None and if_revision != revision:
        there = f"revision {revision} is there" if revision else "there is no such trigger"
        raise NotInThisState("version", f"trigger {name!r}: ifRevision is {if_revision}, and {there}")
    await _require_capacity(ports, 1 if change.before is None else 0)
    unit, at = Unit(), ports.clock.now_at()
    workflow = await _workflow_of(ports, unit, change, {}, "")
    row = _add_trigger_change(unit, ports, change, workflow, set_name, at)
    answer = Answer(row.id, PutTrigger(row, change.action))
    # Who changes nothing is no requester of what the trigger starts.
    record(unit, caller, at, answer, name if change.action == UNCHANGED else None)
    await ports.journal.commit(unit)
    return answer


async def _require_capacity(ports: Ports, more: int) -> None:
    if more and await ports.journal.trigger_count() + more > ports.max_triggers:
        raise InvalidValue("", f"there would be more than {ports.max_triggers} triggers: delete some")


@idempotent(Applied)
async def apply(ports: Ports, caller: Caller | None, wanted: object) -> Answer[Applied]:
    """Make documents the current ones, in one unit: all of them, or none.

    `wanted` is `{"set"?, "workflows": {name: definition}, "triggers": {name: trigger}, "prune"?, "dryRun"?}`. `prune`
    deletes what the set has made and `wanted` does not name; `dryRun` only finds out what would be done.

    Raises InvalidValue naming every problem of a document; NotInThisState: `version` where something has moved
    meanwhile, `set` where another set has made it, `in_use` where a trigger starts what would be pruned; Unavailable.
    """
    request = await _parsed(ports, wanted)
    names = [await name_change(ports, name, config, request.set_name) for name, config in request.workflows.items()]
    changes = [await _trigger_change(ports, each, request.set_name) for each in request.triggers.values()]
    await _require_capacity(ports, sum(each.before is None for each in changes))
    unit, at = Unit(), ports.clock.now_at()
    made, found = _add_names(unit, ports, names, request, principal_of(caller), at)
    for change in changes:
        workflow = await _workflow_of(ports, unit, change, made, f"triggers.{change.wanted.name}.")
        row = _add_trigger_change(unit, ports, change, workflow, request.set_name, at)
        found.append(Change(TRIGGER, change.wanted.name, change.action, row.revision, row.id))
    pruned: list[NamedWorkflow] = []
    if request.prunes:
        pruned = await _add_pruning(unit, ports, request, found, at)
        _require_no_others(unit, request.set_name, [*names, *changes], found)
    # No name has this text: who applies a set has not put a workflow that is called as the set is.
    answer = Answer(f"set:{request.set_name}", Applied(request.set_name, request.is_dry, tuple(found)))
    if request.is_dry:
        return answer
    for each in found if caller is not None else ():
        if each.action != UNCHANGED:
            _audit(unit, cast("Caller", caller), at, each)
    record(unit, caller, at, answer)
    await ports.journal.commit(unit)
    for named in pruned:
        forget(ports, named)
    return answer


def _add_names(
    unit: Unit, ports: Ports, names: list[NameChange], request: _Wanted, principal: str, at: int
) -> tuple[dict[str, NamedWorkflow], list[Change]]:
    made: dict[str, NamedWorkflow] = {}
    found: list[Change] = []
    for change in names:
        named = add_name_change(unit, ports, change, request.set_name, principal, at)
        made[change.name] = named
        handle = named.handle
        found.append(Change(WORKFLOW, handle.name, change.action, handle.current, handle.workflow_id))
    return made, found


async def _add_pruning(unit: Unit, ports: Ports, request: _Wanted, found: list[Change], at: int) -> list[NamedWorkflow]:
    """Delete what this set has made and no document names. Returns the names that are taken away."""
    gone: set[str] = set()
    async for trigger in _kept_triggers(ports):
        if trigger.set_name == request.set_name and trigger.handle not in request.triggers:
            gone.add(trigger.id)
            error = partial(NotInThisState, "version", f"trigger {trigger.name!r} has changed meanwhile: look again")
            unit.add(Required(RequireTrigger(trigger_id=trigger.id, revision=trigger.revision), error))
            unit.add(Required(DeleteTrigger(at=at, trigger_id=trigger.id), error))
            found.append(Change(TRIGGER, trigger.name, PRUNED, trigger.revision, trigger.id))
    pruned: list[NamedWorkflow] = []
    place = NEWEST
    while page := await ports.journal.handles_after(HandleList(), place, _PAGE):
        place = Place(page[-1].created_at, page[-1].name)
        for handle in page:
            if handle.set_name != request.set_name or handle.name in request.workflows:
                continue
            named = await with_versions(ports, handle)
            await _require_unused(ports, named, gone, request)
            add_deletion(unit, named, at)
            pruned.append(named)
            found.append(Change(WORKFLOW, handle.name, PRUNED, handle.current, handle.workflow_id))
    return pruned


def _require_no_others(
    unit: Unit, set_name: str, changes: Sequence[NameChange | _TriggerChange], found: list[Change]
) -> None:
    """Guard a unit against what is added to its set meanwhile: it would stay, although no document names it.

    The unit requires each object that was read to be as it was; with their number, there is no other one.
    """
    own = [each for each in changes if each.before is not None and each.before.set_name == set_name]
    pruned = [each for each in found if each.action == PRUNED]
    workflows = sum(isinstance(each, NameChange) for each in own) + sum(each.kind == WORKFLOW for each in pruned)
    guard = RequireSet(set_name=set_name, workflows=workflows, triggers=len(own) + len(pruned) - workflows)
    moved = partial(NotInThisState, "version", f"the set {set_name!r} has changed meanwhile: look again")
    unit.insert(0, Required(guard, moved))


async def _require_unused(ports: Ports, named: NamedWorkflow, gone: set[str], request: _Wanted) -> None:
    """Require that no trigger needs a name that is pruned, after this apply. Raises NotInThisState."""
    name, ids = named.handle.name, {each.workflow_id for each in named.versions}
    what = f"workflow {name!r} would be pruned, and"
    for each in request.triggers.values():
        if each.workflow_name == name or (each.workflow_name is None and each.definition.workflow_id in ids):
            raise NotInThisState("in_use", f"{what} trigger {each.name!r} starts it")
    for use in await ports.journal.uses_of_name(name):
        row = None if use.trigger_id in gone else await ports.journal.trigger(use.trigger_id)
        if row is None:
            continue
        is_replaced = row.handle in request.triggers  # by a definition that does not start it
        if use.is_former or (is_replaced and use.waits):
            how = f"trigger {row.name or row.id!r} starts it for events that wait: apply without prune first"
            raise NotInThisState("in_use", f"{what} {how}")
        if not is_replaced:
            raise NotInThisState("in_use", f"{what} trigger {row.name or row.id!r} starts it")


async def _kept_triggers(ports: Ports) -> AsyncIterator[Trigger]:
    place = NEWEST
    while page := await ports.journal.kept_triggers_after(KeptTriggerList(), place, _PAGE):
        for row in page:
            yield row
        place = Place(page[-1].created_at, page[-1].id)


def _audit(unit: Unit, caller: Caller, at: int, change: Change) -> None:
    """Each document that is changed has an entry of its own: requesters of the runs of a trigger are found by it.

    What is pruned has that of a deletion: who deletes has not asked for any run.
    """
    target = change.name if change.kind == WORKFLOW else change.id
    operation = caller.operation
    if change.action == PRUNED:
        operation = "deleteNamedWorkflow" if change.kind == WORKFLOW else "deleteTrigger"
    unit.add(
        AddAuditEntry(
            at=at,
            principal=caller.principal,
            client_id=caller.client_id,
            operation=operation,
            target=target,
        )
    )


async def _parsed(ports: Ports, wanted: object) -> _Wanted:
    members = members_of(wanted, "set", "workflows", "triggers", "prune", "dryRun")
    set_name = set_in(members) or DEFAULT_SET
    flags = {name: members.get(name, False) for name in ("prune", "dryRun")}
    for name, value in flags.items():
        if not isinstance(value, bool):
            raise InvalidValue(name, "must be true or false")
    workflows, triggers = _named(members, "workflows"), _named(members, "triggers")
    if flags["prune"] and not workflows and not triggers:
        raise InvalidValue("prune", f"would delete everything of the set {set_name!r}: no document says what stays")
    if len(workflows) + len(triggers) > MAX_DOCUMENTS:
        raise TooLarge("workflows", f"more than {MAX_DOCUMENTS:,} documents: use several sets")
    problems: list[Problem] = []
    configs: dict[str, Config] = {}
    kept: dict[str, KeptDefinition] = {}
    for name, value in workflows.items():
        try:
            configs[name] = named_config(name, value, f"workflows.{name}")
        except InvalidDefinition as error:
            problems += error.problems
            _stop_at_many(problems)
    for name, value in triggers.items():
        try:
            kept[name] = await kept_definition(ports, name, value, f"triggers.{name}")
        except InvalidDefinition as error:
            problems += error.problems
            _stop_at_many(problems)
    if problems:
        raise InvalidDefinition(problems)
    return _Wanted(set_name, configs, kept, flags["prune"], flags["dryRun"])


def _stop_at_many(problems: list[Problem]) -> None:
    """Raise InvalidDefinition with the first problems, once there are more than a person reads."""
    if len(problems) > MAX_PROBLEMS:
        others = f"there are more than {MAX_PROBLEMS} problems; the others are not listed"
        raise InvalidDefinition([*problems[:MAX_PROBLEMS], Problem("", others, "too-many-problems")])


def _named(members: Json, field: str) -> Json:
    """Documents by name, in the order of the names: units that write several have one order."""
    value = members.get(field, {})
    if not isinstance(value, dict):
        raise InvalidValue(field, "must be an object: definitions by name")
    found = cast("Json", value)
    for name in found:
        check_name(name, f"{field}.{shown(name)}")
    return dict(sorted(found.items()))
