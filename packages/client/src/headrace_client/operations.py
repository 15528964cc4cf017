"""The table of operations. Builder and reader of requests and responses depend on nothing but its rows.

A new operation is a row here, its request object, and a method in `base.py`, `v1.py` or `v2.py`. Rows common to V1
and V2 stand here once, and `below` derives V2's; the others are in `v2_operations.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from headrace_client import requests
from headrace_client.history import WorkflowInstanceHistory, WorkflowInstanceHistoryStage, read_history
from headrace_client.models import (
    ServerInfo,
    Trigger,
    TriggerOccurrence,
    Workflow,
    WorkflowInstance,
    nothing,
    read_instance,
    read_instances,
    read_occurrences,
    read_trigger,
    read_triggers,
    reader,
)
from headrace_client.steps import Scope

T = TypeVar("T")

PREFIX = "/api/orchestration"
READ: Scope = "orchestration:read"
WRITE: Scope = "orchestration:write"
APPROVE: Scope = "orchestration:approve"


@dataclass(frozen=True, slots=True)
class Operation(Generic[T]):
    """The HTTP form of one operation.

    `path` holds attributes of the request in braces, `query` maps the API's names to attributes.
    `body` is the attribute sent as JSON, `"*"` the whole request, None no body. `wrapper` is the member
    of the response that holds the data, None the whole response. `read` decodes the data; for an operation
    with status 204, which has no body, it receives None. `unchanged_status` is another status of success:
    nothing had to be changed.
    """

    name: str
    method: str
    path: str
    scope: Scope
    status: int
    request: type[requests.Request]
    read: Callable[[object], T]
    wrapper: str | None = "data"
    query: Mapping[str, str] = field(default_factory=dict[str, str])
    body: str | None = None
    unchanged_status: int | None = None

    def below(self, prefix: str) -> Operation[T]:
        """The same operation under the path of another version."""
        return replace(self, path=prefix + self.path) if prefix else self

    @property
    def is_write(self) -> bool:
        return self.method != "GET"


GET_SERVER_INFO: Operation[ServerInfo] = Operation(
    "get_server_info", "GET", "/_info", READ, 200, requests.EmptyRequest, reader(ServerInfo), wrapper=None
)
LIST_WORKFLOWS: Operation[list[Workflow]] = Operation(
    "list_workflows", "GET", "/workflows", READ, 200, requests.EmptyRequest, reader(list[Workflow])
)
CREATE_WORKFLOW: Operation[Workflow] = Operation(
    "create_workflow", "POST", "/workflows", WRITE, 201, requests.CreateWorkflowRequest, reader(Workflow), body="*"
)
GET_WORKFLOW: Operation[Workflow] = Operation(
    "get_workflow", "GET", "/workflows/{flow_id}", READ, 200, requests.GetWorkflowRequest, reader(Workflow)
)
DELETE_WORKFLOW: Operation[None] = Operation(
    "delete_workflow", "DELETE", "/workflows/{flow_id}", WRITE, 204, requests.DeleteWorkflowRequest, nothing
)
RUN_WORKFLOW: Operation[WorkflowInstance] = Operation(
    "run_workflow",
    "POST",
    "/workflows/{workflow_id}/instances",
    WRITE,
    201,
    requests.RunWorkflowRequest,
    read_instance,
    query={"wait": "wait"},
    body="request_body",
)
LIST_INSTANCES: Operation[list[WorkflowInstance]] = Operation(
    "list_instances",
    "GET",
    "/instances",
    READ,
    200,
    requests.ListInstancesRequest,
    read_instances,
    query={"workflowID": "workflow_id", "running": "running"},
)
GET_INSTANCE: Operation[WorkflowInstance] = Operation(
    "get_instance", "GET", "/instances/{instance_id}", READ, 200, requests.GetInstanceRequest, read_instance
)
SEND_EVENT: Operation[None] = Operation(
    "send_event",
    "POST",
    "/instances/{instance_id}/events",
    WRITE,
    204,
    requests.SendEventRequest,
    nothing,
    body="request_body",
)
CANCEL_EVENT: Operation[None] = Operation(
    "cancel_event", "PUT", "/instances/{instance_id}/abort", WRITE, 204, requests.CancelEventRequest, nothing
)
GET_INSTANCE_HISTORY: Operation[list[WorkflowInstanceHistory]] = Operation(
    "get_instance_history",
    "GET",
    "/instances/{instance_id}/history",
    READ,
    200,
    requests.GetInstanceHistoryRequest,
    read_history,
)
GET_INSTANCE_STAGE_HISTORY: Operation[list[WorkflowInstanceHistoryStage]] = Operation(
    "get_instance_stage_history",
    "GET",
    "/instances/{instance_id}/stages/{number}/history",
    READ,
    200,
    requests.GetInstanceStageHistoryRequest,
    reader(list[WorkflowInstanceHistoryStage]),
)
LIST_TRIGGERS: Operation[list[Trigger]] = Operation(
    "list_triggers",
    "GET",
    "/triggers",
    READ,
    200,
    requests.ListTriggersRequest,
    read_triggers,
    query={"name": "name"},
)
CREATE_TRIGGER: Operation[Trigger] = Operation(
    "create_trigger", "POST", "/triggers", WRITE, 201, requests.CreateTriggerRequest, read_trigger, body="*"
)
READ_TRIGGER: Operation[Trigger] = Operation(
    "read_trigger", "GET", "/triggers/{trigger_id}", READ, 200, requests.ReadTriggerRequest, read_trigger
)
DELETE_TRIGGER: Operation[None] = Operation(
    "delete_trigger", "DELETE", "/triggers/{trigger_id}", WRITE, 204, requests.DeleteTriggerRequest, nothing
)
LIST_TRIGGERS_OCCURRENCES: Operation[list[TriggerOccurrence]] = Operation(
    "list_triggers_occurrences",
    "GET",
    "/triggers/{trigger_id}/occurrences",
    READ,
    200,
    requests.ListTriggersOccurrencesRequest,
    read_occurrences,
)
