"""From the table of operations to responses: the ASGI application behind every route.

It is all the middleware there is: it rejects cross-site requests, finds the operation, authorizes the caller, calls the
handler, turns an error into a response, and counts the request. Every route answers at the root and below
`/api/orchestration`, so with and without a gateway that strips this prefix.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from headrace.api.authorization import authorized
from headrace.api.context import Context
from headrace.api.cross_site import CrossSiteGuard
from headrace.api.errors import MethodNotAllowed, UnknownRoute, error_response
from headrace.api.operations import Operation
from headrace.api.requests import ClientGone, Request
from headrace.errors import HeadraceError

PREFIX = "/api/orchestration"

_CLIENT_GONE = 499
"""Metrics label for a client that disconnected before the response; no such status is ever sent."""
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class Route:
    """The operations at one path, by method."""

    __slots__ = ("operations", "path")

    def __init__(self, path: str) -> None:
        self.path = path
        self.operations: dict[str, Operation] = {}

    def add(self, operation: Operation) -> None:
        self.operations[operation.method] = operation
        if operation.method == "GET":
            self.operations["HEAD"] = operation  # the server sends no body to HEAD


class Routes:
    """Finds the route of a path. A segment of a template is either a literal or a parameter such as `{instanceID}`."""

    def __init__(self, table: Iterable[Operation]) -> None:
        self.by_path: dict[str, Route] = {}
        self._root: dict[str, Any] = {}
        """Segment by segment; a parameter is under the key `{}`, the end of a template under the key None."""
        for operation in table:
            route = self.by_path.get(operation.path)
            if route is None:
                route = self.by_path[operation.path] = Route(operation.path)
                self._insert(route)
            route.add(operation)

    def _insert(self, route: Route) -> None:
        node: dict[Any, Any] = self._root
        names: list[str] = []
        for segment in route.path.split("/"):
            is_parameter = segment.startswith("{")
            if is_parameter:
                names.append(segment[1:-1])
            parent, node = node, node.setdefault("{}" if is_parameter else segment, {})
            assert "{}" not in parent or len(parent.keys() - {None}) == 1, f"{route.path}: a literal beside a parameter"
        node[None] = (route, tuple(names))

    def find(self, path: str) -> tuple[Route | None, dict[str, str]]:
        """The route, and the parameters in its path; None for a path that no template fits."""
        node: dict[Any, Any] = self._root
        values: list[str] = []
        for segment in path.split("/"):
            below = node.get(segment)
            if below is None or segment == "{}":
                below = node.get("{}") if segment else None
                if below is None:
                    return None, {}
                values.append(segment)
            node = below
        route, names = node.get(None, (None, ()))
        return route, dict(zip(names, values, strict=True)) if values and route is not None else {}


class Api:
    """The ASGI application. `others` gets the requests for other paths, and what is not HTTP.

    `cross_site` and `is_open` are for a server without authentication.
    """

    def __init__(
        self, context: Context, routes: Routes, others: ASGIApp, *, cross_site: CrossSiteGuard | None, is_open: bool
    ) -> None:
        self.routes = routes
        self.others = others
        self._context = context
        self._cross_site = cross_site
        self._is_open = is_open

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.others(scope, receive, send)
            return
        context = self._context
        ports = context.ports
        headers: dict[bytes, bytes] = dict(scope["headers"])
        if self._cross_site is not None:
            try:
                self._cross_site.check(scope, headers)
            except HeadraceError as error:
                await error_response(error, ports.ids).send(send)
                return
        path: str = scope["path"]
        is_prefixed = path.startswith(PREFIX + "/")
        if is_prefixed:
            path = path[len(PREFIX) :]
        if path.endswith("/") and (is_prefixed or (len(path) > 1 and not path.startswith("/api/"))):
            path = path[:-1]
        route, params = self.routes.find(path)
        if route is None:
            prefix = PREFIX if is_prefixed else ""
            await self.others({**scope, "root_path": prefix, "path": prefix + path}, receive, send)
            return
        started_s = ports.clock.monotonic_s()
        method: str = scope["method"]
        status = _CLIENT_GONE
        request = Request(scope, receive, path, params, headers, context.bodies)
        try:
            try:
                operation = route.operations.get(method)
                if operation is None:
                    raise MethodNotAllowed(method, tuple(route.operations))
                request.operation_id = operation.operation_id
                request.idempotent_as = operation.same_as or operation.operation_id
                if operation.scope is not None and not self._is_open:
                    request.principal = await authorized(context.authenticator, scope, operation.scope)
                response = await operation.handler(context, request)
            except ClientGone:
                raise
            except Exception as error:  # noqa: BLE001 (the last line before the server; it is logged)
                response = error_response(error, ports.ids)
            finally:
                request.release()
            status = response.status
            await response.send(send)
        except ClientGone:
            pass
        finally:
            label = method if method in _METHODS else "OTHER"
            context.telemetry.request(label, route.path, status, ports.clock.monotonic_s() - started_s)


class UnknownPaths:
    """Responds to every path that no route serves, with 404; closes what is not HTTP."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
            return
        response = error_response(UnknownRoute(scope["path"]), self._context.ports.ids)
        label = scope["method"] if scope["method"] in _METHODS else "OTHER"
        self._context.telemetry.request(label, "(unknown)", response.status, 0.0)
        await response.send(send)
