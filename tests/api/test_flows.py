"""`/ext/instances/{instanceID}/flow`: the moves of a case, booked and still to come, with their sums."""

from __future__ import annotations

import asyncio
from typing import Any

from headrace.pictures.documents import read_flow
from headrace.pictures.text import text_lines
from tests.api.conftest import Live
from tests.api.test_plans import funded


def pay(source: str, destination: str, amount: Any = "${amount}", ledger: str = "main") -> dict[str, Any]:
    ends = {"source": {"account": {"id": source, "ledger": "main"}}}
    ends |= {"destination": {"account": {"id": destination, "ledger": ledger}}}
    return {"send": {**ends, "amount": {"asset": "USD/2", "amount": amount}}}


HELD: dict[str, Any] = {
    "name": "held",
    "stages": [pay("users:jane", "escrow"), {"wait_event": {"event": "go"}}, pay("escrow", "shop")],
}


async def started(live: Live, workflow: dict[str, Any], **variables: str) -> str:
    await funded(live, 1_000)
    workflow_id = await live.created(workflow)
    response = await live.call("POST", f"/workflows/{workflow_id}/instances?wait=false", variables)
    assert response.status_code == 201, response.text
    return response.json()["data"]["id"]


async def flow(live: Live, instance_id: str) -> dict[str, Any]:
    response = await live.call("GET", f"/ext/instances/{instance_id}/flow")
    assert response.status_code == 200, response.text
    return response.json()["data"]


async def settled(live: Live, instance_id: str, **sums: int) -> dict[str, Any]:
    """The flow once its sums are these, and no others above zero."""
    async with asyncio.timeout(30):
        while True:
            found = await flow(live, instance_id)
            (each,) = found["sums"]
            if {name: amount for name, amount in each.items() if name != "asset" and amount} == sums:
                return found
            await asyncio.sleep(0.01)


async def test_what_is_planned_becomes_booked(live: Live) -> None:
    instance_id = await started(live, HELD, amount="400")
    found = await settled(live, instance_id, taken=400, held=400)
    assert [(move["stage"], move["state"]) for move in found["moves"]] == [(0, "booked"), (2, "planned")]
    assert found["moves"][1] == {
        "source": {"kind": "account", "name": "escrow", "place": "main"},
        "destination": {"kind": "account", "name": "shop", "place": "main"},
        "amount": 400,
        "asset": "USD/2",
        "state": "planned",
        "stage": 2,
        "ordinal": 0,
    }
    assert (await live.call("POST", f"/instances/{instance_id}/events", {"name": "go"})).status_code == 204
    found = await settled(live, instance_id, taken=400, arrived=400)
    assert [move["state"] for move in found["moves"]] == ["booked", "booked"] and "unplanned" not in found
    assert text_lines(read_flow(found))[1] == "  4.00 USD  users:jane (main) -> escrow (main)  (booked)"


async def test_what_an_abort_leaves_is_stuck_and_what_is_undone_is_back(live: Live) -> None:
    instance_id = await started(live, HELD, amount="400")
    await settled(live, instance_id, taken=400, held=400)
    assert (await live.call("PUT", f"/instances/{instance_id}/abort")).status_code == 204
    found = await settled(live, instance_id, taken=400, stuck=400)
    assert [move["state"] for move in found["moves"]] == ["booked", "unmade"]
    undone = await live.call("POST", f"/ext/instances/{instance_id}/undo", {"reason": "not wanted"})
    assert undone.status_code == 201, undone.text
    found = await settled(live, instance_id)
    assert [move["state"] for move in found["moves"]] == ["undone", "unmade"]
    assert await flow(live, undone.json()["data"]["id"]) == found, "the undo has the picture of its case"


async def test_what_cannot_be_planned_says_why(live: Live) -> None:
    workflow = {**HELD, "stages": [*HELD["stages"], pay("shop", "far", ledger="nowhere"), pay("shop", "near")]}
    instance_id = await started(live, workflow, amount="400")
    found = await settled(live, instance_id, taken=400, held=400)
    assert [move["stage"] for move in found["moves"]] == [0, 2, 3]
    assert found["unplanned"].startswith("from stage 3 on nothing can be planned: CreateTransaction: LEDGER_NOT_FOUND")


async def test_an_unknown_instance(live: Live) -> None:
    response = await live.call("GET", "/ext/instances/nix/flow")
    assert (response.status_code, response.json()["errorCode"]) == (404, "NOT_FOUND")
