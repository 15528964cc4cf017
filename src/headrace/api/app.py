"""The whole API as one ASGI application.

Every route answers at the root and at `/api/orchestration`, as behind a gateway that strips the prefix and
as without one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from starlette.routing import Mount, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from headrace.api import codec, docs, editor, ext, oauth, openapi, probes, v1, v2, versions
from headrace.api.authorization import Guarded
from headrace.api.context import Context
from headrace.api.cross_site import SameSite
from headrace.api.operations import Operation
from headrace.api.responses import json_response
from headrace.api.routes import Nowhere, routes_of
from headrace.auth.door import Door, OpenDoor
from headrace.auth.oauth import OpenAuthority
from headrace.clock import Ids
from headrace.settings import Settings
from headrace.telemetry import Telemetry
from headrace.usecases.ports import Ports

PREFIX = "/api/orchestration"
TABLE: tuple[Operation, ...] = (
    *v1.OPERATIONS,
    *v2.OPERATIONS,
    *ext.OPERATIONS,
    *probes.OPERATIONS,
    *versions.OPERATIONS,
    *oauth.OPERATIONS,
    *editor.OPERATIONS,
    *openapi.OPERATIONS,
    *docs.OPERATIONS,
)

Lifespan = Callable[[Any], AbstractAsyncContextManager[Any]]


def create_api(
    *,
    ports: Ports,
    settings: Settings,
    telemetry: Telemetry,
    authenticator: Door | None = None,
    extra_routes: Sequence[Mount] = (),
    lifespan: Lifespan | None = None,
) -> ASGIApp:
    """The API, and after its own routes `extra_routes`: services beside it, which need scopes of their own.

    `authenticator` None: no authentication. `lifespan` as Starlette has it.
    """
    ids = ports.ids
    authenticator = authenticator or OpenDoor(OpenAuthority(settings.issuer or "http://localhost/api/auth", ids))
    described = openapi.describe(TABLE)
    description, page = json_response(200, codec.encode(described)), docs.page_response(described)
    context = Context(ports, settings, telemetry, authenticator, description, page)
    router = Router(
        routes=[*routes_of(context, TABLE), *(_guarded(route, authenticator, ids) for route in extra_routes)],
        default=Nowhere(context),
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app = _Prefixed(router)
    return SameSite(app, settings.allowed_hosts, ids) if isinstance(authenticator, OpenDoor) else app


def _guarded(mount: Mount, authenticator: Door, ids: Ids) -> Mount:
    """A service at `/api/{service}`."""
    return Mount(mount.path, app=Guarded(mount.app, mount.path.rpartition("/")[2], authenticator, ids))


class _Prefixed:
    """Takes `/api/orchestration` off a path, and the slash from its end."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope = _stripped(scope)
        await self._app(scope, receive, send)


def _stripped(scope: Scope) -> Scope:
    path: str = scope["path"]
    is_prefixed = path.startswith(PREFIX) and path[len(PREFIX) : len(PREFIX) + 1] == "/"
    is_ours = is_prefixed or not path.startswith("/api/")
    if not is_prefixed and not (is_ours and path.endswith("/")):
        return scope
    changed = dict(scope)
    if is_prefixed:
        changed["root_path"] = scope.get("root_path", "") + PREFIX
    if path.endswith("/") and len(path) > 1:
        changed["path"] = path[:-1]
    return changed
