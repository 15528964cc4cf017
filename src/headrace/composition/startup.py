"""Log lines of a start: the configuration, and settings that look like mistakes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from headrace.api.version import VERSION
from headrace.settings import Settings, unknown_variables

if TYPE_CHECKING:
    from headrace.buses.webhooks.endpoints import Endpoint

log = structlog.get_logger("headrace")

SERVICES = ("ledger", "wallets", "payments")


def log_start(settings: Settings, environ: Mapping[str, str], *, data: Path, url: str, sandbox: bool) -> None:
    """Log the configuration without secrets, and warn about variables without effect."""
    log.info(
        "starting",
        version=VERSION,
        url=url,
        data=str(data),
        **({} if settings.database_url is None else {"database": shown_database(settings.database_url)}),
        **({"services": "sandbox"} if sandbox else targets(settings)),
        broker=settings.broker_url or "none",
        authentication=settings.auth or "none",
        concurrency=settings.concurrency,
        timeout_s=settings.timeout_s,
        retry_cap_s=settings.retry_cap_s,
    )
    for name, nearest in unknown_variables(environ).items():
        log.warning(about_unknown_variable(name, nearest))


def shown_database(url: str) -> str:
    """Host and name of a database, without the user, the password and the options."""
    authority, _, name = url.partition("://")[2].partition("/")
    return f"{authority.rpartition('@')[2] or 'this machine'}/{name.partition('?')[0]}"


def targets(settings: Settings) -> dict[str, str]:
    """The root of each service, as calls to it use it."""
    own = {"ledger": settings.ledger_url, "wallets": settings.wallets_url, "payments": settings.payments_url}
    stack = settings.stack_url
    return {name: url or (f"{stack}/api/{name}" if stack else "none") for name, url in own.items()}


def webhook_endpoints(file: Path, environ: Mapping[str, str]) -> tuple[Endpoint, ...]:
    """Read the webhook endpoints. Raises InvalidValue with the file, the entry and the reason."""
    from headrace import json_text
    from headrace.api import yaml
    from headrace.buses.webhooks.endpoints import read_endpoints

    def decode(body: bytes) -> object:
        return json_text.decode(body) if body.lstrip().startswith(b"{") else yaml.decode(body).value

    return read_endpoints(file, environ, decode)


def about_unknown_variable(name: str, nearest: str | None) -> str:
    return f"{name} is not a setting and has no effect" + (f"; did you mean {nearest}?" if nearest else "")
