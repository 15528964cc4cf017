"""A real `headrace dev` child process: started, killed with SIGKILL, started again on the same data folder and port.

    with Server(tmp_path, faults=["ledger:drop:0.2"]) as server:
        server.post("/api/orchestration/workflows", {"stages": [...]})
        server.kill()
        server.restart()

Everything is bound to 127.0.0.1, and only the process that was started here is ever signalled, by its pid.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from tests.support import warm

READY_S = 30.0
STOP_S = 20.0
REQUEST_S = 60.0
STARTS = 3
FREEZE_S = 20.0
LOG_TAIL = 4_000


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def json(self) -> Any:
        """The body with exact integers; None where there is none."""
        return json.loads(self.body) if self.body else None


class NoAnswer(Exception):
    """The connection was refused, closed without an answer, or timed out."""


class Server:
    """`headrace dev` as a child process. Use it as a context manager, or call `start` and `stop`."""

    command = "dev"

    def __init__(
        self,
        data: Path,
        *,
        faults: Sequence[str] = (),
        settings: Mapping[str, str] | None = None,
        arguments: Sequence[str] = (),
    ) -> None:
        """`settings`: HEADRACE_* variables of the child; those of this process are not inherited."""
        self.data = data
        self.faults = list(faults)
        self.settings = dict(settings or {})
        self.arguments = list(arguments)
        self.port = free_port()
        self.log_path = data.parent / f"{data.name}-server.log"
        self.starts = 0
        self._process: warm.Process | None = None

    # addresses

    @property
    def url(self) -> str:
        """The root of the server; the official SDKs append `/api/orchestration` themselves."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server is not running"
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    # start and stop

    def start(self) -> Self:
        """Start the child and wait until `/readyz` answers 200."""
        for remaining in reversed(range(STARTS)):
            self._spawn()
            try:
                self._wait_until_ready()
                return self
            except RuntimeError:
                self.kill()
                # A port found free may be taken before the child binds it; only a first start may move.
                if not remaining or self.starts > 1 or "in use" not in self.log():
                    raise
                self.port = free_port()
                self.starts = 0
        raise AssertionError("unreachable")

    def launch(self) -> Self:
        """Start the child without waiting for anything."""
        self._spawn()
        return self

    def ended(self) -> int:
        """Wait until the child ends by itself. Returns the exit code."""
        assert self._process is not None, "the server is not running"
        return self._process.wait(READY_S)

    def kill(self) -> None:
        """SIGKILL: nothing is flushed, no handler runs."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM, and SIGKILL for one that does not obey in time. Returns the exit code."""
        return self._end(signal.SIGTERM)

    def restart(self, *, faults: Sequence[str] | None = None) -> Self:
        """Start again on the same data folder and port; kills first what still runs."""
        self.kill()
        if faults is not None:
            self.faults = list(faults)
        return self.start()

    def log(self) -> str:
        """What the child wrote to stdout and stderr, over all its lives."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    # requests

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = REQUEST_S,
    ) -> Answer:
        """One request on a connection of its own. `body`: bytes as they are, anything else as JSON. Raises NoAnswer."""
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        sent = {"Content-Type": "application/json"} if content is not None else {}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        try:
            connection.request(method, path, content, {**sent, **(headers or {})})
            response = connection.getresponse()
            return Answer(
                response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
            )
        except (OSError, http.client.HTTPException) as error:
            raise NoAnswer(f"{method} {path}: {error!r}") from error
        finally:
            connection.close()

    def post_and_hang_up(self, path: str, body: Any, *, headers: Mapping[str, str]) -> None:
        """Send the whole request and close the connection without reading an answer."""
        content = json.dumps(body).encode()
        lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json"]
        lines += [f"Content-Length: {len(content)}", *(f"{name}: {value}" for name, value in headers.items())]
        with socket.create_connection(("127.0.0.1", self.port), REQUEST_S) as connection:
            connection.sendall("\r\n".join([*lines, "", ""]).encode() + content)

    def get(self, path: str, **options: Any) -> Answer:
        return self.request("GET", path, **options)

    def post(self, path: str, body: Any = None, **options: Any) -> Answer:
        return self.request("POST", path, body, **options)

    # inside

    def command_line(self) -> list[str]:
        command = [str(Path(sys.executable).parent / "headrace"), self.command, "--host", "127.0.0.1"]
        command += ["--port", str(self.port), "--data", str(self.data), *self.arguments]
        for fault in self.faults:
            command += ["--fault", fault]
        return command

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.stop()
        if error is not None:
            error.add_note(f"server log ends with:\n{self.log()[-LOG_TAIL:]}")

    def _spawn(self) -> None:
        assert not self.is_running, "the server already runs"
        self.starts += 1
        command = self.command_line()
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
        with self.log_path.open("ab") as log:
            self._process = warm.start(command, stdout=log, stderr=log, env={**inherited, **self.settings})

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            if not self.is_running:
                raise RuntimeError(f"the server ended before it was ready:\n{self.log()[-LOG_TAIL:]}")
            with contextlib.suppress(NoAnswer):
                if self.get("/readyz", timeout_s=2.0).status == 200:
                    return
            time.sleep(0.02)
        raise RuntimeError(f"the server was not ready after {READY_S} s:\n{self.log()[-LOG_TAIL:]}")

    def _end(self, number: signal.Signals) -> int:
        if self._process is None:
            return 0
        process, self._process = self._process, None
        if process.poll() is None:
            process.send_signal(number)
        try:
            return process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()


def freeze(pid: int) -> None:
    """Stop a process until SIGCONT; return when each of its threads stands still, which may take a while."""
    os.kill(pid, signal.SIGSTOP)
    deadline = time.monotonic() + FREEZE_S
    while any(_state(stat) != "T" for stat in Path(f"/proc/{pid}/task").glob("*/stat")):
        assert time.monotonic() < deadline, f"process {pid} does not stop"
        time.sleep(0.005)


def _state(stat: Path) -> str:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return stat.read_text().rpartition(")")[2].split()[0]
    return "T"  # this thread has ended


def free_port() -> int:
    """A port of 127.0.0.1 that was free a moment ago. A fixed one is needed so that a restart keeps its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
