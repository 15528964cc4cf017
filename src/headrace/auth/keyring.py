"""Keys of a remote issuer: found by discovery, kept during an outage, refreshed at a limited rate.

Addresses come from the operator's setting and the issuer's own documents, never from a token.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast
from urllib.parse import urlsplit

import msgspec
import structlog

from headrace.auth.keys import BadKeys, VerificationKey, choose, keys_of
from headrace.clock import Clock
from headrace.errors import NotAuthenticated, Unavailable

FRESH_S = 300.0
"""Seconds after which keys are refreshed in the background, so that a withdrawn key is not trusted for long."""
KEEP_S = 3_600.0
"""Seconds for which keys stay in use during an outage of the issuer."""
ASK_EVERY_S = 30.0
"""Minimum seconds between requests, however many tokens arrive."""

Fetch = Callable[[str], Awaitable[bytes]]
"""Fetches the body of a document. Raises FetchFailed."""

_log = structlog.stdlib.get_logger("headrace.auth")


class FetchFailed(Exception):
    """A document of the issuer cannot be fetched. The text is the reason."""


class RemoteKeyring:
    """The keys of an issuer. `fetch` gets its documents; `on_close` is awaited at the end."""

    def __init__(
        self,
        issuer: str,
        fetch: Fetch,
        clock: Clock,
        *,
        allow_plain: bool = False,
        on_close: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._issuer = issuer
        self._fetch = fetch
        self._clock = clock
        self._allow_plain = allow_plain
        self._on_close = on_close
        self._document = b""
        self._keys: tuple[VerificationKey, ...] = ()
        self._fetched_s: float | None = None
        self._asked_s: float | None = None
        self._refresh: asyncio.Task[None] | None = None
        self._edition = 0

    def edition(self) -> int:
        """Number that changes with the keys. Reading it also refreshes old keys while all tokens are cached."""
        self._drop_if_too_old()
        self._refresh_beside_the_work()
        return self._edition

    async def key_for(self, kid: str | None, algorithm: str) -> VerificationKey:
        """Return the key of this id. Raises NotAuthenticated for an unpublished key, Unavailable without keys."""
        self._drop_if_too_old()
        found = choose(self._keys, kid, algorithm)
        if found is None and kid is not None and any(key.kid == kid for key in self._keys):
            raise NotAuthenticated("the token's algorithm does not match its key")
        if found is None and self._may_ask():
            # A caller that disconnects must not cancel the request that others wait for.
            await asyncio.shield(self._refresh or self._begin_refresh())
            found = choose(self._keys, kid, algorithm)
        elif found is not None:
            self._refresh_beside_the_work()
        if found is not None:
            return found
        if self._fetched_s is None:
            raise Unavailable("the keys of the token issuer are temporarily unavailable")
        raise NotAuthenticated("the token's key is not published by its issuer")

    async def check(self) -> int:
        """Fetch the keys and return their number. Raises FetchFailed or BadKeys with the reason."""
        return len(keys_of(await self._fetch(await self._address())))

    async def close(self) -> None:
        if self._refresh is not None:
            self._refresh.cancel()
            await asyncio.gather(self._refresh, return_exceptions=True)
        if self._on_close is not None:
            await self._on_close()

    def _drop_if_too_old(self) -> None:
        if self._fetched_s is not None and self._clock.monotonic_s() >= self._fetched_s + KEEP_S:
            self._document, self._keys, self._fetched_s = b"", (), None
            self._edition += 1

    def _refresh_beside_the_work(self) -> None:
        is_fresh = self._fetched_s is not None and self._clock.monotonic_s() < self._fetched_s + FRESH_S
        if not is_fresh and self._refresh is None and self._may_ask():
            self._begin_refresh()

    def _may_ask(self) -> bool:
        """True if a request may begin, or one is under way that callers can wait for."""
        if self._refresh is not None or self._asked_s is None:
            return True
        return self._clock.monotonic_s() >= self._asked_s + ASK_EVERY_S

    def _begin_refresh(self) -> asyncio.Task[None]:
        self._asked_s = self._clock.monotonic_s()
        self._refresh = asyncio.create_task(self._ask())
        return self._refresh

    async def _ask(self) -> None:
        try:
            document = await self._fetch(await self._address())
            if document != self._document:
                self._keys, self._document = keys_of(document), document
                self._edition += 1
                _log.info("keys of the issuer", issuer=self._issuer, names=[key.kid for key in self._keys])
            self._fetched_s = self._clock.monotonic_s()
        except (FetchFailed, BadKeys) as error:
            _log.warning("cannot fetch the keys of the issuer", issuer=self._issuer, reason=str(error))
        finally:
            self._refresh = None

    async def _address(self) -> str:
        """Return the address of the JWKS from the issuer's discovery document."""
        url = f"{self._issuer.rstrip('/')}/.well-known/openid-configuration"
        try:
            found: Any = msgspec.json.decode(await self._fetch(url))
        except (msgspec.MsgspecError, ValueError, RecursionError):
            raise FetchFailed(f"{url} is not JSON") from None
        members = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
        if members.get("issuer") != self._issuer:
            raise FetchFailed(f"{url} names another issuer than HEADRACE_ISSUER (compared exactly)")
        address = members.get("jwks_uri")
        if not isinstance(address, str) or not is_trustworthy(address, allow_plain=self._allow_plain):
            raise FetchFailed(f"{url} has no usable jwks_uri")
        return address


def is_trustworthy(url: str, *, allow_plain: bool) -> bool:
    """True if the origin of a response is certain: by TLS, or on this machine."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    if not parts.hostname or parts.username or parts.password:
        return False
    is_here = parts.hostname in ("localhost", "127.0.0.1", "::1")
    return parts.scheme == "https" or (parts.scheme == "http" and (allow_plain or is_here))
