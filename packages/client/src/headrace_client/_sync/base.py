# Generated from _async/base.py by `make client`: change that file.
"""The operations common to V1 and V2, as methods with the names that every client of this API uses.

A method takes its arguments by keyword, or together as one `request` (an object of `requests` or a dict
with the same names), and the options of every operation. It returns a `Result` or raises a `ClientError`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, Unpack

from headrace_client import operations, requests
from headrace_client._sync.driver import Driver
from headrace_client.calls import JsonObject, event_body, wait_steps
from headrace_client.history import WorkflowInstanceHistory
from headrace_client.models import (
    Result,
    ServerInfo,
    Trigger,
    Workflow,
    WorkflowConfig,
    WorkflowInstance,
)
from headrace_client.operations import Operation
from headrace_client.options import CallOptions, WriteOptions, complete
from headrace_client.waiting import Progress

T = TypeVar("T")


class Base:
    """Operations common to V1 and V2."""

    _prefix = ""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    def get_server_info(self, **options: Unpack[CallOptions]) -> Result[ServerInfo]:
        """Return the version of the server."""
        return self._call(operations.GET_SERVER_INFO, None, {}, options)

    def create_workflow(
        self,
        *,
        stages: Sequence[JsonObject] | None = None,
        name: str | None = None,
        on_failure: str | None = None,
        request: requests.CreateWorkflowRequest | WorkflowConfig | JsonObject | None = None,
        **options: Unpack[WriteOptions],
    ) -> Result[Workflow]:
        """Store a definition: a name, and a list of stages, each an object with one key.

        `on_failure="undo"` undoes a run that fails.
        """
        arguments = {"stages": stages, "name": name, "on_failure": on_failure}
        return self._call(operations.CREATE_WORKFLOW, request, arguments, options)

    def get_workflow(
        self,
        *,
        flow_id: str | None = None,
        request: requests.GetWorkflowRequest | JsonObject | None = None,
        **options: Unpack[CallOptions],
    ) -> Result[Workflow]:
        """Return one workflow."""
        arguments = {"flow_id": flow_id}
        return self._call(operations.GET_WORKFLOW, request, arguments, options)

    def delete_workflow(
        self,
        *,
        flow_id: str | None = None,
        request: requests.DeleteWorkflowRequest | JsonObject | None = None,
        **options: Unpack[WriteOptions],
    ) -> Result[None]:
        """Delete a workflow; its running instances continue."""
        arguments = {"flow_id": flow_id}
        return self._call(operations.DELETE_WORKFLOW, request, arguments, options)

    def run_workflow(
        self,
        *,
        workflow_id: str | None = None,
        request_body: Mapping[str, str] | None = None,
        wait: bool | None = None,
        request: requests.RunWorkflowRequest | JsonObject | None = None,
        **options: Unpack[WriteOptions],
    ) -> Result[WorkflowInstance]:
        """Start an instance with variables; with `wait` the response comes when the instance has ended."""
        arguments = {"workflow_id": workflow_id, "request_body": request_body, "wait": wait}
        return self._call(operations.RUN_WORKFLOW, request, arguments, options)

    def get_instance(
        self,
        *,
        instance_id: str | None = None,
        request: requests.GetInstanceRequest | JsonObject | None = None,
        **options: Unpack[CallOptions],
    ) -> Result[WorkflowInstance]:
        """Return one instance and the state of its stages."""
        arguments = {"instance_id": instance_id}
        return self._call(operations.GET_INSTANCE, request, arguments, options)

    def send_event(
        self,
        *,
        instance_id: str | None = None,
        name: str | None = None,
        request_body: requests.SendEventRequestBody | JsonObject | None = None,
        request: requests.SendEventRequest | JsonObject | None = None,
        **options: Unpack[WriteOptions],
    ) -> Result[None]:
        """Send an event to an instance, which uses it now or when it waits for it."""
        arguments = {"instance_id": instance_id, "request_body": event_body(name, request_body)}
        return self._call(operations.SEND_EVENT, request, arguments, options)

    def cancel_event(
        self,
        *,
        instance_id: str | None = None,
        request: requests.CancelEventRequest | JsonObject | None = None,
        **options: Unpack[WriteOptions],
    ) -> Result[None]:
        """Abort an instance. An abort is final."""
        arguments = {"instance_id": instance_id}
        return self._call(operations.CANCEL_EVENT, request, arguments, options)

    def get_instance_history(
        self,
        *,
        instance_id: str | None = None,
        request: requests.GetInstanceHistoryRequest | JsonObject | None = None,
        **options: Unpack[CallOptions],
    ) -> Result[list[WorkflowInstanceHistory]]:
        """Return the input and the outcome of each stage."""
        arguments = {"instance_id": instance_id}
        return self._call(operations.GET_INSTANCE_HISTORY, request, arguments, options)

    def create_trigger(
        self,
        *,
        event: str | None = None,
        workflow_id: str | None = None,
        name: str | None = None,
        filter: str | None = None,  # noqa: A002 - the API's own name
        vars: Mapping[str, Any] | None = None,  # noqa: A002 - the API's own name
        version: str | None = None,
        request: requests.CreateTriggerRequest | JsonObject | None = None,
        **options: Unpack[WriteOptions],
    ) -> Result[Trigger]:
        """Create a trigger: it starts the workflow for each event of a type that matches the filter, an expression."""
        arguments = {"event": event, "workflow_id": workflow_id, "name": name, "filter": filter, "vars": vars}
        return self._call(operations.CREATE_TRIGGER, request, {**arguments, "version": version}, options)

    def read_trigger(
        self,
        *,
        trigger_id: str | None = None,
        request: requests.ReadTriggerRequest | JsonObject | None = None,
        **options: Unpack[CallOptions],
    ) -> Result[Trigger]:
        """Return one trigger."""
        arguments = {"trigger_id": trigger_id}
        return self._call(operations.READ_TRIGGER, request, arguments, options)

    def delete_trigger(
        self,
        *,
        trigger_id: str | None = None,
        request: requests.DeleteTriggerRequest | JsonObject | None = None,
        **options: Unpack[WriteOptions],
    ) -> Result[None]:
        """Delete a trigger; instances that it started continue."""
        arguments = {"trigger_id": trigger_id}
        return self._call(operations.DELETE_TRIGGER, request, arguments, options)

    def wait_for(
        self,
        instance: WorkflowInstance | str,
        *,
        timeout_s: float | None = None,
        on_progress: Progress | None = None,
        headers: Mapping[str, str] | None = None,
        server_url: str | None = None,
    ) -> WorkflowInstance:
        """Wait until an instance has ended, by polling that slows down while nothing changes.

        `on_progress` is called with the instance at first and after each change of stage. After `timeout_s`
        (None: no limit) the method raises `WaitTimeout`; the instance continues.
        """
        steps = wait_steps(self._driver.protocol, self._prefix, instance, timeout_s, on_progress, headers, server_url)
        return self._driver.run(steps)

    def _call(
        self,
        operation: Operation[T],
        request: object,
        arguments: Mapping[str, object],
        options: CallOptions | WriteOptions,
    ) -> Result[T]:
        return self._driver.run(
            self._driver.protocol.call(operation.below(self._prefix), request, arguments, complete(options))
        )
