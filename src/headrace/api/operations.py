"""What an operation is: one row of the table from which the routes and `/openapi.json` are both built."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

from headrace.api.context import Context
from headrace.api.requests import Request
from headrace.api.responses import Response

Handler = Callable[[Context, Request], Awaitable[Response]]
Scope = Literal["orchestration:read", "orchestration:write"]

READ: Scope = "orchestration:read"
WRITE: Scope = "orchestration:write"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query parameter."""

    name: str
    description: str
    schema: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """`scope` None: open to everyone. `response` and `body` are types the schemas are made of; `example` is a body.

    `same_as` names the V1 operation that this one is the same as: a repeat of one may come by the other.
    `refusal` is what 400, 401 and 429 hold where that is not the API's envelope.
    """

    method: str
    path: str
    operation_id: str
    scope: Scope | None
    handler: Handler
    tag: str
    summary: str
    description: str = ""
    status: int = 200
    response: Any = None
    media_type: str = "application/json"
    body: Any = None
    example: Any = None
    body_media_types: tuple[str, ...] = ("application/json",)
    is_body_required: bool = True
    query: tuple[Parameter, ...] = ()
    takes_key: bool = False
    errors: tuple[int, ...] = (503,)
    refusal: Any = None
    same_as: str = ""
