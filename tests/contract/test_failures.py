"""Why an instance failed is stored as a kind where it ends, by every engine, whatever the error's text says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from headrace.effects.port import Request, Response
from headrace.errors import NotFound
from headrace.journal.records import Instance
from headrace.usecases.descriptions import described
from headrace.usecases.instances import abort_instance
from tests.contract.test_engine import SEND, WAIT, Scripted
from tests.contract.test_resolve import needed, resolve, started
from tests.support.attention import Trouble
from tests.support.engines import every_engine
from tests.support.in_process import running

__all__ = ["every_engine"]  # a fixture

POOR = {"send": {**SEND["send"], "amount": {"asset": "USD/2", "amount": 5000}}}
NO_MEMBER = {
    "send": {
        "source": {"account": {"id": "alice", "ledger": "main"}},
        "destination": {"wallet": {"name": "nobody"}},
        "amount": {"asset": "USD/2", "amount": 100},
    }
}
UNREADABLE = {"send": {**SEND["send"], "source": {"wallet": {"id": "none"}}}}
MISLEADING = Response(
    400,
    b'{"errorCode":"VALIDATION","errorMessage":"CONFLICT: canceled: UNBOOKED: a person"}',
    {"content-type": "application/json"},
)


def taken(services: Scripted) -> Any:
    """Something else stands under our reference before our request comes."""

    def answer(request: Request, _count: int) -> None:
        if request.method == "POST" and request.body and b'"reference"' in request.body:
            body = json.loads(request.body)
            body["postings"][0]["amount"] = 7
            other = Request(request.service, "POST", request.path, json.dumps(body).encode(), "by hand")
            services.sandbox.handle(other)

    return answer


@pytest.mark.parametrize(
    ("stages", "failure"),
    [
        ([SEND], (None, None, None, None)),
        ([SEND, POOR], ("refused", "INSUFFICIENT_FUND", 0, "headrace:ID:1:0")),
        ([NO_MEMBER], ("invalid", None, None, None)),
        ([UNREADABLE], ("refused", "NOT_FOUND", 0, "")),
    ],
    ids=["succeeded", "refused", "invalid", "refused read"],
)
async def test_an_end_has_a_kind(tmp_path: Path, stages: list[dict[str, Any]], failure: tuple[Any, ...]) -> None:
    services = Scripted()
    async with running(tmp_path / "j.db", services) as alive:
        instance = await alive.ended(await started(alive, *stages))
        found = await described(alive.ports, instance.id)
    assert shown(instance, found.declined) == failure
    assert (instance.kind, instance.root_id, instance.plan_id) == ("run", None, None)
    await services.close()


def shown(instance: Instance, declined: Any) -> tuple[Any, ...]:
    """Kind, code, and the place of what was declined."""
    place = (None, None) if declined is None else (declined.position, declined.key.replace(instance.id, "ID"))
    return (instance.failure, instance.failure_code, *place)


async def test_the_text_of_a_service_says_nothing_about_the_kind(tmp_path: Path) -> None:
    services = Scripted(lambda request, _: MISLEADING if request.method == "POST" else None)
    async with running(tmp_path / "j.db", services) as alive:
        instance = await alive.ended(await started(alive, SEND))
    assert (instance.failure, instance.failure_code) == ("refused", "VALIDATION")
    await services.close()


async def test_our_reference_with_other_postings_is_a_conflict(tmp_path: Path) -> None:
    services = Scripted()
    services.plan = taken(services)
    async with running(tmp_path / "j.db", services) as alive:
        instance = await alive.ended(await started(alive, SEND))
    assert (instance.failure, instance.failure_code) == ("conflict", "CONFLICT"), instance.error
    await services.close()


async def test_an_abort_is_canceled_also_when_its_effect_is_settled_later(tmp_path: Path) -> None:
    services = Scripted(lambda _, count: "hold" if count == 1 else None)
    async with running(tmp_path / "j.db", services) as alive:
        waiting = await started(alive, WAIT)
        await abort_instance(alive.ports, None, waiting)
        instance = await alive.journal.instance(waiting)
        assert instance is not None and instance.failure == "canceled"
    await services.close()


async def test_what_a_person_called_not_booked_is_unbooked(tmp_path: Path) -> None:
    services = Trouble("wallet not_found")
    async with running(tmp_path / "j.db", services) as alive:
        instance_id = await started(alive, services.stage, SEND)
        answer = await resolve(alive, await needed(alive), "not_booked")
        instance = await alive.ended(instance_id)
        found = await described(alive.ports, instance_id)
        with pytest.raises(NotFound):
            await described(alive.ports, "nothing")
    assert answer.value is not None and answer.value.failure == instance.failure == "unbooked"
    assert found.declined is not None and found.declined.key == f"headrace:{instance_id}:0:0"
    await services.close()
