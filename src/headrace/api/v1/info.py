"""The version of the server."""

from __future__ import annotations

from headrace import json_text
from headrace.api.context import Context
from headrace.api.operations import READ, Operation
from headrace.api.requests import Request
from headrace.api.responses import Response, json_response
from headrace.api.v1 import schemas
from headrace.api.version import VERSION

_INFO = json_response(200, json_text.encode(schemas.ServerInfo(version=VERSION)))


async def show(context: Context, request: Request) -> Response:
    return _INFO


OPERATIONS = (
    Operation(
        method="GET",
        path="/_info",
        operation_id="getServerInfo",
        scope=READ,
        handler=show,
        tag="Server",
        summary="Read the server's version",
        response=schemas.ServerInfo,
    ),
)
