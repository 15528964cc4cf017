"""Who is speaking."""

from __future__ import annotations

from headrace.api import codec
from headrace.api.operations import READ, Operation
from headrace.api.replies import Reply, json_reply
from headrace.api.requests import Request
from headrace.api.services import Services
from headrace.api.v1 import schemas
from headrace.api.version import VERSION

_INFO = json_reply(200, codec.encode(schemas.ServerInfo(version=VERSION)))


async def show(services: Services, request: Request) -> Reply:
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
        reply=schemas.ServerInfo,
    ),
)
