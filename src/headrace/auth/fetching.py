"""Fetch an issuer's documents over HTTP: no redirects or cookies, with limits on size and time."""

from __future__ import annotations

import aiohttp

from headrace.auth.keyring import FetchFailed

TIMEOUT_S = 5.0
MAX_BYTES = 1 << 20


class Fetcher:
    """Fetches documents. Its session is created on first use, because most servers need none."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def __call__(self, url: str) -> bytes:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_S), cookie_jar=aiohttp.DummyCookieJar()
            )
        try:
            async with self._session.get(
                url, allow_redirects=False, headers={"Accept": "application/json"}
            ) as response:
                if response.status != 200:
                    raise FetchFailed(f"{url} answered {response.status}")
                body = await response.content.read(MAX_BYTES + 1)
                while len(body) <= MAX_BYTES and (more := await response.content.read(MAX_BYTES + 1 - len(body))):
                    body += more
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise FetchFailed(f"{url}: {type(error).__name__} {error}".rstrip()) from None
        if len(body) > MAX_BYTES:
            raise FetchFailed(f"{url} has more than {MAX_BYTES} bytes")
        return body

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
