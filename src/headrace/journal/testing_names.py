"""Checks of `headrace.journal.testing`: names with versions, and triggers whose definition is replaced."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import msgspec

from headrace.journal import name_writes as n
from headrace.journal.lists import NEWEST, HandleList, KeptTriggerList, Place
from headrace.journal.port import Journal, Unit
from headrace.journal.records import Handle, NameUse, Version
from headrace.journal.testing_units import is_committed, required, succeeds, unit_of
from headrace.journal.writes import (
    AcceptEvent,
    AddInstance,
    AddTrigger,
    AddWorkflow,
    DeleteTrigger,
    DeleteWorkflow,
    EventAccepted,
    ProcessEvent,
    Write,
)

MakeJournal = Callable[[], AbstractAsyncContextManager[Journal]]


async def a_name_moves_from_the_version_that_its_mover_has_seen(make_journal: MakeJournal) -> None:
    """One of several units that move a name succeeds; the others change nothing."""
    async with make_journal() as journal:
        await _named(journal, "pay", 3)
        assert await journal.handle("pay") == Handle("pay", 1, "w1", None, 5, 5)
        assert await journal.handle("other") is None
        assert await journal.versions("pay") == [
            Version("pay", number, f"w{number}", f"h{number}", 5, "jane") for number in (3, 2, 1)
        ]
        moves = (n.MoveHandle(name="pay", before=1, number=number, at=6) for number in (2, 3, 2, 3))
        outcomes = await asyncio.gather(*(succeeds(journal, move) for move in moves))
        assert sum(outcomes) == 1, outcomes
        found = await journal.handle("pay")
        assert found is not None and found.current == (2, 3, 2, 3)[outcomes.index(True)]
        assert found.workflow_id == f"w{found.current}" and found.updated_at == 6 and found.created_at == 5
        assert not await succeeds(journal, n.MoveHandle(name="pay", before=1, number=1, at=7))
        assert not await succeeds(journal, n.MoveHandle(name="other", before=1, number=2, at=7))
        assert not await succeeds(journal, n.AddHandle(name="pay", number=1, set_name="s", at=7)), "it is given"
        again = n.AddVersion(name="pay", number=3, workflow_id="w1", definition_hash="h", created_at=9, principal="joe")
        assert not await succeeds(journal, again), "a version never changes"
        await journal.commit(unit_of(DeleteWorkflow(at=8, workflow_id="w2")))
        assert [each.deleted_at for each in await journal.versions("pay")] == [None, 8, None]


async def a_start_has_the_version_that_is_current_at_its_commit(make_journal: MakeJournal) -> None:
    """A unit that requires a version is committed before the name moves on, or not at all."""
    async with make_journal() as journal:
        await _named(journal, "pay", 2)
        assert await succeeds(journal, n.RequireVersion(name="pay", number=1))
        assert not await succeeds(journal, n.RequireVersion(name="pay", number=2))
        starts = [asyncio.ensure_future(is_committed(journal, _start("pay", 1, f"i{each}"))) for each in range(8)]
        moved = asyncio.ensure_future(succeeds(journal, n.MoveHandle(name="pay", before=1, number=2, at=6)))
        starts += [asyncio.ensure_future(is_committed(journal, _start("pay", 1, f"i{each}"))) for each in range(8, 16)]
        assert await moved
        outcomes = await asyncio.gather(*starts)
        for number, is_stored in enumerate(outcomes):
            assert (await journal.instance(f"i{number}") is not None) is is_stored
        assert not await is_committed(journal, _start("pay", 1, "late"))
        assert await is_committed(journal, _start("pay", 2, "i99"))


async def names_are_listed_newest_first(make_journal: MakeJournal) -> None:
    """A name that is taken away leaves the list, and its versions stay."""
    async with make_journal() as journal:
        for number, name in enumerate(("b", "a", "c"), 1):
            await journal.commit(unit_of(_workflow(f"x{name}")))
            await journal.commit(unit_of(*_first(name, f"x{name}", number)))
        assert [each.name for each in await journal.handles_after(HandleList(), NEWEST, 2)] == ["c", "a"]
        rest = await journal.handles_after(HandleList(), Place(2, "a"), 9)
        assert [(each.name, each.workflow_id) for each in rest] == [("b", "xb")]
        assert await journal.places_before(HandleList(), Place(1, "b"), 9) == [Place(2, "a"), Place(3, "c")]
        assert not await succeeds(journal, n.DeleteHandle(name="a", number=1, greatest=2)), "other versions were seen"
        assert await succeeds(journal, n.DeleteHandle(name="a", number=1, greatest=1))
        assert [each.name for each in await journal.handles_after(HandleList(), NEWEST, 9)] == ["c", "b"]
        assert len(await journal.versions("a")) == 1, "versions stay"


async def a_trigger_by_name_shows_the_version_that_is_current(make_journal: MakeJournal) -> None:
    """And keeps its name from being taken away."""
    async with make_journal() as journal:
        await _named(journal, "pay", 2)
        await journal.commit(unit_of(_trigger("t1", handle="refunds", set_name="s")))
        found = await journal.trigger("t1")
        assert found is not None
        assert (found.workflow_id, found.workflow_name, found.current) == ("w1", "pay", 1)
        assert (found.handle, found.set_name, found.revision) == ("refunds", "s", 1)
        assert not await succeeds(journal, _trigger("t2", handle="refunds")), "the name is given"
        assert await succeeds(journal, _trigger("t3", handle=None))
        assert await journal.uses_of_name("pay") == [NameUse("t1", False, False), NameUse("t3", False, False)]
        assert [each.id for each in await journal.kept_triggers_after(KeptTriggerList(), NEWEST, 9)] == ["t1"]
        assert await journal.places_before(KeptTriggerList(), Place(1, ""), 9) == [Place(5, "t1")]
        await journal.commit(unit_of(n.MoveHandle(name="pay", before=1, number=2, at=6)))
        seq = await _accepted(journal, "e1")
        for each in (*await journal.triggers_on(("paid", "payments.paid"), seq), await journal.kept_trigger("refunds")):
            assert each is not None and (each.workflow_id, each.current) == ("w2", 2)
        assert await journal.uses_of_name("pay") == [NameUse("t1", False, True), NameUse("t3", False, True)]
        assert not await succeeds(journal, _delete("pay", 2)), "triggers use it"
        deleted = (DeleteTrigger(at=7, trigger_id="t1"), DeleteTrigger(at=7, trigger_id="t3"))
        assert not await is_committed(journal, required(*deleted, _delete("pay", 1)))
        assert await journal.kept_trigger("refunds") is not None, "a unit that fails changes nothing"
        assert await is_committed(journal, required(*deleted, _delete("pay", 2)))
        assert await journal.handle("pay") is None and await journal.kept_trigger("refunds") is None
        await journal.commit(unit_of(_workflow("w9"), *_first("pay", "w9", 9, number=3)))
        assert await succeeds(journal, _trigger("t4", handle="refunds")), "a deleted one keeps no name"


async def an_event_has_the_definition_of_its_time(make_journal: MakeJournal) -> None:
    """Each event is for exactly one of the definitions of a trigger, whenever it is processed."""
    async with make_journal() as journal:
        await _named(journal, "pay", 1)
        before = await _accepted(journal, "e0")
        await journal.commit(unit_of(_trigger("t1", handle="refunds")))
        early = await _accepted(journal, "e1")
        change = (
            n.KeepTrigger(trigger_id="t1", revision=1, at=6),
            _replace("t1", 1, event="SAVED", filter_="true"),
        )
        outcomes = await asyncio.gather(*(is_committed(journal, required(*change)) for _ in range(3)))
        assert sum(outcomes) == 1, outcomes
        late = await _accepted(journal, "e2")
        paid, saved = ("paid", "payments.paid"), ("saved", "payments.saved")

        async def revisions(names: tuple[str, str], seq: int) -> list[tuple[int, str, str | None]]:
            found = await journal.triggers_on(names, seq)
            assert all(each.id == "t1" and each.handle == "refunds" for each in found)
            return [(each.revision, each.event, each.filter) for each in found]

        assert await revisions(paid, before) == [] and await revisions(saved, before) == []
        assert await revisions(paid, early) == [(1, "PAID", None)] and await revisions(saved, early) == []
        assert await revisions(paid, late) == [] and await revisions(saved, late) == [(2, "SAVED", "true")]
        assert not await succeeds(journal, n.RequireTrigger(trigger_id="t1", revision=1))
        assert await succeeds(journal, n.RequireTrigger(trigger_id="t1", revision=2))
        kept = await journal.kept_trigger("refunds")
        assert kept is not None and (kept.id, kept.revision, kept.event) == ("t1", 2, "SAVED")
        again = (n.KeepTrigger(trigger_id="t1", revision=2, at=7), _replace("t1", 2, event="PAID", filter_="false"))
        assert await is_committed(journal, required(*again))
        last = await _accepted(journal, "e3")
        assert await revisions(paid, early) == [(1, "PAID", None)]
        assert await revisions(saved, late) == [(2, "SAVED", "true")] and await revisions(paid, late) == []
        assert await revisions(paid, last) == [(3, "PAID", "false")]
        await journal.commit(unit_of(DeleteTrigger(at=8, trigger_id="t1")))
        for names, seq in ((paid, early), (saved, late), (paid, last)):
            assert await revisions(names, seq) == [], "a deleted trigger has no definition at all"
        assert not await succeeds(journal, n.KeepTrigger(trigger_id="t1", revision=3, at=9))


async def a_former_definition_has_the_version_of_its_time(make_journal: MakeJournal) -> None:
    """The one that was current before the unit that replaced it, wherever the name moves in this unit and later."""
    async with make_journal() as journal:
        await _named(journal, "pay", 3)
        await journal.commit(unit_of(_trigger("t1", handle="refunds")))
        await journal.commit(unit_of(n.MoveHandle(name="pay", before=1, number=2, at=6)))
        early = await _accepted(journal, "e1")
        change = required(
            n.KeepTrigger(trigger_id="t1", revision=1, at=7),
            n.MoveHandle(name="pay", before=2, number=3, at=7),
            _replace("t1", 1, event="PAID", filter_="true"),
        )
        assert await is_committed(journal, change)
        late = await _accepted(journal, "e2")

        async def found(seq: int) -> list[tuple[int, str, str | None, int | None]]:
            rows = await journal.triggers_on(("paid", "payments.paid"), seq)
            return [(each.revision, each.workflow_id, each.workflow_name, each.current) for each in rows]

        assert await found(early) == [(1, "w2", None, None)] and await found(late) == [(2, "w3", "pay", 3)]
        await journal.commit(unit_of(n.MoveHandle(name="pay", before=3, number=1, at=8)))
        assert await found(early) == [(1, "w2", None, None)] and await found(late) == [(2, "w1", "pay", 1)]


async def a_name_is_there_while_its_versions_are_needed(make_journal: MakeJournal) -> None:
    """By a trigger that has the id of one, and by an earlier definition while events wait for it."""
    async with make_journal() as journal:
        await _named(journal, "pay", 2)
        await journal.commit(unit_of(_workflow("w9"), *_first("other", "w9", 6)))
        by_id = msgspec.structs.replace(_trigger("t1", handle=None), workflow_id="w2", workflow_name=None)
        assert await succeeds(journal, by_id)
        assert await journal.uses_of_name("pay") == [NameUse("t1", False, False)]
        assert await journal.uses_of_name("other") == []
        assert not await succeeds(journal, _delete("pay", 1)), "a trigger starts its second version"
        await journal.commit(unit_of(DeleteTrigger(at=7, trigger_id="t1"), _trigger("t2", handle="refunds")))
        seq = await _accepted(journal, "e1")
        replaced = _replace("t2", 1, event="PAID", filter_="true", name="other")
        keeping = n.KeepTrigger(trigger_id="t2", revision=1, at=8)
        gone = msgspec.structs.replace(replaced, workflow_id="gone")
        assert not await is_committed(journal, required(keeping, gone)), "there is no such workflow"
        assert await is_committed(journal, required(keeping, replaced))
        assert await journal.uses_of_name("pay") == [NameUse("t2", True, True)]
        assert await journal.uses_of_name("other") == [NameUse("t2", False, False)]
        late = await _accepted(journal, "e2")
        await journal.commit(unit_of(ProcessEvent(at=8, seq=late)))
        assert not await succeeds(journal, _delete("pay", 1)), "an event waits that starts its first version"
        await journal.commit(unit_of(ProcessEvent(at=8, seq=seq)))
        assert await journal.uses_of_name("pay") == []
        assert await succeeds(journal, _delete("pay", 1))


async def a_set_has_the_objects_that_its_guard_counts(make_journal: MakeJournal) -> None:
    """Names and triggers of the set that are not deleted, and of no other one."""
    async with make_journal() as journal:
        await journal.commit(unit_of(_workflow("w1"), *_first("pay", "w1", 5)))
        assert await succeeds(journal, n.RequireSet(set_name="s", workflows=0, triggers=0))
        await journal.commit(unit_of(n.AddHandle(name="of-s", number=1, set_name="s", at=6)))
        await journal.commit(unit_of(n.AddHandle(name="of-r", number=1, set_name="r", at=6)))
        for number, name in enumerate(("s", "s", "r", None)):
            await journal.commit(unit_of(_trigger(f"t{number}", handle=f"h{number}", set_name=name)))
        for workflows, triggers, is_so in ((1, 2, True), (0, 2, False), (2, 2, False), (1, 1, False), (1, 3, False)):
            guard = n.RequireSet(set_name="s", workflows=workflows, triggers=triggers)
            assert await succeeds(journal, guard) is is_so, guard
        await journal.commit(unit_of(DeleteTrigger(at=7, trigger_id="t0")))
        assert await succeeds(journal, n.RequireSet(set_name="s", workflows=1, triggers=1))
        units = (
            required(
                n.RequireSet(set_name="q", workflows=0, triggers=0),
                _trigger(f"q{each}", handle=f"q{each}", set_name="q"),
            )
            for each in range(6)
        )
        outcomes = await asyncio.gather(*(is_committed(journal, unit) for unit in units))
        assert sum(outcomes) == 1, outcomes


async def requesters_of_triggers_are_those_who_gave_definitions(make_journal: MakeJournal) -> None:
    from headrace.journal.writes import AddAuditEntry

    async with make_journal() as journal:
        for number, operation in enumerate(("putTrigger", "apply", "deleteTrigger", "runNamedWorkflow")):
            entry = AddAuditEntry(at=1, principal=f"p{number}", client_id=None, operation=operation, target="t1")
            await journal.commit(unit_of(entry))
        assert sorted(each.principal for each in await journal.requesters("t1")) == ["p0", "p1", "p3"]


async def who_moves_a_name_has_asked_for_what_a_trigger_starts_by_it(make_journal: MakeJournal) -> None:
    """From the making of the version to the start, and only where the trigger has the name, now or then."""
    from headrace.journal.writes import AddAuditEntry, AddOccurrence

    def said(principal: str, operation: str, target: str, at: int) -> Write:
        return AddAuditEntry(at=at, principal=principal, client_id=None, operation=operation, target=target)

    async with make_journal() as journal:
        await _named(journal, "pay", 2)
        by_id = msgspec.structs.replace(_trigger("t2", handle=None), workflow_name=None)
        await journal.commit(unit_of(_trigger("t1", handle="refunds"), by_id))
        acts = (("early", "putWorkflow", "pay", 4), ("ann", "putWorkflow", "pay", 5), ("tom", "apply", "pay", 6))
        acts += (("late", "putWorkflow", "pay", 7), ("eve", "deleteNamedWorkflow", "pay", 5), ("joe", "apply", "s", 6))
        await journal.commit(unit_of(*(said(*act) for act in acts), said("bob", "putTrigger", "t1", 5)))
        await journal.commit(unit_of(said("bob", "createTrigger", "t2", 5)))
        for number, trigger_id in ((1, "t1"), (2, "t2"), (3, "t3"), (4, "t1")):
            start = _start("pay", 1, f"i{number}")[1:]
            if number == 3:
                await journal.commit(unit_of(_trigger("t3", handle=None)))
            await _accepted(journal, f"k{number}")
            if number == 4:  # a definition that has been replaced meanwhile by one of another name
                change = (
                    n.KeepTrigger(trigger_id="t1", revision=1, at=6),
                    _replace("t1", 1, event="PAID", filter_="true", name="other"),
                )
                start = [*change, *start]
            fired = AddOccurrence(
                occurrence_id=f"o{number}",
                trigger_id=trigger_id,
                event_key=f"k{number}",
                event="{}",
                created_at=6,
                depth=0,
                instance_id=f"i{number}",
                error=None,
            )
            await journal.commit(Unit([*start, fired]))
        for trigger_id, instance_id in (("t1", "i1"), ("t1", "i4"), ("t3", "")):
            moved = [(each.principal, each.at) for each in await journal.movers(trigger_id, "w1", 6, instance_id)]
            assert moved == [("ann", 5), ("jane", 5), ("tom", 6)], trigger_id
        assert await journal.movers("t1", "w1", 6) == [], "it starts another name now"
        assert await journal.movers("t2", "w1", 6) == [] and await journal.movers("t1", "w9", 6, "i1") == []
        by_name = _replace("t2", 1, event="PAID", filter_="true")
        assert await is_committed(journal, required(n.KeepTrigger(trigger_id="t2", revision=1, at=6), by_name))
        assert await journal.movers("t2", "w1", 6, "i2") == [], "it got the name after the event of this instance"
        assert [each.principal for each in await journal.movers("t2", "w1", 6)] == ["ann", "jane", "tom"]
        known = {"ann", "bob", "jane", "tom"}
        assert set(await journal.case_requesters(["i1"])) == set(await journal.case_requesters(["i4"])) == known
        assert await journal.case_requesters(["i2"]) == ["bob"], "a trigger by id starts it wherever the name is"
        assert set(await journal.case_requesters(["i3"])) == {"ann", "jane", "tom", None}, "no person made it"


def _workflow(workflow_id: str) -> Write:
    return AddWorkflow(workflow_id=workflow_id, name="pay", config='{"stages":[]}', created_at=5, updated_at=5)


def _first(name: str, workflow_id: str, at: int, number: int = 1) -> tuple[Write, ...]:
    return (
        n.AddVersion(
            name=name, number=number, workflow_id=workflow_id, definition_hash="h", created_at=at, principal="jane"
        ),
        n.AddHandle(name=name, number=number, set_name=None, at=at),
    )


async def _named(journal: Journal, name: str, versions: int) -> None:
    unit = Unit()
    for number in range(1, versions + 1):
        unit.add(_workflow(f"w{number}"))
        unit.add(
            n.AddVersion(
                name=name,
                number=number,
                workflow_id=f"w{number}",
                definition_hash=f"h{number}",
                created_at=5,
                principal="jane",
            )
        )
    unit.add(n.AddHandle(name=name, number=1, set_name=None, at=5))
    await journal.commit(unit)


def _delete(name: str, number: int, greatest: int = 2) -> Write:
    return n.DeleteHandle(name=name, number=number, greatest=greatest)


def _start(name: str, number: int, instance_id: str) -> Unit:
    return required(
        n.RequireVersion(name=name, number=number),
        AddInstance(
            instance_id=instance_id,
            workflow_id=f"w{number}",
            config='{"stages":[]}',
            variables="{}",
            created_at=6,
            by_trigger=False,
        ),
    )


def _trigger(trigger_id: str, *, handle: str | None, set_name: str | None = None) -> AddTrigger:
    return AddTrigger(
        trigger_id=trigger_id,
        name=handle or "",
        event="PAID",
        event_name="paid",
        workflow_id="w1",
        version=None,
        filter=None,
        vars=None,
        created_at=5,
        workflow_name="pay",
        handle=handle,
        set_name=set_name,
    )


def _replace(trigger_id: str, revision: int, *, event: str, filter_: str, name: str = "pay") -> n.ReplaceTrigger:
    return n.ReplaceTrigger(
        trigger_id=trigger_id,
        revision=revision,
        event=event,
        event_name=event.lower(),
        workflow_id="w1",
        workflow_name=name,
        version=None,
        filter=filter_,
        vars=None,
    )


async def _accepted(journal: Journal, key: str) -> int:
    event = AcceptEvent(
        key=key,
        type="PAID",
        envelope="{}",
        received_at=5,
        depth=0,
        fingerprint=key.encode(),
        place=None,
        conflict_key=f"{key}-other",
        old_key=None,
    )
    (accepted,) = await journal.commit(unit_of(event))
    assert isinstance(accepted, EventAccepted)
    return accepted.seq


CHECKS = (
    a_name_moves_from_the_version_that_its_mover_has_seen,
    a_start_has_the_version_that_is_current_at_its_commit,
    names_are_listed_newest_first,
    a_trigger_by_name_shows_the_version_that_is_current,
    an_event_has_the_definition_of_its_time,
    a_former_definition_has_the_version_of_its_time,
    a_set_has_the_objects_that_its_guard_counts,
    a_name_is_there_while_its_versions_are_needed,
    requesters_of_triggers_are_those_who_gave_definitions,
    who_moves_a_name_has_asked_for_what_a_trigger_starts_by_it,
)
