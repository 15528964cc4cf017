"""`/schemas/workflow.json`: the JSON Schema by which an editor checks and explains a workflow definition.

It requires no token and is the same for every caller: it holds only the rules of this version.
"""

from __future__ import annotations

from typing import Any

from headrace import json_text
from headrace.api.context import Context
from headrace.api.operations import Operation
from headrace.api.requests import Request
from headrace.api.responses import Headers, Response
from headrace.workflows.schema import workflow_schema

PATH = "/schemas/workflow.json"
MEDIA_TYPE = "application/schema+json"

_HEADERS: Headers = (
    (b"content-type", MEDIA_TYPE.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"public, max-age=300"),
    (b"access-control-allow-origin", b"*"),  # editors in a browser
)
_RESPONSE = Response(200, json_text.encode(workflow_schema()), _HEADERS)


async def show(context: Context, request: Request) -> Response:
    return _RESPONSE


OPERATIONS = (
    Operation(
        method="GET",
        path=PATH,
        operation_id="getWorkflowSchema",
        scope=None,
        handler=show,
        tag="Server",
        summary="Read the JSON Schema of workflow definitions",
        description="For editors: `# yaml-language-server: $schema=` and this address, as a workflow's first line.",
        response=dict[str, Any],
        media_type=MEDIA_TYPE,
        errors=(),
    ),
)
