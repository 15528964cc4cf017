"""Amounts far beyond 64 bits survive create, run, ledger and history exactly."""

# The SDK types every result as optional; a None would fail the test just as well.
# pyright: reportOptionalMemberAccess=false, reportOptionalIterable=false, reportOptionalSubscript=false
# pyright: reportArgumentType=false
from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from formance_sdk_python import SDK
from formance_sdk_python.models import orchestration

from tests.crash.books import API
from tests.crash.players import FAST
from tests.support.server import Server

AMOUNTS = [10**30, 2**63, 2**200 + 1, 10**999 + 7]


def send(amount: Any) -> dict[str, Any]:
    return {
        "send": {
            "source": {"account": {"id": "world", "ledger": "exact"}},
            "destination": {"account": {"id": "${to}", "ledger": "exact"}},
            "amount": {"asset": "USD/2", "amount": amount},
        }
    }


@pytest.fixture(scope="module")
def live_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One of its own: the Go SDK reads no number beyond 1e308, so none of a list that has these definitions."""
    with Server(tmp_path_factory.mktemp("amounts") / "data", settings=FAST) as server:
        yield server


@pytest.fixture(scope="module", autouse=True)
def ledger(live_server: Server) -> None:
    assert live_server.post("/api/ledger/v2/exact", {}).status == 204


@pytest.mark.parametrize("amount", AMOUNTS, ids=lambda amount: f"{len(str(amount))} digits")
@pytest.mark.parametrize("is_variable", [False, True], ids=["in the definition", "as a variable"])
def test_an_amount_stays_exact(
    amount: int, is_variable: bool, make_sdk: Callable[..., SDK], live_server: Server
) -> None:
    api = make_sdk().orchestration.v1
    account = f"rich:{len(str(amount))}:{is_variable}"
    stage = send("${amount}" if is_variable else amount)
    created = api.create_workflow(request=orchestration.WorkflowConfig(stages=[stage])).create_workflow_response.data
    assert api.get_workflow(request={"flow_id": created.id}).get_workflow_response.data.config.stages == [stage]
    variables = {"to": account, **({"amount": str(amount)} if is_variable else {})}
    run = api.run_workflow(request={"workflow_id": created.id, "request_body": variables, "wait": True})
    instance = run.run_workflow_response.data
    assert instance.terminated
    assert not instance.error

    history = api.get_instance_history(request={"instance_id": instance.id}).get_workflow_instance_history_response.data
    assert isinstance(history[0].input, orchestration.StageSend)
    assert history[0].input.amount.amount == amount
    stage_history = api.get_instance_stage_history(request={"instance_id": instance.id, "number": 0})
    activity = stage_history.get_workflow_instance_history_stage_response.data[0]
    assert activity.input.create_transaction.data.postings[0].amount == amount
    assert activity.output.create_transaction.data.postings[0].amount == amount

    booked = live_server.get(f"/api/ledger/v2/exact/accounts/{account}?expand=volumes").json["data"]
    assert booked["volumes"]["USD/2"]["input"] == amount


@pytest.mark.parametrize("amount", ["1.0", "1e3", "-1", "01", "1" + "0" * 1_000, "+5", " 5", "٣"])
def test_what_is_no_amount_is_refused_and_nothing_is_booked(amount: str, live_server: Server) -> None:
    workflow_id = live_server.post(f"{API}/workflows", {"stages": [send("${amount}")]}).json["data"]["id"]
    before = live_server.get("/api/ledger/v2/exact/transactions").body
    variables = {"to": "nobody", "amount": amount}
    answer = live_server.post(f"{API}/workflows/{workflow_id}/instances?wait=true", variables)
    assert answer.status in (201, 400)
    if answer.status == 201:
        assert "amount" in answer.json["data"]["error"]
    assert live_server.get("/api/ledger/v2/exact/transactions").body == before
