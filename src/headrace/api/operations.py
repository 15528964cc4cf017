"""An operation of the API: a row of the table from which the routes and `/openapi.json` are built."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

from headrace.api.context import Context
from headrace.api.requests import Request
from headrace.api.responses import Response

Handler = Callable[[Context, Request], Awaitable[Response]]
Scope = Literal["orchestration:read", "orchestration:write", "orchestration:approve"]

READ: Scope = "orchestration:read"
WRITE: Scope = "orchestration:write"
APPROVE: Scope = "orchestration:approve"
"""For what a person decides; neither this scope nor that of writes includes the other."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query parameter."""

    name: str
    description: str
    schema: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A row of the table.

    `unchanged_status`: the status where nothing had to be changed, if it is another one than `status`.
    `scope`: the OAuth2 scope that a caller needs, None if the operation is open. `response` and `body` are the types of
    which the schemas are made; `example` is a body. `same_as` names the V1 operation with the same effect: a request to
    one may be repeated through the other. `refusal` is the type of 400, 401 and 429 where it is not the API's own.
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
    unchanged_status: int | None = None

    @property
    def successes(self) -> tuple[int, ...]:
        return (self.status,) if self.unchanged_status is None else (self.unchanged_status, self.status)
