"""Certificates of periods: the cases that ended in one, each checked as its own certificate would be.

Which cases ended follows from the journal alone, and from its times: a case ends when its last instance has ended and
no effect of it is in progress. Certificates of adjacent periods have each end once: one that was stored after its
period was certified counts in the next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TypeGuard, cast

import msgspec

from headrace.certificates.at_rest import at_rest
from headrace.certificates.period import EndedCase, Finding, OpenCase, Period, Place, period_payload
from headrace.certificates.statement import Certified, Issuer, certified, checked_text
from headrace.errors import NotCertifiable, TooLarge, Unavailable
from headrace.journal.port import Journal
from headrace.journal.records import Certificate
from headrace.usecases.certificates import answered, read_case, signed, stored
from headrace.usecases.idempotency import Answer, Caller, idempotent
from headrace.usecases.period_cases import MEMBERS, Ended, cases_in, counted_before, earlier_than, period_of
from headrace.usecases.period_listing import Reference, reference_of, unexplained
from headrace.usecases.ports import Ports
from headrace.workflows.activities import Json

MAX_S = 50.0
"""The time that one certificate may take: less than clients wait for a response, which is a minute."""
MAX_BYTES = 32 << 20
"""The size of a file: more is not read by a check."""
SETTLE_US = 2_000_000
"""Time after which the journal holds all that is dated before a moment. A request about a later end waits."""
_AT_ONCE = 4
"""Cases whose effects are looked up at the same time."""


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
    period = period_of(wanted, ports.clock.now_at())
    if ports.periods.locked():
        raise Unavailable("the certificate of another period is being made on this server; try again later")
    async with ports.periods:
        try:
            async with asyncio.timeout(MAX_S):
                while (wait_us := period.to_at + SETTLE_US - ports.clock.now_at()) > 0:
                    await ports.clock.sleep(wait_us / 1e6)
                row = await _certified(ports, period)
        except TimeoutError:
            raise TooLarge("period", f"takes more than {MAX_S:g} s to check; take a shorter one") from None
    return await stored(ports, caller, row)


async def _certified(ports: Ports, period: Period) -> Certificate:
    previous = await ports.journal.certificate_before(period.from_at)
    cases = await cases_in(ports.journal, period, await earlier_than(ports.journal, previous))
    created_at = ports.clock.now_at()
    issuer = Issuer(await ports.journal.identity(), ports.release, created_at)
    finding = Finding(went_on=[(ended_at, ids[0]) for ended_at, ids in cases.went_on])
    booked: set[Place] = set()
    in_open: set[Reference] = set()
    for found, each in zip(await _checked(ports, cases.ended, issuer), cases.ended, strict=True):
        is_late = each.ended_at < period.from_at
        finding.ended.append(EndedCase.of(found.payload, each.ended_at, found.ingested, is_late=is_late))
        booked |= found.booked
    for instances in cases.open:
        case = await read_case(ports.journal, [each.id for each in instances])
        finding.open.append(OpenCase(case.root.id, case.root.started_at, at_rest(case, period.to_at)))
        await asyncio.sleep(0)
    if period.is_full:
        for ids in [*([each.id for each in instances] for instances in cases.open), *(ids for _, ids in cases.went_on)]:
            in_open |= await _references_of(ports.journal, ids)
        finding.unexplained = await unexplained(ports, period, booked, in_open)
    counted = await counted_before(ports.journal, previous, cases.ended, period)

    before: Json | None = None
    if previous is not None and previous.from_at is not None and previous.to_at is not None:  # a gap shows in its times
        times = {"from": checked_text(previous.from_at), "to": checked_text(previous.to_at)}
        before = {"id": previous.id, "sha": previous.sha, **times}

    key, certificate_id = ports.certificate_keys.signing_key(), ports.ids.new()

    def build() -> Certificate:
        payload = period_payload(period, finding, counted, before, issuer)
        subject = {"from": payload["from"], "to": payload["to"], "full": period.is_full}
        return signed(
            key,
            certificate_id,
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


# their checks


async def _checked(ports: Ports, cases: list[Ended], issuer: Issuer) -> list[Certified]:
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


async def _check_next(ports: Ports, left: Iterator[Ended], issuer: Issuer, found: dict[str, Certified]) -> None:
    for each in left:
        case = await read_case(ports.journal, each.instance_ids)
        try:
            found[each.root_id] = await answered(certified(case, issuer), ports)
        except NotCertifiable as error:
            raise NotCertifiable(error.code, f"case {each.root_id}: {error}", each.root_id) from None
        await asyncio.sleep(0)


async def _references_of(journal: Journal, instance_ids: list[str]) -> set[Reference]:
    """The references with which the effects of a case are booked."""
    found: set[Reference] = set()
    for instance_id in instance_ids:
        instance = await journal.instance(instance_id)
        for stage in () if instance is None else instance.stages:
            rows = await journal.activities(instance_id, stage.number)
            found.update(each for row in rows if (each := reference_of(row)) is not None)
        await asyncio.sleep(0)
    return found
