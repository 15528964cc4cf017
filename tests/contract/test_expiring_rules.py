"""The `expires` of a rule about approvals ends the instance that waits for them: time never approves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from headrace.journal.records import Instance
from headrace.runner.policy import Policy
from headrace.usecases.idempotency import Caller
from headrace.usecases.redrive import redrive_instance
from headrace.workflows.approval_rules import ApprovalRule, ApprovalRules
from tests.contract.test_approvals import expire, refused, rest_of, say, start, waiting
from tests.contract.test_engine import SEND, Scripted
from tests.support.engines import every_engine
from tests.support.in_process import running

__all__ = ["every_engine"]  # a fixture


def expires_in(seconds: int) -> Policy:
    """Sends of more than 150 need two approvals, within so many seconds."""
    rule = ApprovalRule("big", "USD/2", 150, 2, expires_us=seconds * 1_000_000)
    return Policy(approval_rules=ApprovalRules((rule,), "sha256:1"))


def require_expired(instance: Instance, seconds: int) -> None:
    """At its second send, which had as long as the rule says, and was not carried out."""
    assert (instance.failure, instance.error) == ("expired", "expired: not approved in time")
    stage = instance.stages[-1]
    assert (stage.number, json.loads(stage.gate or "{}")["rule"]) == (1, "big")
    assert stage.deadline_at is not None and stage.deadline_at - stage.started_at == seconds * 1_000_000


async def test_the_time_of_a_rule_ends_the_instance(tmp_path: Path) -> None:
    services = Scripted()
    async with running(tmp_path / "j.db", services, policy=expires_in(2)) as alive:
        first = await alive.ended(await start(alive, SEND, SEND))
        require_expired(first, 2)
        answer = await redrive_instance(alive.ports, Caller("eve", "redriveInstance"), first.id, {"reason": "r"})
        require_expired(await alive.ended(answer.target), 2)  # the continuation was asked about again
    stage = first.stages[1]
    assert stage.deadline_at is not None and (stage.terminated_at or 0) >= stage.deadline_at
    assert services.booked() == len(services.writes) == 1
    await services.close()


async def test_approvals_that_are_too_few_in_the_time_of_a_rule_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = Scripted()
    async with running(tmp_path / "j.db", services, policy=expires_in(86_400)) as alive:
        instance_id = await start(alive, SEND, SEND)
        plan = await rest_of(alive, instance_id)
        await say(alive, plan, "eve")
        await waiting(alive, instance_id)
        await expire(alive, instance_id, monkeypatch)
        require_expired(await alive.ended(instance_id), 86_400)
        assert await refused(alive, plan, "paul") in ("ended", "passed")
        assert [each.principal for each in await alive.journal.decisions(plan.id)] == ["eve"]
    assert services.booked() == len(services.writes) == 1
    await services.close()
