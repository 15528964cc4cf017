"""Certificates of periods: the cases that ended in one, each checked as its own certificate would be.

Which cases ended follows from the journal alone, and from its times: a case ends when its last instance has ended and
no effect of it is in progress. So what had ended at a moment does not change after it, and certificates of adjacent
periods have each end once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeGuard, cast

import msgspec

from headrace.certificates.at_rest import at_rest
from headrace.certificates.case import Case
from headrace.certificates.listing import Listed, listed
from headrace.certificates.period import Counted, EndedCase, Finding, OpenCase, Period, Place, period_payload
from headrace.certificates.statement import Certified, Issuer, certified, checked_text
from headrace.errors import InvalidValue, NotCertifiable, TooLarge
from headrace.journal.lists import Place as RowPlace
from headrace.journal.port import Journal, WhichTimes
from headrace.journal.records import Certificate, Instance, InstanceTimes
from headrace.usecases.certificates import answered, case_of, read_case, signed, stored
from headrace.usecases.idempotency import Answer, Caller, idempotent
from headrace.usecases.ports import Ports
from headrace.workflows.activities import Json
from headrace.workflows.durations import moment_us
from headrace.workflows.variables import shown

MEMBERS = ("from", "to", "full")
MAX_CASES = 10_000
"""Cases that one certificate may have, ended and open ones together."""
MAX_S = 50.0
"""The time that one certificate may take: less than clients wait for a response, which is a minute."""
MAX_BYTES = 32 << 20
"""The size of a file: more is not read by a check."""
SETTLE_US = 2_000_000
"""Time after which the journal holds all that is dated before a moment. A request about a later end waits."""
_PAGE = 500
_AT_ONCE = 4
"""Cases whose effects are looked up at the same time."""


@dataclass(frozen=True, slots=True)
class _Ended:
    """A case that ended in the period."""

    root_id: str
    instance_ids: list[str]
    ended_at: int
    first_ended_at: int


@dataclass(slots=True)
class _Cases:
    ended: list[_Ended]
    open: list[list[Instance]]
    went_on: list[tuple[int, list[str]]]


def is_of_period(wanted: object) -> TypeGuard[Json]:
    """Whether a request is about a period, not about a case."""
    if not isinstance(wanted, dict):
        return False
    members = cast("Json", wanted)
    return "instance" not in members and not members.keys().isdisjoint(MEMBERS)


@idempotent(Certificate)
async def make_period_certificate(ports: Ports, caller: Caller | None, wanted: Json) -> Answer[Certificate]:
    """Check the cases that ended in a period against the books, sign what they show, and store it.

    `wanted` is `{"from", "to", "full"?}`. Raises InvalidValue, which names the member; TooLarge; NotCertifiable with
    the reason and the case; Silent where a service does not answer; Unavailable.
    """
    period = _period_of(wanted, ports.clock.now_at())
    async with ports.periods:
        try:
            async with asyncio.timeout(MAX_S):
                await ports.clock.sleep(max(0, period.to_at + SETTLE_US - ports.clock.now_at()) / 1e6)
                row = await _certified(ports, period)
        except TimeoutError:
            raise TooLarge("period", f"takes more than {MAX_S:g} s to check; take a shorter one") from None
    return await stored(ports, caller, row)


def _period_of(wanted: Json, now_at: int) -> Period:
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


async def _certified(ports: Ports, period: Period) -> Certificate:
    cases = await _cases_in(ports.journal, period)
    created_at = ports.clock.now_at()
    issuer = Issuer(await ports.journal.identity(), ports.release, created_at)
    finding = Finding(went_on=[(ended_at, ids[0]) for ended_at, ids in cases.went_on])
    booked: set[Place] = set()
    keys: set[str] = set()
    for found, each in zip(await _checked(ports, cases.ended, issuer), cases.ended, strict=True):
        finding.ended.append(EndedCase.of(found.payload, each.ended_at, found.ingested))
        booked |= found.booked
    for instances in cases.open:
        case = await read_case(ports.journal, [each.id for each in instances])
        finding.open.append(OpenCase(case.root.id, case.root.started_at, at_rest(case, period.to_at)))
        keys |= set(_keys_of(case))
        await asyncio.sleep(0)
    if period.is_full:
        for _, ids in cases.went_on:
            keys |= set(_keys_of(await read_case(ports.journal, ids)))
        finding.unexplained = await _unexplained(ports, period, booked, keys)
    previous = await ports.journal.certificate_before(period.from_at)
    counted = await _counted(ports.journal, previous, cases.ended, period)

    def build() -> Certificate:
        payload = period_payload(period, finding, counted, _shown(previous), issuer)
        subject = {"from": payload["from"], "to": payload["to"], "full": period.is_full}
        return signed(
            ports,
            payload,
            msgspec.json.encode(subject).decode(),
            created_at,
            previous=None if previous is None else previous.id,
            period=(period.from_at, period.to_at),
        )

    row = await asyncio.to_thread(build)  # thousands of lines take long to encode
    if len(row.content) > MAX_BYTES:
        raise TooLarge("period", f"its certificate has more than {MAX_BYTES:,} bytes; take a shorter one")
    return row


def _shown(previous: Certificate | None) -> Json | None:
    """The certificate of the period before, as the next one names it. A gap between the two shows in its times."""
    if previous is None or previous.from_at is None or previous.to_at is None:
        return None
    times = {"from": checked_text(previous.from_at), "to": checked_text(previous.to_at)}
    return {"id": previous.id, "sha": previous.sha, **times}


# the cases of a period


async def _cases_in(journal: Journal, period: Period) -> _Cases:
    """The cases that ended in a period, and those that were open at its end. Raises TooLarge."""
    cases = _Cases([], [], [])
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
        ended_at = _settled_at(begun[-1])
        if ended_at is None or ended_at >= period.to_at:
            cases.open.append(begun)
        elif ended_at >= period.from_at:
            if len(begun) < len(instances):
                cases.went_on.append((ended_at, ids))
            else:
                first_ended_at = instances[0].terminated_at or ended_at
                cases.ended.append(_Ended(ids[0], ids, ended_at, first_ended_at))
        if len(cases.ended) + len(cases.open) > MAX_CASES:
            raise TooLarge("period", f"has more than {MAX_CASES:,} cases; take a shorter one")
    return cases


def _settled_at(instance: Instance) -> int | None:
    """When an instance had ended and nothing of it was in progress: an abort leaves effects that settle later."""
    ends = [instance.terminated_at, *(stage.terminated_at for stage in instance.stages)]
    known = [each for each in ends if each is not None]
    return max(known) if len(known) == len(ends) else None


async def _candidates(journal: Journal, period: Period) -> list[str]:
    """Instances of which a case may have ended in the period, or been open at its end. Raises TooLarge."""
    found: list[str] = []
    sources: tuple[tuple[WhichTimes, RowPlace], ...] = (
        ("ended", RowPlace(period.from_at, "")),
        ("running", RowPlace(-(2**63), "")),
        ("canceled", RowPlace(-(2**63), "")),
    )
    for which, place in sources:
        while rows := await journal.instance_times(which, place, _PAGE):
            found += [row.id for row in rows if _may_count(row, period)]
            last = rows[-1]
            place = RowPlace(last.created_at if which != "ended" else cast("int", last.ended_at), last.id)
            if which != "ended" and last.created_at >= period.to_at:
                break
            if len(found) > 4 * MAX_CASES:
                raise TooLarge("period", f"has more than {MAX_CASES:,} cases; take a shorter one")
            await asyncio.sleep(0)
    return found


def _may_count(row: InstanceTimes, period: Period) -> bool:
    is_late = row.settled_at is None or row.settled_at >= period.from_at
    return row.created_at < period.to_at and is_late


# their checks


async def _checked(ports: Ports, cases: list[_Ended], issuer: Issuer) -> list[Certified]:
    """Check cases against the books, some at once. Raises NotCertifiable, which names the case."""
    found: dict[str, Certified] = {}
    left = iter(cases)
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(_AT_ONCE):
                group.create_task(_check_next(ports, left, issuer, found))
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return [found[each.root_id] for each in cases]


async def _check_next(ports: Ports, left: Iterator[_Ended], issuer: Issuer, found: dict[str, Certified]) -> None:
    for each in left:
        case = await read_case(ports.journal, each.instance_ids)
        try:
            found[each.root_id] = await answered(certified(case, issuer), ports)
        except NotCertifiable as error:
            raise NotCertifiable(error.code, f"case {each.root_id}: {error}", each.root_id) from None
        await asyncio.sleep(0)


def _keys_of(case: Case) -> Iterator[str]:
    """The keys and references of effects of a case that are done or in progress."""
    for instance in case.instances:
        for stage in instance.stages:
            for row in stage.activities:
                if row.key and row.request.body and row.error is None:
                    body = msgspec.json.decode(row.request.body)
                    yield row.key
                    if isinstance(reference := body.get("reference"), str):
                        yield reference


# every transaction of the ledgers


async def _unexplained(ports: Ports, period: Period, booked: set[Place], keys: set[str]) -> list[Json]:
    """Ingestions on the ledgers that no case of the period has booked; their references name no case.

    Raises NotCertifiable (`extra_in_books`) for any other transaction that no case has booked.
    """
    times = (checked_text(each) for each in (period.from_at, period.to_at))
    found: list[Json] = []
    for each in await answered(listed(*times), ports):
        if (each.ledger, each.id) in booked or each.reference in keys:
            continue
        parts = each.reference.split(":")
        if parts[1] == "ingest":
            why = f"transaction {each.id} of ledger {each.ledger} ingests a payment for no case of the period"
            found.append({"key": each.reference, "why": why})
        elif not await _has_effect(ports.journal, each):
            why = f"transaction {each.id} of ledger {each.ledger} has the reference {each.reference}, of no effect"
            raise NotCertifiable("extra_in_books", why, parts[1])
        await asyncio.sleep(0)
    return found


async def _has_effect(journal: Journal, found: Listed) -> bool:
    """Whether a case has an effect with this reference that is done, or in progress."""
    parts = found.reference.split(":")
    if len(parts) != 4 or not parts[2].isdecimal() or len(parts[2]) > 9 or await journal.instance(parts[1]) is None:
        return False
    for instance_id in await case_of(journal, parts[1]):
        for row in await journal.activities(instance_id, int(parts[2])):
            if row.key == found.reference and row.error is None:
                return True
    return False


# what earlier certificates have counted


async def _counted(
    journal: Journal, previous: Certificate | None, cases: list[_Ended], period: Period
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
