"""`/ext/batches`: what a batch shows from its preview to its end, and what is refused with which reason."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio

from headrace.background import in_background
from headrace.clock import SystemClock
from headrace.usecases.batch_driver import BatchDriver
from tests.api.conftest import WAITING, Live, served
from tests.api.test_plans import PAYING, funded

Json = dict[str, Any]


@pytest_asyncio.fixture
async def driven(tmp_path: Path) -> AsyncIterator[Live]:
    """A server that drives its batches."""
    async with served(tmp_path) as live, in_background(BatchDriver(live.ports).run, SystemClock()):
        yield live


async def made(live: Live, **body: Any) -> Json:
    response = await live.call("POST", "/ext/batches", {"reason": "payday", **body})
    assert response.status_code == 201, response.text
    return response.json()["data"]


async def read(live: Live, batch: Json) -> Json:
    return (await live.call("GET", f"/ext/batches/{batch['id']}")).json()["data"]


async def until(live: Live, batch: Json, state: str) -> Json:
    async with asyncio.timeout(60):
        while (found := await read(live, batch))["state"] != state:
            await asyncio.sleep(0.02)
    return found


async def items(live: Live, batch: Json, query: str = "") -> list[Json]:
    response = await live.call("GET", f"/ext/batches/{batch['id']}/items{query}")
    assert response.status_code == 200, response.text
    return response.json()["data"]


async def payments(live: Live, *amounts: int) -> list[Json]:
    workflow_id = await live.created(PAYING)
    return [{"workflowID": workflow_id, "variables": {"user": "jane", "amount": str(each)}} for each in amounts]


async def test_a_batch_from_its_preview_to_its_end(driven: Live) -> None:
    await funded(driven, 1_000)
    runs = await payments(driven, 400, 700, 300)
    batch = await made(driven, kind="run", runs=runs)
    assert (batch["state"], batch["items"], batch["planned"], batch["openItems"]) == ("previewing", 3, 0, 0)
    assert (batch["rate"], batch["maxOpen"], batch["stopAfter"], batch["principal"]) == (20, 100, 10, "anonymous")
    ready = await until(driven, batch, "ready")
    assert (ready["included"], ready["excluded"]) == (2, {"fails:INSUFFICIENT_FUND": 1})
    assert ready["totals"] == {"USD/2": {"sent": 700}} and ready["counts"] == {"pending": 2, "excluded": 1}
    assert ready["firstFailing"]["n"] == 2 and ready["hash"].startswith("sha256:")
    wrong = await driven.call("POST", f"/ext/batches/{batch['id']}/start", {"hash": "sha256:0"})
    assert (wrong.status_code, wrong.json()["details"]) == (412, {"reason": "hash_differs"})
    paused = await driven.call("POST", f"/ext/batches/{batch['id']}/pause")
    assert (paused.status_code, paused.json()["details"]) == (409, {"reason": "ready"})
    started = await driven.call("POST", f"/ext/batches/{batch['id']}/start", {"hash": ready["hash"]})
    assert started.status_code == 200 and started.json()["data"]["state"] == "running"
    done = await until(driven, batch, "done")
    assert done["counts"] == {"succeeded": 2, "excluded": 1} and done["openItems"] == 0
    assert done["startedBy"] == "anonymous" and done["startedAt"] <= done["endedAt"]
    rows = await items(driven, batch)
    assert [(row["n"], row["state"]) for row in rows] == [(1, "succeeded"), (2, "excluded"), (3, "succeeded")]
    assert rows[1]["code"] == "fails:INSUFFICIENT_FUND" and "result" not in rows[1]
    assert rows[0]["run"] == runs[0]
    instance = (await driven.call("GET", f"/ext/instances/{rows[0]['result']}")).json()["data"]
    assert (await driven.call("GET", f"/ext/plans/{instance['planID']}")).json()["data"]["state"] == "used"
    assert [row["n"] for row in await items(driven, batch, "?after=1&limit=1")] == [2]
    assert [row["n"] for row in await items(driven, batch, "?state=succeeded&after=1")] == [3]
    listed = (await driven.call("GET", "/ext/batches?pageSize=5")).json()["cursor"]
    assert [row["id"] for row in listed["data"]] == [batch["id"]] and not listed["hasMore"]


async def test_a_request_that_is_repeated_makes_one_batch_and_one_start(driven: Live) -> None:
    """Each write leaves one audit entry; items leave none."""
    await funded(driven, 1_000)
    body = {"kind": "run", "reason": "r", "runs": await payments(driven, 100)}
    key = {"idempotency-key": "k1"}
    first, again = [await driven.call("POST", "/ext/batches", body, headers=key) for _ in range(2)]
    assert first.json() == again.json() and again.headers["idempotency-hit"] == "true"
    batch = await until(driven, first.json()["data"], "ready")
    key = {"idempotency-key": "k2"}
    path, wanted = f"/ext/batches/{batch['id']}/start", {"hash": batch["hash"]}
    answers = [await driven.call("POST", path, wanted, headers=key) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200] and answers[0].json() == answers[1].json()
    await until(driven, batch, "done")
    entries = (await driven.call("GET", f"/ext/audit?target={batch['id']}")).json()["data"]
    assert [entry["operation"] for entry in entries] == ["startBatch", "createBatch"]


async def test_a_batch_is_paused_resumed_and_canceled(driven: Live) -> None:
    workflow_id = await driven.created(WAITING)
    batch = await made(
        driven, kind="run", runs=[{"workflowID": workflow_id, "variables": {}}] * 3, maxOpen=1, rate=1_000
    )
    ready = await until(driven, batch, "ready")
    await driven.call("POST", f"/ext/batches/{batch['id']}/start", {"hash": ready["hash"]})
    async with asyncio.timeout(30):
        while not (started := await items(driven, batch, "?state=started")):
            await asyncio.sleep(0.02)
    paused = (await driven.call("POST", f"/ext/batches/{batch['id']}/pause")).json()["data"]
    assert (paused["state"], paused["why"]) == ("paused", "a person has paused it")
    await driven.call("POST", f"/instances/{started[0]['result']}/events", {"name": "go"})
    async with asyncio.timeout(30):
        while not await items(driven, batch, "?state=succeeded"):
            await asyncio.sleep(0.02)
    assert (await read(driven, batch))["counts"] == {"succeeded": 1, "pending": 2}
    assert (await driven.call("POST", f"/ext/batches/{batch['id']}/resume")).json()["data"]["state"] == "running"
    async with asyncio.timeout(30):
        while not await items(driven, batch, "?state=started"):
            await asyncio.sleep(0.02)
    canceled = await driven.call("POST", f"/ext/batches/{batch['id']}/cancel")
    assert canceled.json()["data"]["state"] == "canceled"
    assert (await read(driven, batch))["counts"] == {"succeeded": 1, "started": 1, "skipped": 1}
    again = await driven.call("POST", f"/ext/batches/{batch['id']}/cancel")
    assert (again.status_code, again.json()["details"]) == (409, {"reason": "canceled"})


async def test_an_abort_has_a_reason(driven: Live) -> None:
    """Of a batch, that of the batch. V1 shows neither, and an abort of V1 has none."""
    workflow_id = await driven.created(WAITING)
    ids = [await driven.started(workflow_id) for _ in range(3)]
    answer = await driven.call("POST", f"/ext/instances/{ids[0]}/abort", {"reason": "withdrawn"})
    assert (answer.status_code, answer.content) == (204, b"")
    assert (await driven.call("PUT", f"/instances/{ids[1]}/abort")).status_code == 204
    batch = await until(driven, await made(driven, kind="abort", instances=[ids[2]]), "ready")
    await driven.call("POST", f"/ext/batches/{batch['id']}/start", {"hash": batch["hash"]})
    await until(driven, batch, "done")
    found = [(await driven.call("GET", f"/ext/instances/{each}")).json()["data"] for each in ids]
    assert [each.get("abortReason") for each in found] == ["withdrawn", None, "payday"]
    for each in ids:
        assert (await driven.call("GET", f"/instances/{each}")).json()["data"]["error"] == "canceled"
    again = await driven.call("POST", f"/ext/instances/{ids[0]}/abort", {"reason": "other"})
    assert again.status_code == (await driven.call("PUT", f"/instances/{ids[1]}/abort")).status_code == 400
    assert (await driven.call("GET", f"/ext/instances/{ids[0]}")).json()["data"]["abortReason"] == "withdrawn"
    missing = await driven.call("POST", "/ext/instances/none/abort", {"reason": "r"})
    assert missing.status_code == 404


async def test_ids_may_be_written_in_capitals(driven: Live) -> None:
    workflow_id = await driven.created(WAITING)
    instance_id = await driven.started(workflow_id)
    by_id = await made(driven, kind="abort", instances=[instance_id.upper()])
    by_filter = await made(
        driven, kind="abort", filter={"workflow": workflow_id.upper(), "startedBefore": "2100-01-01T00:00:00Z"}
    )
    for batch in (by_id, by_filter):
        assert [row["instance"] for row in await items(driven, batch)] == [instance_id]
    assert by_filter["filter"] == {
        "workflow": workflow_id,
        "state": "unfinished",
        "startedBefore": "2100-01-01T00:00:00.000000Z",
    }


async def test_a_name_stands_for_all_of_its_versions(driven: Live) -> None:
    """What failed before a new version was put is found as what failed after it, the oldest first."""
    ids: list[str] = []
    for event in ("one", "two"):
        definition = {"name": "till", "stages": [{"wait_event": {"event": event}}]}
        put = await driven.call("PUT", "/ext/workflows/till", {"definition": definition})
        ids.append(await driven.started(put.json()["data"]["workflowID"]))
    batch = await made(driven, kind="abort", filter={"workflow": "till"})
    assert [row["instance"] for row in await items(driven, batch)] == ids
    assert batch["filter"]["workflow"] == "till"
    unknown = {"kind": "abort", "reason": "r", "filter": {"workflow": "tills"}}
    refused = await driven.call("POST", "/ext/batches", unknown)
    assert refused.status_code == 400 and "filter.workflow: there is no workflow" in refused.text


async def test_what_does_not_exist_is_not_found(driven: Live) -> None:
    for method, path in (("GET", ""), ("GET", "/items"), ("POST", "/pause"), ("POST", "/cancel"), ("POST", "/resume")):
        assert (await driven.call(method, f"/ext/batches/none{path}")).status_code == 404, path
    body = {"kind": "run", "reason": "r", "runs": [{"workflowID": "none", "variables": {}}]}
    assert (await driven.call("POST", "/ext/batches", body)).status_code == 404
