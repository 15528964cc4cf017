# Generated from _async/client.py by `make client`: change that file.
"""The client: a root URL, credentials and the groups of operations."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType

import httpx2

from headrace_client._sync.driver import Driver
from headrace_client._sync.ext import Ext
from headrace_client._sync.v1 import V1
from headrace_client._sync.v2 import V2
from headrace_client.credentials import Credentials
from headrace_client.hooks import Hooks
from headrace_client.operations import READ
from headrace_client.protocol import DEFAULT_TIMEOUT_S, Protocol, Settings
from headrace_client.proxies import direct_mounts
from headrace_client.retries import RetryConfig
from headrace_client.servers import server_root
from headrace_client.steps import Scope


class Orchestration:
    def __init__(self, driver: Driver) -> None:
        self.v1 = V1(driver)
        self.v2 = V2(driver)
        self.ext = Ext(driver)


class Client:
    """A client for one server, safe to share between threads.

    server_url      root of the server, without /api/orchestration; a path prefix is kept
    server          instead of server_url: index into `servers.SERVERS`, with `organization` and `environment`
    security        client id and secret, or a function that returns them or a token; used when a token is needed
    timeout_s       longest silence of the server during a request (60 s; with `http_client`, its own time-out)
    headers         sent with every request
    http_client     an httpx2.Client of your own, which you close yourself
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
        http_client: httpx2.Client | None = None,
        retry_config: RetryConfig | None = None,
        hooks: Hooks | None = None,
    ) -> None:
        root = server_root(server_url, server, organization, environment)
        timeout_s = DEFAULT_TIMEOUT_S if timeout_s is None and http_client is None else timeout_s
        protocol = Protocol(Settings(root, security, timeout_s, headers or {}, hooks or Hooks(), retry_config))
        self._owns_http_client = http_client is None
        self._driver = Driver(protocol, http_client or httpx2.Client(mounts=direct_mounts(root)))
        self.orchestration = Orchestration(self._driver)

    def authorization(self, scope: Scope = READ) -> str | None:
        """Return the Authorization header for requests of your own with this scope; None without credentials."""
        return self._driver.run(self._driver.protocol.authorization(scope))

    def close(self) -> None:
        if self._owns_http_client:
            self._driver.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
