"""The rows of the operations that Headrace has beside the orchestration API, below `/ext`."""

from __future__ import annotations

from headrace_client import requests
from headrace_client.models import InstanceSummary, reader
from headrace_client.operations import READ, Operation
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
