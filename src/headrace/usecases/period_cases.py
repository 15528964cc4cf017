"""The cases of a period, as the times of the journal have them, and what earlier certificates have counted of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from itertools import takewhile
from typing import cast

import msgspec

from headrace.certificates.period import Counted, Period
from headrace.certificates.statement import checked_text
from headrace.errors import InvalidValue, TooLarge
from headrace.journal.lists import Place
from headrace.journal.port import Journal, WhichTimes
from headrace.journal.records import Certificate, Instance
from headrace.usecases.certificates import case_of
from headrace.workflows.activities import Json
from headrace.workflows.durations import moment_us
from headrace.workflows.variables import shown

MEMBERS = ("from", "to", "full")
MAX_CASES = 10_000
"""Cases that one certificate may have, ended and open ones together."""
MAX_FOUND = 4 * MAX_CASES
"""Instances that are looked at for one certificate: a case has some, and not every one belongs to the period."""
LATE_US = 24 * 3600 * 1_000_000
"""The time after the period before in which an end that was stored late is still found and counted."""
_PAGE = 500


@dataclass(frozen=True, slots=True)
class Ended:
    """A case that ended in the period; or before it, where that was stored after its own period was certified."""

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


@dataclass(frozen=True, slots=True)
class Earlier:
    """The lines of the certificates before a period, as far back as a case may end without being stored.

    `periods`: the times of each; `ends`: when each case has ended by its last line, as text.
    """

    periods: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    ends: dict[str, str] = field(default_factory=dict[str, str])

    def lacks(self, case_id: str, ended_at: int) -> bool:
        """Whether this end of a case belongs to one of the periods, and no line counts it."""
        is_in_one = any(begins <= ended_at < ends for begins, ends in self.periods)
        return is_in_one and self.ends.get(case_id, "") < checked_text(ended_at)


async def earlier_than(journal: Journal, previous: Certificate | None) -> Earlier:
    """The lines of the certificates before a period. `previous`: the certificate of the period before."""
    found = Earlier()
    if previous is not None:
        async for each in _chain(journal, previous, cast("int", previous.to_at) - LATE_US):
            found.periods.insert(0, (cast("int", each.from_at), cast("int", each.to_at)))
            for case_id, line in (await asyncio.to_thread(_lines_in, each.content)).items():
                found.ends.setdefault(case_id, line["endedAt"])
    return found


async def cases_in(journal: Journal, period: Period, earlier: Earlier) -> Cases:
    """The cases that ended in a period, and those that were open at its end. Raises TooLarge.

    With them, those that ended in an earlier period and were stored after it was certified.
    """
    cases = Cases([], [], [])
    known: set[str] = set()
    for instance_id in await _candidates(journal, period, earlier):
        await asyncio.sleep(0)
        if instance_id in known:
            continue
        ids = await case_of(journal, instance_id)
        known |= set(ids)
        read = [await journal.instance(each) for each in ids]
        instances = [each for each in read if each is not None]
        begun = list(takewhile(lambda each: each.created_at < period.to_at, instances))
        if not begun:
            continue
        ends = [end for each in begun for end in (each.terminated_at, *(stage.terminated_at for stage in each.stages))]
        known_ends = [end for end in ends if end is not None]  # an abort leaves effects that settle later
        ended_at = max(known_ends) if len(known_ends) == len(ends) else None
        has_gone_on = len(begun) < len(instances)
        if ended_at is None or ended_at >= period.to_at:
            cases.open.append(begun)
        elif ended_at >= period.from_at and has_gone_on:
            cases.went_on.append((ended_at, ids))
        elif ended_at >= period.from_at or (earlier.lacks(ids[0], ended_at) and not has_gone_on):
            first_ended_at = instances[0].terminated_at or ended_at
            cases.ended.append(Ended(ids[0], ids, ended_at, first_ended_at))
        if len(cases.ended) + len(cases.open) > MAX_CASES:
            raise TooLarge("period", f"has more than {MAX_CASES:,} cases; take a shorter one")
    return cases


async def _candidates(journal: Journal, period: Period, earlier: Earlier) -> list[str]:
    """Instances of which a case may have ended in the period, or been open at its end. Raises TooLarge.

    One that ends or is aborted meanwhile is in one of the lists at least: those of the ended ones are read last.
    """
    found: list[str] = []
    always = (-(2**63), 2**63)
    sources: tuple[tuple[WhichTimes, tuple[int, int]], ...] = (
        ("running", always),
        ("canceled", always),
        *(("ended", each) for each in earlier.periods),
        ("ended", (period.from_at, 2**63)),
    )
    for which, (begins, ends) in sources:
        place, at = Place(begins, ""), begins
        while at < ends and (rows := await journal.instance_times(which, place, _PAGE)):
            for row in rows:
                if row.created_at >= period.to_at or (which == "ended" and cast("int", row.ended_at) >= ends):
                    continue
                counts = row.settled_at is None or row.settled_at >= period.from_at
                if row.settled_at is not None and not counts and earlier.lacks(row.id, row.settled_at):
                    root_id = row.id
                    while (before := await journal.predecessor(root_id)) is not None:
                        root_id = before.predecessor
                    counts = earlier.lacks(root_id, row.settled_at)
                if counts:
                    found.append(row.id)
            if len(found) > MAX_FOUND:
                raise TooLarge(
                    "period", f"has more than {MAX_FOUND:,} instances that may count in it; take a shorter one"
                )
            at = rows[-1].created_at if which != "ended" else cast("int", rows[-1].ended_at)
            place = Place(at, rows[-1].id)
            if which != "ended" and at >= period.to_at:
                break
            await asyncio.sleep(0)
    return found


async def _chain(journal: Journal, newest: Certificate, since: int) -> AsyncIterator[Certificate]:
    """The certificates of a chain that end after a moment, the newest first."""
    each: Certificate | None = newest
    while each is not None and cast("int", each.to_at) > since:
        yield each
        each = None if each.previous is None else await journal.certificate(each.previous)


async def counted_before(
    journal: Journal, previous: Certificate | None, cases: list[Ended], period: Period
) -> dict[str, Counted]:
    """The last line in the chain of each case that had ended before, and has gone on since."""
    wanted = {each.root_id: each.first_ended_at for each in cases if each.first_ended_at < period.from_at}
    found: dict[str, Counted] = {}
    if previous is None or not wanted:
        return found
    async for each in _chain(journal, previous, min(wanted.values())):
        lines = await asyncio.to_thread(_lines_in, each.content)
        for case_id in wanted.keys() & lines.keys():
            found[case_id] = Counted(each.id, lines[case_id])
            del wanted[case_id]
        if not wanted:
            break
    return found


def _lines_in(content: str) -> dict[str, Json]:
    from headrace.certificates.envelope import payload_of  # a signature library

    return {line["case"]: line for line in msgspec.json.decode(payload_of(content))["lines"]}
