"""Start an instance, send it an event, abort it: each commits one unit, then the engine goes on with the instance."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import Any, cast

from msgspec import structs

from headrace.errors import AlreadyEnded, Conflict, InvalidValue, NotFound, Unavailable
from headrace.journal import writes
from headrace.journal.port import Required, Unit
from headrace.journal.records import Instance
from headrace.runner.runners import Start, started_instance
from headrace.usecases.idempotency import Answer, Caller, idempotent, record
from headrace.usecases.ports import Ports
from headrace.usecases.reasons import check_reason, members_of
from headrace.usecases.uncancelled import completed
from headrace.workflows.variables import check_variables, shown

MAX_EVENT_CHARACTERS = 1_024
RESERVED = "headrace:"


@idempotent(Instance)
async def start_instance(ports: Ports, caller: Caller | None, workflow_id: str, variables: object) -> Answer[Instance]:
    """Start an instance of a workflow; it is stored on return.

    The answer is the stored instance without its definition, variables and stage inputs, which may be long.

    Raises NotFound, InvalidValue (naming every missing variable), Unavailable.
    """
    sends = ports.engine.sends_at_once
    texts = check_variables(variables)
    workflow = ports.runners.workflow(workflow_id) or await ports.journal.workflow(workflow_id)
    if workflow is None or workflow.deleted_at is not None:
        raise NotFound("workflow", workflow_id)
    try:
        start = ports.runners.start(workflow, texts, sends=sends)
        return await commit_start(ports, caller, start, started_instance(start.unit))
    except NotFound:
        ports.runners.forget_workflow(workflow_id)
        raise


async def commit_start(ports: Ports, caller: Caller | None, start: Start, instance: Instance) -> Answer[Instance]:
    """Commit the unit of a start with the caller's key, and let the engine go on with the instance that it makes.

    The answer is the stored instance without its definition, variables and stage inputs. Raises what the unit raises.
    """
    runner, unit = start
    stages = tuple(structs.replace(stage, input="") for stage in instance.stages)
    answer = Answer(instance.id, structs.replace(instance, config="", variables="", stages=stages))
    record(unit, caller, instance.created_at, answer)
    if ports.engine.needs_nudges and runner.ended_at is None:
        unit.add(writes.AddNudge(instance_id=runner.id, why="start", at=runner.created_at))
    async with ports.engine.begin(runner):
        await ports.journal.commit(unit)
    return answer


async def instance_after_waiting(ports: Ports, instance_id: str, timeout_s: float) -> Instance | None:
    """The instance when it has ended, or after the time-out; None where it cannot be read now.

    It also returns when the server stops or the caller goes away: the instance is stored, whatever ends the wait.
    """
    with contextlib.suppress(asyncio.CancelledError, Unavailable):
        await ports.engine.ended(instance_id, timeout_s)
        return await ports.journal.instance(instance_id)
    return None


@idempotent(type(None))
async def send_event(ports: Ports, caller: Caller | None, instance_id: str, event: object) -> Answer[None]:
    """Put an event, `{"name": ...}`, into the mailbox of an instance; it is stored on return.

    It releases one stage that waits for this name, now or when that stage is reached. Raises InvalidValue, NotFound,
    AlreadyEnded, Unavailable.
    """
    name = _event_name(event)
    instance = await ports.journal.instance(instance_id)
    if instance is None:
        raise NotFound("instance", instance_id)
    if instance.is_terminal:
        raise AlreadyEnded(instance_id)
    now_at = ports.clock.now_at()
    answer: Answer[None] = Answer(instance_id)
    unit = event_unit(instance_id, name, now_at)
    record(unit, caller, now_at, answer)
    if ports.engine.needs_nudges:
        unit.add(writes.AddNudge(instance_id=instance_id, why="event", at=now_at))

    async def commit_and_wake() -> None:
        await ports.journal.commit(unit)
        ports.engine.wake(instance_id)

    await completed(commit_and_wake())
    return answer


def event_unit(instance_id: str, name: str, at: int) -> Unit:
    """The writes that put an event into the mailbox of an instance. The unit raises AlreadyEnded where it has ended."""
    unit = Unit()
    added = writes.AddEvent(instance_id=instance_id, name=name, received_at=at)
    unit.add(Required(added, partial(AlreadyEnded, instance_id)))
    unit.add(writes.WakeInstance(instance_id=instance_id))
    return unit


@idempotent(type(None))
async def abort_instance(ports: Ports, caller: Caller | None, instance_id: str) -> Answer[None]:
    """Abort an instance. After return no attempt begins; one already sent is still settled.

    Raises NotFound, AlreadyEnded, Unavailable.
    """
    return await _abort(ports, caller, instance_id, None)


@idempotent(type(None))
async def abort_with_reason(ports: Ports, caller: Caller | None, instance_id: str, wanted: object) -> Answer[None]:
    """Abort an instance as `abort_instance` does, and store why. `wanted` is `{"reason"}`.

    Raises InvalidValue, NotFound, AlreadyEnded, Unavailable.
    """
    return await _abort(ports, caller, instance_id, check_reason(members_of(wanted, "reason").get("reason")))


async def _abort(ports: Ports, caller: Caller | None, instance_id: str, reason: str | None) -> Answer[None]:
    give_up_s = ports.clock.monotonic_s() + ports.patience_s
    answer: Answer[None] = Answer(instance_id)

    async def commit() -> None:
        async with ports.engine.abort(instance_id) as runner:
            unit, now_at = runner.abort(), ports.clock.now_at()
            if reason is not None:
                unit.add(writes.NoteAbort(instance_id=instance_id, reason=reason))
            record(unit, caller, now_at, answer)
            if ports.engine.needs_nudges:
                unit.add(writes.AddNudge(instance_id=instance_id, why="abort", at=now_at))
            await ports.journal.commit(unit)

    while True:
        try:
            await completed(commit())
        except Conflict as conflict:  # another process has moved the instance on: read the instance again and retry
            if ports.clock.monotonic_s() >= give_up_s:
                raise Unavailable(str(conflict)) from None
        else:
            return answer


def _event_name(event: object) -> str:
    if not isinstance(event, dict):
        raise InvalidValue("body", 'must be an object: {"name": "the event\'s name"}')
    members = cast("dict[str, Any]", event)
    for name in members.keys() - {"name"}:
        raise InvalidValue(shown(name), "is not a member of an event, which has a `name` and nothing else")
    name = members.get("name")
    if not isinstance(name, str) or not 1 <= len(name) <= MAX_EVENT_CHARACTERS:
        raise InvalidValue("name", f"must be text of 1 to {MAX_EVENT_CHARACTERS} characters")
    if name.startswith(RESERVED):
        raise InvalidValue("name", f"must not begin with {RESERVED}, which Headrace keeps for itself")
    return name
