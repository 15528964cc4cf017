"""From the table of operations to routes: one endpoint for each path, which dispatches by method.

The endpoint is all the middleware there is: it times the request, calls the handler, and turns whatever the
handler raises into an answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from starlette.routing import Route
from starlette.types import Receive, Send
from starlette.types import Scope as AsgiScope

from headrace.api.authorization import admitted
from headrace.api.context import Context
from headrace.api.errors import MethodNotAllowed, UnknownRoute, error_response
from headrace.api.operations import Operation
from headrace.api.requests import ClientGone, Request
from headrace.api.responses import Response

_CLIENT_GONE = 499
"""No status at all: how a request is counted whose caller went away."""

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class Endpoint:
    """Every operation at one path."""

    def __init__(self, context: Context, path: str, operations: Iterable[Operation]) -> None:
        self._context = context
        self._path = path
        self._operations = {operation.method: operation for operation in operations}
        if "GET" in self._operations:
            self._operations["HEAD"] = self._operations["GET"]  # the server below leaves the body out
        self._allowed = tuple(self._operations)

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        context = self._context
        started_s = context.ports.clock.monotonic_s()
        status = _CLIENT_GONE
        try:
            response = await self._respond(scope, receive)
            status = response.status
            await response.send(send)
        except ClientGone:
            pass
        finally:
            method = scope["method"] if scope["method"] in _METHODS else "OTHER"
            context.telemetry.request(method, self._path, status, context.ports.clock.monotonic_s() - started_s)

    async def _respond(self, scope: AsgiScope, receive: Receive) -> Response:
        context = self._context
        request: Request | None = None
        try:
            operation = self._operations.get(scope["method"])
            if operation is None:
                raise MethodNotAllowed(scope["method"], self._allowed)
            principal = await admitted(context.authenticator, scope, operation.scope)
            path = _own_path(scope)
            request = Request(
                scope, receive, path, operation.operation_id, principal, context.bodies, operation.same_as
            )
            return await operation.handler(context, request)
        except (ClientGone, asyncio.CancelledError):
            raise
        except Exception as error:  # noqa: BLE001 (the last line before the server; it is logged)
            return error_response(error, context.ports.ids)
        finally:
            if request is not None:
                request.release()


def _own_path(scope: AsgiScope) -> str:
    """The path without the prefix that was taken off: a request is the same request by either way."""
    return scope["path"].removeprefix(scope.get("root_path", ""))


class Nowhere:
    """Answers for every path that is not ours."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
            return
        response = error_response(UnknownRoute(scope["path"]), self._context.ports.ids)
        method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        self._context.telemetry.request(method, "(unknown)", response.status, 0.0)
        await response.send(send)


def routes_of(context: Context, table: Iterable[Operation]) -> list[Route]:
    """In the order of the table: what is asked for most stands first, for paths are tried one by one."""
    by_path: dict[str, list[Operation]] = {}
    for operation in table:
        by_path.setdefault(operation.path, []).append(operation)
        context.telemetry.expect_requests(operation.method, operation.path, (operation.status, 500, 503))
    return [Route(path, Endpoint(context, path, operations)) for path, operations in by_path.items()]
