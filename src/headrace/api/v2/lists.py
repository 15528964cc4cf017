"""The lists of V2, a page at a time."""

from __future__ import annotations

from headrace.api.context import Context
from headrace.api.requests import Request, canonical_id
from headrace.api.responses import Response
from headrace.api.v1 import views
from headrace.api.v2.pages import page_response
from headrace.journal.lists import InstanceList, OccurrenceList, TriggerList, WorkflowList
from headrace.usecases.triggers import read_trigger


async def show_workflows(context: Context, request: Request) -> Response:
    return await page_response(context, request, WorkflowList(), context.ports.journal.workflows_after, views.workflow)


async def show_instances(context: Context, request: Request) -> Response:
    """`running=false` does not filter."""
    rows = InstanceList(canonical_id(request.query("workflowID") or "") or None, request.flag("running"))
    return await page_response(context, request, rows, context.ports.journal.instances_after, views.instance)


async def show_triggers(context: Context, request: Request) -> Response:
    rows = TriggerList(request.query("name"))
    return await page_response(context, request, rows, context.ports.journal.triggers_after, views.trigger)


async def show_occurrences(context: Context, request: Request) -> Response:
    """Those of a deleted trigger can still be read."""
    trigger = await read_trigger(context.ports, request.params["triggerID"], even_deleted=True)
    rows = OccurrenceList(trigger.id)
    return await page_response(context, request, rows, context.ports.journal.occurrences_after, views.occurrence)
