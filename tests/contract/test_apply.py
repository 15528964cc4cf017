"""Names, kept triggers and apply on every journal: guards, races, crashes, and what is pruned."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from headrace.errors import InvalidDefinition, InvalidValue, VersionMoved
from headrace.usecases.idempotency import Caller
from headrace.usecases.names import delete_name
from headrace.usecases.triggers import delete_trigger
from headrace.usecases.workflows import delete_workflow
from tests.support import in_process
from tests.support.in_process import CrashPoint, InProcess, new_sandbox, running
from tests.support.journals import JOURNALS
from tests.support.names import Meanwhile, actions, applied, keep, on, put, reason, state_of, waits_for

JANE = Caller("jane", "deleteNamedWorkflow")
OLD = ({"pay": waits_for("a"), "refund": waits_for("b")}, {"payments": on("PAID"), "losses": on("LOST", "refund")})
NEW = ({"pay": waits_for("c"), "top-up": waits_for("d")}, {"payments": on("SAVED", filter="true")})


@pytest.fixture(params=JOURNALS, autouse=True)
def _every_journal(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    monkeypatch.setattr(in_process, "journal_name", request.param)


async def test_equal_content_is_an_existing_version(tmp_path: Path) -> None:
    async with running(tmp_path / "j.db", new_sandbox()) as alive:
        one, two = waits_for("one"), waits_for("two")
        first = await put(alive, "pay", one)
        assert (first.action, first.handle.current) == ("created", 1)
        stored = await alive.journal.workflow(first.handle.workflow_id)
        assert stored is not None and stored.name == "pay" and '"name":"pay"' in stored.config
        same = await put(alive, "pay", {"name": "pay", **one}, by="joe")
        assert (same.action, same.handle, same.versions) == ("unchanged", first.handle, first.versions)
        assert (await put(alive, "pay", two)).handle.current == 2
        back = await put(alive, "pay", one)
        assert (back.action, back.handle.current, len(back.versions)) == ("updated", 1, 2)
        assert back.handle.workflow_id == first.handle.workflow_id
        assert [(each.number, each.principal) for each in back.versions] == [(2, "jane"), (1, "jane")]
        await delete_workflow(alive.ports, JANE, back.versions[0].workflow_id)
        again = await put(alive, "pay", two)
        assert again.handle.current == 3, "a version whose workflow is deleted can start nothing"


async def test_a_name_moves_only_from_what_its_mover_has_seen(tmp_path: Path) -> None:
    meanwhile = Meanwhile("MoveHandle")
    async with running(tmp_path / "j.db", new_sandbox(), meanwhile) as alive:
        assert await reason(put(alive, "pay", waits_for("a"), ifVersion=1)) == "version"
        await put(alive, "pay", waits_for("a"), ifVersion=0)
        assert await reason(put(alive, "pay", waits_for("b"), ifVersion=0)) == "version"
        assert await reason(put(alive, "pay", waits_for("b"), ifVersion=2)) == "version"
        meanwhile.act = lambda: put(alive, "pay", waits_for("c"))
        with pytest.raises(VersionMoved):
            await put(alive, "pay", waits_for("b"))
        named = await alive.journal.handle("pay")
        assert meanwhile.is_done and named is not None and named.current == 2
        outcomes = await asyncio.gather(
            *(reason(put(alive, "new", waits_for(f"e{each}"))) for each in range(6)),
            *(reason(put(alive, "pay", waits_for(f"e{each}"))) for each in range(6)),
        )
        for some, name in ((outcomes[:6], "new"), (outcomes[6:], "pay")):
            assert set(some) <= {"", "version"} and "" in some
            versions = await alive.journal.versions(name)
            assert len(versions) == some.count("") + (2 if name == "pay" else 0)
            assert [each.number for each in versions] == list(range(len(versions), 0, -1))


async def test_an_apply_is_repeated_without_effect(tmp_path: Path) -> None:
    async with running(tmp_path / "j.db", new_sandbox()) as alive:
        tried = await applied(alive, *OLD, dryRun=True)
        assert tried.is_dry and set(actions(tried).values()) == {"created"} and await state_of(alive) == {}
        assert await alive.journal.audit(2**62, 9) == []
        first = await applied(alive, *OLD)
        assert actions(first) == actions(tried)
        state = await state_of(alive)
        again = await applied(alive, *OLD)
        assert set(actions(again).values()) == {"unchanged"} and await state_of(alive) == state
        assert [(each.number, each.id) for each in again.changes] == [(each.number, each.id) for each in first.changes]
        changed = await applied(alive, *NEW, prune=True, dryRun=True)
        assert await state_of(alive) == state
        assert (
            actions(await applied(alive, *NEW, prune=True))
            == actions(changed)
            == {
                "workflow pay": "updated",
                "workflow top-up": "created",
                "trigger payments": "updated",
                "trigger losses": "pruned",
                "workflow refund": "pruned",
            }
        )
        assert set(await state_of(alive)) == {"workflow pay", "workflow top-up", "trigger payments"}
        payments = await alive.journal.kept_trigger("payments")
        assert payments is not None and (payments.event, payments.revision) == ("SAVED", 2)
        assert [each.principal for each in await alive.journal.requesters(payments.id)] == ["jane"]
        back = await applied(alive, *OLD)
        assert actions(back)["workflow refund"] == "created"
        refund = await alive.journal.handle("refund")
        assert refund is not None and refund.current == 2, "no number comes again"


async def test_only_what_the_set_has_made_is_pruned(tmp_path: Path) -> None:
    async with running(tmp_path / "j.db", new_sandbox()) as alive:
        await put(alive, "by-hand", waits_for("a"))
        await keep(alive, "kept-by-hand", on("PAID", "by-hand"))
        await applied(alive, {"others": waits_for("a")}, {"of-others": on("PAID", "others")}, set="others")
        await applied(alive, {"ours": waits_for("a"), "by-hand": waits_for("b")}, {"of-ours": on("PAID", "ours")})
        assert actions(await applied(alive, {"by-hand": waits_for("b")}, prune=True)) == {
            "workflow by-hand": "unchanged",
            "trigger of-ours": "pruned",
            "workflow ours": "pruned",
        }
        left = await state_of(alive)
        assert set(left) == {
            "workflow by-hand",
            "workflow others",
            "trigger kept-by-hand",
            "trigger of-others",
        }, "also a name that an apply has moved, but has not made"
        assert await reason(applied(alive, {"others": waits_for("b")})) == "set"
        assert await reason(applied(alive, {}, {"of-others": on("PAID", "others", filter="true")})) == "set"
        assert await reason(put(alive, "others", waits_for("b"), set="mine")) == "set"
        assert (await put(alive, "others", waits_for("b"))).action == "updated", "a person may, without a set"
        assert actions(await applied(alive, {"others": waits_for("a")}, set="others", prune=True)) == {
            "workflow others": "updated",
            "trigger of-others": "pruned",
        }


async def test_what_a_trigger_starts_is_not_pruned(tmp_path: Path) -> None:
    async with running(tmp_path / "j.db", new_sandbox()) as alive:
        await applied(alive, {"pay": waits_for("a"), "other": waits_for("a")}, {"ours": on("PAID", "other")})
        trigger = (await keep(alive, "by-hand", on("PAID"))).trigger
        state = await state_of(alive)
        third = {"third": waits_for("a")}
        assert await reason(applied(alive, third, prune=True)) == "in_use"
        assert await reason(delete_name(alive.ports, JANE, "pay")) == "in_use"
        assert await reason(applied(alive, {"pay": waits_for("a")}, {"ours": on("PAID", "other")}, prune=True)) == (
            "in_use"
        )
        assert await state_of(alive) == state, "nothing is pruned, not even what could be"
        await delete_trigger(alive.ports, JANE, trigger.id)
        assert "pruned" in actions(await applied(alive, third, prune=True)).values()
        left = await state_of(alive)
        assert left.keys() == {"workflow third"}
        for members in ({}, {"set": "default", "dryRun": True}):
            with pytest.raises(InvalidValue, match="would delete everything of the set 'default'") as refused:
                await applied(alive, prune=True, **members)
            assert refused.value.field == "prune" and await state_of(alive) == left


async def test_a_version_is_not_deleted_while_something_needs_it(tmp_path: Path) -> None:
    """A trigger that has its id, and an event that waits for the earlier definition of a trigger."""
    meanwhile = Meanwhile("RequireVersion+AddInstance")
    async with running(tmp_path / "j.db", new_sandbox(), meanwhile) as alive:
        named = await put(alive, "pay", waits_for("a"), set="default")
        version = {"event": "PAID", "workflowID": named.handle.workflow_id}
        by_id = (await keep(alive, "by-id", version)).trigger
        assert await reason(delete_name(alive.ports, JANE, "pay")) == "in_use"
        assert await reason(applied(alive, {"other": waits_for("b")}, prune=True)) == "in_use"
        assert await reason(applied(alive, {}, {"by-id": version}, prune=True)) == "in_use"
        await delete_trigger(alive.ports, JANE, by_id.id)
        trigger = (await keep(alive, "payments", on("PAID"))).trigger
        refused: list[str] = []

        async def replace() -> None:
            """An event waits: it starts the name by the definition that is replaced."""
            moved = ({"other": waits_for("b")}, {"payments": on("PAID", "other")})
            refused.append(await reason(applied(alive, *moved, prune=True)))
            await applied(alive, *moved)
            refused.append(await reason(applied(alive, *moved, prune=True)))
            refused.append(await reason(delete_name(alive.ports, JANE, "pay")))

        meanwhile.act = replace
        await alive.deliver("e1", {"type": "PAID", "payload": {"id": "p1"}})
        async with asyncio.timeout(60):
            await alive.dispatcher.idle()
        assert refused == ["in_use"] * 3
        ((fired,),) = [page async for page in alive.journal.occurrences(trigger.id)]
        run = await alive.journal.instance(fired.instance_id or "")
        assert run is not None and run.workflow_id == named.handle.workflow_id
        await delete_name(alive.ports, JANE, "pay")
        assert await alive.journal.handle("pay") is None


async def test_a_trigger_needs_a_version_that_is_not_deleted(tmp_path: Path) -> None:
    """A name whose current workflow was deleted by its id: that is said, not that something has changed meanwhile."""
    async with running(tmp_path / "j.db", new_sandbox()) as alive:
        named = await put(alive, "pay", waits_for("a"))
        await keep(alive, "payments", on("PAID"))
        await delete_workflow(alive.ports, JANE, named.handle.workflow_id)
        for field, asked in (
            ("workflow", keep(alive, "new", on("PAID"))),
            ("workflow", keep(alive, "payments", on("SAVED"))),
            ("triggers.new.workflow", applied(alive, {}, {"new": on("PAID")})),
        ):
            with pytest.raises(InvalidValue, match="was deleted: put another version") as refused:
                await asked
            assert refused.value.field == field
        same = (await applied(alive, {}, {"payments": on("PAID")})).changes
        assert [each.action for each in same] == ["unchanged"], "it may be of others: nothing is refused for it"
        await applied(alive, {"pay": waits_for("a")}, {"new": on("PAID"), "payments": on("SAVED")})
        handle = await alive.journal.handle("pay")
        assert handle is not None and handle.current == 2


async def test_a_version_that_is_put_meanwhile_does_not_outlive_its_name(tmp_path: Path) -> None:
    meanwhile = Meanwhile("DeleteHandle")
    async with running(tmp_path / "j.db", new_sandbox(), meanwhile) as alive:
        await put(alive, "pay", waits_for("a"))

        async def there_and_back() -> None:
            await put(alive, "pay", waits_for("b"))
            await put(alive, "pay", waits_for("a"))

        meanwhile.act = there_and_back
        assert await reason(delete_name(alive.ports, JANE, "pay")) == "version"
        await delete_name(alive.ports, JANE, "pay")
        assert all(each.deleted_at is not None for each in await alive.journal.versions("pay"))


async def test_an_invalid_document_stops_them_all(tmp_path: Path) -> None:
    async with running(tmp_path / "j.db", new_sandbox()) as alive:
        wrong: list[tuple[dict[str, Any], dict[str, Any], str]] = [
            ({"a": waits_for("x"), "b": {"stages": []}}, {}, "workflows.b.stages"),
            ({"a": {"name": "b", **waits_for("x")}}, {}, "workflows.a.name"),
            ({"a": waits_for("x")}, {"t": {"workflow": "a"}}, "triggers.t.event"),
            ({"a": waits_for("x")}, {"t": on("PAID", "a", filter="1 +")}, "triggers.t.filter"),
            ({"a": waits_for("x")}, {"t": {"event": "PAID"}}, "triggers.t.workflow"),
            ({"a": waits_for("x")}, {"t": on("PAID", "a", workflowID="x")}, "triggers.t.workflow"),
            ({"a": waits_for("x")}, {"t": on("PAID", "a", colour="red")}, "triggers.t.colour"),
        ]
        for workflows, triggers, path in wrong:
            with pytest.raises(InvalidDefinition) as refused:
                await applied(alive, workflows, triggers)
            assert path in [each.path for each in refused.value.problems], path
        misnamed: tuple[tuple[dict[str, Any], str], ...] = (
            ({"triggers": {"t": on("PAID", "absent")}}, "triggers.t.workflow"),
            ({"triggers": {"t": {"event": "PAID", "workflowID": "absent"}}}, "triggers.t.workflowID"),
            ({"workflows": {"a b": waits_for("x")}}, "workflows.'a b'"),
            ({"workflows": {"a.yaml": waits_for("x")}}, "workflows.a.yaml"),
            ({"set": "a b"}, "set"),
            ({"prune": 1}, "prune"),
            ({"colour": 1}, "colour"),
        )
        for members, field in misnamed:
            with pytest.raises(InvalidValue) as named:
                await applied(alive, {"a": waits_for("x"), **members.pop("workflows", {})}, **members)
            assert named.value.field == field
        assert await state_of(alive) == {}


async def test_problems_of_many_documents_are_counted_together(tmp_path: Path) -> None:
    """The documents after the hundredth problem are not even read."""
    async with running(tmp_path / "j.db", new_sandbox()) as alive:
        for workflows, triggers in (
            ({f"w{each}": {"stages": [7, 7]} for each in range(90)}, {}),
            ({}, {f"t{each}": {"event": 7} for each in range(90)}),
        ):
            with pytest.raises(InvalidDefinition) as refused:
                await applied(alive, workflows, triggers)
            *listed, last = refused.value.problems
            assert len(listed) == 100 and last.rule == "too-many-problems", last


async def test_two_appliers_at_once(tmp_path: Path) -> None:
    """Each is applied whole, or refused; triggers are never doubled, and nobody's change is lost unseen."""
    async with running(tmp_path / "j.db", new_sandbox()) as alive:

        async def one(documents: tuple[dict[str, Any], dict[str, Any]]) -> str:
            return await reason(applied(alive, *documents, prune=True))

        for turn in range(6):
            outcomes = await asyncio.gather(one(OLD), one(NEW), one(OLD))
            # in_use: another has meanwhile kept a trigger that starts what this one would have pruned
            assert set(outcomes) <= {"", "version", "in_use"} and "" in outcomes, (turn, outcomes)
            state = await state_of(alive)
            wanted = OLD if "workflow refund" in state else NEW
            names = {f"workflow {each}" for each in wanted[0]} | {f"trigger {each}" for each in wanted[1]}
            assert set(state) == names, (turn, outcomes)
            assert state["trigger payments"][0] == wanted[1]["payments"]["event"]
            pay = await alive.journal.workflow(await _handle(alive, "pay"))
            assert pay is not None and wanted[0]["pay"]["stages"][0]["wait_event"]["event"] in pay.config


async def test_nothing_is_added_to_a_set_while_it_is_pruned(tmp_path: Path) -> None:
    """Both would be there afterwards, and one payment would fire two triggers: the later one is refused."""
    meanwhile = Meanwhile("RequireSet")
    async with running(tmp_path / "j.db", new_sandbox(), meanwhile) as alive:
        await put(alive, "pay", waits_for("a"))
        adding: list[Callable[[], Awaitable[Any]]] = [
            lambda: applied(alive, {}, {"first": on("PAID")}, prune=True),
            lambda: applied(alive, {"first": waits_for("a")}, prune=True),
            lambda: applied(alive, {}, {"second": on("PAID")}),
            lambda: keep(alive, "third", on("PAID"), set="default"),
            lambda: put(alive, "fourth", waits_for("a"), set="default"),
        ]
        documents = ({"other": waits_for("b")}, {"one": on("PAID")})
        for add in adding:
            before = await state_of(alive)
            meanwhile.act, meanwhile.is_done = add, False
            assert await reason(applied(alive, *documents, prune=True)) == "version"
            assert meanwhile.is_done and not {"workflow other", "trigger one"} & (await state_of(alive)).keys()
            assert await state_of(alive) != before
        assert "pruned" in actions(await applied(alive, *documents, prune=True)).values()
        assert set(await state_of(alive)) == {"workflow pay", "workflow other", "trigger one"}
        meanwhile.act, meanwhile.is_done = lambda: keep(alive, "by-hand", on("PAID")), False
        assert set(actions(await applied(alive, *documents, prune=True)).values()) == {"unchanged"}
        assert "trigger by-hand" in await state_of(alive), "what is of no set is no reason"
        turns = await asyncio.gather(
            *(reason(applied(alive, {}, {f"t{each}": on("PAID")}, prune=True, set="new")) for each in range(6))
        )
        left = [each for each in await state_of(alive) if each.startswith("trigger t")]
        assert set(turns) <= {"", "version"} and "" in turns and len(left) == 1, (turns, left)


async def _handle(alive: InProcess, name: str) -> str:
    found = await alive.journal.handle(name)
    assert found is not None
    return found.workflow_id


async def test_an_apply_that_has_not_seen_a_change_is_refused(tmp_path: Path) -> None:
    """Also where it would have left the document that has changed as it was."""
    for changed in ("workflow", "trigger"):
        meanwhile = Meanwhile("RequireVersion")
        async with running(tmp_path / f"{changed}.db", new_sandbox(), meanwhile) as alive:
            meanwhile.is_done = True
            await applied(alive, *OLD)

            async def change(alive: InProcess = alive, changed: str = changed) -> None:
                if changed == "workflow":
                    await put(alive, "pay", waits_for("z"))
                else:
                    await keep(alive, "payments", on("OTHER"))

            meanwhile.act, meanwhile.is_done = change, False
            more = ({**OLD[0], "extra": waits_for("x")}, OLD[1])
            assert await reason(applied(alive, *more)) == "version"
            assert "workflow extra" not in await state_of(alive)
            assert actions(await applied(alive, *more))["workflow extra"] == "created"


@pytest.mark.parametrize("after", [False, True])
async def test_a_kill_at_each_commit_leaves_all_or_nothing(after: bool, tmp_path: Path) -> None:
    """And the same apply again ends where an undisturbed one does."""
    plain = CrashPoint()
    async with running(tmp_path / "plain.db", new_sandbox(), plain) as alive:
        await applied(alive, *OLD)
        begun = len(plain.seen)
        await applied(alive, *NEW, prune=True, key="k")
        commits, expected = len(plain.seen) - begun, await state_of(alive)
    assert commits == 1, "an apply is one unit"
    for at in range(begun + commits):
        file = tmp_path / f"{at}.db"
        crash = CrashPoint(at, after=after)

        async def life(file: Path = file, crash: CrashPoint = crash) -> None:
            async with running(file, new_sandbox(), crash) as alive:
                await applied(alive, *OLD)
                await applied(alive, *NEW, prune=True, key="k")

        await crash.over(life())
        assert crash.has_struck.is_set()
        async with running(file, new_sandbox()) as alive:
            left = await state_of(alive)
            assert len(left) in (0, 4, 3), left
            found = await applied(alive, *NEW, prune=True, key="k")
            assert found.changes, "the result, also of an apply whose answer was lost"
            state = await state_of(alive)
            assert {name: row[0] for name, row in state.items()} == {name: row[0] for name, row in expected.items()}
