"""A rule about approvals adds up the sends of a case: many small ones are asked about like a large one."""

from __future__ import annotations

import json
from pathlib import Path

from tests.contract.test_approvals import RULES, rest_of, say, start, waiting
from tests.contract.test_engine import SEND, Scripted
from tests.support.engines import every_engine
from tests.support.in_process import running

__all__ = ["every_engine"]  # a fixture


async def test_ten_sends_just_below_a_rule_are_asked_about_once(tmp_path: Path) -> None:
    """Each is below 150, and two are not: the second waits, and the approvals of the rest are for all the others."""
    source = {"account": {"id": "alice", "ledger": "main", "allowOverdraft": True}}
    below = {"send": {**SEND["send"], "source": source, "amount": {"asset": "USD/2", "amount": 149}}}
    services = Scripted()
    async with running(tmp_path / "j.db", services, policy=RULES) as alive:
        instance_id = await start(alive, *[below] * 10)
        plan = await rest_of(alive, instance_id)
        assert services.booked() == 1 and [e["stage"] for e in json.loads(plan.document)["effects"]] == [*range(1, 10)]
        await say(alive, plan, "paul")
        await waiting(alive, instance_id)
        assert services.booked() == 1, "one approval is enough for nothing"
        await say(alive, plan, "eve")
        instance = await alive.ended(instance_id)
    assert (instance.error, instance.plan_id, services.booked()) == (None, plan.id, 10)
    assert [stage.number for stage in instance.stages if stage.gate is not None] == [1]
    await services.close()
