"""Starts by name: each has the version that is current in its commit, and each event one definition of its trigger."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from headrace.errors import NotFound
from headrace.journal.port import Unit
from headrace.journal.records import Handle, Instance
from headrace.journal.writes import AddTrigger
from headrace.usecases.idempotency import Caller, CallerKey
from headrace.usecases.names import delete_name, run_named
from headrace.usecases.workflows import delete_workflow
from tests.support.engines import every_engine
from tests.support.in_process import InProcess, new_sandbox, running
from tests.support.names import Meanwhile, applied, keep, on, put, reason, waits_for

__all__ = ["every_engine"]  # a fixture

PAID = {"type": "PAID", "payload": {"id": "p1"}}
JANE = Caller("jane", "runNamedWorkflow")


async def fired(alive: InProcess, trigger_id: str, count: int = 1) -> list[Instance]:
    """The instances that a trigger has started, the oldest first, once every event is processed."""
    async with asyncio.timeout(60):
        await alive.dispatcher.idle()
        found = [each async for page in alive.journal.occurrences(trigger_id) for each in page]
    assert [each.error for each in found] == [None] * count, found
    instances = [await alive.journal.instance(each.instance_id or "") for each in reversed(found)]
    assert all(instances)
    return [each for each in instances if each is not None]


async def struck(meanwhile: Meanwhile, life: Coroutine[Any, Any, None]) -> None:
    """Live until the process ends."""
    living = asyncio.ensure_future(life)
    async with asyncio.timeout(60):
        await meanwhile.has_struck.wait()
    living.cancel()
    await asyncio.gather(living, return_exceptions=True)


async def test_a_run_by_name_has_the_version_that_is_current_at_its_commit(tmp_path: Path) -> None:
    meanwhile = Meanwhile("RequireVersion+AddInstance")
    async with running(tmp_path / "j.db", new_sandbox(), meanwhile) as alive:
        first = await put(alive, "pay", waits_for("one"))
        assert first.action == "created" and first.handle.current == 1
        meanwhile.act = lambda: put(alive, "pay", waits_for("two"))
        run = (await run_named(alive.ports, JANE, "pay", {})).value
        second = await alive.journal.handle("pay")
        assert second is not None and second.current == 2 and meanwhile.is_done
        assert run is not None and run.workflow_id == second.workflow_id != first.handle.workflow_id
        instances = [each async for page in alive.journal.instances() for each in page]
        assert [each.id for each in instances] == [run.id], "the start that came too late left nothing"
        await put(alive, "pay", waits_for("one"))
        assert "two" in instances[0].config, "a run keeps its copy"
        back = (await run_named(alive.ports, JANE, "pay", {})).value
        assert back is not None and back.workflow_id == first.handle.workflow_id


async def test_a_run_by_name_finds_the_version_that_was_put_while_it_looked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name has moved, and the version before was deleted, after the run has read the name."""
    async with running(tmp_path / "j.db", new_sandbox()) as alive:
        first = await put(alive, "pay", waits_for("one"))
        read = alive.journal.handle

        async def late(name: str) -> Handle | None:
            monkeypatch.undo()
            found = await read(name)
            await put(alive, "pay", waits_for("two"))
            await delete_workflow(alive.ports, JANE, first.handle.workflow_id)
            return found

        monkeypatch.setattr(alive.ports.journal, "handle", late)
        run = (await run_named(alive.ports, JANE, "pay", {})).value
        second = await read("pay")
        assert run is not None and second is not None and run.workflow_id == second.workflow_id
        await delete_workflow(alive.ports, JANE, second.workflow_id)
        with pytest.raises(NotFound):
            await run_named(alive.ports, JANE, "pay", {})


async def test_a_run_by_name_is_repeated_under_its_key(tmp_path: Path) -> None:
    async with running(tmp_path / "j.db", new_sandbox()) as alive:
        await put(alive, "pay", waits_for("one"))
        keyed = Caller("jane", "runNamedWorkflow", key=CallerKey("k", b"meaning"))
        first = await run_named(alive.ports, keyed, "pay", {})
        await put(alive, "pay", waits_for("two"))
        again = await run_named(alive.ports, keyed, "pay", {})
        assert again.is_repeated and again.target == first.target
        assert [each.principal for each in await alive.journal.requesters(first.target)] == ["jane"]
        with pytest.raises(NotFound):
            await run_named(alive.ports, JANE, "other", {})
        await delete_name(alive.ports, JANE, "pay")
        with pytest.raises(NotFound):
            await run_named(alive.ports, JANE, "pay", {})
        assert not (await alive.ended(first.target, 0.2)).is_terminal, "instances that run go on"


async def test_a_trigger_by_name_starts_the_current_version(tmp_path: Path) -> None:
    meanwhile = Meanwhile("RequireVersion+AddInstance")
    async with running(tmp_path / "j.db", new_sandbox(), meanwhile) as alive:
        first = await put(alive, "pay", waits_for("one"))
        trigger = (await keep(alive, "payments", on("PAID"))).trigger
        second = await put(alive, "pay", waits_for("two"))

        async def move() -> None:
            await put(alive, "pay", waits_for("three"))

        meanwhile.act = move
        await alive.deliver("e1", PAID)
        (run,) = await fired(alive, trigger.id)
        third = await alive.journal.handle("pay")
        assert meanwhile.is_done and third is not None and third.current == 3
        assert run.workflow_id == third.workflow_id, "the version of the commit, and not of when it was read"
        await put(alive, "pay", waits_for("two"))
        await alive.deliver("e2", PAID)
        _, later = await fired(alive, trigger.id, 2)
        assert later.workflow_id == second.handle.workflow_id != first.handle.workflow_id
        assert await reason(delete_name(alive.ports, JANE, "pay")) == "in_use"


async def test_an_event_of_before_has_the_definition_of_before(tmp_path: Path) -> None:
    """It was accepted, the process ended, the trigger was replaced: the next process still fires it, as it was."""
    meanwhile = Meanwhile("AddOccurrence", strikes=True)
    services = new_sandbox()

    async def life() -> None:
        async with running(tmp_path / "j.db", services, meanwhile) as alive:
            await put(alive, "pay", waits_for("one"))
            await keep(alive, "payments", on("PAID", vars={"a": "'before'"}))

            async def replace() -> None:
                changed = await keep(alive, "payments", on("SAVED", vars={"a": "'after'"}))
                assert (changed.action, changed.trigger.revision) == ("updated", 2)

            meanwhile.act = replace
            await alive.deliver("e1", PAID)
            await asyncio.Event().wait()

    await struck(meanwhile, life())
    async with running(tmp_path / "j.db", services) as alive:
        trigger = await alive.journal.kept_trigger("payments")
        assert trigger is not None and trigger.event == "SAVED"
        (run,) = await fired(alive, trigger.id)
        assert json.loads(run.variables) == {"a": "before"}
        await alive.deliver("e2", PAID)
        await alive.deliver("e3", {"type": "SAVED", "payload": {"id": "p1"}})
        _, later = await fired(alive, trigger.id, 2)
        assert json.loads(later.variables) == {"a": "after"}


async def test_an_event_never_fires_a_trigger_and_what_has_replaced_it(tmp_path: Path) -> None:
    """It has fired, the trigger was replaced, and the process ended before it had noted that the event is processed."""
    meanwhile = Meanwhile("ProcessEvent", strikes=True)
    services = new_sandbox()

    async def life() -> None:
        async with running(tmp_path / "j.db", services, meanwhile) as alive:
            await put(alive, "pay", waits_for("one"))
            await keep(alive, "payments", on("PAID", vars={"a": "'before'"}))
            meanwhile.act = lambda: keep(alive, "payments", on("PAID", vars={"a": "'after'"}))
            await alive.deliver("e1", PAID)
            await asyncio.Event().wait()

    await struck(meanwhile, life())
    async with running(tmp_path / "j.db", services) as alive:
        trigger = await alive.journal.kept_trigger("payments")
        assert trigger is not None and trigger.revision == 2
        (run,) = await fired(alive, trigger.id)
        assert json.loads(run.variables) == {"a": "before"}


@pytest.mark.parametrize("strikes", [False, True], ids=["tried again", "after a restart"])
async def test_an_event_of_before_has_the_version_of_before(strikes: bool, tmp_path: Path) -> None:
    """One apply gives a workflow another variable, and its trigger: events of before have neither, later ones both."""
    meanwhile = Meanwhile("RequireVersion+AddInstance", strikes=strikes)
    services = new_sandbox()
    old = ({"pay": waits_for("${sum}")}, {"payments": on("PAID", vars={"sum": "'before'"})})
    new = ({"pay": waits_for("${ref}")}, {"payments": on("PAID", vars={"sum": "'other'", "ref": "'after'"})})

    async def life() -> None:
        async with running(tmp_path / "j.db", services, meanwhile) as alive:
            await applied(alive, *old)
            meanwhile.act = lambda: applied(alive, *new)
            await alive.deliver("e1", PAID)
            trigger = await alive.journal.kept_trigger("payments")
            assert trigger is not None
            await fired(alive, trigger.id)

    await (struck(meanwhile, life()) if strikes else life())
    assert meanwhile.is_done
    async with running(tmp_path / "j.db", services) as alive:
        await put(alive, "pay", waits_for("${more}"))
        trigger = await alive.journal.kept_trigger("payments")
        assert trigger is not None and trigger.revision == 2
        (run,) = await fired(alive, trigger.id)
        assert json.loads(run.variables) == {"sum": "before"} and "${sum}" in run.config
        await applied(alive, *new)
        await alive.deliver("e2", PAID)
        both = await fired(alive, trigger.id, 2)
        (later,) = [each for each in both if each.id != run.id]  # the clock of another process may be behind
        assert json.loads(later.variables) == {"sum": "other", "ref": "after"} and "${ref}" in later.config


async def test_a_trigger_that_is_not_replaced_starts_the_version_of_the_commit(tmp_path: Path) -> None:
    """Also after its name has moved, while it waits, and although another definition of it was kept before."""
    meanwhile = Meanwhile("RequireVersion+AddInstance")
    async with running(tmp_path / "j.db", new_sandbox(), meanwhile) as alive:
        await applied(alive, {"pay": waits_for("one")}, {"payments": on("PAID", vars={"a": "'x'"})})
        await applied(alive, {"pay": waits_for("two")}, {"payments": on("PAID")})
        meanwhile.act = lambda: put(alive, "pay", waits_for("three"))
        trigger = await alive.journal.kept_trigger("payments")
        assert trigger is not None
        await alive.deliver("e1", PAID)
        (run,) = await fired(alive, trigger.id)
        assert meanwhile.is_done and "three" in run.config


async def test_a_name_without_a_version_starts_nothing(tmp_path: Path) -> None:
    """Not the workflow with which the trigger was made, either: no guard would be about that."""
    async with running(tmp_path / "j.db", new_sandbox()) as alive:
        named = await put(alive, "pay", waits_for("one"))
        trigger = AddTrigger(
            trigger_id="t1",
            name="",
            event="PAID",
            event_name="paid",
            workflow_id=named.handle.workflow_id,
            version=None,
            filter=None,
            vars=None,
            created_at=5,
            workflow_name="absent",
        )
        await alive.journal.commit(Unit([trigger]))
        await alive.deliver("e1", PAID)
        async with asyncio.timeout(60):
            await alive.dispatcher.idle()
        ((found,),) = [page async for page in alive.journal.occurrences("t1")]
        assert (found.instance_id, found.error) == (None, "there is no workflow with the name 'absent'")
