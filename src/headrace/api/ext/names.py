"""Names of workflows with versions, triggers that are kept under names, and apply, which puts many in one commit."""

from __future__ import annotations

from typing import Any, cast

import msgspec
from msgspec import UNSET

from headrace import json_text
from headrace.api.context import Context
from headrace.api.ext import name_schemas as schemas
from headrace.api.idempotency import answer_response, caller_of, unkeyed_caller
from headrace.api.operations import READ, WRITE, Operation
from headrace.api.requests import Request, json_value, with_canonical_ids
from headrace.api.responses import Response, json_response, no_content
from headrace.api.v1 import schemas as v1_schemas
from headrace.api.v1 import views
from headrace.api.v1.workflows import EXAMPLE
from headrace.api.v2.pages import PARAMETERS, page_response
from headrace.clock import date_time
from headrace.journal.lists import HandleList, KeptTriggerList, Place
from headrace.journal.records import Trigger
from headrace.usecases.applying import Applied, PutTrigger, apply, put_trigger
from headrace.usecases.names import (
    UNCHANGED,
    NamedWorkflow,
    delete_name,
    named_after,
    put_workflow,
    read_named,
    run_named,
)

WORKFLOWS, TRIGGERS = "Workflows", "Triggers"
_DEFINITION = {"stages": EXAMPLE["stages"]}
_TRIGGER = {
    "event": "SAVED_PAYMENT",
    "workflow": "top-up",
    "filter": 'event.type == "PAY-IN" && event.status == "SUCCEEDED"',
    "vars": {"payment": "event.id"},
}


async def put(context: Context, request: Request) -> Response:
    body = await request.body(context.settings.max_body_bytes)
    wanted = json_value(request, body) if body else None
    name = request.params["name"]
    answer = await put_workflow(context.ports, caller_of(request, body, wanted), name, wanted)
    status = 200 if answer.value is not None and answer.value.action == UNCHANGED else 201
    return answer_response(answer, status, _named_response)


async def show(context: Context, request: Request) -> Response:
    return json_response(200, _named_response(await read_named(context.ports, request.params["name"])))


async def show_all(context: Context, request: Request) -> Response:
    async def after(rows: HandleList, place: Place, limit: int) -> list[NamedWorkflow]:
        return await named_after(context.ports, rows, place, limit)

    return await page_response(context, request, HandleList(), after, _named)


async def delete(context: Context, request: Request) -> Response:
    """A body has no meaning, but the limits of bodies hold."""
    await request.body(context.settings.max_body_bytes)
    await delete_name(context.ports, unkeyed_caller(request), request.params["name"])
    return no_content()


async def run(context: Context, request: Request) -> Response:
    body = await request.body(context.settings.max_body_bytes)
    variables: Any = json_value(request, body) if body else {}
    caller = caller_of(request, body, variables)
    answer = await run_named(context.ports, caller, request.params["name"], variables)
    return answer_response(answer, 201, views.instance_response)


async def put_kept_trigger(context: Context, request: Request) -> Response:
    body = await request.body(context.settings.max_body_bytes)
    wanted = with_canonical_ids(json_value(request, body) if body else None, "workflowID")
    answer = await put_trigger(context.ports, caller_of(request, body, wanted), request.params["name"], wanted)
    status = 200 if answer.value is not None and answer.value.action == UNCHANGED else 201
    return answer_response(answer, status, _put_response)


async def show_kept_triggers(context: Context, request: Request) -> Response:
    return await page_response(
        context, request, KeptTriggerList(), context.ports.journal.kept_triggers_after, _kept_trigger
    )


async def apply_all(context: Context, request: Request) -> Response:
    body = await request.body(context.settings.max_body_bytes)
    wanted = _canonical(json_value(request, body) if body else None)
    answer = await apply(context.ports, caller_of(request, body, wanted), wanted)
    return answer_response(answer, 200, _applied_response)


def _canonical(value: object) -> object:
    """The body with ids as they are stored, wherever it has some."""
    if not isinstance(value, dict):
        return value
    members: dict[str, Any] = dict(cast("dict[str, Any]", value))
    if isinstance(members.get("triggers"), dict):
        triggers = cast("dict[str, Any]", members["triggers"])
        members["triggers"] = {name: with_canonical_ids(each, "workflowID") for name, each in triggers.items()}
    return members


def _named_response(named: NamedWorkflow) -> bytes:
    return json_text.encode(schemas.NamedWorkflowResponse(data=_named(named)))


def _named(named: NamedWorkflow) -> schemas.NamedWorkflow:
    handle = named.handle
    return schemas.NamedWorkflow(
        name=handle.name,
        version=handle.current,
        workflow_id=handle.workflow_id,
        created_at=date_time(handle.created_at),
        updated_at=date_time(handle.updated_at),
        versions=[
            schemas.NamedVersion(
                version=each.number,
                workflow_id=each.workflow_id,
                hash=each.definition_hash,
                created_at=date_time(each.created_at),
                created_by=each.principal,
                deleted=each.deleted_at is not None,
            )
            for each in named.versions
        ],
        set=handle.set_name or UNSET,
    )


def _put_response(put: PutTrigger) -> bytes:
    return json_text.encode(schemas.KeptTriggerResponse(data=_kept_trigger(put.trigger)))


def _kept_trigger(row: Trigger) -> schemas.KeptTrigger:
    return schemas.KeptTrigger(
        id=row.id,
        name=row.name,
        revision=row.revision,
        event=row.event,
        workflow_id=row.workflow_id,
        created_at=date_time(row.created_at),
        workflow=row.workflow_name or UNSET,
        filter=row.filter or UNSET,
        version=row.version or UNSET,
        vars=UNSET if row.vars is None else msgspec.Raw(row.vars),
        set=row.set_name or UNSET,
    )


def _applied_response(applied: Applied) -> bytes:
    documents = [
        schemas.AppliedDocument(
            kind=each.kind,  # pyright: ignore[reportArgumentType]  # WORKFLOW or TRIGGER
            name=each.name,
            action=each.action,  # pyright: ignore[reportArgumentType]  # one of four
            version=each.number,
            id=each.id,
        )
        for each in applied.changes
    ]
    shown = schemas.Applied(set=applied.set_name, documents=documents, dry_run=applied.is_dry)
    return json_text.encode(schemas.AppliedResponse(data=shown))


_MOVED = "Refused with 409 and `version` where another version has become current meanwhile"

OPERATIONS = (
    Operation(
        method="PUT",
        path="/ext/workflows/{name}",
        operation_id="putWorkflow",
        scope=WRITE,
        handler=put,
        tag=WORKFLOWS,
        summary="Put a workflow under a name",
        description=(
            "Makes the definition the current version of the name: 201. A definition that is current already changes "
            "nothing: 200. One that equals an earlier version makes that version current again. Each version is an "
            "ordinary workflow, and never changes; instances keep the one with which they were started.\n\n"
            f"{_MOVED}, or `ifVersion` is not the current one; with `set` where another set of `headrace apply` has "
            "made the name."
        ),
        status=201,
        unchanged_status=200,
        response=schemas.NamedWorkflowResponse,
        body=schemas.NamedDefinition,
        example={"definition": _DEFINITION},
        takes_key=True,
        errors=(400, 409, 413, 415, 503),
    ),
    Operation(
        method="GET",
        path="/ext/workflows",
        operation_id="listNamedWorkflows",
        scope=READ,
        handler=show_all,
        tag=WORKFLOWS,
        summary="List names of workflows",
        description="With their versions; newest name first, a page at a time.",
        response=schemas.NamedWorkflowPageResponse,
        query=PARAMETERS,
        errors=(400, 503),
    ),
    Operation(
        method="GET",
        path="/ext/workflows/{name}",
        operation_id="getNamedWorkflow",
        scope=READ,
        handler=show,
        tag=WORKFLOWS,
        summary="Read a name of a workflow",
        description="With all of its versions, the newest first.",
        response=schemas.NamedWorkflowResponse,
        errors=(404, 503),
    ),
    Operation(
        method="DELETE",
        path="/ext/workflows/{name}",
        operation_id="deleteNamedWorkflow",
        scope=WRITE,
        handler=delete,
        tag=WORKFLOWS,
        summary="Delete a name of a workflow",
        description=(
            "With the workflows of all of its versions, as deleteWorkflow deletes one: running instances continue. "
            "A new version under the same name later has the next number.\n\n"
            "Refused with 409 and `in_use` while a trigger starts it, by name or by the id of a version, or events "
            "wait that do; with `version` where it has moved."
        ),
        status=204,
        errors=(404, 409, 413, 415, 503),
    ),
    Operation(
        method="POST",
        path="/ext/workflows/{name}/instances",
        operation_id="runNamedWorkflow",
        scope=WRITE,
        handler=run,
        tag=WORKFLOWS,
        summary="Run a workflow by its name",
        description=(
            "Starts the version that is current in the commit of the start. The instance keeps it, wherever the name "
            "moves later."
        ),
        status=201,
        response=v1_schemas.InstanceResponse,
        body=v1_schemas.Variables,
        example={"userID": "42", "amount": "2500"},
        is_body_required=False,
        takes_key=True,
        errors=(400, 404, 413, 415, 503),
    ),
    Operation(
        method="PUT",
        path="/ext/triggers/{name}",
        operation_id="putTrigger",
        scope=WRITE,
        handler=put_kept_trigger,
        tag=TRIGGERS,
        summary="Put a trigger under a name",
        description=(
            "Makes or replaces the trigger that is kept under this name: 201; an equal one changes nothing: 200. "
            "Each event has the definition of the moment at which it was accepted, also if it is processed later, and "
            "fires one definition only. With `workflow`, a name, an event starts the version that is current in the "
            "commit of the start; for a definition that was replaced, the one that was current right before. "
            "deleteTrigger deletes it: it fires no more, also not for events that wait.\n\n"
            "Refused with 409 and `version` where it has changed meanwhile, or `ifRevision` is not its revision; with "
            "`set` where another set of `headrace apply` has made it."
        ),
        status=201,
        unchanged_status=200,
        response=schemas.KeptTriggerResponse,
        body=schemas.PutTriggerRequest,
        example=_TRIGGER,
        takes_key=True,
        errors=(400, 409, 413, 415, 503),
    ),
    Operation(
        method="GET",
        path="/ext/triggers",
        operation_id="listKeptTriggers",
        scope=READ,
        handler=show_kept_triggers,
        tag=TRIGGERS,
        summary="List triggers that are kept under names",
        description="Newest first, a page at a time.",
        response=schemas.KeptTriggerPageResponse,
        query=PARAMETERS,
        errors=(400, 503),
    ),
    Operation(
        method="POST",
        path="/ext/apply",
        operation_id="apply",
        scope=WRITE,
        handler=apply_all,
        tag=WORKFLOWS,
        summary="Apply workflows and triggers",
        description=(
            "Puts all documents under their names in one commit: all of them, or none. A second apply changes nothing. "
            "`prune` deletes what this `set` has made and the request does not name; what others have made stays. "
            "With no document at all it is refused with 400.\n\n"
            "Refused with 409: `version` where something has moved meanwhile; `set` where another set has made it; "
            "`in_use` where a trigger starts what would be pruned, or events wait that do."
        ),
        response=schemas.AppliedResponse,
        body=schemas.ApplyRequest,
        example={"workflows": {"pay-out": _DEFINITION}, "dryRun": True},
        takes_key=True,
        errors=(400, 409, 413, 415, 503),
    ),
)
