"""Units of the checks of `headrace.journal.testing`: of some writes, and whether a journal takes them."""

from __future__ import annotations

from functools import partial

from headrace.errors import Conflict
from headrace.journal.port import Journal, Required, Unit
from headrace.journal.write import Result, Write


def unit_of(*writes: Write) -> Unit:
    unit = Unit()
    for write in writes:
        unit.add(write)
    return unit


def required(*writes: Write) -> Unit:
    """A unit that is committed only if each of these writes changes something."""
    unit = Unit()
    for write in writes:
        unit.add(Required(write, partial(Conflict, type(write).__name__)))
    return unit


async def commit(journal: Journal, *writes: Write) -> list[Result | None]:
    """Commit these writes, and return their results."""
    return list(await journal.commit(unit_of(*writes)))


async def is_committed(journal: Journal, unit: Unit) -> bool:
    try:
        await journal.commit(unit)
    except Conflict:
        return False
    return True


async def succeeds(journal: Journal, write: Write) -> bool:
    """Whether the write changes something."""
    return await is_committed(journal, required(write))
