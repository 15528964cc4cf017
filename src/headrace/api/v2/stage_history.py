"""The history of a stage, which V2 shows in another form."""

from __future__ import annotations

from headrace.api.context import Context
from headrace.api.requests import Request
from headrace.api.responses import Response, json_response
from headrace.api.v1.instances import stage_activities
from headrace.api.v2 import views


async def show_stage_history(context: Context, request: Request) -> Response:
    return json_response(200, views.activity_history_response(await stage_activities(context, request)))
