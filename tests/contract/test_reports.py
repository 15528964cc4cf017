"""What an engine reports while it works: counters and log lines an operator can rely on, without amounts."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import structlog
from prometheus_client.parser import text_string_to_metric_families

from headrace.effects.port import Response
from tests.contract.test_engine import PATIENCE_S, SEND, WAIT, Scripted, _settled  # pyright: ignore[reportPrivateUsage]
from tests.support.in_process import InProcess, running

AMOUNT = 987_654_321
QUOTING = Response(500, b'{"errorCode":"INTERNAL","errorMessage":"alice has 987654321 left"}')
FUND: dict[str, Any] = {
    "send": {
        "source": {"account": {"id": "world", "ledger": "main"}},
        "destination": {"account": {"id": "bob", "ledger": "main"}},
        "amount": {"asset": "USD/2", "amount": AMOUNT},
    }
}


def figures(alive: InProcess, name: str) -> dict[tuple[str, ...], float]:
    """Samples of this name that are not 0, by the values of their labels in the order of the labels' names."""
    return {
        tuple(value for _, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(alive.telemetry.render().decode())
        for sample in family.samples
        if sample.name == name and sample.value
    }


async def test_failed_attempts_are_logged_and_counted_and_so_is_the_end(tmp_path: Path) -> None:
    services = Scripted(lambda _, count: {1: "lose", 2: QUOTING}.get(count))
    with structlog.testing.capture_logs() as lines:
        async with running(tmp_path / "j.db", services) as alive:
            workflow = await alive.workflow("w", [FUND])
            instance = await alive.ended((await alive.start(workflow, {})).id)
            attempts = figures(alive, "headrace_attempts_total")
            durations = figures(alive, "headrace_attempt_seconds_count")
            of_workflow = figures(alive, "headrace_workflow_instances_ended_total")
    assert instance.error is None
    failures = [line for line in lines if line["event"] == "attempt failed"]
    told = [(line["operation"], line["attempt"], line["reason"]) for line in failures]
    assert told == [("CreateTransaction", 1, "lost before it arrived"), ("CreateTransaction", 2, "HTTP 500")]
    assert all(line["next_try_s"] > 0 and line["instance_id"] == instance.id for line in failures)
    (end,) = [line for line in lines if line["event"] == "instance ended"]
    assert (end["instance_id"], end["workflow_id"], end["outcome"]) == (instance.id, workflow.id, "succeeded")
    assert end["seconds"] > 0
    assert str(AMOUNT) not in str(lines)
    assert attempts == {("done", "ledger"): 1, ("unknown", "ledger"): 2}
    assert durations == {("ledger",): 3}
    assert of_workflow == {("succeeded", workflow.id): 1}
    await services.close()


async def test_a_refusal_is_an_answer_and_no_warning(tmp_path: Path) -> None:
    services = Scripted()
    poor = {"send": {**SEND["send"], "amount": {"asset": "USD/2", "amount": 5000}}}
    with structlog.testing.capture_logs() as lines:
        async with running(tmp_path / "j.db", services) as alive:
            instance = await alive.ended((await alive.start(await alive.workflow("w", [poor]), {})).id)
            attempts = figures(alive, "headrace_attempts_total")
            effects = figures(alive, "headrace_effects_total")
    assert instance.error is not None
    assert attempts == {("refused", "ledger"): 1} and effects == {("refused", "ledger"): 1}
    assert [line["outcome"] for line in lines if line["event"] == "instance ended"] == ["failed"]
    assert not [line for line in lines if line["log_level"] == "warning"]
    await services.close()


async def test_reads_are_attempts_but_no_effects(tmp_path: Path) -> None:
    services = Scripted()
    wallet = {"send": {**SEND["send"], "source": {"wallet": {"id": "nobody"}}}}
    async with running(tmp_path / "j.db", services) as alive:
        await alive.ended((await alive.start(await alive.workflow("w", [wallet]), {})).id)
        assert figures(alive, "headrace_attempts_total") == {("refused", "wallets"): 1}
        assert figures(alive, "headrace_effects_total") == {}
    await services.close()


async def test_an_aborted_instance_is_logged_as_aborted(tmp_path: Path) -> None:
    services = Scripted()
    with structlog.testing.capture_logs() as lines:
        async with running(tmp_path / "j.db", services) as alive:
            instance_id = (await alive.start(await alive.workflow("w", [WAIT]), {})).id
            await alive.abort(instance_id)
    assert [line["outcome"] for line in lines if line["event"] == "instance ended"] == ["aborted"]
    await services.close()


async def test_an_effect_that_was_aborted_and_never_booked_is_counted_as_canceled(tmp_path: Path) -> None:
    services = Scripted(lambda request, _: "lose" if request.method == "POST" else None)
    async with running(tmp_path / "j.db", services, retry_base_s=4000.0, retry_cap_s=4000.0) as alive:
        instance_id = (await alive.start(await alive.workflow("w", [SEND]), {})).id
        await services.under_way.wait()
        await alive.abort(instance_id)
        await _settled(alive, instance_id)
        async with asyncio.timeout(PATIENCE_S):
            while not figures(alive, "headrace_effects_total"):  # counted once the outcome is stored
                await asyncio.sleep(0.01)
        assert figures(alive, "headrace_effects_total") == {("canceled", "ledger"): 1}
    await services.close()
