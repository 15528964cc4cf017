"""Authorization: every request passes this check of the caller's scopes, those to services beside the API too."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from headrace.api.errors import error_response
from headrace.auth.authenticator import Authenticator
from headrace.auth.principal import Principal
from headrace.clock import Ids
from headrace.errors import HeadraceError, NotAllowed

_READS = ("GET", "HEAD")


async def authorized(authenticator: Authenticator, scope: Scope, required: str) -> Principal:
    """The principal of this request, which has the required OAuth2 scope. Raises NotAuthenticated, NotAllowed."""
    credentials = [value for name, value in scope["headers"] if name == b"authorization"]
    principal = await authenticator.authenticate(credentials)
    if not principal.may(required):
        raise NotAllowed(required)
    return principal


class GuardedService:
    """A service beside the API (the sandbox's): reads and writes require its own scopes, `ledger:read` and so on."""

    def __init__(self, app: ASGIApp, service: str, authenticator: Authenticator, ids: Ids) -> None:
        self.app = app
        self.service = service
        self._authenticator = authenticator
        self._ids = ids

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        access = "read" if scope["method"] in _READS else "write"
        try:
            await authorized(self._authenticator, scope, f"{self.service}:{access}")
        except HeadraceError as error:
            await error_response(error, self._ids).send(send)
            return
        await self.app(scope, receive, send)
