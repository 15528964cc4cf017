"""The client: a root URL, credentials and the groups of operations."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType

import httpx2

from headrace_client._async.driver import AsyncDriver
from headrace_client._async.ext import AsyncExt
from headrace_client._async.v1 import AsyncV1
from headrace_client._async.v2 import AsyncV2
from headrace_client.credentials import Credentials
from headrace_client.hooks import Hooks
from headrace_client.operations import READ
from headrace_client.protocol import DEFAULT_TIMEOUT_S, Protocol, Settings
from headrace_client.proxies import direct_mounts
from headrace_client.retries import RetryConfig
from headrace_client.servers import server_root
from headrace_client.steps import Scope


class AsyncOrchestration:
    def __init__(self, driver: AsyncDriver) -> None:
        self.v1 = AsyncV1(driver)
        self.v2 = AsyncV2(driver)
        self.ext = AsyncExt(driver)


class AsyncClient:
    """A client for one server, safe to share between the tasks of an event loop.

    server_url      root of the server, without /api/orchestration; a path prefix is kept
    server          instead of server_url: index into `servers.SERVERS`, with `organization` and `environment`
    security        client id and secret, or a function that returns them or a token; used when a token is needed
    timeout_s       longest silence of the server during a request (60 s; with `http_client`, its own time-out)
    headers         sent with every request
    http_client     an httpx2.AsyncClient of your own, which you close yourself
    retry_config    which failures are retried, unless a method's `retries` replaces it; none by default
    """

    def __init__(
        self,
        server_url: str | None = None,
        *,
        server: int | None = None,
        organization: str | None = None,
        environment: str | None = None,
        security: Credentials | None = None,
        timeout_s: float | None = None,
        headers: Mapping[str, str] | None = None,
        http_client: httpx2.AsyncClient | None = None,
        retry_config: RetryConfig | None = None,
        hooks: Hooks | None = None,
    ) -> None:
        root = server_root(server_url, server, organization, environment)
        timeout_s = DEFAULT_TIMEOUT_S if timeout_s is None and http_client is None else timeout_s
        protocol = Protocol(Settings(root, security, timeout_s, headers or {}, hooks or Hooks(), retry_config))
        self._owns_http_client = http_client is None
        self._driver = AsyncDriver(protocol, http_client or httpx2.AsyncClient(mounts=direct_mounts(root)))
        self.orchestration = AsyncOrchestration(self._driver)

    async def authorization(self, scope: Scope = READ) -> str | None:
        """Return the Authorization header for requests of your own with this scope; None without credentials."""
        return await self._driver.run(self._driver.protocol.authorization(scope))

    async def close(self) -> None:
        if self._owns_http_client:
            await self._driver.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()
