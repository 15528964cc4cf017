"""The history of a stage, which V2 shows otherwise."""

from __future__ import annotations

from headrace.api.replies import Reply, json_reply
from headrace.api.requests import Request
from headrace.api.services import Services
from headrace.api.v1.instances import stage_activities
from headrace.api.v2 import views


async def show_stage_history(services: Services, request: Request) -> Reply:
    return json_reply(200, views.activity_history_reply(await stage_activities(services, request)))
