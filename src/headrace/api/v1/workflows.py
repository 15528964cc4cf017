"""Operations on workflows: create, list, read, delete."""

from __future__ import annotations

from typing import Any

from headrace.api.context import Context
from headrace.api.errors import LocatedDefinition
from headrace.api.idempotency import answer_response, caller_of, unkeyed_caller
from headrace.api.operations import READ, WRITE, Operation
from headrace.api.requests import Request, document
from headrace.api.responses import Response, json_response, list_response, no_content
from headrace.api.v1 import schemas, views
from headrace.errors import InvalidDefinition, NotFound
from headrace.usecases.workflows import create_workflow, delete_workflow

TAG = "Workflows"
EXAMPLE: dict[str, Any] = {
    "name": "pay-out",
    "stages": [
        {
            "send": {
                "source": {"account": {"id": "users:${userID}", "ledger": "main"}},
                "destination": {"account": {"id": "payouts", "ledger": "main"}},
                "amount": {"amount": "${amount}", "asset": "USD/2"},
            }
        },
        {"wait_event": {"event": "approved"}},
    ],
}


async def create(context: Context, request: Request) -> Response:
    body = await request.body(context.settings.max_body_bytes)
    given = await document(request, body, context.settings, context.bodies)
    caller = caller_of(request, body, given.value)
    try:
        answer = await create_workflow(context.ports, caller, given.value)
    except InvalidDefinition as error:
        places = {problem.path: given.locate(problem.path) for problem in error.problems}
        marks = {path: place for path, place in places.items() if place is not None}
        raise LocatedDefinition(error.problems, marks) from None
    return answer_response(answer, 201, views.workflow_response)


async def show_all(context: Context, request: Request) -> Response:
    return await list_response(views.workflow_pages(context.ports.journal.workflows()))


async def show(context: Context, request: Request) -> Response:
    """A deleted workflow can still be read, like its instances."""
    workflow_id = request.params["flowId"]
    row = await context.ports.journal.workflow(workflow_id)
    if row is None:
        raise NotFound("workflow", workflow_id)
    return json_response(200, views.workflow_response(row))


async def delete(context: Context, request: Request) -> Response:
    """A body has no meaning, but the limits of bodies hold."""
    await request.body(context.settings.max_body_bytes)
    await delete_workflow(context.ports, unkeyed_caller(request), request.params["flowId"])
    return no_content()


OPERATIONS = (
    Operation(
        method="GET",
        path="/workflows",
        operation_id="listWorkflows",
        scope=READ,
        handler=show_all,
        tag=TAG,
        summary="List workflows",
        description="All workflows that are not deleted, newest first.",
        response=schemas.WorkflowListResponse,
    ),
    Operation(
        method="POST",
        path="/workflows",
        operation_id="createWorkflow",
        scope=WRITE,
        handler=create,
        tag=TAG,
        summary="Create a workflow",
        description="The definition is validated, except for placeholders; all problems are reported together.",
        status=201,
        response=schemas.WorkflowResponse,
        body=schemas.WorkflowConfig,
        example=EXAMPLE,
        body_media_types=("application/json", "application/yaml"),
        takes_key=True,
        errors=(400, 413, 415, 503),
    ),
    Operation(
        method="GET",
        path="/workflows/{flowId}",
        operation_id="getWorkflow",
        scope=READ,
        handler=show,
        tag=TAG,
        summary="Read a workflow",
        description="A deleted workflow can still be read.",
        response=schemas.WorkflowResponse,
        errors=(404, 503),
    ),
    Operation(
        method="DELETE",
        path="/workflows/{flowId}",
        operation_id="deleteWorkflow",
        scope=WRITE,
        handler=delete,
        tag=TAG,
        summary="Delete a workflow",
        description="It leaves the lists and starts no more instances; running ones continue. It can still be read.",
        status=204,
        errors=(404, 413, 415, 503),
    ),
)
