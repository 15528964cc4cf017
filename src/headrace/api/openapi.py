"""`/openapi.json`, made from the table of operations and from the types of requests and responses."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from headrace.api.context import Context
from headrace.api.operations import APPROVE, READ, WRITE, Operation
from headrace.api.requests import Request
from headrace.api.responses import Response
from headrace.api.v1 import schemas
from headrace.api.v1.stage_schemas import add_stages
from headrace.api.version import VERSION
from headrace.usecases.names import NAME_PATTERN

Json = dict[str, Any]

TAGS = ("Workflows", "Instances", "Plans", "Batches", "Certificates", "Triggers", "Events", "Server")

_PARAMETER = re.compile(r"{(\w+)}")
_REFERENCE = "#/components/schemas/{name}"
_ERROR = {"$ref": _REFERENCE.format(name="Error")}
_REASONS = {
    400: "The request is not valid; the message names the field and the reason.",
    401: "The token is missing or invalid.",
    403: "The token does not have the required scope.",
    404: "The workflow, instance, stage or trigger does not exist.",
    409: "The state or the books do not allow it; `details.reason` says why.",
    412: "What was signed is not what is stored.",
    408: "The body was not complete in time.",
    413: "The body is too long.",
    415: "The body's content type or encoding is not supported.",
    429: "Too many failures, or too many large bodies at once; Retry-After says when to try again.",
    503: "The journal or the issuer of tokens is unavailable. Nothing was accepted; try again.",
}
_PATH_PARAMETERS: dict[str, tuple[str, Json]] = {
    "workflowID": ("The workflow's id.", {"type": "string"}),
    "flowId": ("The workflow's id.", {"type": "string"}),
    "instanceID": ("The instance's id.", {"type": "string"}),
    "name": ("The name.", {"type": "string", "pattern": NAME_PATTERN}),
    "triggerID": ("The trigger's id.", {"type": "string"}),
    "planID": ("The plan's id.", {"type": "string"}),
    "batchID": ("The batch's id.", {"type": "string"}),
    "certificateID": ("The certificate's id.", {"type": "string"}),
    "number": ("The stage's number, from 0.", {"type": "integer"}),
    "position": ("The activity's position in its stage, from 0.", {"type": "integer", "minimum": 0}),
}
_KEY_PARAMETER: Json = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "A repeated request with the same key returns the stored response and has no further effect.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[\\x21-\\x7e]+$"},
}
_HIT_HEADER: Json = {
    "description": "`true` when this is the stored response to an earlier request with this key.",
    "schema": {"type": "string", "enum": ["true"]},
}
_CHALLENGE: Json = {
    "WWW-Authenticate": {
        "description": "How to authenticate, and what was wrong.",
        "required": True,
        "schema": {"type": "string", "pattern": "^(Bearer|Basic)"},
    }
}
_LACKING: Json = {"WWW-Authenticate": _CHALLENGE["WWW-Authenticate"] | {"required": False}}
"""A 403 that no other scope would change, as an approval by the person who has asked, has none."""
_PAUSE: Json = {
    "Retry-After": {
        "description": "Seconds to wait before the next attempt.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
    }
}
_ERROR_HEADERS: dict[int, Json] = {401: _CHALLENGE, 403: _LACKING, 429: _PAUSE, 503: _PAUSE}


_SECURITY_SCHEME: Json = {
    "type": "oauth2",
    "description": "A bearer token; not checked where the server runs without authentication.",
    "flows": {
        "clientCredentials": {
            "tokenUrl": "/api/auth/oauth/token",
            "scopes": {
                READ: "Read everything.",
                WRITE: "Create, run, delete, send events and abort; includes read.",
                APPROVE: "Decide what only a person may decide; neither includes write nor is included in it.",
            },
        }
    },
}


def describe(table: Sequence[Operation]) -> Json:
    """The OpenAPI 3.1 document of these operations."""
    shapes = _Shapes(table)
    paths: Json = {}
    for operation in sorted(table, key=lambda operation: operation.path):
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, shapes)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Headrace",
            "version": VERSION,
            "summary": "Money-movement workflows.",
            "description": "Compatible with the Formance Orchestration API.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}, {"url": "/api/orchestration", "description": "As behind the gateway of a stack."}],
        "tags": [{"name": tag} for tag in TAGS],
        "paths": paths,
        "components": {
            "schemas": shapes.components,
            "responses": {"Error": _error_response("The request was refused, or failed.", _ERROR)},
            "securitySchemes": {"Authorization": _SECURITY_SCHEME},
        },
    }


class _Shapes:
    """The JSON Schemas of every type the table names."""

    def __init__(self, table: Iterable[Operation]) -> None:
        types = [shape for row in table for shape in (row.response, row.body, row.refusal) if shape is not None]
        types += [schemas.Error, schemas.WorkflowConfig]
        found, self.components = msgspec.json.schema_components(types, ref_template=_REFERENCE)
        add_stages(self.components)
        self._found = list(zip(types, found, strict=True))

    def of(self, shape: Any) -> Json:
        return next(schema for known, schema in self._found if known is shape)


def _operation(operation: Operation, shapes: _Shapes) -> Json:
    described: Json = {
        "operationId": operation.operation_id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "parameters": _parameters(operation),
        "responses": _responses(operation, shapes),
        "security": [{"Authorization": [operation.scope]}] if operation.scope else [],
    }
    if operation.description:
        described["description"] = operation.description
    if operation.scope:
        described["x-required-scopes"] = [operation.scope]
    if operation.body is not None:
        media: Json = {"schema": shapes.of(operation.body)}
        if operation.example is not None:
            media["example"] = operation.example
        content = dict.fromkeys(operation.body_media_types, media)
        described["requestBody"] = {"required": operation.is_body_required, "content": content}
    return described


def _parameters(operation: Operation) -> list[Json]:
    found: list[Json] = []
    for name in _PARAMETER.findall(operation.path):
        about, schema = _PATH_PARAMETERS[name]
        found.append({"name": name, "in": "path", "required": True, "description": about, "schema": schema})
    for query in operation.query:
        about, schema = query.description, query.schema
        found.append({"name": query.name, "in": "query", "required": False, "description": about, "schema": schema})
    if operation.takes_key:
        found.append(_KEY_PARAMETER)
    return found


def _responses(operation: Operation, shapes: _Shapes) -> Json:
    success: Json = {"description": HTTPStatus(operation.status).phrase}
    if operation.takes_key:
        success["headers"] = {"Idempotency-Hit": _HIT_HEADER}
    if operation.response is not None:
        success["content"] = {operation.media_type: {"schema": shapes.of(operation.response)}}
    responses: Json = {str(operation.status): success}
    if operation.unchanged_status is not None:
        about = f"{HTTPStatus(operation.unchanged_status).phrase}: nothing had to be changed"
        responses[str(operation.unchanged_status)] = success | {"description": about}
    of_bodies = (408, 429) if 413 in operation.errors else ()
    for status in sorted({*operation.errors, *of_bodies, *((401, 403) if operation.scope else ())}):
        refusal = operation.refusal if status in (400, 401, 429) else None
        schema = _ERROR if refusal is None else shapes.of(refusal)
        responses[str(status)] = _error_response(_REASONS[status], schema, _ERROR_HEADERS.get(status))
    responses["default"] = {"$ref": "#/components/responses/Error"}
    return responses


def _error_response(description: str, schema: Json, headers: Json | None = None) -> Json:
    response: Json = {"description": description, "content": {"application/json": {"schema": schema}}}
    return {**response, "headers": headers} if headers else response


async def show(context: Context, request: Request) -> Response:
    return context.describe().openapi


OPERATIONS = (
    Operation(
        method="GET",
        path="/openapi.json",
        operation_id="getOpenApi",
        scope=None,
        handler=show,
        tag="Server",
        summary="Read this description",
        response=dict[str, Any],
        errors=(),
    ),
)
