"""What use cases of instances work with, around an engine and a journal that a test has built itself."""

from __future__ import annotations

from typing import Any

from headrace.clock import Clock, Ids
from headrace.engine.port import Engine
from headrace.journal.port import Journal
from headrace.journal.records import Instance, Workflow
from headrace.runner.runners import Runners
from headrace.usecases.instances import start_instance
from headrace.usecases.ports import Ports


def instance_ports(journal: Journal, engine: Engine, runners: Runners, clock: Clock, ids: Ids) -> Ports:
    """Without the parts of events and triggers."""
    absent: Any = None
    return Ports(
        journal=journal,
        engine=engine,
        runners=runners,
        clock=clock,
        ids=ids,
        inbox=absent,
        outbox=absent,
        evaluator=absent,
        downstream=absent,
        max_triggers=0,
        patience_s=4.0,
        certificate_keys=absent,
        release="0.0.0",
    )


async def start(ports: Ports, workflow: Workflow, variables: dict[str, str]) -> Instance:
    """The instance as it was stored, and before the engine went on with it."""
    answer = await start_instance(ports, None, workflow.id, variables)
    assert answer.value is not None
    return answer.value
