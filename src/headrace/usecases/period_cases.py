"""The cases of a period, as the times of the journal have them, and what earlier certificates have counted of them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import cast

import msgspec

from headrace.certificates.period import Counted, Period
from headrace.errors import InvalidValue, TooLarge
from headrace.journal.lists import Place
from headrace.journal.port import Journal, WhichTimes
from headrace.journal.records import Certificate, Instance, InstanceTimes
from headrace.usecases.certificates import case_of
from headrace.workflows.activities import Json
from headrace.workflows.durations import moment_us
from headrace.workflows.variables import shown

MEMBERS = ("from", "to", "full")
MAX_CASES = 10_000
"""Cases that one certificate may have, ended and open ones together."""
_PAGE = 500


@dataclass(frozen=True, slots=True)
class Ended:
    """A case that ended in the period."""

    root_id: str
    instance_ids: list[str]
    ended_at: int
    first_ended_at: int


@dataclass(slots=True)
class Cases:
    """The cases that ended in a period, that were open at its end, and that ended in it and went on later."""

    ended: list[Ended]
    open: list[list[Instance]]
    went_on: list[tuple[int, list[str]]]


def period_of(wanted: Json, now_at: int) -> Period:
    """The period that a request asks for. Raises InvalidValue, which names the member."""
    for name in wanted.keys() - set(MEMBERS):
        raise InvalidValue(shown(name), f"unknown field; known are {', '.join(MEMBERS)}, or instance alone")
    for name in ("from", "to"):
        if name not in wanted:
            raise InvalidValue(name, "is required for a period: a moment such as 2026-01-01T00:00:00Z")
    from_at, to_at = (moment_us(wanted[name], name) for name in ("from", "to"))
    is_full = wanted.get("full", False)
    if not isinstance(is_full, bool):
        raise InvalidValue("full", "must be true or false")
    if from_at >= to_at:
        raise InvalidValue("from", "must be before to: a period begins with from, and ends before to")
    if to_at > now_at:
        raise InvalidValue("to", "is in the future: what ends until then is not known")
    return Period(from_at, to_at, is_full)


async def cases_in(journal: Journal, period: Period) -> Cases:
    """The cases that ended in a period, and those that were open at its end. Raises TooLarge."""
    cases = Cases([], [], [])
    known: set[str] = set()
    for instance_id in await _candidates(journal, period):
        await asyncio.sleep(0)
        if instance_id in known:
            continue
        ids = await case_of(journal, instance_id)
        known |= set(ids)
        read = [await journal.instance(each) for each in ids]
        instances = [each for each in read if each is not None]
        begun = [each for each in instances if each.created_at < period.to_at]
        ends = [begun[-1].terminated_at, *(stage.terminated_at for stage in begun[-1].stages)]
        known_ends = [each for each in ends if each is not None]  # an abort leaves effects that settle later
        ended_at = max(known_ends) if len(known_ends) == len(ends) else None
        if ended_at is None or ended_at >= period.to_at:
            cases.open.append(begun)
        elif ended_at >= period.from_at:
            if len(begun) < len(instances):
                cases.went_on.append((ended_at, ids))
            else:
                first_ended_at = instances[0].terminated_at or ended_at
                cases.ended.append(Ended(ids[0], ids, ended_at, first_ended_at))
        if len(cases.ended) + len(cases.open) > MAX_CASES:
            raise TooLarge("period", f"has more than {MAX_CASES:,} cases; take a shorter one")
    return cases


async def _candidates(journal: Journal, period: Period) -> list[str]:
    """Instances of which a case may have ended in the period, or been open at its end. Raises TooLarge."""
    found: list[str] = []
    sources: tuple[tuple[WhichTimes, Place], ...] = (
        ("ended", Place(period.from_at, "")),
        ("running", Place(-(2**63), "")),
        ("canceled", Place(-(2**63), "")),
    )
    for which, place in sources:
        while rows := await journal.instance_times(which, place, _PAGE):
            found += [row.id for row in rows if _may_count(row, period)]
            last = rows[-1]
            place = Place(last.created_at if which != "ended" else cast("int", last.ended_at), last.id)
            if which != "ended" and last.created_at >= period.to_at:
                break
            if len(found) > 4 * MAX_CASES:
                raise TooLarge("period", f"has more than {MAX_CASES:,} cases; take a shorter one")
            await asyncio.sleep(0)
    return found


def _may_count(row: InstanceTimes, period: Period) -> bool:
    is_late = row.settled_at is None or row.settled_at >= period.from_at
    return row.created_at < period.to_at and is_late


async def counted_before(
    journal: Journal, previous: Certificate | None, cases: list[Ended], period: Period
) -> dict[str, Counted]:
    """The last line in the chain of each case that had ended before, and has gone on since."""
    wanted = {each.root_id: each.first_ended_at for each in cases if each.first_ended_at < period.from_at}
    found: dict[str, Counted] = {}
    while previous is not None and wanted and cast("int", previous.to_at) > min(wanted.values()):
        lines = await asyncio.to_thread(_lines_in, previous.content)
        for case_id in wanted.keys() & lines.keys():
            found[case_id] = Counted(previous.id, lines[case_id])
            del wanted[case_id]
        previous = None if previous.previous is None else await journal.certificate(previous.previous)
    return found


def _lines_in(content: str) -> dict[str, Json]:
    from headrace.certificates.envelope import payload_of  # a signature library

    return {line["case"]: line for line in msgspec.json.decode(payload_of(content))["lines"]}
