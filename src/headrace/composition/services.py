"""The services behind Headrace as the settings name them: real ones, with their credentials, or the sandbox."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.routing import Mount

from headrace.clock import Clock, Ids
from headrace.effects.port import Downstream
from headrace.errors import InvalidValue
from headrace.events.feed import EventSource
from headrace.journal.sqlite.faults import opening
from headrace.settings import Settings
from headrace.telemetry.tracing import is_wanted, outgoing_headers
from headrace.triggers.expressions import Fetch, no_links
from headrace.triggers.loopback_links import LoopbackLinks

if TYPE_CHECKING:
    from headrace.effects.oauth import ClientCredentials
    from headrace.effects.transport import HttpDownstream
    from headrace.triggers.link import Authorize

SANDBOX_FILE = "sandbox.db"


@dataclass(frozen=True, slots=True)
class Services:
    """`routes`: those that the services add to the server. `events`: the source of their events. `fetch`: of `link()`.

    Only the sandbox has routes and a source of its own.
    """

    downstream: Downstream
    fetch: Fetch
    routes: tuple[Mount, ...] = ()
    events: EventSource | None = None


def real_services(settings: Settings, clock: Clock) -> Services:
    """Create them without connecting. Raises InvalidValue for an unusable address, origin or credentials."""
    headers = outgoing_headers if is_wanted(settings, os.environ) else None
    downstream = downstream_of(settings, clock, extra_headers=headers)
    return Services(downstream, _links_outside(settings, downstream.authorization))


def sandbox_services(
    settings: Settings, clock: Clock, ids: Ids, *, data: Path, url: str, faults: Sequence[str]
) -> Services:
    """Open the sandbox in `data`; `url` is the address at which it is served. Raises InvalidValue for a bad fault."""
    from headrace.sandbox import Releases, Sandbox, parse_fault, sandbox_routes

    parsed = [parse_fault(fault) for fault in faults]
    releases = Releases.of(settings.sandbox_ledger, settings.sandbox_events, url)
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    with opening(data / SANDBOX_FILE):
        sandbox = Sandbox(data / SANDBOX_FILE, faults=parsed, clock=clock, ids=ids, releases=releases)
    links = LoopbackLinks(url, sandbox, _links_outside(settings, None))
    return Services(sandbox, links.fetch, tuple(sandbox_routes(sandbox)), sandbox)


def downstream_of(
    settings: Settings,
    clock: Clock,
    *,
    timeout_s: float | None = None,
    extra_headers: Callable[[], dict[str, str]] | None = None,
) -> HttpDownstream:
    """Create the services without connecting. Raises InvalidValue for an unusable address or credentials."""
    from headrace.effects.transport import HttpDownstream, ServiceAddresses  # costs a quarter of the start

    addresses = ServiceAddresses.of(
        stack_url=settings.stack_url,
        ledger_url=settings.ledger_url,
        wallets_url=settings.wallets_url,
        payments_url=settings.payments_url,
    )
    return HttpDownstream(
        addresses,
        credentials=_credentials(settings),
        timeout_s=timeout_s or settings.timeout_s,
        clock=clock,
        extra_headers=extra_headers,
    )


def _credentials(settings: Settings) -> ClientCredentials | None:
    from headrace.effects.oauth import ClientCredentials

    if settings.stack_client_id is None or settings.stack_client_secret is None:
        return None
    token_url = settings.stack_token_url
    if token_url is None:
        if settings.stack_url is None:
            raise InvalidValue(
                "HEADRACE_STACK_TOKEN_URL",
                "is needed with HEADRACE_STACK_CLIENT_ID when there is no HEADRACE_STACK_URL",
            )
        token_url = f"{settings.stack_url}/api/auth/oauth/token"
    return ClientCredentials(settings.stack_client_id, settings.stack_client_secret, token_url)


def _links_outside(settings: Settings, authorize: Authorize | None) -> Fetch:
    """Follow links to allowed origins and to the stack's own, which alone receives Headrace's token."""
    if settings.stack_url is None and not settings.link_origins:
        return no_links
    from headrace.triggers.link import Linker, origins_of

    stack = None
    if settings.stack_url is not None:
        stack = next(iter(origins_of([settings.stack_url], "HEADRACE_STACK_URL")))
    origins = origins_of(settings.link_origins, "HEADRACE_LINK_ORIGINS")
    return Linker(origins, stack=stack, authorize=authorize, may_be_private=settings.link_private).fetch
