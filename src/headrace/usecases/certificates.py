"""Certificates: a case checked against its definition and the books, signed, and stored."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec

from headrace.certificates.case import (
    Case,
    DecidedPlan,
    KeptEffect,
    Kind,
    PersonDecision,
    RecordedActivity,
    RecordedGate,
    RecordedInstance,
    RecordedRequester,
    RecordedStage,
    Verdict,
)
from headrace.certificates.statement import Issuer, certify
from headrace.effects.port import NoResponse, Request
from headrace.errors import InvalidValue, NotFound, Silent
from headrace.journal.port import Journal, Unit
from headrace.journal.records import (
    ActivityRow,
    Certificate,
    Instance,
    Requester,
    ResolutionRow,
    Stage,
    Successor,
)
from headrace.journal.writes import AddCertificate
from headrace.planning.questions import Answer as Answered
from headrace.planning.questions import Asking
from headrace.runner.gate import read_gate
from headrace.usecases.asking import PAUSE_S
from headrace.usecases.idempotency import Answer, Caller, idempotent, record
from headrace.usecases.plans import APPROVE, PlanSubject
from headrace.usecases.ports import Ports
from headrace.usecases.reasons import ANONYMOUS
from headrace.usecases.undo import report_of
from headrace.workflows.activities import ACTIVITIES, Json, Service
from headrace.workflows.conditions import TIMEOUT
from headrace.workflows.variables import check_text, shown

if TYPE_CHECKING:
    from headrace.auth.signing import SigningKey

TRIGGER = "trigger"
"""The starter of an instance that no caller has started."""
MAX_S = 120.0
"""The time that the look-ups of one certificate may take."""

Found = TypeVar("Found")


@idempotent(Certificate)
async def make_certificate(
    ports: Ports, caller: Caller | None, wanted: object, name_of: Callable[[str], str] = lambda _: ""
) -> Answer[Certificate]:
    """Check the case of an instance against the books, sign what they show, and store it.

    `wanted` is `{"instance": id}`. `name_of`: the name of a principal, which is signed beside its id; "" for none.

    Raises InvalidValue, which names the member; NotFound; NotCertifiable with the reason; Silent where a service does
    not answer; Unavailable where the key cannot be kept.
    """
    instance_id = _instance_of(wanted)
    case = await read_case(ports.journal, await case_of(ports.journal, instance_id))
    created_at = ports.clock.now_at()
    issuer = Issuer(await ports.journal.identity(), ports.release, created_at, name_of)
    async with ports.certificates:
        payload = await answered(certify(case, issuer), ports)
    subject = msgspec.json.encode({"instance": case.root.id}).decode()
    row = signed(ports.certificate_keys.signing_key(), ports.ids.new(), payload, subject, created_at)
    return await stored(ports, caller, row)


def signed(
    key: SigningKey,
    certificate_id: str,
    payload: Json,
    subject: str,
    created_at: int,
    *,
    previous: str | None = None,
    period: tuple[int, int] | tuple[None, None] = (None, None),
) -> Certificate:
    """A new certificate, not stored yet. `previous`: the one of the period before."""
    from headrace.certificates.envelope import sign  # a signature library, which most servers never need

    content = sign(payload, key.kid, key.jwk)
    return Certificate(
        id=certificate_id,
        subject=subject,
        content=content,
        sha=f"sha256:{sha256(content.encode()).hexdigest()}",
        previous=previous,
        kid=key.kid,
        created_at=created_at,
        from_at=period[0],
        to_at=period[1],
    )


async def stored(ports: Ports, caller: Caller | None, row: Certificate) -> Answer[Certificate]:
    """Store a new certificate, with the public half of its key."""
    (jwk,) = [each for each in ports.certificate_keys.published() if each["kid"] == row.kid]
    answer = Answer(row.id, row)
    unit = Unit()
    unit.add(
        AddCertificate(
            certificate_id=row.id,
            subject=row.subject,
            content=row.content,
            sha=row.sha,
            previous=row.previous,
            kid=row.kid,
            jwk=msgspec.json.encode(jwk).decode(),
            created_at=row.created_at,
            from_at=row.from_at,
            to_at=row.to_at,
        )
    )
    record(unit, caller, row.created_at, answer)
    await ports.journal.commit(unit)
    return answer


async def read_certificate(ports: Ports, certificate_id: str) -> Certificate:
    """The certificate of this id. Raises NotFound."""
    row = await ports.journal.certificate(certificate_id)
    if row is None:
        raise NotFound("certificate", certificate_id)
    return row


async def published_keys(ports: Ports) -> list[Json]:
    """The public keys of certificates as JWKs: those of this server, and those of every stored certificate."""
    stored = [msgspec.json.decode(text) for text in await ports.journal.certificate_keys()]
    keys = {each["kid"]: each for each in [*stored, *ports.certificate_keys.published()]}
    return list(keys.values())


def _instance_of(wanted: object) -> str:
    if not isinstance(wanted, dict):
        raise InvalidValue("body", "must be an object")
    members = cast("Json", wanted)
    for name in members.keys() - {"instance"}:
        raise InvalidValue(shown(name), "unknown field; known are instance or, for a period, from, to and full")
    instance_id = check_text(members.get("instance"), "instance")
    if not instance_id:
        raise InvalidValue("instance", "must be the id of an instance")
    return instance_id


async def answered(asking: Asking[Found], ports: Ports) -> Found:
    """Ask the services the questions of a certificate, and return what they lead to. Raises Silent beyond MAX_S."""
    answer: Any = None
    try:
        async with asyncio.timeout(MAX_S):
            while True:
                try:
                    question = asking.send(answer)
                except StopIteration as ended:
                    return ended.value
                if question.attempt:
                    await ports.clock.sleep(PAUSE_S * 2 ** (question.attempt - 1))
                try:
                    response = await ports.downstream.send(question.request)
                except NoResponse:
                    response = None
                answer = Answered(response, ports.clock.now_at())
    except TimeoutError:
        raise Silent(f"the look-ups took more than {MAX_S:g} s", "a certificate") from None


async def case_of(journal: Journal, instance_id: str) -> list[str]:
    """The ids of the instances of a case: its root, the continuations, and those of its undo, in their order.

    Raises NotFound.
    """
    if await journal.instance(instance_id) is None:
        raise NotFound("instance", instance_id)
    found = [instance_id]
    while (before := await journal.predecessor(found[0])) is not None:
        found.insert(0, before.predecessor)
    while (after := await journal.successor(found[-1])) is not None:
        found.append(after.successor)
    return found


async def read_case(journal: Journal, instance_ids: Sequence[str]) -> Case:
    """The case of these instances, the root first, as the journal records it. Raises NotFound."""
    skipped: set[int] = set()
    instances: list[RecordedInstance] = []
    for instance_id in instance_ids:
        before = await journal.predecessor(instance_id)
        instances.append(await _read_instance(journal, instance_id, before, skipped))
    if not any(instance.kind == "undo" for instance in instances):
        return Case(tuple(instances))
    last = await journal.instance(instance_ids[-1])
    report = None if last is None else await report_of(journal, last)
    kept = [] if report is None else [KeptEffect(each.key, each.reason) for each in report.kept]
    return Case(tuple(instances), tuple(kept))


async def _read_instance(
    journal: Journal, instance_id: str, before: Successor | None, skipped: set[int]
) -> RecordedInstance:
    """An instance. `before`: the step to it; `skipped`: stages of its undo that were left out, which it may add to."""
    instance = await journal.instance(instance_id)
    if instance is None:
        raise NotFound("instance", instance_id)
    if before is not None and before.kind == "redrive" and before.kept is not None and instance.from_stage is not None:
        skipped.add(instance.from_stage)
    asked = await journal.requesters(await journal.trigger_of(instance_id) or instance_id)
    if asked and (trigger_id := await journal.trigger_of(instance_id)):  # who has moved a name stands for no creator
        asked += await journal.movers(trigger_id, instance.workflow_id, instance.created_at, instance_id)
    verdicts = {(row.stage, row.position): _verdict(row) for row in await journal.resolutions(instance_id)}
    stages: list[RecordedStage] = []
    for stage in instance.stages:
        rows = await journal.activities(instance_id, stage.number)
        activities = [_activity(row, verdicts.get((row.stage, row.position))) for row in rows]
        is_skipped = instance.kind != "run" and stage.number in skipped
        stages.append(_stage(stage, activities, is_skipped=is_skipped))
    return RecordedInstance(
        id=instance.id,
        kind=cast("Kind", instance.kind),
        workflow_id=instance.workflow_id,
        definition=msgspec.json.decode(instance.config),
        variables=msgspec.json.decode(instance.variables),
        error=instance.error,
        is_open=not instance.is_terminal,
        by_trigger=instance.started_by_trigger,
        started_by=_starter(instance, before, asked),
        started_at=instance.created_at,
        ended_at=instance.terminated_at,
        plan_id=instance.plan_id,
        is_off_plan=instance.failure == "plan",
        stages=tuple(stages),
        plans=await _plans(journal, instance),
        requesters=await _requesters(journal, instance, before, asked),
        reason="" if before is None else before.reason,
    )


async def _plans(journal: Journal, instance: Instance) -> tuple[DecidedPlan, ...]:
    """The plans of an instance about which persons decided."""
    found: list[DecidedPlan] = []
    for row in await journal.plans_of(instance.id):
        if not (decisions := await journal.decisions(row.id)):
            continue
        is_rest = msgspec.json.decode(row.subject, type=PlanSubject).instance is not None
        stage: int | None = msgspec.json.decode(row.document)["from"]["stage"] if is_rest else None
        said = [
            PersonDecision(each.principal, each.verdict == APPROVE, each.hash, each.reason, each.at)
            for each in decisions
        ]
        asked_by = row.requester if row.instance_id == instance.id else None
        found.append(DecidedPlan(row.id, row.hash, stage, row.state == "used", tuple(said), asked_by))
    return tuple(found)


async def _requesters(
    journal: Journal, instance: Instance, before: Successor | None, asked: Sequence[Requester]
) -> tuple[RecordedRequester, ...]:
    """The principals that asked for an instance: by its audit trail, the step to it, and the plan that started it."""
    started = [row for row in await journal.plans_of(instance.id) if row.instance_id == instance.id]
    return (
        *(RecordedRequester(each.principal, each.at) for each in asked),
        *(() if before is None else (RecordedRequester(before.principal, before.at),)),
        *(RecordedRequester(row.requester, row.created_at) for row in started),
    )


def _starter(instance: Instance, before: Successor | None, asked: Sequence[Requester]) -> str:
    """The principal that started an instance: of the last request before its start. `asked`: of its audit trail."""
    if instance.started_by_trigger:
        return TRIGGER
    if before is not None:
        return before.principal
    earlier = [each for each in asked if each.at <= instance.created_at] or asked[:1]
    return earlier[-1].principal if earlier else ANONYMOUS


def _stage(stage: Stage, activities: list[RecordedActivity], *, is_skipped: bool) -> RecordedStage:
    gate = None if stage.gate is None else read_gate(stage.gate)
    return RecordedStage(
        number=stage.number,
        keyword=stage.keyword,
        input=msgspec.json.decode(stage.input),
        started_at=stage.started_at,
        error=stage.error,
        is_open=stage.terminated_at is None,
        activities=tuple(activities),
        gate=gate and RecordedGate(gate.needed, gate.rule, stage.deadline_at, stage.gate_passed_at),
        is_skipped=is_skipped,
        decided=stage.skipped,
        has_timed_out=stage.outcome == TIMEOUT,
    )


def _activity(row: ActivityRow, verdict: Verdict | None) -> RecordedActivity:
    service: Service = ACTIVITIES[row.name].service
    output: Any = None if row.output is None else msgspec.json.decode(row.output)
    return RecordedActivity(
        instance_id=row.instance_id,
        position=row.position,
        name=row.name,
        input=msgspec.json.decode(row.input),
        key=row.key,
        request=Request(service, row.request_method, row.request_path, row.request_body, row.key),
        output=output,
        error=row.error,
        is_open=row.terminated_at is None,
        verdict=verdict,
        ended_at=row.terminated_at,
    )


def _verdict(row: ResolutionRow) -> Verdict:
    evidence = msgspec.json.decode(row.evidence)
    return Verdict(row.verdict == "booked", evidence, row.principal, row.reason, row.at)
