"""The table of Headrace's own operations, below `/ext`."""

from __future__ import annotations

from headrace_client import requests
from headrace_client.models import (
    AuditEntry,
    DeadLetter,
    InstanceSummary,
    Plan,
    PlanSummary,
    ReceivedEvent,
    SentEvents,
    reader,
)
from headrace_client.operations import READ, WRITE, Operation
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
CREATE_PLAN: Operation[Plan] = Operation(
    "create_plan", "POST", "/ext/plans", WRITE, 201, requests.CreatePlanRequest, reader(Plan), body="plan"
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
