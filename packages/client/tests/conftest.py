"""A server that answers what a test scripts, and one way to call both clients."""

from __future__ import annotations

import asyncio
import inspect
import json
import ssl
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2
import pytest

from headrace_client import AsyncClient, Client


@dataclass
class Seen:
    """A request as it arrived."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Scripted:
    status: int
    body: bytes
    headers: dict[str, str]
    is_dropped: bool = False


@dataclass
class Stub:
    """A real HTTP server on a free port. It answers what was scripted, in order, and keeps what it was asked."""

    url: str
    seen: list[Seen] = field(default_factory=list[Seen])
    script: deque[Scripted] = field(default_factory=deque[Scripted])

    def answer(
        self, status: int, body: Any = b"", content_type: str | None = "application/json", **headers: str
    ) -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        if content_type is not None:
            headers["Content-Type"] = content_type
        self.script.append(Scripted(status, raw, headers))

    def data(self, value: Any, status: int = 200) -> None:
        self.answer(status, {"data": value})

    def token(self, value: str, expires_in: int | None = 3600) -> None:
        expiry = {} if expires_in is None else {"expires_in": expires_in}
        self.answer(200, {"access_token": value, "token_type": "Bearer", **expiry})

    def drop(self) -> None:
        """Read the next request, then close the connection without an answer."""
        self.script.append(Scripted(0, b"", {}, is_dropped=True))

    @property
    def targets(self) -> list[str]:
        return [request.target for request in self.seen]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    stub: Stub

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name in the base class
        """Be quiet."""

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.stub.seen.append(Seen(self.command, self.path, headers, body))
        scripted = self.stub.script.popleft() if self.stub.script else Scripted(500, b"nothing scripted", {})
        self.close_connection = True
        if not scripted.is_dropped:
            self._answer(scripted)

    def _answer(self, scripted: Scripted) -> None:
        self.send_response(scripted.status)
        for name, value in {**scripted.headers, "Connection": "close"}.items():
            self.send_header(name, value)
        if scripted.status != 204:
            self.send_header("Content-Length", str(len(scripted.body)))
        self.end_headers()
        self.wfile.write(scripted.body)

    do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815 - the names the base class looks for


def _serve_forever() -> Iterator[Stub]:
    handler = type("Handler", (_Handler,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    stub = Stub(f"http://127.0.0.1:{server.server_port}")
    handler.stub = stub  # pyright: ignore[reportAttributeAccessIssue]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield stub
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def stub() -> Iterator[Stub]:
    yield from _serve_forever()


@pytest.fixture
def other_stub() -> Iterator[Stub]:
    yield from _serve_forever()


@dataclass
class Caller:
    """Calls a method by name on a client of either kind; always awaited."""

    client: Client | AsyncClient
    version: str = "v1"

    @property
    def v2(self) -> Caller:
        return Caller(self.client, "v2")

    async def __call__(self, method: str, *arguments: Any, **options: Any) -> Any:
        bound = getattr(getattr(self.client.orchestration, self.version), method)
        if isinstance(self.client, AsyncClient):
            return await bound(*arguments, **options)
        return await asyncio.to_thread(bound, *arguments, **options)


@pytest.fixture(params=["sync", "async"])
def is_async(request: pytest.FixtureRequest) -> bool:
    return request.param == "async"


@pytest.fixture(scope="session")
def certificates() -> ssl.SSLContext:
    return httpx2.create_ssl_context()


Transport = Callable[[httpx2.Request], httpx2.Response]
NewCaller = Callable[..., Caller]


@pytest.fixture
async def new_caller(is_async: bool, stub: Stub, certificates: ssl.SSLContext) -> AsyncIterator[NewCaller]:
    """Make a caller for the stub; every client is closed at the end.

    `transport` is a function for MockTransport. `is_plain` makes the client as a user does; otherwise all share
    one set of certificates, which takes longer to load than most tests to run.
    """
    clients: list[Client | AsyncClient] = []
    https: list[httpx2.Client | httpx2.AsyncClient] = []

    def make(*, transport: Transport | None = None, is_plain: bool = False, **options: Any) -> Caller:
        if not {"server_url", "server"} & options.keys():
            options["server_url"] = stub.url
        if not is_plain:
            kind = httpx2.AsyncClient if is_async else httpx2.Client
            mock = None if transport is None else httpx2.MockTransport(transport)
            https.append(kind(transport=mock, verify=certificates))
            options["http_client"] = https[-1]
        clients.append(AsyncClient(**options) if is_async else Client(**options))
        return Caller(clients[-1])

    yield make
    for client in [*clients, *https]:
        closed = client.aclose() if isinstance(client, httpx2.AsyncClient) else client.close()
        if inspect.isawaitable(closed):
            await closed


@pytest.fixture
def caller(new_caller: NewCaller) -> Caller:
    return new_caller()


NOW = "2024-05-01T10:00:00.123456Z"


@pytest.fixture
def workflow() -> dict[str, Any]:
    config = {"name": "pay", "stages": [{"wait_event": {"event": "go"}}]}
    return {"id": "w1", "config": config, "createdAt": NOW, "updatedAt": NOW}


@pytest.fixture
def instance() -> dict[str, Any]:
    status = [
        {"stage": 0, "instanceID": "i1", "startedAt": NOW, "terminatedAt": NOW},
        {"stage": 1, "instanceID": "i1", "startedAt": NOW},
    ]
    ids = {"id": "i1", "workflowID": "w1"}
    return {**ids, "createdAt": NOW, "updatedAt": NOW, "terminated": False, "status": status}
