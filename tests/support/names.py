"""Names, kept triggers and applies of a server in this process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from headrace.errors import NotInThisState
from headrace.journal.lists import NEWEST, HandleList, KeptTriggerList
from headrace.usecases.applying import Applied, PutTrigger, apply, put_trigger
from headrace.usecases.idempotency import Caller, CallerKey
from headrace.usecases.names import NamedWorkflow, put_workflow
from tests.support.in_process import CrashPoint, InProcess

Json = dict[str, Any]


def waits_for(event: str) -> Json:
    return {"stages": [{"wait_event": {"event": event}}]}


def on(event: str, workflow: str = "pay", **members: Any) -> Json:
    return {"event": event, "workflow": workflow, **members}


async def put(alive: InProcess, name: str, definition: Json, by: str = "jane", **members: Any) -> NamedWorkflow:
    caller = Caller(by, "putWorkflow")
    answer = await put_workflow(alive.ports, caller, name, {"definition": definition, **members})
    assert answer.value is not None
    return answer.value


async def keep(alive: InProcess, name: str, trigger: Json, by: str = "jane", **members: Any) -> PutTrigger:
    answer = await put_trigger(alive.ports, Caller(by, "putTrigger"), name, {**trigger, **members})
    assert answer.value is not None
    return answer.value


async def applied(
    alive: InProcess, workflows: Json | None = None, triggers: Json | None = None, key: str = "", **members: Any
) -> Applied:
    caller = Caller("jane", "apply", key=CallerKey(key, b"meaning") if key else None)
    wanted = {"workflows": workflows or {}, "triggers": triggers or {}, **members}
    answer = await apply(alive.ports, caller, wanted)
    assert answer.value is not None
    return answer.value


def actions(found: Applied) -> dict[str, str]:
    return {f"{each.kind} {each.name}": each.action for each in found.changes}


async def state_of(alive: InProcess) -> Json:
    """What is current, without ids and times."""
    names = await alive.journal.handles_after(HandleList(), NEWEST, 999)
    triggers = await alive.journal.kept_triggers_after(KeptTriggerList(), NEWEST, 999)
    found: Json = {}
    for each in names:
        workflow = await alive.journal.workflow(each.workflow_id)
        assert workflow is not None
        versions = [version.definition_hash for version in await alive.journal.versions(each.name)]
        found[f"workflow {each.name}"] = (workflow.config, each.current, each.set_name, len(versions))
    for each in triggers:
        assert f"trigger {each.handle}" not in found, "two triggers have one name"
        kept = (each.event, each.workflow_name, each.filter, each.vars, each.set_name)
        found[f"trigger {each.handle}"] = kept
    return found


async def reason(awaited: Awaitable[Any]) -> str:
    """The code with which something is refused; empty where it is not."""
    try:
        await awaited
    except NotInThisState as refused:
        return refused.code
    return ""


class Meanwhile(CrashPoint):
    """Does something right before the first interaction that a text is in; with `strikes`, the process ends then."""

    def __init__(self, text: str, act: Callable[[], Awaitable[Any]] | None = None, *, strikes: bool = False) -> None:
        super().__init__()
        self._text = text
        self._strikes = strikes
        self.act = act
        self.is_done = False

    async def before(self, what: str) -> int:
        number = await super().before(what)
        if self._text in what and not self.is_done:
            self.is_done = True
            if self.act is not None:
                await self.act()
            if self._strikes:
                await self._strike(number)
        return number
