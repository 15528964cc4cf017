"""Typed client, sync and async, for Headrace and other implementations of the Formance Orchestration API.

with Client("http://127.0.0.1:8484") as client:
    run = client.orchestration.v1.run_workflow(workflow_id=..., request_body={"amount": "100"})
    ended = client.orchestration.v1.wait_for(run.data)
"""

from __future__ import annotations

from headrace_client._async.paging import AsyncPages
from headrace_client._sync.paging import Pages
from headrace_client.activity_types import (
    V2WorkflowInstanceHistoryStageInput,
    V2WorkflowInstanceHistoryStageOutput,
    WorkflowInstanceHistoryStageInput,
    WorkflowInstanceHistoryStageOutput,
)
from headrace_client.client import AsyncClient, Client
from headrace_client.credentials import ClientCredentials, Credentials, Security, Token
from headrace_client.errors import ClientError, ConnectionFailure, Error, InvalidRequest, SDKError, WaitTimeout
from headrace_client.history import (
    V2WorkflowInstanceHistoryStage,
    WorkflowInstanceHistory,
    WorkflowInstanceHistoryStage,
)
from headrace_client.hooks import Hooks
from headrace_client.models import (
    AuditEntry,
    DeadLetter,
    Event,
    EventConflict,
    InstanceSummary,
    LastStage,
    ReceivedEvent,
    Result,
    SentEvents,
    ServerInfo,
    StageStatus,
    Trigger,
    TriggerOccurrence,
    TriggerTest,
    TriggerTestFilter,
    TriggerTestVariable,
    Workflow,
    WorkflowConfig,
    WorkflowInstance,
)
from headrace_client.paging import Cursor
from headrace_client.preparation import prepare_models
from headrace_client.requests import (
    CancelEventRequest,
    CreateTriggerRequest,
    CreateWorkflowRequest,
    DeleteTriggerRequest,
    DeleteWorkflowRequest,
    GetInstanceHistoryRequest,
    GetInstanceRequest,
    GetInstanceStageHistoryRequest,
    GetWorkflowRequest,
    ListAuditRequest,
    ListEventsRequest,
    ListInstancesRequest,
    ListTriggersOccurrencesRequest,
    ListTriggersRequest,
    ReadTriggerRequest,
    RunWorkflowRequest,
    SearchInstancesRequest,
    SendEventRequest,
    SendEventRequestBody,
    SendEventsRequest,
    V2ListInstancesRequest,
    V2ListTriggersOccurrencesRequest,
    V2ListTriggersRequest,
    V2ListWorkflowsRequest,
    V2TestTriggerRequest,
)
from headrace_client.retries import BackoffStrategy, RetryConfig
from headrace_client.stages import Stage, StageDelay, StageSend, StageWaitEvent, UnknownStage, Update

prepare_models(__name__)

__all__ = [
    "AsyncClient",
    "AsyncPages",
    "AuditEntry",
    "BackoffStrategy",
    "CancelEventRequest",
    "Client",
    "ClientCredentials",
    "ClientError",
    "ConnectionFailure",
    "CreateTriggerRequest",
    "CreateWorkflowRequest",
    "Credentials",
    "Cursor",
    "DeadLetter",
    "DeleteTriggerRequest",
    "DeleteWorkflowRequest",
    "Error",
    "Event",
    "EventConflict",
    "GetInstanceHistoryRequest",
    "GetInstanceRequest",
    "GetInstanceStageHistoryRequest",
    "GetWorkflowRequest",
    "Hooks",
    "InstanceSummary",
    "InvalidRequest",
    "LastStage",
    "ListAuditRequest",
    "ListEventsRequest",
    "ListInstancesRequest",
    "ListTriggersOccurrencesRequest",
    "ListTriggersRequest",
    "Pages",
    "ReadTriggerRequest",
    "ReceivedEvent",
    "Result",
    "RetryConfig",
    "RunWorkflowRequest",
    "SDKError",
    "SearchInstancesRequest",
    "Security",
    "SendEventRequest",
    "SendEventRequestBody",
    "SendEventsRequest",
    "SentEvents",
    "ServerInfo",
    "Stage",
    "StageDelay",
    "StageSend",
    "StageStatus",
    "StageWaitEvent",
    "Token",
    "Trigger",
    "TriggerOccurrence",
    "TriggerTest",
    "TriggerTestFilter",
    "TriggerTestVariable",
    "UnknownStage",
    "Update",
    "V2ListInstancesRequest",
    "V2ListTriggersOccurrencesRequest",
    "V2ListTriggersRequest",
    "V2ListWorkflowsRequest",
    "V2TestTriggerRequest",
    "V2WorkflowInstanceHistoryStage",
    "V2WorkflowInstanceHistoryStageInput",
    "V2WorkflowInstanceHistoryStageOutput",
    "WaitTimeout",
    "Workflow",
    "WorkflowConfig",
    "WorkflowInstance",
    "WorkflowInstanceHistory",
    "WorkflowInstanceHistoryStage",
    "WorkflowInstanceHistoryStageInput",
    "WorkflowInstanceHistoryStageOutput",
]
