"""The table of operations that only V2 has or that differ from V1. Their paths are below `/v2`."""

from __future__ import annotations

from headrace_client import operations, requests
from headrace_client.history import V2WorkflowInstanceHistoryStage
from headrace_client.models import (
    Trigger,
    TriggerOccurrence,
    TriggerTest,
    Workflow,
    WorkflowInstance,
    read_instances,
    read_occurrences,
    read_trigger_test,
    read_triggers,
    reader,
)
from headrace_client.operations import READ, WRITE, Operation
from headrace_client.paging import Cursor, cursor_reader

PREFIX = "/v2"
PAGING = {"cursor": "cursor", "pageSize": "page_size"}

LIST_WORKFLOWS: Operation[Cursor[Workflow]] = Operation(
    "list_workflows",
    "GET",
    "/workflows",
    READ,
    200,
    requests.V2ListWorkflowsRequest,
    cursor_reader(reader(list[Workflow])),
    wrapper="cursor",
    query=PAGING,
)
LIST_INSTANCES: Operation[Cursor[WorkflowInstance]] = Operation(
    "list_instances",
    "GET",
    "/instances",
    READ,
    200,
    requests.V2ListInstancesRequest,
    cursor_reader(read_instances),
    wrapper="cursor",
    query={**operations.LIST_INSTANCES.query, **PAGING},
)
LIST_TRIGGERS: Operation[Cursor[Trigger]] = Operation(
    "list_triggers",
    "GET",
    "/triggers",
    READ,
    200,
    requests.V2ListTriggersRequest,
    cursor_reader(read_triggers),
    wrapper="cursor",
    query={**operations.LIST_TRIGGERS.query, **PAGING},
)
LIST_TRIGGERS_OCCURRENCES: Operation[Cursor[TriggerOccurrence]] = Operation(
    "list_triggers_occurrences",
    "GET",
    "/triggers/{trigger_id}/occurrences",
    READ,
    200,
    requests.V2ListTriggersOccurrencesRequest,
    cursor_reader(read_occurrences),
    wrapper="cursor",
    query=PAGING,
)
GET_INSTANCE_STAGE_HISTORY: Operation[list[V2WorkflowInstanceHistoryStage]] = Operation(
    "get_instance_stage_history",
    "GET",
    "/instances/{instance_id}/stages/{number}/history",
    READ,
    200,
    requests.GetInstanceStageHistoryRequest,
    reader(list[V2WorkflowInstanceHistoryStage]),
)
TEST_TRIGGER: Operation[TriggerTest] = Operation(
    "test_trigger",
    "POST",
    "/triggers/{trigger_id}/test",
    WRITE,
    200,
    requests.V2TestTriggerRequest,
    read_trigger_test,
    body="request_body",
)
