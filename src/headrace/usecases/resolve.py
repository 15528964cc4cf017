"""Resolve an effect that needs attention: a person decides whether it was booked.

What the person names as proof is read and compared before anything is written. Then one unit stores the decision,
closes the effect where it is still open and needs attention, and lets the instance go on. An effect that a person calls
not booked is never sent again: its instance ends.
"""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from typing import Literal, TypeVar, cast

import msgspec

from headrace.effects.evidence import (
    Differs,
    Evidence,
    NotInBooks,
    TextEvidence,
    check_evidence,
    parse_evidence,
    read_evidence,
)
from headrace.effects.port import Done, FoundOther, NoResponse, Request, Response, Unknown
from headrace.effects.port import Found as FoundInBooks
from headrace.effects.services import look_up
from headrace.effects.settlement import Unbooked
from headrace.effects.wire import stored
from headrace.engine.cases import is_attested
from headrace.engine.sagas import add_undo
from headrace.errors import AlreadyEnded, Conflict, InvalidValue, NotFound, NotResolvable, Unavailable
from headrace.journal import writes
from headrace.journal.lists import NEWEST, AttentionList
from headrace.journal.port import Required
from headrace.journal.records import AttentionRow
from headrace.runner.instance import encode
from headrace.usecases.idempotency import Answer, Caller, idempotent, record
from headrace.usecases.ports import Ports
from headrace.usecases.reasons import check_reason, members_of, principal_of
from headrace.usecases.uncancelled import completed
from headrace.workflows.activities import ACTIVITIES, Service

Verdict = Literal["booked", "not_booked"]
T = TypeVar("T")


class Resolution(msgspec.Struct, frozen=True):
    """A stored decision. `evidence`: JSON text.

    `failure`: the kind of failure with which the instance has ended; None: it has not ended by this decision.
    """

    instance_id: str
    stage: int
    position: int
    verdict: Verdict
    evidence: str
    reason: str
    principal: str
    at: int
    failure: str | None = None

    @property
    def is_attested(self) -> bool:
        return is_attested(self.evidence)


class Decision(msgspec.Struct, frozen=True):
    """A request to resolve: the verdict, what it rests on, and the person's reason."""

    verdict: Verdict
    evidence: Evidence
    reason: str


class _Proven(msgspec.Struct, frozen=True):
    """How the effect is closed. `proof`: what may prove no other effect."""

    outcome: Done | Unbooked
    proof: str | None = None


def parse_decision(value: object) -> Decision:
    """The body of a request to resolve. Raises InvalidValue, which names the member."""
    members = members_of(value, "outcome", "evidence", "reason")
    verdict = members.get("outcome")
    if verdict not in ("booked", "not_booked"):
        raise InvalidValue("outcome", "must be booked or not_booked")
    reason = check_reason(members.get("reason"))
    return Decision(verdict, parse_evidence(members.get("evidence")), reason)


@idempotent(Resolution)
async def resolve_effect(
    ports: Ports, caller: Caller | None, instance_id: str, stage: int, position: int, body: object
) -> Answer[Resolution]:
    """Close an open effect as a person decided; the decision is stored on return, and nothing of the effect is sent.

    Raises InvalidValue, NotFound, NotResolvable, and Unavailable where the journal or a service does not answer.
    """
    decision = parse_decision(body)
    row = await _open_effect(ports, instance_id, stage, position)
    check_evidence(row.name, decision.evidence, is_booked=decision.verdict == "booked")
    request = _request_of(row)
    proven = await (_booked if decision.verdict == "booked" else _not_booked)(ports, row, request, decision.evidence)
    give_up_s = ports.clock.monotonic_s() + ports.patience_s
    while True:
        try:
            return await completed(_commit(ports, caller, row, decision, proven))
        except AlreadyEnded:
            raise await _lost(ports, row, proven) from None
        except Conflict as conflict:  # the instance has moved on: it may still be the same effect that is open
            await _open_effect(ports, instance_id, stage, position)
            if ports.clock.monotonic_s() >= give_up_s:
                raise Unavailable(str(conflict)) from None


async def _commit(
    ports: Ports, caller: Caller | None, row: AttentionRow, decision: Decision, proven: _Proven
) -> Answer[Resolution]:
    async with ports.engine.resolve(row.id) as runner:
        opened = runner.open
        if opened is None or (opened.stage, opened.position) != (row.stage, row.position) or not opened.needs_attention:
            raise await _lost(ports, row, proven)
        now_at = runner.now_at()
        had_ended = runner.ended_at is not None
        evidence = encode(decision.evidence.as_json()).decode()
        principal = principal_of(caller)
        decided = writes.AddResolution(
            instance_id=row.id,
            stage=row.stage,
            position=row.position,
            verdict=decision.verdict,
            evidence=evidence,
            proof=proven.proof,
            reason=decision.reason,
            principal=principal,
            at=now_at,
        )
        unit = runner.resolve(proven.outcome, Required(decided, partial(_Taken, row.id)))
        answer = Answer(
            row.id,
            Resolution(
                instance_id=row.id,
                stage=row.stage,
                position=row.position,
                verdict=decision.verdict,
                evidence=evidence,
                reason=decision.reason,
                principal=principal,
                at=now_at,
                failure="unbooked" if isinstance(proven.outcome, Unbooked) and not had_ended else None,
            ),
        )
        record(unit, caller, now_at, answer)
        undo = await add_undo(ports.journal, ports.runners, runner, unit)
        if ports.engine.needs_nudges:
            for driven_id in (row.id, *(() if undo is None else (undo.id,))):
                unit.add(writes.AddNudge(instance_id=driven_id, why="resume", at=now_at))
        try:
            await ports.journal.commit(unit)
        except _Taken:
            raise await _lost(ports, row, proven) from None
    if undo is not None:
        ports.engine.wake(undo.id)
    return answer


class _Taken(Conflict):
    """The effect is closed or needs no attention, or its proof is that of another effect."""


async def _open_effect(ports: Ports, instance_id: str, stage: int, position: int) -> AttentionRow:
    """The effect at this place, which is open and needs attention. Raises NotFound, NotResolvable."""
    for row in await ports.journal.attention_after(AttentionList(instance_id), NEWEST, 1):
        if (row.stage, row.position) == (stage, position):
            return row
    if await ports.journal.instance(instance_id) is None:
        raise NotFound("instance", instance_id)
    rows = await ports.journal.activities(instance_id, stage)
    if not any(row.position == position for row in rows):
        raise NotFound("activity", f"{position} of stage {stage}")
    if any((each.stage, each.position) == (stage, position) for each in await ports.journal.resolutions(instance_id)):
        raise NotResolvable("resolved", "a person has resolved this effect already")
    is_open = any(row.position == position and row.terminated_at is None for row in rows)
    what = "needs no attention: Headrace itself finds out its outcome" if is_open else "has its outcome already"
    raise NotResolvable("not_needed", f"activity {position} of stage {stage} {what}")


async def _lost(ports: Ports, row: AttentionRow, proven: _Proven) -> NotResolvable:
    """Why the decision came too late, or proves nothing."""
    try:
        await _open_effect(ports, row.id, row.stage, row.position)
    except NotResolvable as lost:
        return lost
    except NotFound as error:
        return NotResolvable("not_needed", str(error))
    return NotResolvable("used", f"{proven.proof} has resolved another effect already")


async def _booked(ports: Ports, row: AttentionRow, request: Request, evidence: Evidence) -> _Proven:
    """The outcome of an effect that is called booked, with what its service shows."""
    if isinstance(evidence, TextEvidence):
        found = await _ask(ports, look_up(row.name, request))
        return _Proven(Done(found.output if isinstance(found, FoundInBooks) else None))
    read = await _ask(ports, read_evidence(row.name, request, evidence))
    match read:
        case Done():
            is_shared = stored(request).get("reference", "").startswith("headrace:ingest:")
            return _Proven(read, None if is_shared else evidence.proof)
        case NotInBooks(message):
            raise NotResolvable("not_in_books", message)
        case Differs(message):
            raise NotResolvable("differs", message)
        case Unknown(message):
            raise Unavailable(f"what is named as evidence cannot be read: {message}")


async def _not_booked(ports: Ports, row: AttentionRow, request: Request, _evidence: Evidence) -> _Proven:
    """The outcome of an effect that is called not booked, unless its service shows otherwise."""
    is_other = row.attention == "other_bytes" or (
        row.attention is None and "invalid idempotency hash" in (row.last_failure or "").lower()
    )
    if is_other:
        raise NotResolvable("other_content", "the service has carried out another request under this effect's key")
    found = await _ask(ports, look_up(row.name, request))
    match found:
        case FoundInBooks():
            raise NotResolvable("booked", "the service's books show this effect")
        case FoundOther(message):
            raise NotResolvable("other_content", message)
        case Unknown(message):
            raise Unavailable(f"the service's books cannot be read: {message}")
        case _:
            return _Proven(Unbooked())


async def _ask(ports: Ports, search: Generator[Request, Response, T]) -> T | Unknown:
    """Carry out the questions of a search, one after the other."""
    question = next(search)
    while True:
        try:
            response = await ports.downstream.send(question)
        except NoResponse as failure:
            return Unknown(str(failure))
        try:
            question = search.send(response)
        except StopIteration as ended:
            return ended.value


def _request_of(row: AttentionRow) -> Request:
    service: Service = ACTIVITIES[row.name].service
    return Request(service, row.request_method, row.request_path, row.request_body)


async def decisions_of(ports: Ports, instance_id: str) -> list[Resolution]:
    """Return what persons decided about effects of an instance. Raises NotFound."""
    instance = await ports.journal.instance(instance_id)
    if instance is None:
        raise NotFound("instance", instance_id)
    return [
        Resolution(
            instance_id=row.instance_id,
            stage=row.stage,
            position=row.position,
            verdict=cast("Verdict", row.verdict),
            evidence=row.evidence,
            reason=row.reason,
            principal=row.principal,
            at=row.at,
            failure=instance.failure if row.verdict == "not_booked" and instance.failure == "unbooked" else None,
        )
        for row in await ports.journal.resolutions(instance_id)
    ]
