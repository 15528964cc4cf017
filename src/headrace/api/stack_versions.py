"""`GET /versions`: the versions of the services of a stack. Official clients call it without a token."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from headrace import json_text
from headrace.api import probes
from headrace.api.context import Context
from headrace.api.operations import Operation
from headrace.api.requests import Request
from headrace.api.responses import Response, json_response
from headrace.api.version import VERSION
from headrace.errors import Unavailable


class Version(msgspec.Struct):
    """A service of the stack."""

    name: Annotated[str, Meta(examples=["orchestration"])]
    version: str
    health: Annotated[bool, Meta(description="Whether it is ready, as `/readyz` reports.")]


class Versions(msgspec.Struct):
    """The services at this address, with the region and the environment of the stack."""

    region: str
    env: str
    versions: list[Version]


async def show(context: Context, request: Request) -> Response:
    try:
        is_healthy = (await probes.ready(context, request)).status == 200
    except Unavailable:
        is_healthy = False
    own = Version("orchestration", VERSION, is_healthy)
    return json_response(200, json_text.encode(Versions("local", context.settings.stack_name or "headrace", [own])))


OPERATIONS = (
    Operation(
        method="GET",
        path="/versions",
        operation_id="getVersions",
        scope=None,
        handler=show,
        tag="Server",
        summary="Read the versions of the services",
        description="In the form of a stack's gateway, with one service: this server, under the name `orchestration`.",
        response=Versions,
        errors=(),
    ),
)
