"""Typed client, sync and async, for Headrace and other servers that speak the Formance Orchestration API.

with Client("http://127.0.0.1:8484") as client:
    run = client.orchestration.v1.run_workflow(workflow_id=..., request_body={"amount": "100"})
    ended = client.orchestration.v1.wait_for(run.data)
"""

from __future__ import annotations

from headrace_client.activities import WorkflowInstanceHistoryStageInput, WorkflowInstanceHistoryStageOutput
from headrace_client.client import AsyncClient, Client
from headrace_client.credentials import ClientCredentials, Credentials, Security, Token
from headrace_client.errors import ClientError, ConnectionFailure, Error, InvalidRequest, SDKError, WaitTimeout
from headrace_client.history import WorkflowInstanceHistory, WorkflowInstanceHistoryStage
from headrace_client.hooks import Hooks
from headrace_client.models import (
    Result,
    ServerInfo,
    StageStatus,
    Trigger,
    TriggerOccurrence,
    Workflow,
    WorkflowConfig,
    WorkflowInstance,
)
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
    ListInstancesRequest,
    ListTriggersOccurrencesRequest,
    ListTriggersRequest,
    ReadTriggerRequest,
    RunWorkflowRequest,
    SendEventRequest,
    SendEventRequestBody,
)
from headrace_client.stages import Stage, StageDelay, StageSend, StageWaitEvent, UnknownStage, Update

prepare_models(__name__)

__all__ = [
    "AsyncClient",
    "CancelEventRequest",
    "Client",
    "ClientCredentials",
    "ClientError",
    "ConnectionFailure",
    "CreateTriggerRequest",
    "CreateWorkflowRequest",
    "Credentials",
    "DeleteTriggerRequest",
    "DeleteWorkflowRequest",
    "Error",
    "GetInstanceHistoryRequest",
    "GetInstanceRequest",
    "GetInstanceStageHistoryRequest",
    "GetWorkflowRequest",
    "Hooks",
    "InvalidRequest",
    "ListInstancesRequest",
    "ListTriggersOccurrencesRequest",
    "ListTriggersRequest",
    "ReadTriggerRequest",
    "Result",
    "RunWorkflowRequest",
    "SDKError",
    "Security",
    "SendEventRequest",
    "SendEventRequestBody",
    "ServerInfo",
    "Stage",
    "StageDelay",
    "StageSend",
    "StageStatus",
    "StageWaitEvent",
    "Token",
    "Trigger",
    "TriggerOccurrence",
    "UnknownStage",
    "Update",
    "WaitTimeout",
    "Workflow",
    "WorkflowConfig",
    "WorkflowInstance",
    "WorkflowInstanceHistory",
    "WorkflowInstanceHistoryStage",
    "WorkflowInstanceHistoryStageInput",
    "WorkflowInstanceHistoryStageOutput",
]
