"""What events hold is for those who may read them through the API, not for whoever reads the log."""

from __future__ import annotations

import structlog

from tests.api.conftest import SHORT, Live
from tests.api.test_triggers import event, occurrences, on, send

AMOUNT = "987654321,50"


async def test_a_trigger_that_fails_over_an_event_logs_nothing_of_it(live: Live) -> None:
    workflow_id = await live.created(SHORT)
    failing = await on(live, workflow_id, vars={"amount": "int(event.amount)"})
    filtering = await on(live, workflow_id, filter="int(event.amount) > 0")
    with structlog.testing.capture_logs() as lines:
        await send(live, event(id="e1", payload={"amount": AMOUNT}))
    assert AMOUNT in (await occurrences(live, failing))[0]["error"], "who may read it is told"
    tried = await live.call("POST", f"/v2/triggers/{filtering}/test", {"amount": AMOUNT})
    assert AMOUNT in tried.json()["data"]["filter"]["error"]
    told = {line["trigger_id"]: line for line in lines if "trigger_id" in line}
    assert set(told) == {failing, filtering}
    assert {line["event_key"] for line in told.values()} == {'["event","a","E","v1","e1"]'}
    assert AMOUNT not in str(lines)


async def test_a_filter_that_fails_over_text_logs_what_to_change(live: Live) -> None:
    workflow_id = await live.created(SHORT)
    trigger_id = await on(live, workflow_id, filter="event.amount > 1000")
    with structlog.testing.capture_logs() as lines:
        await send(live, event(id="e1", payload={"amount": "987654321"}))
    (line,) = (line for line in lines if line.get("trigger_id") == trigger_id)
    assert "int(event.amount)" in line["hint"] and "987654321" not in str(lines)
    tried = await live.call("POST", f"/v2/triggers/{trigger_id}/test", {"amount": "987654321"})
    outcome = tried.json()["data"]["filter"]
    assert set(outcome) == {"error"}
    assert outcome["error"].startswith("invalid operation: string > int") and "int(event.amount)" in outcome["error"]
