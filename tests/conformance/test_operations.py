"""The 17 operations through the official Python SDK, with and without credentials.

What the SDK sends and forgives is told in the public contract; the
listener of `conftest.py` checks the bytes beside it.
"""

# The SDK types every result as optional; a None would fail the test just as well.
# pyright: reportOptionalMemberAccess=false, reportOptionalIterable=false, reportOptionalSubscript=false
# pyright: reportArgumentType=false
from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from formance_sdk_python import SDK
from formance_sdk_python.models import errors, orchestration, shared

from tests.conformance.conftest import Walker
from tests.conformance.wire import OPERATIONS
from tests.support.server import Server

MakeSdk = Callable[..., SDK]

EVENT = "smoke.continue"
UNKNOWN = "00000000-0000-4000-8000-000000000000"
WAIT: list[dict[str, Any]] = [{"wait_event": {"event": EVENT}}]
PATIENCE_S = 10.0

CREDENTIALS = {
    "without credentials": None,
    "with credentials": shared.Security(client_id="anybody", client_secret="anything"),
    "with a token URL of its own": shared.Security(client_id="x", client_secret="y", token_url="/api/auth/oauth/token"),
    "with half of the credentials": shared.Security(client_id="anybody"),
}


def config(stages: list[dict[str, Any]], name: str = "smoke") -> orchestration.WorkflowConfig:
    return orchestration.WorkflowConfig(stages=stages, name=name)


def until_ended(api: Any, instance_id: str) -> Any:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        instance = api.get_instance(request={"instance_id": instance_id}).get_workflow_instance_response.data
        if instance.terminated:
            return instance
        assert time.monotonic() < deadline, f"{instance_id} has not ended"
        time.sleep(0.02)


def live_trigger(api: Any, workflow_id: str, event: str = "SMOKE_NOTHING") -> Any:
    """Created, listed by its name, read again; all say the same."""
    data = orchestration.TriggerData(
        event=event,
        workflow_id=workflow_id,
        name=f"Smoke {workflow_id}",
        filter_='event.kind == "a"',
        vars={"a": "event.a", "b": "'constant'"},
        version="v1",
    )
    created = api.create_trigger(request=data)
    trigger = created.create_trigger_response.data
    assert created.status_code == 201
    assert (trigger.filter_, trigger.vars, trigger.version) == (data.filter_, data.vars, "v1")
    assert api.list_triggers(request={"name": f"smoke {workflow_id}"}).list_triggers_response.data == [trigger]
    assert api.read_trigger(request={"trigger_id": trigger.id}).read_trigger_response.data == trigger
    listed = api.list_triggers_occurrences(request={"trigger_id": trigger.id})
    assert listed.list_triggers_occurrences_response.data == []
    return trigger


@pytest.fixture(params=CREDENTIALS.values(), ids=CREDENTIALS.keys())
def sdk(request: pytest.FixtureRequest, make_sdk: MakeSdk) -> SDK:
    return make_sdk(security=request.param)


def test_every_operation(sdk: SDK, walker: Walker) -> None:
    """One life of a workflow, as the SDK's user would write it."""
    api = sdk.orchestration.v1
    assert api.get_server_info_orchestration().server_info.version

    created = api.create_workflow(request=config(WAIT))
    workflow = created.create_workflow_response.data
    assert created.status_code == 201
    assert (workflow.config.name, workflow.config.stages) == ("smoke", WAIT)
    assert workflow.id in [one.id for one in api.list_workflows().list_workflows_response.data]
    assert api.get_workflow(request={"flow_id": workflow.id}).get_workflow_response.data == workflow

    started = api.run_workflow(request={"workflow_id": workflow.id, "request_body": {"a": "1"}, "wait": False})
    instance = started.run_workflow_response.data
    assert started.status_code == 201
    assert instance.workflow_id == workflow.id
    assert not instance.terminated
    told = api.get_instance(request={"instance_id": instance.id}).get_workflow_instance_response.data
    assert [(status.stage, status.instance_id) for status in told.status] == [(0, instance.id)]

    history = api.get_instance_history(request={"instance_id": instance.id}).get_workflow_instance_history_response.data
    assert isinstance(history[0].input, orchestration.StageWaitEvent)
    assert history[0].input.event == EVENT
    stage = api.get_instance_stage_history(request={"instance_id": instance.id, "number": 0})
    assert stage.get_workflow_instance_history_stage_response.data == []

    sent = api.send_event(request={"instance_id": instance.id, "request_body": {"name": EVENT}})
    assert sent.status_code == 204
    ended = until_ended(api, instance.id)
    assert ended.terminated_at is not None
    assert not ended.error

    second = api.run_workflow(request={"workflow_id": workflow.id}).run_workflow_response.data  # no body at all
    assert api.cancel_event(request={"instance_id": second.id}).status_code == 204
    assert until_ended(api, second.id).error == "canceled"
    trigger = live_trigger(api, workflow.id)
    assert api.delete_trigger(request={"trigger_id": trigger.id}).status_code == 204
    assert trigger.id not in [one.id for one in api.list_triggers(request={}).list_triggers_response.data]
    assert api.delete_workflow(request={"flow_id": workflow.id}).status_code == 204
    assert workflow.id not in [one.id for one in api.list_workflows().list_workflows_response.data]

    listed = api.list_instances(request={"workflow_id": workflow.id, "running": False}).list_runs_response.data
    assert {one.id for one in listed} == {instance.id, second.id}
    assert set(walker.seen) == set(OPERATIONS), "some operation was not walked"


def test_the_token_endpoint_is_asked_when_there_are_credentials(make_sdk: MakeSdk, walker: Walker) -> None:
    api = make_sdk(security=shared.Security(client_id="fresh", client_secret="fresh")).orchestration.v1
    api.list_workflows()
    api.list_workflows()
    assert walker.paths.count("/api/auth/oauth/token") == 1, "a token is cached: it must live longer than 60 s"


def test_wait_returns_the_ended_instance(make_sdk: MakeSdk) -> None:
    api = make_sdk().orchestration.v1
    workflow = api.create_workflow(request=config([{"delay": {"duration": "300ms"}}])).create_workflow_response.data
    run = api.run_workflow(request={"workflow_id": workflow.id, "request_body": {}, "wait": True})
    instance = run.run_workflow_response.data
    assert run.status_code == 201
    assert instance.terminated
    assert instance.terminated_at is not None
    assert len(instance.status) == 1
    history = api.get_instance_history(request={"instance_id": instance.id}).get_workflow_instance_history_response.data
    assert isinstance(history[0].input, orchestration.StageDelay)
    assert history[0].input.duration == "300ms"


def test_a_client_that_gives_up_waiting_does_not_abort_the_instance(make_sdk: MakeSdk) -> None:
    """The SDK's own time-out is 5 s; a shorter one does the same."""
    api = make_sdk(timeout_ms=200).orchestration.v1
    workflow = api.create_workflow(request=config([{"delay": {"duration": "1s"}}])).create_workflow_response.data
    with pytest.raises(Exception, match=r"(?i)time"):
        api.run_workflow(request={"workflow_id": workflow.id, "request_body": {}, "wait": True})
    patient = make_sdk().orchestration.v1
    listed = patient.list_instances(request={"workflow_id": workflow.id}).list_runs_response.data
    assert len(listed) == 1
    assert not until_ended(patient, listed[0].id).error


def test_empty_filters_do_not_filter(make_sdk: MakeSdk) -> None:
    """What the official command line sends when no flag is given: `?running=false&workflowID=`."""
    api = make_sdk().orchestration.v1
    workflow = api.create_workflow(request=config(WAIT)).create_workflow_response.data
    running = api.run_workflow(request={"workflow_id": workflow.id}).run_workflow_response.data
    everything = api.list_instances(request={"workflow_id": "", "running": False}).list_runs_response.data
    assert running.id in [one.id for one in everything]
    still = api.list_instances(request={"workflow_id": workflow.id, "running": True}).list_runs_response.data
    assert [one.id for one in still] == [running.id]
    api.cancel_event(request={"instance_id": running.id})
    still = api.list_instances(request={"workflow_id": workflow.id, "running": True}).list_runs_response.data
    assert still == []


def refusals(api: Any) -> dict[str, tuple[Callable[[], Any], str, int]]:
    return {
        "unknown workflow": (lambda: api.get_workflow(request={"flow_id": UNKNOWN}), "NOT_FOUND", 404),
        "run of an unknown workflow": (lambda: api.run_workflow(request={"workflow_id": UNKNOWN}), "NOT_FOUND", 404),
        "unknown instance": (lambda: api.get_instance(request={"instance_id": UNKNOWN}), "NOT_FOUND", 404),
        "event for nobody": (
            lambda: api.send_event(request={"instance_id": UNKNOWN, "request_body": {"name": EVENT}}),
            "NOT_FOUND",
            404,
        ),
        "abort of nobody": (lambda: api.cancel_event(request={"instance_id": UNKNOWN}), "NOT_FOUND", 404),
        "no body": (lambda: api.create_workflow(request=None), "VALIDATION", 400),
        "no stages": (lambda: api.create_workflow(request=config([])), "VALIDATION", 400),
        "unknown stage": (lambda: api.create_workflow(request=config([{"pay": {}}])), "VALIDATION", 400),
    }


@pytest.mark.parametrize("case", refusals(None))
def test_refusals_decode_as_the_declared_error(case: str, make_sdk: MakeSdk) -> None:
    call, code, status = refusals(make_sdk().orchestration.v1)[case]
    with pytest.raises(orchestration.Error) as raised:
        call()
    assert raised.value.data.error_code == code
    assert raised.value.data.error_message
    assert raised.value.status_code == status


def test_a_missing_variable_is_refused_by_name(make_sdk: MakeSdk) -> None:
    api = make_sdk().orchestration.v1
    stages = [{"wait_event": {"event": "${first}"}}, {"wait_event": {"event": "${second}"}}]
    workflow = api.create_workflow(request=config(stages)).create_workflow_response.data
    with pytest.raises(orchestration.Error) as raised:
        api.run_workflow(request={"workflow_id": workflow.id, "request_body": {}})
    assert "first" in raised.value.data.error_message
    assert "second" in raised.value.data.error_message


def test_an_ended_instance_takes_neither_event_nor_abort(make_sdk: MakeSdk) -> None:
    api = make_sdk().orchestration.v1
    workflow = api.create_workflow(request=config(WAIT)).create_workflow_response.data
    instance = api.run_workflow(request={"workflow_id": workflow.id}).run_workflow_response.data
    api.cancel_event(request={"instance_id": instance.id})
    until_ended(api, instance.id)
    for call in (
        lambda: api.cancel_event(request={"instance_id": instance.id}),
        lambda: api.send_event(request={"instance_id": instance.id, "request_body": {"name": EVENT}}),
    ):
        with pytest.raises(orchestration.Error) as raised:
            call()
        assert (raised.value.status_code, raised.value.data.error_code) == (400, "VALIDATION")


def test_occurrences_of_both_kinds(make_sdk: MakeSdk, live_server: Server) -> None:
    api = make_sdk().orchestration.v1
    workflow = api.create_workflow(request=config([{"delay": {"duration": "1ms"}}])).create_workflow_response.data
    trigger = live_trigger(api, workflow.id, event="OCCURS")
    for payload in ({"kind": "a", "a": 10**30}, {"kind": "b", "a": 1}, {"kind": "a"}):
        body = {"type": "OCCURS", "app": "smoke", "version": "v1", "date": "2024-05-01T10:00:00Z", "payload": payload}
        assert live_server.post("/api/orchestration/ext/events", body).status == 202
    found = until_occurred(api, trigger.id, 2)
    failed, started = sorted(found, key=lambda row: not row.error)
    assert "a: gives nil" in failed.error and failed.workflow_instance is None
    assert started.event == {"kind": "a", "a": 10**30}
    assert started.workflow_instance.id == started.workflow_instance_id
    assert until_ended(api, started.workflow_instance_id).workflow_id == workflow.id


def until_occurred(api: Any, trigger_id: str, count: int) -> list[Any]:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        answer = api.list_triggers_occurrences(request={"trigger_id": trigger_id})
        rows = answer.list_triggers_occurrences_response.data
        if len(rows) >= count:
            return rows
        assert time.monotonic() < deadline, f"{len(rows)} occurrences"
        time.sleep(0.02)


def test_a_bad_trigger_is_a_validation_error(make_sdk: MakeSdk) -> None:
    api = make_sdk().orchestration.v1
    workflow = api.create_workflow(request=config(WAIT)).create_workflow_response.data
    for event, workflow_id, source in (("", workflow.id, ""), ("E", UNKNOWN, ""), ("E", workflow.id, "event.a +")):
        with pytest.raises(orchestration.Error) as raised:
            api.create_trigger(request=orchestration.TriggerData(event=event, workflow_id=workflow_id, filter_=source))
        assert (raised.value.status_code, raised.value.data.error_code) == (400, "VALIDATION")


async def test_the_asynchronous_methods_too(live_server: Any) -> None:
    async with SDK(server_url=live_server.url, timeout_ms=30_000) as sdk:
        api = sdk.orchestration.v1
        created = await api.create_workflow_async(request=config([{"delay": {"duration": "10ms"}}]))
        request = {"workflow_id": created.create_workflow_response.data.id, "wait": True}
        run = await api.run_workflow_async(request=request)
        assert run.run_workflow_response.data.terminated


def test_sdk_error_classes_are_those_of_the_sdk() -> None:
    """The tests above prove nothing if the SDK's base class swallowed validation errors as ours."""
    assert not issubclass(errors.ResponseValidationError, orchestration.Error)
