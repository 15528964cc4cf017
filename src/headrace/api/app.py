"""The API put together: the table of operations, and the ASGI application that serves it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import cache
from typing import Any

from starlette.routing import Mount, Route, Router
from starlette.types import ASGIApp

from headrace import json_text
from headrace.api import docs_page, editor_schema, ext, oauth, openapi, probes, stack_versions, v1, v2
from headrace.api.authorization import GuardedService
from headrace.api.context import Context, Description
from headrace.api.cross_site import CrossSiteGuard
from headrace.api.operations import Operation
from headrace.api.responses import json_response
from headrace.api.routes import Api, Routes, UnknownPaths
from headrace.auth.authenticator import AnonymousAuthenticator, Authenticator
from headrace.auth.oauth import OpenAuthority
from headrace.settings import Settings
from headrace.telemetry import Telemetry
from headrace.usecases.ports import Ports

TABLE: tuple[Operation, ...] = (
    *v1.OPERATIONS,
    *v2.OPERATIONS,
    *ext.OPERATIONS,
    *probes.OPERATIONS,
    *stack_versions.OPERATIONS,
    *oauth.OPERATIONS,
    *editor_schema.OPERATIONS,
    *openapi.OPERATIONS,
    *docs_page.OPERATIONS,
)


CONSOLE = "/console"


@cache
def _description() -> Description:
    """Made from the types of all operations, which takes longer than the rest of a server's start."""
    document = openapi.describe(TABLE)
    return Description(json_response(200, json_text.encode(document)), docs_page.page_response(document))


Lifespan = Callable[[Any], AbstractAsyncContextManager[Any]]


def create_api(
    *,
    ports: Ports,
    settings: Settings,
    telemetry: Telemetry,
    authenticator: Authenticator | None = None,
    extra_routes: Sequence[Mount] = (),
    console: ASGIApp | None = None,
    lifespan: Lifespan | None = None,
) -> Api:
    """The API, and after its own routes `extra_routes`: services at `/api/{service}`, with scopes of their own.

    `authenticator` None: no authentication. `console`: what answers at `/console`, and guards itself. `lifespan` as
    Starlette has it.
    """
    ids = ports.ids
    authenticator = authenticator or AnonymousAuthenticator(
        OpenAuthority(settings.issuer or "http://localhost/api/auth", ids)
    )
    is_open = isinstance(authenticator, AnonymousAuthenticator)
    context = Context(ports, settings, telemetry, authenticator, _description)
    for operation in TABLE:
        telemetry.expect_requests(operation.method, operation.path, (*operation.successes, 500, 503))
    others = Router(
        routes=[
            Mount(mount.path, app=GuardedService(mount.app, mount.path.rpartition("/")[2], authenticator, ids))
            for mount in extra_routes
        ]
        + ([] if console is None else [Route(CONSOLE, console), Mount(CONSOLE, app=console)]),
        default=UnknownPaths(context),
        redirect_slashes=False,
        lifespan=lifespan,
    )
    guard = CrossSiteGuard(settings.allowed_hosts) if is_open else None
    return Api(context, Routes(TABLE), others, cross_site=guard, is_open=is_open)
