"""The official Python SDK, unmodified, with a listener on its HTTP client that checks every response on the wire."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from formance_sdk_python import SDK
from formance_sdk_python.models import shared

from tests.conformance import wire
from tests.crash.players import FAST
from tests.support.server import Server

TIMEOUT_MS = 30_000


class Walker:
    """An HTTP client for the SDK. Responses that break a rule of the wire are kept and shown at the end."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self.found: list[str] = []
        self.paths: list[str] = []
        self.bodies: dict[str, Any] = {}
        """Path to the last body that was read there."""
        self.client = httpx.Client(event_hooks={"response": [self._walk]}, follow_redirects=True)

    def _walk(self, response: httpx.Response) -> None:
        response.read()
        path = response.request.url.path
        self.paths.append(path)
        if path.endswith("/oauth/token"):
            return
        operation = wire.operation_of(response.request.method, path)
        self.seen[operation] += 1
        problems = wire.problems(operation, response.status_code, response.headers, response.content)
        self.found += [f"{operation} answered {response.status_code}: {problem}" for problem in problems]
        self.bodies[path] = response.json() if response.content else None


@pytest.fixture(scope="session")
def live_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("conformance") / "data", settings=FAST) as server:
        yield server


@dataclass(frozen=True)
class Guarded:
    """A server that asks for tokens, and its ready client."""

    server: Server
    client_id: str
    client_secret: str

    @property
    def arguments(self) -> list[str]:
        """For a programme of `programs.py`."""
        return ["--client-id", self.client_id, "--client-secret", self.client_secret]

    def headers(self) -> dict[str, str]:
        """For a call past every SDK."""
        form = {"grant_type": "client_credentials", "client_id": self.client_id, "client_secret": self.client_secret}
        granted = httpx.post(f"{self.server.url}/api/auth/oauth/token", data=form)
        return {"Authorization": f"Bearer {granted.json()['access_token']}"}


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded") / "data"
    with Server(folder, settings=FAST, arguments=["--auth"]) as server:
        printed = dict(re.findall(r"export HEADRACE_(CLIENT_\w+)=(\S+)", server.log()))
        yield Guarded(server, printed["CLIENT_ID"], printed["CLIENT_SECRET"])


@pytest.fixture
def walker() -> Iterator[Walker]:
    walking = Walker()
    yield walking
    walking.client.close()
    assert not walking.found, "\n".join(walking.found)


@pytest.fixture
def make_sdk(live_server: Server, walker: Walker) -> Callable[..., SDK]:
    """`make_sdk(security=..., timeout_ms=...)` on the live server."""

    def make(security: shared.Security | None = None, timeout_ms: int | None = TIMEOUT_MS) -> SDK:
        return SDK(server_url=live_server.url, security=security, client=walker.client, timeout_ms=timeout_ms)

    return make


@pytest.fixture
def data_folder(tmp_path: Path) -> Path:
    return tmp_path / "data"
