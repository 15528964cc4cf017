"""Checks of `headrace.journal.testing`: certificates and the keys that have signed them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from headrace.journal.lists import Place
from headrace.journal.port import Journal, Unit
from headrace.journal.records import Certificate
from headrace.journal.writes import AddCertificate, AddInstance, AddWorkflow, CloseStage, EndInstance, OpenStage


async def a_certificate_is_stored_whole_and_each_key_is_listed_once(
    make_journal: Callable[[], AbstractAsyncContextManager[Journal]],
) -> None:
    """A certificate is read as it was stored, after the store is opened again too; keys come by their ids."""
    async with make_journal() as journal:
        assert await journal.certificate("c1") is None and await journal.certificate_keys() == []
        for number, kid in enumerate(("k2", "k1", "k2"), 1):
            unit = Unit()
            unit.add(
                AddCertificate(
                    certificate_id=f"c{number}",
                    subject='{"instance":"i1"}',
                    content="a.b.c" * 1_000,
                    sha="sha256:00",
                    previous=None if number == 1 else "c1",
                    kid=kid,
                    jwk=f'{{"kid":"{kid}"}}',
                    created_at=number,
                )
            )
            await journal.commit(unit)
    async with make_journal() as journal:
        wanted = Certificate("c2", '{"instance":"i1"}', "a.b.c" * 1_000, "sha256:00", "c1", "k1", 2)
        assert await journal.certificate("c2") == wanted
        assert await journal.certificate_keys() == ['{"kid":"k1"}', '{"kid":"k2"}']


async def the_certificate_of_the_period_before_is_the_last_one_that_had_ended(
    make_journal: Callable[[], AbstractAsyncContextManager[Journal]],
) -> None:
    """One of a case is never it; of two for one period, it is the one that was made last."""
    async with make_journal() as journal:
        assert await journal.certificate_before(2**62) is None
        periods = {"case": (None, None), "may": (10, 20), "again": (10, 20), "june": (20, 30), "long": (5, 25)}
        for number, (name, (from_at, to_at)) in enumerate(periods.items()):
            unit = Unit()
            unit.add(
                AddCertificate(
                    certificate_id=name,
                    subject="{}",
                    content="a.b.c",
                    sha="sha256:00",
                    previous=None,
                    kid="k",
                    jwk="{}",
                    created_at=number,
                    from_at=from_at,
                    to_at=to_at,
                )
            )
            await journal.commit(unit)
        found = [await journal.certificate_before(at) for at in (19, 20, 24, 25, 30, 2**62)]
        assert [each and each.id for each in found] == [None, "again", "again", "long", "june", "june"]
        june = found[-1]
        assert june is not None and (june.from_at, june.to_at) == (20, 30)


async def instances_are_listed_by_their_times(
    make_journal: Callable[[], AbstractAsyncContextManager[Journal]],
) -> None:
    """In pages: what has ended by its end, what runs by its start; aborted ones show whether a stage is open."""
    async with make_journal() as journal:
        unit = Unit()
        unit.add(AddWorkflow(workflow_id="w", name="w", config="{}", created_at=1, updated_at=1))
        for number, name in enumerate(("a", "b", "c", "d"), 1):
            unit.add(
                AddInstance(
                    instance_id=name, workflow_id="w", config="{}", variables="{}", created_at=number, by_trigger=False
                )
            )
            unit.add(OpenStage(instance_id=name, number=0, keyword="send", input="{}", started_at=number))
        await journal.commit(unit)
        for name, at, error in (("c", 7, None), ("b", 7, "canceled"), ("a", 9, "canceled")):
            unit = Unit()
            unit.add(EndInstance(instance_id=name, version=0, at=at, error=error, failure=None, failure_code=None))
            if name != "b":
                unit.add(CloseStage(instance_id=name, number=0, terminated_at=at + 1, error=error))
            await journal.commit(unit)
        ended = await journal.instance_times("ended", Place(7, ""), 2)
        assert [(each.id, each.created_at, each.ended_at) for each in ended] == [("b", 2, 7), ("c", 3, 7)]
        assert [each.id for each in await journal.instance_times("ended", Place(7, "c"), 9)] == ["a"]
        running = await journal.instance_times("running", Place(-(2**63), ""), 9)
        assert [(each.id, each.ended_at, each.settled_at) for each in running] == [("d", None, None)]
        canceled = await journal.instance_times("canceled", Place(0, ""), 9)
        assert [(each.id, each.ended_at, each.settled_at) for each in canceled] == [("a", 9, 10), ("b", 7, None)]
        assert [each.id for each in await journal.instance_times("canceled", Place(1, "a"), 9)] == ["b"]


CHECKS = (
    a_certificate_is_stored_whole_and_each_key_is_listed_once,
    the_certificate_of_the_period_before_is_the_last_one_that_had_ended,
    instances_are_listed_by_their_times,
)
