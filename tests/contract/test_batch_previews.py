"""Batches before they run: the preview over one shadow, filters, hashes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from headrace.errors import HashDiffers, InvalidValue, NotFound, NotInThisState
from headrace.usecases.batches import cancel_batch, make_batch, pause_batch, resume_batch, start_batch
from headrace.workflows.durations import moment_text
from tests.contract.test_batches import failures, started_other
from tests.contract.test_engine import SEND, WAIT
from tests.contract.test_resolve import started
from tests.contract.test_undo_instance import state_of, undo
from tests.support.batches import (
    JANE,
    JOE,
    batch_in,
    done,
    driving,
    items_of,
    previewed,
    runs,
    states_of,
    summary_of,
)
from tests.support.in_process import running
from tests.support.redrive import STAGES, Refusing


async def test_items_are_planned_in_order_over_one_shadow(tmp_path: Path) -> None:
    """Alice has 1,000: the eleventh payment of 100 lacks funds, and a smaller one behind it does not."""
    services = Refusing()
    small = {"send": {**SEND["send"], "amount": {"asset": "USD/2", "amount": 10}}}
    five = {"send": {**SEND["send"], "amount": {"asset": "USD/2", "amount": 95}}}
    async with running(tmp_path / "j.db", services) as alive, driving(alive):
        await alive.workflow("w", [SEND])
        await alive.workflow("small", [small])
        await alive.workflow("five", [five])
        wanted = [*runs("five", 1), *runs("w", 10), *runs("small", 1)]
        ready = await previewed(alive, "run", runs=wanted)
        items = await items_of(alive, ready.id)
        assert [item.state for item in items] == ["pending"] * 10 + ["excluded", "excluded"]
        assert {item.code for item in items[10:]} == {"fails:INSUFFICIENT_FUND"}
        summary = summary_of(ready)
        assert (summary["included"], summary["excluded"]) == (10, {"fails:INSUFFICIENT_FUND": 2})
        assert summary["totals"] == {"USD/2": {"sent": 995}}
        assert summary["firstFailing"]["n"] == 11 and "INSUFFICIENT_FUND" in summary["firstFailing"]["message"]
        assert (ready.planned, ready.items) == (12, 12)
        assert services.balance("alice") == 1_000, "a preview books nothing"
        again = await previewed(alive, "run", runs=wanted)
        assert again.hash == ready.hash
        other = await previewed(alive, "run", runs=wanted[:5])
        assert other.hash != ready.hash
    await services.close()


async def test_an_excluded_item_leaves_its_money_to_later_ones(tmp_path: Path) -> None:
    """A payment of 950 after one of 100 lacks 50, and does not start: so one of 800 is planned as if it were not."""
    services = Refusing()

    def of(amount: int) -> list[dict[str, Any]]:
        return [{"send": {**SEND["send"], "amount": {"asset": "USD/2", "amount": amount}}}]

    async with running(tmp_path / "j.db", services) as alive, driving(alive):
        for amount in (100, 950, 800):
            await alive.workflow(f"w{amount}", of(amount))
        ended = await done(alive, "run", runs=[*runs("w100", 1), *runs("w950", 1), *runs("w800", 1)])
        items = await items_of(alive, ended.id)
    assert [(item.state, item.code) for item in items] == [
        ("succeeded", None),
        ("excluded", "fails:INSUFFICIENT_FUND"),
        ("succeeded", None),
    ]
    assert services.balance("alice") == 100
    await services.close()


async def test_the_redrive_of_a_failed_undo_is_pending_without_totals(tmp_path: Path) -> None:
    """Also where it would be refused again: its stages read when they run, so nothing of it is planned before."""
    services = Refusing()
    async with running(tmp_path / "j.db", services) as alive, driving(alive):
        case = await alive.ended(await started(alive, SEND, SEND))
        _move(services, "bob", "carol")
        failed = await alive.ended((await undo(alive, case.id)).target)
        assert failed.failure == "refused"
        ready = await previewed(alive, "redrive", instances=[failed.id])
        (item,) = await items_of(alive, ready.id)
        summary = summary_of(ready)
        assert (item.state, item.code, summary["included"], summary["totals"]) == ("pending", None, 1, {})
        _move(services, "carol", "bob")
        await start_batch(alive.ports, JOE, ready.id, {"hash": ready.hash})
        await batch_in(alive, ready.id, "done")
        assert await states_of(alive, ready.id) == {"succeeded": 1}
        assert await state_of(alive, case) == ("undone", [])
    assert services.balance("alice") == 1_000
    await services.close()


def _move(services: Refusing, source: str, destination: str) -> None:
    """All that the case has sent."""
    posting = {"source": source, "destination": destination, "amount": 200, "asset": "USD/2"}
    services.call("ledger", "POST", "/v2/main/transactions", {"metadata": {}, "postings": [posting]})


async def test_a_filter_chooses_by_what_is_known_of_instances(tmp_path: Path) -> None:
    services = Refusing((1, 0))
    async with running(tmp_path / "j.db", services) as alive, driving(alive):
        ids = await failures(alive, services, 2, *STAGES)
        other = await started_other(alive, "other", SEND)
        await alive.ended(other)
        waiting = await started_other(alive, "wait", WAIT)
        first, second = [await alive.journal.instance(each) for each in ids]
        assert first is not None and second is not None
        for chosen, expected in (
            ({"workflow": "w"}, ids),
            ({"workflow": "w", "stage": 1, "failure": "refused", "code": "INSUFFICIENT_FUND"}, ids),
            ({"code": "OTHER"}, []),
            ({"stage": 0}, []),
            ({"failure": "invalid"}, []),
            ({"state": "succeeded"}, [other]),
            ({"state": "unfinished"}, [waiting]),
            ({"state": "failed", "startedAfter": moment_text(second.created_at)}, ids[1:]),
            ({"startedBefore": moment_text(second.created_at)}, ids[:1]),
            ({"workflow": "w", "endedAfter": "2100-01-01T00:00:00Z"}, []),
            ({"workflow": "w", "endedBefore": "2100-01-01T00:00:00Z"}, ids),
        ):
            wanted = {"kind": "redrive", "filter": chosen, "reason": "r"}
            if not expected:
                with pytest.raises(InvalidValue, match="no instance fits"):
                    await make_batch(alive.ports, JANE, wanted)
                continue
            made = await make_batch(alive.ports, JANE, wanted)
            assert [item.instance_id for item in await items_of(alive, made.target)] == expected, chosen
    await services.close()


async def test_a_batch_is_started_by_the_hash_of_its_preview(tmp_path: Path) -> None:
    services = Refusing()
    async with running(tmp_path / "j.db", services) as alive, driving(alive):
        await alive.workflow("w", [SEND])
        ready = await previewed(alive, "run", runs=runs("w", 2))
        with pytest.raises(HashDiffers, match="the batch has sha256:"):
            await start_batch(alive.ports, JOE, ready.id, {"hash": "sha256:0"})
        with pytest.raises(InvalidValue, match="hash"):
            await start_batch(alive.ports, JOE, ready.id, {})
        with pytest.raises(NotFound):
            await start_batch(alive.ports, JOE, "none", {"hash": "h"})
        for verb in (pause_batch, resume_batch):
            with pytest.raises(NotInThisState):
                await verb(alive.ports, JOE, ready.id)
        assert (await states_of(alive, ready.id)) == {"pending": 2}
        await start_batch(alive.ports, JOE, ready.id, {"hash": ready.hash})
        with pytest.raises(NotInThisState):
            await start_batch(alive.ports, JOE, ready.id, {"hash": ready.hash})
        await batch_in(alive, ready.id, "done")
        with pytest.raises(NotInThisState):
            await cancel_batch(alive.ports, JOE, ready.id)
    assert services.balance("bob") == 200
    await services.close()


async def test_a_preview_can_be_canceled_while_a_service_is_silent(tmp_path: Path) -> None:
    services = Refusing()
    is_silent = True
    plan = services.plan
    services.plan = lambda request, count: "drop" if is_silent and request.method == "GET" else plan(request, count)  # pyright: ignore[reportOptionalCall]
    async with running(tmp_path / "j.db", services) as alive, driving(alive):
        await alive.workflow("w", [SEND])
        wanted = {"kind": "run", "reason": "r", "runs": runs("w", 2)}
        first, second = [(await make_batch(alive.ports, JANE, wanted)).target for _ in range(2)]
        await asyncio.sleep(0.05)
        await cancel_batch(alive.ports, JANE, first)
        is_silent = False
        ready = await batch_in(alive, second, "ready")
        found = await alive.journal.batch(first)
        assert found is not None and found.state == "canceled" and ready.planned == 2
        assert await states_of(alive, first) == {"skipped": 2}
    await services.close()
