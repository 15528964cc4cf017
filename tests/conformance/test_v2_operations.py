"""The 18 operations of V2 through the official Python SDK, with and without credentials."""

# The SDK types every result as optional; a None would fail the test just as well.
# pyright: reportOptionalMemberAccess=false, reportOptionalIterable=false, reportOptionalSubscript=false
# pyright: reportArgumentType=false
from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from formance_sdk_python import SDK
from formance_sdk_python.models import orchestration

from tests.conformance.conftest import Walker
from tests.conformance.test_operations import CREDENTIALS, EVENT, PATIENCE_S, UNKNOWN, WAIT
from tests.conformance.wire import V2_OPERATIONS
from tests.support.server import Server

MakeSdk = Callable[..., SDK]
BIG = 10**30


def config(stages: list[dict[str, Any]]) -> orchestration.V2WorkflowConfig:
    return orchestration.V2WorkflowConfig(stages=stages, name="smoke")


def until_ended(api: Any, instance_id: str) -> Any:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        instance = api.get_instance(request={"instance_id": instance_id}).v2_get_workflow_instance_response.data
        if instance.terminated:
            return instance
        assert time.monotonic() < deadline, f"{instance_id} has not ended"
        time.sleep(0.02)


def walked(read: Callable[[dict[str, Any]], Any], page_size: int, **filters: Any) -> list[Any]:
    """A list to its end and back: each page is there again."""
    pages = [read({"page_size": page_size, **filters})]
    while pages[-1].has_more:
        pages.append(read({"cursor": pages[-1].next}))
    here = pages[-1]
    for page in reversed(pages[:-1]):
        here = read({"cursor": here.previous})
        assert here.data == page.data
    assert here.previous is None
    return [row for page in pages for row in page.data]


@pytest.fixture(params=CREDENTIALS.values(), ids=CREDENTIALS.keys())
def sdk(request: pytest.FixtureRequest, make_sdk: MakeSdk) -> SDK:
    return make_sdk(security=request.param)


def test_every_operation(sdk: SDK, walker: Walker) -> None:
    api = sdk.orchestration.v2
    assert api.get_server_info().v2_server_info.version
    workflow = api.create_workflow(request=config(WAIT)).v2_create_workflow_response.data
    assert workflow.config.stages == WAIT
    assert api.get_workflow(request={"flow_id": workflow.id}).v2_get_workflow_response.data == workflow
    listed = walked(lambda request: api.list_workflows(request=request).v2_list_workflows_response.cursor, 3)
    assert [one.id for one in listed].count(workflow.id) == 1

    run = api.run_workflow(request={"workflow_id": workflow.id, "request_body": {"a": "1"}})
    instance = run.v2_run_workflow_response.data
    others = [api.run_workflow(request={"workflow_id": workflow.id}).v2_run_workflow_response.data for _ in range(3)]
    history = api.get_instance_history(request={"instance_id": instance.id})
    (stage,) = history.v2_get_workflow_instance_history_response.data
    assert isinstance(stage.input, orchestration.V2StageWaitEvent)
    activities = api.get_instance_stage_history(request={"instance_id": instance.id, "number": 0})
    assert activities.v2_get_workflow_instance_history_stage_response.data == []
    assert api.send_event(request={"instance_id": instance.id, "request_body": {"name": EVENT}}).status_code == 204
    assert not until_ended(api, instance.id).error
    assert api.cancel_event(request={"instance_id": others[0].id}).status_code == 204
    assert until_ended(api, others[0].id).error == "canceled"

    def instances(request: dict[str, Any]) -> Any:
        return api.list_instances(request=request).v2_list_runs_response.cursor

    still = walked(instances, 1, workflow_id=workflow.id, running=True)
    assert [one.id for one in still] == [others[2].id, others[1].id]
    assert len(walked(instances, 3, workflow_id=workflow.id, running=False)) == 4

    trigger = live_trigger(api, workflow.id)
    assert api.delete_trigger(request={"trigger_id": trigger.id}).status_code == 204
    assert api.delete_workflow(request={"flow_id": workflow.id}).status_code == 204
    assert set(walker.seen) >= set(V2_OPERATIONS), "some operation was not walked"


def live_trigger(api: Any, workflow_id: str) -> Any:
    data = orchestration.V2TriggerData(
        event="NOTHING",
        workflow_id=workflow_id,
        name=workflow_id,
        filter_="event.a > 1",
        vars={"a": "event.a", "b": "1/0"},
    )
    trigger = api.create_trigger(request=data).v2_create_trigger_response.data
    found = api.list_triggers(request={"name": workflow_id.upper(), "page_size": 10}).v2_list_triggers_response.cursor
    assert found.data == [trigger]
    assert api.read_trigger(request={"trigger_id": trigger.id}).v2_read_trigger_response.data == trigger
    tried = api.test_trigger(request={"trigger_id": trigger.id, "request_body": {"a": 2}}).v2_test_trigger_response.data
    assert tried.filter_.match is True
    assert tried.variables["a"].value == "2"
    occurrences = api.list_triggers_occurrences(request={"trigger_id": trigger.id, "page_size": 1})
    assert occurrences.v2_list_triggers_occurrences_response.cursor.data == []
    return trigger


def test_a_transaction_decodes_with_its_txid(make_sdk: MakeSdk, live_server: Server) -> None:
    assert live_server.post("/api/ledger/v2/second", {}).status == 204
    account = {"id": "users:1", "ledger": "second"}
    amount = {"asset": "USD/2", "amount": BIG}
    send = {"source": {"account": {**account, "id": "world"}}, "destination": {"account": account}, "amount": amount}
    api = make_sdk().orchestration.v2
    workflow = api.create_workflow(request=config([{"send": send}])).v2_create_workflow_response.data
    run = api.run_workflow(request={"workflow_id": workflow.id, "wait": True}).v2_run_workflow_response.data
    assert run.terminated and not run.error
    answer = api.get_instance_stage_history(request={"instance_id": run.id, "number": 0})
    (activity,) = answer.v2_get_workflow_instance_history_stage_response.data
    (booked,) = activity.output.create_transaction.data
    assert booked.txid >= 0
    assert booked.postings[0].amount == activity.input.create_transaction.data.postings[0].amount == BIG
    assert booked.reference == activity.input.create_transaction.data.reference


def refusals(api: Any) -> dict[str, tuple[Callable[[], Any], str, int]]:
    return {
        "unknown workflow": (lambda: api.get_workflow(request={"flow_id": UNKNOWN}), "NOT_FOUND", 404),
        "unknown instance": (lambda: api.get_instance(request={"instance_id": UNKNOWN}), "NOT_FOUND", 404),
        "unknown trigger": (
            lambda: api.test_trigger(request={"trigger_id": UNKNOWN, "request_body": {}}),
            "NOT_FOUND",
            404,
        ),
        "no stages": (lambda: api.create_workflow(request=config([])), "VALIDATION", 400),
        "no page": (lambda: api.list_workflows(request={"page_size": 0}), "VALIDATION", 400),
        "too long a page": (lambda: api.list_instances(request={"page_size": 1001}), "VALIDATION", 400),
        "no cursor": (lambda: api.list_triggers(request={"cursor": "abc"}), "VALIDATION", 400),
    }


@pytest.mark.parametrize("case", refusals(None))
def test_refusals_decode_as_the_declared_error(case: str, make_sdk: MakeSdk) -> None:
    call, code, status = refusals(make_sdk().orchestration.v2)[case]
    with pytest.raises(orchestration.V2Error) as raised:
        call()
    assert raised.value.data.error_code == code
    assert raised.value.data.error_message
    assert raised.value.status_code == status
