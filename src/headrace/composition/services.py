"""The services behind Headrace as the settings name them: addresses and credentials."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from headrace.clock import Clock
from headrace.errors import InvalidValue
from headrace.settings import Settings

if TYPE_CHECKING:
    from headrace.effects.oauth import ClientCredentials
    from headrace.effects.transport import HttpDownstream


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
