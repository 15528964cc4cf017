"""The table of Headrace's own operations, below `/ext`."""

from __future__ import annotations

from headrace_client import requests
from headrace_client.batches import Batch, BatchItem
from headrace_client.dead_letters import DeadLetter, Replay
from headrace_client.flows import Flow
from headrace_client.models import (
    Attention,
    AuditEntry,
    Certificate,
    CertificateKeys,
    Continuation,
    DecidedPlan,
    InstanceDescription,
    InstanceSummary,
    Plan,
    PlanSummary,
    ReceivedEvent,
    Resolution,
    SentEvents,
    Undoing,
    UndoPreview,
    WorkflowInstance,
    nothing,
    read_instance,
    reader,
)
from headrace_client.names import Applied, KeptTrigger, NamedWorkflow
from headrace_client.operations import APPROVE, READ, WRITE, Operation
from headrace_client.paging import Cursor, cursor_reader

SEARCH_INSTANCES: Operation[Cursor[InstanceSummary]] = Operation(
    "search_instances",
    "GET",
    "/ext/instances",
    READ,
    200,
    requests.SearchInstancesRequest,
    cursor_reader(reader(list[InstanceSummary])),
    wrapper="cursor",
    query={
        "workflowID": "workflow_id",
        "status": "status",
        "since": "since",
        "variable": "variable",
        "errorCode": "error_code",
        "q": "q",
        "cursor": "cursor",
        "pageSize": "page_size",
    },
)
SEND_EVENTS: Operation[SentEvents] = Operation(
    "send_events", "POST", "/ext/events", WRITE, 202, requests.SendEventsRequest, reader(SentEvents), body="events"
)
LIST_EVENTS: Operation[list[ReceivedEvent]] = Operation(
    "list_events",
    "GET",
    "/ext/events",
    READ,
    200,
    requests.ListEventsRequest,
    reader(list[ReceivedEvent]),
    query={"repeated": "repeated", "conflicting": "conflicting"},
)
LIST_DEAD_LETTERS: Operation[list[DeadLetter]] = Operation(
    "list_dead_letters", "GET", "/ext/events/set-aside", READ, 200, requests.EmptyRequest, reader(list[DeadLetter])
)
REPLAY_DEAD_LETTERS: Operation[Replay] = Operation(
    "replay_dead_letters",
    "POST",
    "/ext/events/set-aside/replay",
    WRITE,
    200,
    requests.ReplayDeadLettersRequest,
    reader(Replay),
    body="request_body",
)
LIST_AUDIT: Operation[list[AuditEntry]] = Operation(
    "list_audit",
    "GET",
    "/ext/audit",
    READ,
    200,
    requests.ListAuditRequest,
    reader(list[AuditEntry]),
    query={"target": "target", "principal": "principal", "before": "before", "limit": "limit"},
)
LIST_ATTENTION: Operation[Cursor[Attention]] = Operation(
    "list_attention",
    "GET",
    "/ext/attention",
    READ,
    200,
    requests.ListAttentionRequest,
    cursor_reader(reader(list[Attention])),
    wrapper="cursor",
    query={"instanceID": "instance_id", "cursor": "cursor", "pageSize": "page_size"},
)
RESOLVE_EFFECT: Operation[Resolution] = Operation(
    "resolve_effect",
    "POST",
    "/ext/instances/{instance_id}/stages/{number}/activities/{position}/resolve",
    APPROVE,
    200,
    requests.ResolveEffectRequest,
    reader(Resolution),
    body="request_body",
)
LIST_RESOLUTIONS: Operation[list[Resolution]] = Operation(
    "list_resolutions",
    "GET",
    "/ext/instances/{instance_id}/resolutions",
    READ,
    200,
    requests.ListResolutionsRequest,
    reader(list[Resolution]),
)
DESCRIBE_INSTANCE: Operation[InstanceDescription] = Operation(
    "describe_instance",
    "GET",
    "/ext/instances/{instance_id}",
    READ,
    200,
    requests.DescribeInstanceRequest,
    reader(InstanceDescription),
)
READ_FLOW: Operation[Flow] = Operation(
    "read_flow",
    "GET",
    "/ext/instances/{instance_id}/flow",
    READ,
    200,
    requests.ReadFlowRequest,
    reader(Flow),
)
ABORT_INSTANCE: Operation[None] = Operation(
    "abort_instance",
    "POST",
    "/ext/instances/{instance_id}/abort",
    WRITE,
    204,
    requests.AbortInstanceRequest,
    nothing,
    body="request_body",
)
REDRIVE_INSTANCE: Operation[Continuation] = Operation(
    "redrive_instance",
    "POST",
    "/ext/instances/{instance_id}/redrive",
    WRITE,
    201,
    requests.RedriveInstanceRequest,
    reader(Continuation),
    body="request_body",
)
PREVIEW_UNDO: Operation[UndoPreview] = Operation(
    "preview_undo",
    "GET",
    "/ext/instances/{instance_id}/undo",
    READ,
    200,
    requests.PreviewUndoRequest,
    reader(UndoPreview),
    query={"external": "external"},
)
UNDO_INSTANCE: Operation[Undoing] = Operation(
    "undo_instance",
    "POST",
    "/ext/instances/{instance_id}/undo",
    WRITE,
    201,
    requests.UndoInstanceRequest,
    reader(Undoing),
    body="request_body",
)
CREATE_PLAN: Operation[Plan] = Operation(
    "create_plan", "POST", "/ext/plans", WRITE, 201, requests.CreatePlanRequest, reader(Plan), body="plan"
)
RUN_PLAN: Operation[WorkflowInstance] = Operation(
    "run_plan",
    "POST",
    "/ext/plans/{plan_id}/run",
    WRITE,
    201,
    requests.RunPlanRequest,
    reader(WorkflowInstance),
    body="request_body",
)
APPROVE_PLAN: Operation[DecidedPlan] = Operation(
    "approve_plan",
    "POST",
    "/ext/plans/{plan_id}/approve",
    APPROVE,
    200,
    requests.DecidePlanRequest,
    reader(DecidedPlan),
    body="request_body",
)
REJECT_PLAN: Operation[DecidedPlan] = Operation(
    "reject_plan",
    "POST",
    "/ext/plans/{plan_id}/reject",
    APPROVE,
    200,
    requests.DecidePlanRequest,
    reader(DecidedPlan),
    body="request_body",
)
LIST_PLANS: Operation[Cursor[PlanSummary]] = Operation(
    "list_plans",
    "GET",
    "/ext/plans",
    READ,
    200,
    requests.ListPlansRequest,
    cursor_reader(reader(list[PlanSummary])),
    wrapper="cursor",
    query={"state": "state", "cursor": "cursor", "pageSize": "page_size"},
)
GET_PLAN: Operation[Plan] = Operation(
    "get_plan", "GET", "/ext/plans/{plan_id}", READ, 200, requests.GetPlanRequest, reader(Plan)
)
CREATE_BATCH: Operation[Batch] = Operation(
    "create_batch", "POST", "/ext/batches", WRITE, 201, requests.CreateBatchRequest, reader(Batch), body="batch"
)
LIST_BATCHES: Operation[Cursor[Batch]] = Operation(
    "list_batches",
    "GET",
    "/ext/batches",
    READ,
    200,
    requests.ListBatchesRequest,
    cursor_reader(reader(list[Batch])),
    wrapper="cursor",
    query={"cursor": "cursor", "pageSize": "page_size"},
)
GET_BATCH: Operation[Batch] = Operation(
    "get_batch", "GET", "/ext/batches/{batch_id}", READ, 200, requests.GetBatchRequest, reader(Batch)
)
LIST_BATCH_ITEMS: Operation[list[BatchItem]] = Operation(
    "list_batch_items",
    "GET",
    "/ext/batches/{batch_id}/items",
    READ,
    200,
    requests.ListBatchItemsRequest,
    reader(list[BatchItem]),
    query={"state": "state", "after": "after", "limit": "limit"},
)
START_BATCH: Operation[Batch] = Operation(
    "start_batch",
    "POST",
    "/ext/batches/{batch_id}/start",
    WRITE,
    200,
    requests.StartBatchRequest,
    reader(Batch),
    body="request_body",
)
APPROVE_BATCH: Operation[Batch] = Operation(
    "approve_batch",
    "POST",
    "/ext/batches/{batch_id}/approve",
    APPROVE,
    200,
    requests.DecideBatchRequest,
    reader(Batch),
    body="request_body",
)
REJECT_BATCH: Operation[Batch] = Operation(
    "reject_batch",
    "POST",
    "/ext/batches/{batch_id}/reject",
    APPROVE,
    200,
    requests.DecideBatchRequest,
    reader(Batch),
    body="request_body",
)
PAUSE_BATCH: Operation[Batch] = Operation(
    "pause_batch", "POST", "/ext/batches/{batch_id}/pause", WRITE, 200, requests.GetBatchRequest, reader(Batch)
)
RESUME_BATCH: Operation[Batch] = Operation(
    "resume_batch", "POST", "/ext/batches/{batch_id}/resume", WRITE, 200, requests.GetBatchRequest, reader(Batch)
)
CANCEL_BATCH: Operation[Batch] = Operation(
    "cancel_batch", "POST", "/ext/batches/{batch_id}/cancel", WRITE, 200, requests.GetBatchRequest, reader(Batch)
)
PUT_WORKFLOW: Operation[NamedWorkflow] = Operation(
    "put_workflow",
    "PUT",
    "/ext/workflows/{name}",
    WRITE,
    201,
    requests.PutWorkflowRequest,
    reader(NamedWorkflow),
    body="request_body",
    unchanged_status=200,
)
LIST_NAMED_WORKFLOWS: Operation[Cursor[NamedWorkflow]] = Operation(
    "list_named_workflows",
    "GET",
    "/ext/workflows",
    READ,
    200,
    requests.ListNamesRequest,
    cursor_reader(reader(list[NamedWorkflow])),
    wrapper="cursor",
    query={"cursor": "cursor", "pageSize": "page_size"},
)
GET_NAMED_WORKFLOW: Operation[NamedWorkflow] = Operation(
    "get_named_workflow",
    "GET",
    "/ext/workflows/{name}",
    READ,
    200,
    requests.NamedWorkflowRequest,
    reader(NamedWorkflow),
)
DELETE_NAMED_WORKFLOW: Operation[None] = Operation(
    "delete_named_workflow", "DELETE", "/ext/workflows/{name}", WRITE, 204, requests.NamedWorkflowRequest, nothing
)
RUN_NAMED_WORKFLOW: Operation[WorkflowInstance] = Operation(
    "run_named_workflow",
    "POST",
    "/ext/workflows/{name}/instances",
    WRITE,
    201,
    requests.RunNamedWorkflowRequest,
    read_instance,
    body="request_body",
)
PUT_TRIGGER: Operation[KeptTrigger] = Operation(
    "put_trigger",
    "PUT",
    "/ext/triggers/{name}",
    WRITE,
    201,
    requests.PutTriggerRequest,
    reader(KeptTrigger),
    body="request_body",
    unchanged_status=200,
)
LIST_KEPT_TRIGGERS: Operation[Cursor[KeptTrigger]] = Operation(
    "list_kept_triggers",
    "GET",
    "/ext/triggers",
    READ,
    200,
    requests.ListNamesRequest,
    cursor_reader(reader(list[KeptTrigger])),
    wrapper="cursor",
    query={"cursor": "cursor", "pageSize": "page_size"},
)
APPLY: Operation[Applied] = Operation(
    "apply", "POST", "/ext/apply", WRITE, 200, requests.ApplyRequest, reader(Applied), body="documents"
)
CREATE_CERTIFICATE: Operation[Certificate] = Operation(
    "create_certificate",
    "POST",
    "/ext/certificates",
    READ,
    201,
    requests.CreateCertificateRequest,
    reader(Certificate),
    body="certificate",
)
GET_CERTIFICATE: Operation[Certificate] = Operation(
    "get_certificate",
    "GET",
    "/ext/certificates/{certificate_id}",
    READ,
    200,
    requests.GetCertificateRequest,
    reader(Certificate),
)
GET_CERTIFICATE_KEYS: Operation[CertificateKeys] = Operation(
    "get_certificate_keys",
    "GET",
    "/ext/certificate-keys",
    READ,
    200,
    requests.EmptyRequest,
    reader(CertificateKeys),
    wrapper=None,
)
