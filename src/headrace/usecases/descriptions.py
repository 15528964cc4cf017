"""Descriptions of instances beyond V1: kind, case, plan, and why one failed."""

from __future__ import annotations

import msgspec

from headrace.errors import NotFound
from headrace.journal.records import ActivityRow, Instance, Successor
from headrace.usecases.ports import Ports
from headrace.usecases.undo import UndoReport, report_of
from headrace.workflows.interpreter import CANCELED


class Description(msgspec.Struct, frozen=True):
    """`declined`: the activity that a service declined, or that a person called not booked; None: there is none.

    `predecessor`, `successor`: the steps to it and from it, if it is one of several instances of its case.
    """

    instance: Instance
    declined: ActivityRow | None
    predecessor: Successor | None = None
    successor: Successor | None = None
    undo: UndoReport | None = None
    abort_reason: str | None = None


async def described(ports: Ports, instance_id: str) -> Description:
    """Read an instance, and the activity by which it failed. Raises NotFound."""
    instance = await ports.journal.instance(instance_id)
    if instance is None:
        raise NotFound("instance", instance_id)
    predecessor, successor = await ports.journal.predecessor(instance_id), await ports.journal.successor(instance_id)
    rows: list[ActivityRow] = []
    if instance.failure not in (None, CANCELED) and instance.stages:
        rows = await ports.journal.activities(instance_id, instance.stages[-1].number)
    declined = next((row for row in rows if row.error is not None), None)
    reason = await ports.journal.abort_reason(instance_id) if instance.failure == CANCELED else None
    return Description(instance, declined, predecessor, successor, await report_of(ports.journal, instance), reason)
