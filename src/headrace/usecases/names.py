"""Names of workflows: each has versions, of which one is current.

A version is an ordinary stored workflow and never changes. Equal content is an existing version: to roll back is to put
the earlier definition again. A name moves in one unit, guarded by the version that the unit has seen.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial

import msgspec

from headrace.errors import (
    InvalidDefinition,
    InvalidValue,
    NotFound,
    NotInThisState,
    Problem,
    Unavailable,
    VersionMoved,
)
from headrace.journal.lists import HandleList, Place
from headrace.journal.name_writes import AddHandle, AddVersion, DeleteHandle, MoveHandle, RequireVersion
from headrace.journal.port import Required, Unit
from headrace.journal.records import Handle, Instance, NameUse, Version
from headrace.journal.writes import AddWorkflow, DeleteWorkflow
from headrace.planning.canonical import sha
from headrace.runner.runners import started_instance
from headrace.usecases.idempotency import Answer, Caller, idempotent, record
from headrace.usecases.instances import commit_start
from headrace.usecases.ports import Ports
from headrace.usecases.reasons import members_of, principal_of
from headrace.workflows.activities import Json
from headrace.workflows.config import Config, parse_config
from headrace.workflows.variables import check_variables

CREATED, UPDATED, UNCHANGED, PRUNED = "created", "updated", "unchanged", "pruned"
"""Actions on a document."""
MAX_NUMBER = 2**31 - 1
TRIES = 100
"""How often a start is made anew because its name moves meanwhile."""
NAME_PATTERN = "^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
_NAME = re.compile(NAME_PATTERN, re.ASCII)
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
_FILES = (".yaml", ".yml", ".json")


class NamedWorkflow(msgspec.Struct, frozen=True):
    """A name with its versions, the newest first. `action`: what was done; empty where it was only read."""

    handle: Handle
    versions: tuple[Version, ...]
    action: str = ""

    @property
    def id(self) -> str:
        """The place of a row in a list has it."""
        return self.handle.name

    @property
    def created_at(self) -> int:
        return self.handle.created_at


def check_name(value: object, field: str = "name") -> str:
    """A name of a workflow, a kept trigger or a set. Raises InvalidValue."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise InvalidValue(
            field, "must be 1 to 100 letters, digits, dots, dashes and underscores, the first a letter or a digit"
        )
    if _ID.fullmatch(value):
        raise InvalidValue(field, "must not look like an id: commands and paths take either")
    if value.lower().endswith(_FILES):
        raise InvalidValue(field, f"must not end like a file, with {', '.join(_FILES)}")
    return value


def is_name(text: str) -> bool:
    """True if a name may have this text."""
    try:
        check_name(text)
    except InvalidValue:
        return False
    return True


def set_in(members: Json) -> str | None:
    """The set of `headrace apply` that makes an object. Raises InvalidValue."""
    return check_name(members["set"], "set") if "set" in members else None


def named_config(name: str, definition: object, path: str = "") -> Config:
    """A definition under this name. Raises InvalidDefinition with every problem; `path` leads to the definition."""
    try:
        config = parse_config(definition)
        if config.name not in (None, name):
            raise InvalidDefinition([Problem("name", f"is not {name!r}, the name under which it is put", "name")])
        sha(config.definition)
    except InvalidDefinition as error:
        raise InvalidDefinition([_below(path, problem) for problem in error.problems]) from None
    except InvalidValue as error:  # a number that is no integer
        raise InvalidDefinition([_below(path, Problem("", error.reason))]) from None
    return Config(name, config.stages, config.on_failure)


def _below(path: str, problem: Problem) -> Problem:
    return Problem(".".join(part for part in (path, problem.path) if part), problem.reason, problem.rule)


@dataclass(frozen=True, slots=True)
class NameChange:
    """The effect of a definition on its name, as that was read. `number` is the version that is current afterwards."""

    name: str
    before: Handle | None
    versions: tuple[Version, ...]
    number: int
    config: Config
    definition_hash: str
    action: str
    existing: Version | None


async def name_change(ports: Ports, name: str, config: Config, set_name: str | None) -> NameChange:
    """Compare a definition with the versions of a name.

    Raises NotInThisState for a set that did not make the name, where another one did.
    """
    handle, versions = await ports.journal.handle(name), tuple(await ports.journal.versions(name))
    check_owner(f"workflow {name!r}", None if handle is None else handle.set_name, set_name)
    found = sha(config.definition)
    known = [each for each in versions if each.definition_hash == found and each.deleted_at is None]
    current = None if handle is None else handle.current
    existing = next((each for each in known if each.number == current), known[0] if known else None)
    number = 1 + max((each.number for each in versions), default=0) if existing is None else existing.number
    action = CREATED if handle is None else UNCHANGED if number == current else UPDATED
    return NameChange(name, handle, versions, number, config, found, action, existing)


def check_owner(what: str, owner: str | None, set_name: str | None) -> None:
    """Two sets must not work against each other. Raises NotInThisState."""
    if owner is not None and set_name is not None and owner != set_name:
        raise NotInThisState("set", f"{what} belongs to the set {owner!r}: two sets cannot both have it")


def add_name_change(
    unit: Unit, ports: Ports, change: NameChange, set_name: str | None, principal: str, at: int
) -> NamedWorkflow:
    """Add the writes of a change to a unit, which fails with VersionMoved where the name has moved meanwhile."""
    moved = partial(VersionMoved, change.name)
    versions = change.versions
    version = change.existing
    if version is None:
        text = msgspec.json.encode(change.config.definition).decode()
        version = Version(change.name, change.number, ports.ids.new(), change.definition_hash, at, principal)
        versions = (version, *versions)
        unit.add(
            AddWorkflow(workflow_id=version.workflow_id, name=change.name, config=text, created_at=at, updated_at=at)
        )
        added = AddVersion(
            name=change.name,
            number=version.number,
            workflow_id=version.workflow_id,
            definition_hash=version.definition_hash,
            created_at=at,
            principal=principal,
        )
        unit.add(Required(added, moved))
    before = change.before
    if before is None:
        handle = Handle(change.name, version.number, version.workflow_id, set_name, at, at)
        unit.add(Required(AddHandle(name=change.name, number=version.number, set_name=set_name, at=at), moved))
    elif change.action == UNCHANGED:
        handle = before
        unit.add(Required(RequireVersion(name=change.name, number=before.current), moved))
    else:
        handle = msgspec.structs.replace(before, current=version.number, workflow_id=version.workflow_id, updated_at=at)
        move = MoveHandle(name=change.name, before=before.current, number=version.number, at=at)
        unit.add(Required(move, moved))
    return NamedWorkflow(handle, versions, change.action)


@idempotent(NamedWorkflow)
async def put_workflow(ports: Ports, caller: Caller | None, name: str, wanted: object) -> Answer[NamedWorkflow]:
    """Make a definition the current version of a name. `wanted` is `{"definition", "ifVersion"?, "set"?}`.

    `ifVersion`: the number that must be current until then, 0 for a name that must not exist. `set` is stored where the
    name is made: `headrace apply` prunes only what has its own.

    Raises InvalidValue, NotInThisState (`version`, `set`), Unavailable.
    """
    check_name(name)
    members = members_of(wanted, "definition", "ifVersion", "set")
    if "definition" not in members:
        raise InvalidValue("definition", "is required: the workflow, an object with `stages`")
    if_version, set_name = number_in(members, "ifVersion"), set_in(members)
    config = named_config(name, members["definition"], "definition")
    change = await name_change(ports, name, config, set_name)
    current = 0 if change.before is None else change.before.current
    if if_version is not None and if_version != current:
        there = f"version {current} is current" if current else "the name does not exist"
        raise NotInThisState("version", f"{name!r}: ifVersion is {if_version}, and {there}")
    unit, at = Unit(), ports.clock.now_at()
    named = add_name_change(unit, ports, change, set_name, principal_of(caller), at)
    answer = Answer(name, named)
    # Who changes nothing has not moved the name, and is no requester of what it starts.
    record(unit, caller, at, answer, named.handle.workflow_id if change.action == UNCHANGED else None)
    await ports.journal.commit(unit)
    return answer


def number_in(members: Json, field: str) -> int | None:
    """A version or revision that a caller expects, 0 where there must be none. Raises InvalidValue."""
    if field not in members:
        return None
    value = members[field]
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_NUMBER:
        raise InvalidValue(field, f"must be a whole number from 0 to {MAX_NUMBER}")
    return value


async def read_named(ports: Ports, name: str) -> NamedWorkflow:
    """A name with its versions. Raises NotFound."""
    handle = await ports.journal.handle(name)
    if handle is None:
        raise NotFound("name", name)
    return await with_versions(ports, handle)


async def with_versions(ports: Ports, handle: Handle) -> NamedWorkflow:
    return NamedWorkflow(handle, tuple(await ports.journal.versions(handle.name)))


async def named_after(ports: Ports, rows: HandleList, place: Place, limit: int) -> list[NamedWorkflow]:
    """A page of names with their versions."""
    return [await with_versions(ports, each) for each in await ports.journal.handles_after(rows, place, limit)]


async def delete_name(ports: Ports, caller: Caller | None, name: str) -> None:
    """Take a name away with all of its versions: they start no more; instances that run go on.

    Raises NotFound; NotInThisState where a trigger starts it (`in_use`) or it has moved (`version`); Unavailable.
    """
    named = await read_named(ports, name)
    for use in await ports.journal.uses_of_name(name):
        raise NotInThisState("in_use", in_use(f"{name!r}", use))
    unit, at = Unit(), ports.clock.now_at()
    add_deletion(unit, named, at)
    record(unit, caller, at, Answer(name))
    await ports.journal.commit(unit)
    forget(ports, named)


def in_use(what: str, use: NameUse) -> str:
    """Say why a name cannot be taken away."""
    if use.is_former:
        return f"{what} is what trigger {use.trigger_id} starts for events that wait: look again afterwards"
    return f"{what} is started by trigger {use.trigger_id}: delete it first"


def add_deletion(unit: Unit, named: NamedWorkflow, at: int) -> None:
    """Add the writes that take a name away. The unit raises VersionMoved where it has moved, or a trigger uses it."""
    name = named.handle.name
    greatest = max(each.number for each in named.versions)
    delete = DeleteHandle(name=name, number=named.handle.current, greatest=greatest)
    unit.add(Required(delete, partial(VersionMoved, name)))
    for version in named.versions:
        if version.deleted_at is None:
            unit.add(DeleteWorkflow(at=at, workflow_id=version.workflow_id))


def forget(ports: Ports, named: NamedWorkflow) -> None:
    for version in named.versions:
        ports.runners.forget_workflow(version.workflow_id)


@idempotent(Instance)
async def run_named(ports: Ports, caller: Caller | None, name: str, variables: object) -> Answer[Instance]:
    """Start an instance of the version of a name that is current when the start is committed.

    The answer is as that of `start_instance`. Raises NotFound, InvalidValue, Unavailable.
    """
    texts = check_variables(variables)
    gone: Handle | None = None
    for _ in range(TRIES):
        handle = await ports.journal.handle(name)
        if handle is None:
            raise NotFound("name", name)
        workflow_id = handle.workflow_id
        if handle == gone:
            raise NotFound("workflow", workflow_id)
        workflow = ports.runners.workflow(workflow_id) or await ports.journal.workflow(workflow_id)
        if workflow is None or workflow.deleted_at is not None:
            gone = handle  # or the name has moved since it was read
            continue
        guard = Required(RequireVersion(name=name, number=handle.current), partial(VersionMoved, name))
        try:
            start = ports.runners.start(workflow, texts, sends=ports.engine.sends_at_once)
            start.unit.insert(0, guard)
            return await commit_start(ports, caller, start, started_instance(start.unit))
        except VersionMoved:
            continue
        except NotFound:
            ports.runners.forget_workflow(workflow_id)
            gone = handle
    raise Unavailable(f"{name!r} moves from version to version")
