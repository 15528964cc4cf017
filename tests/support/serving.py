"""Several real `headrace serve` child processes on one PostgreSQL database, with a `headrace dev` as their services.

with Servers(folder, postgres.url("books"), count=2) as servers:
    servers.post("/api/orchestration/workflows", {...})   # whichever of them answers
    servers.owner().kill()
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.server import Answer, NoAnswer, Server

PATIENCE_S = 60.0
LOOK_S = 0.02


class Serving(Server):
    """`headrace serve`. `start` waits until it is ready, which a standby is not: see `launch`."""

    command = "serve"

    def until_alive(self) -> Self:
        """Wait until `/livez` answers 200."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            assert self.is_running, f"the server has ended:\n{self.log()[-4_000:]}"
            if self.status("/livez") == 200:
                return self
            time.sleep(LOOK_S)
        raise AssertionError(f"the server does not live:\n{self.log()[-4_000:]}")

    def until_ready(self) -> Self:
        """Wait until `/readyz` answers 200, after `launch`."""
        self._wait_until_ready()
        return self

    def is_standby(self) -> bool:
        """Whether it says that it waits for the owner to go."""
        with contextlib.suppress(NoAnswer):
            return b"standby" in self.get("/readyz", timeout_s=5.0).body
        return False

    def status(self, path: str) -> int:
        """The status of a GET; 0 without an answer."""
        with contextlib.suppress(NoAnswer):
            return self.get(path, timeout_s=5.0).status
        return 0


class WorkerProcess(Serving):
    """`headrace worker`."""

    def command_line(self) -> list[str]:
        return [sys.executable, "-m", "headrace.cli", "worker", "--health-port", str(self.port)]


class Servers:
    """Servers by number. `url` is the root of their services."""

    def __init__(
        self,
        folder: Path,
        database_url: str,
        *,
        count: int = 2,
        faults: Sequence[str] = (),
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.stack = Server(folder / "stack", faults=faults)
        self.settings = {"HEADRACE_DATABASE_URL": database_url, "HEADRACE_AUTH": "none", **(settings or {})}
        self.all = [Serving(folder / f"server{number}") for number in range(count)]

    @property
    def url(self) -> str:
        return self.stack.url

    def __enter__(self) -> Self:
        try:
            self.stack.start()
            self.settings["HEADRACE_STACK_URL"] = self.stack.url
            for server in self.all:
                server.settings = self.settings
                server.launch()
            for server in self.all:
                server.until_alive()
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        for server in self.all:
            server.stop()
            if error is not None:
                error.add_note(f"log of {server.data.name} ends with:\n{server.log()[-3_000:]}")
        self.stack.stop()

    def ready(self) -> list[Serving]:
        return [server for server in self.all if server.is_running and server.status("/readyz") == 200]

    def owner(self) -> Serving:
        """Wait until one of them is ready."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            if ready := self.ready():
                return ready[0]
            time.sleep(LOOK_S)
        raise AssertionError("none of the servers is ready")

    def others(self, server: Serving) -> list[Serving]:
        return [other for other in self.all if other is not server]

    def request(self, method: str, path: str, body: Any = None, **options: Any) -> Answer:
        """The answer of the first that has one beside 503, else the last one's; raises NoAnswer where none answers."""
        answer: Answer | None = None
        for server in self.all:
            with contextlib.suppress(NoAnswer):
                answer = server.request(method, path, body, **options)
                if answer.status != 503:
                    return answer
        if answer is None:
            raise NoAnswer(f"{method} {path}: none of {len(self.all)} servers answers")
        return answer

    def get(self, path: str, **options: Any) -> Answer:
        return self.request("GET", path, **options)

    def post(self, path: str, body: Any = None, **options: Any) -> Answer:
        return self.request("POST", path, body, **options)
