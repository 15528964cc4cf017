"""Certificates: a case checked against its definition and the books, signed, and stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from headrace.certificates.case import (
    Case,
    RecordedActivity,
    RecordedInstance,
    RecordedStage,
    Verdict,
)
from headrace.effects.port import Request
from headrace.errors import NotFound
from headrace.journal.port import Journal
from headrace.journal.records import ActivityRow, Instance, ResolutionRow, Stage
from headrace.usecases.resolve import ANONYMOUS
from headrace.workflows.activities import ACTIVITIES, Service

TRIGGER = "trigger"
"""The starter of an instance that no caller has started."""
_MAX_ENTRIES = 1_000


async def case_of(journal: Journal, instance_id: str) -> list[str]:
    """The ids of the instances of a case: its root, the continuations and the undo, in their order.

    An instance has no successors yet, so a case is one instance. Raises NotFound.
    """
    if await journal.instance(instance_id) is None:
        raise NotFound("instance", instance_id)
    return [instance_id]


async def read_case(journal: Journal, instance_ids: Sequence[str]) -> Case:
    """The case of these instances, the root first, as the journal records it. Raises NotFound."""
    return Case(tuple([await _read_instance(journal, instance_id) for instance_id in instance_ids]))


async def _read_instance(journal: Journal, instance_id: str) -> RecordedInstance:
    instance = await journal.instance(instance_id)
    if instance is None:
        raise NotFound("instance", instance_id)
    verdicts = {(row.stage, row.position): _verdict(row) for row in await journal.resolutions(instance_id)}
    stages: list[RecordedStage] = []
    for stage in instance.stages:
        rows = await journal.activities(instance_id, stage.number)
        activities = [_activity(row, verdicts.get((row.stage, row.position))) for row in rows]
        stages.append(_stage(stage, activities))
    return RecordedInstance(
        id=instance.id,
        kind="run",
        workflow_id=instance.workflow_id,
        definition=msgspec.json.decode(instance.config),
        variables=msgspec.json.decode(instance.variables),
        error=instance.error,
        is_open=not instance.is_terminal,
        by_trigger=instance.started_by_trigger,
        started_by=await _starter(journal, instance),
        started_at=instance.created_at,
        ended_at=instance.terminated_at,
        stages=tuple(stages),
    )


async def _starter(journal: Journal, instance: Instance) -> str:
    """The principal of the first write that names the instance: its start."""
    if instance.started_by_trigger:
        return TRIGGER
    before, first = 2**63 - 1, ANONYMOUS
    while entries := await journal.audit(before, _MAX_ENTRIES, target=instance.id):
        before, first = entries[-1].seq, entries[-1].principal
        if len(entries) < _MAX_ENTRIES:
            break
    return first


def _stage(stage: Stage, activities: list[RecordedActivity]) -> RecordedStage:
    return RecordedStage(
        number=stage.number,
        keyword=stage.keyword,
        input=msgspec.json.decode(stage.input),
        started_at=stage.started_at,
        error=stage.error,
        is_open=stage.terminated_at is None,
        activities=tuple(activities),
    )


def _activity(row: ActivityRow, verdict: Verdict | None) -> RecordedActivity:
    service: Service = ACTIVITIES[row.name].service
    output: Any = None if row.output is None else msgspec.json.decode(row.output)
    return RecordedActivity(
        position=row.position,
        name=row.name,
        input=msgspec.json.decode(row.input),
        key=row.key,
        request=Request(service, row.request_method, row.request_path, row.request_body, row.key),
        output=output,
        error=row.error,
        is_open=row.terminated_at is None,
        verdict=verdict,
    )


def _verdict(row: ResolutionRow) -> Verdict:
    evidence = msgspec.json.decode(row.evidence)
    return Verdict(row.verdict == "booked", evidence, row.principal, row.reason, row.at)
