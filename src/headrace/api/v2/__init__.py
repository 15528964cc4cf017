"""The V2 operations of the orchestration API: those of V1 below `/v2`, with these differences.

    lists                           a page at a time, `{"cursor": {...}}`, with `cursor` and `pageSize`
    a stage's history               the output of CreateTransaction is a list, of transactions with `txid`
    POST /triggers/{id}/test        is in V2 only

Every other operation is equal field for field, and has the handler of V1.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from headrace.api import v1
from headrace.api.operations import Operation
from headrace.api.v2 import lists, schemas, stage_history, triggers
from headrace.api.v2.pages import PARAMETERS

PREFIX = "/v2"


def _of_v1(row: Operation) -> Operation:
    name = row.operation_id
    return replace(
        row,
        path=PREFIX + row.path,
        operation_id=f"v2{name[0].upper()}{name[1:]}",
        summary=f"{row.summary} (V2)",
        same_as=name,
        **_DIFFERENCES.get(name, {}),
    )


_QUERIES = {row.operation_id: row.query for row in v1.OPERATIONS}

_DIFFERENCES: dict[str, dict[str, Any]] = {
    "listWorkflows": {
        "handler": lists.show_workflows,
        "response": schemas.WorkflowPageResponse,
        "query": PARAMETERS,
        "errors": (400, 503),
    },
    "listInstances": {
        "handler": lists.show_instances,
        "response": schemas.InstancePageResponse,
        "query": (*_QUERIES["listInstances"], *PARAMETERS),
    },
    "listTriggers": {
        "handler": lists.show_triggers,
        "response": schemas.TriggerPageResponse,
        "query": (*_QUERIES["listTriggers"], *PARAMETERS),
        "errors": (400, 503),
    },
    "listTriggersOccurrences": {
        "handler": lists.show_occurrences,
        "response": schemas.OccurrencePageResponse,
        "query": PARAMETERS,
        "errors": (400, 404, 503),
    },
    "getInstanceStageHistory": {
        "handler": stage_history.show_stage_history,
        "description": (
            "Its activities, with their attempts. Empty for a stage that has not started. The output of "
            "CreateTransaction is a list of transactions, each with `txid`."
        ),
    },
}

OPERATIONS = (*(_of_v1(row) for row in v1.OPERATIONS), *triggers.OPERATIONS)
