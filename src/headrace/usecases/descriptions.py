"""Descriptions of instances beyond V1: kind, case, plan, and why one failed."""

from __future__ import annotations

import msgspec

from headrace.errors import NotFound
from headrace.journal.records import ActivityRow, Instance
from headrace.usecases.ports import Ports
from headrace.workflows.interpreter import CANCELED


class Description(msgspec.Struct, frozen=True):
    """`declined`: the activity that a service declined, or that a person called not booked; None: there is none."""

    instance: Instance
    declined: ActivityRow | None


async def described(ports: Ports, instance_id: str) -> Description:
    """Read an instance, and the activity by which it failed. Raises NotFound."""
    instance = await ports.journal.instance(instance_id)
    if instance is None:
        raise NotFound("instance", instance_id)
    if instance.failure in (None, CANCELED) or not instance.stages:
        return Description(instance, None)
    rows = await ports.journal.activities(instance_id, instance.stages[-1].number)
    return Description(instance, next((row for row in rows if row.error is not None), None))
