"""The lists, a page at a time."""

from __future__ import annotations

from headrace.api.replies import Reply
from headrace.api.requests import Request, canonical_id
from headrace.api.services import Services
from headrace.api.v1 import views
from headrace.api.v1.triggers import known_trigger
from headrace.api.v2.pages import page_reply
from headrace.journal.lists import InstanceList, OccurrenceList, TriggerList, WorkflowList


async def show_workflows(services: Services, request: Request) -> Reply:
    return await page_reply(services, request, WorkflowList(), services.journal.workflows_after, views.workflow)


async def show_instances(services: Services, request: Request) -> Reply:
    """`running=false` does not filter."""
    rows = InstanceList(canonical_id(request.query("workflowID") or "") or None, request.flag("running"))
    return await page_reply(services, request, rows, services.journal.instances_after, views.instance)


async def show_triggers(services: Services, request: Request) -> Reply:
    rows = TriggerList(request.query("name"))
    return await page_reply(services, request, rows, services.journal.triggers_after, views.trigger)


async def show_occurrences(services: Services, request: Request) -> Reply:
    """Also those of a deleted trigger."""
    rows = OccurrenceList(await known_trigger(services, request))
    return await page_reply(services, request, rows, services.journal.occurrences_after, views.occurrence)
