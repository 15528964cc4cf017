"""Who has asked for a run that a trigger starts by a name: also who has moved the name, until the start."""

from __future__ import annotations

import asyncio
from pathlib import Path

from headrace.usecases.applying import apply
from headrace.usecases.certificates import read_case
from headrace.usecases.idempotency import Caller
from tests.contract.test_approvals import LIMIT_S, plan_of, refused, rest_of, say
from tests.contract.test_engine import SEND, WAIT, Scripted
from tests.contract.test_plan_runs import all_instances
from tests.support.engines import every_engine
from tests.support.in_process import running
from tests.support.names import applied, keep, on, put

__all__ = ["every_engine"]  # a fixture


async def test_who_moves_a_name_does_not_approve_what_a_trigger_starts_by_it(tmp_path: Path) -> None:
    """Nor a plan of it; who moves it afterwards may, and who has put what was there already."""
    services = Scripted()
    async with running(tmp_path / "j.db", services) as alive:
        safe, large = {"stages": [{"approve": {}}]}, {"stages": [{"approve": {}}, SEND]}
        await put(alive, "pay", safe, by="ann")
        trigger = (await keep(alive, "on-e", on("E"), by="tom")).trigger
        await put(alive, "pay", large, by="eve")
        await put(alive, "pay", safe, by="bob")
        await put(alive, "pay", large, by="joe")
        await put(alive, "pay", large, by="paul")
        await keep(alive, "on-e", on("E"), by="paul")
        await alive.deliver("E", {"type": "E", "payload": {}})
        async with asyncio.timeout(LIMIT_S):
            while not (found := await all_instances(alive)):
                await asyncio.sleep(0.002)
        plan = await rest_of(alive, found[0].id)
        await put(alive, "pay", safe, by="paul")
        assert await alive.journal.case_requesters([found[0].id]) != []
        for person in ("tom", "eve", "bob", "joe"):
            assert await refused(alive, plan, person) == "four_eyes", person
        planned = await plan_of(alive, "jane", triggerID=trigger.id, event={})
        assert await refused(alive, planned, "ann") == "four_eyes", "she has made this version"
        await say(alive, plan, "paul")
        instance = await alive.ended(found[0].id)
        recorded = await read_case(alive.journal, [instance.id])
        assert {each.principal for each in recorded.root.requesters} == {"tom", "eve", "bob", "joe"}
    assert (instance.error, services.booked()) == (None, 1)
    await services.close()


async def test_who_only_prunes_has_asked_for_nothing(tmp_path: Path) -> None:
    async with running(tmp_path / "j.db", Scripted()) as alive:
        await applied(alive, {"pay": {"stages": [WAIT]}}, {"on-e": on("E")})
        trigger = await alive.journal.kept_trigger("on-e")
        assert trigger is not None
        wanted = {"workflows": {"other": {"stages": [WAIT]}}, "prune": True}
        await apply(alive.ports, Caller("eve", "apply"), wanted)
        assert [each.principal for each in await alive.journal.requesters(trigger.id)] == ["jane"]
        trail = await alive.journal.audit(2**62, 99)
        assert {(each.operation, each.target) for each in trail if each.principal == "eve"} == {
            ("apply", "set:default"),
            ("apply", "other"),
            ("deleteTrigger", trigger.id),
            ("deleteNamedWorkflow", "pay"),
        }
