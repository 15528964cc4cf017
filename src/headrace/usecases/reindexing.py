"""Make instances findable that were stored before searches knew their terms, or whose terms were lost."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec

from headrace.journal.lists import NEWEST, InstanceList, Place
from headrace.journal.port import Journal, Unit
from headrace.journal.records import ActivityRow, Instance
from headrace.journal.writes import AddLookups, NoteAmount
from headrace.workflows.activities import ACTIVITIES
from headrace.workflows.search_terms import MAX_TERM_CHARACTERS, amount_in, value_terms

PAGE = 50


async def reindex(journal: Journal) -> AsyncIterator[int]:
    """Store the terms of every instance, the newest first; how many are done, after each commit.

    What is stored already is stored once. It may be stopped, and begun again. Raises Unavailable.
    """
    place, done = NEWEST, 0
    while page := await journal.instances_after(InstanceList(), place, PAGE):
        unit = Unit()
        for instance in page:
            await _add(unit, journal, instance)
        if unit:
            await journal.commit(unit)
        done += len(page)
        yield done
        place = Place(page[-1].created_at, page[-1].id)


async def _add(unit: Unit, journal: Journal, instance: Instance) -> None:
    variables: dict[str, str] = msgspec.json.decode(instance.variables)
    terms: list[str] = []
    first = list[str]()
    amount = ""
    for stage in instance.stages:
        for row in await journal.activities(instance.id, stage.number):
            if row.instance_id == instance.id:  # else it is that of the instance which this one continues
                own = terms_of(row)
                terms += own
                first = first or own
                amount = amount or amount_in(own)
    terms += value_terms(variables, first)
    kept = tuple(term for term in terms if len(term) <= MAX_TERM_CHARACTERS)
    if kept:
        unit.add(AddLookups(created_at=instance.created_at, instance_id=instance.id, terms=kept))
    if amount:
        unit.add(NoteAmount(instance_id=instance.id, amount=amount))


def terms_of(row: ActivityRow) -> list[str]:
    """The terms of a stored activity: of what it asks for, and of what the service made of it."""
    activity, shown = ACTIVITIES[row.name], msgspec.json.decode(row.input)
    made = [] if row.output is None else activity.made(shown, msgspec.json.decode(row.output))
    return [*activity.searched(shown), *made]
