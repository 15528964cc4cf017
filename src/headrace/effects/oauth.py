"""OAuth2 client credentials for our calls downstream: one token, cached, renewed before it expires, shared by all.

However many callers ask at once, there is one call to the token endpoint. Neither the secret nor a token ever
stands in an error, a log line or a repr.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any, cast
from urllib.parse import urlencode

import msgspec

from headrace.clock import Clock
from headrace.effects.port import NoResponse, Response
from headrace.errors import InvalidValue

RENEW_BEFORE_S = 30
MIN_INTERVAL_S = 1.0
"""Between two calls to the token endpoint, whatever its answers: it is not ours to flood."""
MAX_TOKEN_CHARACTERS = 16_384


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """Credentials of Headrace at the services."""

    client_id: str
    client_secret: str = field(repr=False)
    token_url: str

    def __post_init__(self) -> None:
        if not self.client_id or not self.client_secret:
            raise InvalidValue(
                "HEADRACE_STACK_CLIENT_ID", "needs HEADRACE_STACK_CLIENT_SECRET beside it, and both some text"
            )

    def form(self) -> bytes:
        return urlencode(
            {
                "grant_type": "client_credentials",
                "client_id": self.client_id,
                "client_secret": self.client_secret,
            }
        ).encode()


@dataclass(frozen=True, slots=True)
class _Token:
    text: str = field(repr=False)
    renew_s: float
    expires_s: float


class TokenSource:
    """Gives the `Authorization` header. `fetch` posts a form to the token endpoint; it raises NoResponse."""

    def __init__(
        self, credentials: ClientCredentials, fetch: Callable[[str, bytes], Awaitable[Response]], clock: Clock
    ) -> None:
        self._credentials = credentials
        self._form = credentials.form()
        self._fetch = fetch
        self._clock = clock
        self._token: _Token | None = None
        self._failure = ""
        self._asked_s: float | None = None
        self._renewal: asyncio.Task[None] | None = None

    async def header(self) -> str:
        """Return the Authorization header. Raises NoResponse without a token."""
        token = self._token
        if token is not None and self._clock.monotonic_s() < token.renew_s:
            return token.text
        await self._renew()
        token = self._token
        if token is None or self._clock.monotonic_s() >= token.expires_s:
            raise NoResponse(self._failure or "no access token", kind="unsent")
        return token.text  # while its renewal fails, a token is used until it expires

    async def renewed(self, refused: str) -> str:
        """After a 401: a token other than this one, if the endpoint gives one."""
        if self._token is not None and self._token.text == refused:
            await self._renew()
        return await self.header()

    def distrust(self, doubted: str) -> None:
        """After a 403: its scopes may have been granted since, so the next attempt gets a fresh one (decision M4)."""
        token, now_s = self._token, self._clock.monotonic_s()
        if token is not None and token.text == doubted and now_s >= (self._asked_s or 0.0) + RENEW_BEFORE_S:
            self._token = replace(token, renew_s=now_s)

    async def _renew(self) -> None:
        if self._renewal is None:
            if self._asked_s is not None and self._clock.monotonic_s() < self._asked_s + MIN_INTERVAL_S:
                return
            self._renewal = asyncio.ensure_future(self._ask())
        # A caller that is cancelled must not take the renewal of the others with it.
        await asyncio.shield(self._renewal)

    async def _ask(self) -> None:
        self._asked_s = self._clock.monotonic_s()
        try:
            response = await self._fetch(self._credentials.token_url, self._form)
            if response.status not in (200, 201):
                raise NoResponse(f"the token endpoint answered {response.status}")
            try:
                members: Any = msgspec.json.decode(response.body)
            except (msgspec.MsgspecError, ValueError, RecursionError):
                members = None
            text = cast("dict[str, Any]", members).get("access_token") if isinstance(members, dict) else None
            if not isinstance(text, str) or not text.isascii() or not text.isprintable() or " " in text:
                text = ""
            if not 0 < len(text) <= MAX_TOKEN_CHARACTERS:
                raise NoResponse("the token endpoint gave no usable access_token")
            self._token = self._timed(f"Bearer {text}", cast("dict[str, Any]", members).get("expires_in"))
            self._failure = ""
        except NoResponse as error:
            self._failure = f"no access token: {error}"
        finally:
            self._renewal = None

    def _timed(self, text: str, lifetime: object) -> _Token:
        """Without `expires_in` a token is used until it is refused."""
        asked_s = self._asked_s or 0.0
        if not isinstance(lifetime, int | float) or isinstance(lifetime, bool):
            return _Token(text, float("inf"), float("inf"))
        return _Token(text, asked_s + lifetime - min(RENEW_BEFORE_S, lifetime / 4), asked_s + lifetime)

    async def close(self) -> None:
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.gather(self._renewal, return_exceptions=True)
