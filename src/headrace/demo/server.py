"""The demo's own `headrace dev`: a child process, killed by its pid and started again on the same folder."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx2

from headrace.clock import Clock, SystemClock
from headrace.demo.errors import DemoFailed

READY_S = 30.0
STOP_S = 15.0
POLL_S = 0.02


class ChildServer:
    """Bound to 127.0.0.1. The port is fixed at the first start so that a restart keeps its address."""

    def __init__(self, data: Path, *, settings: Mapping[str, str], clock: Clock | None = None) -> None:
        self.data = data
        self.log_file = data.parent / "server.log"
        self.faults: Sequence[str] = ()
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
        self._environment |= settings
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = int(probe.getsockname()[1])
        self._clock = clock or SystemClock()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> float:
        """Returns the seconds until `/readyz` said yes."""
        began = self._clock.monotonic_s()
        with self.log_file.open("ab") as log:
            command = [sys.executable, "-m", "headrace.cli", "dev", "--host", "127.0.0.1", "--port", str(self._port)]
            command += ["--data", str(self.data)]
            command += [part for fault in self.faults for part in ("--fault", fault)]
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environment
            )
        while not self._is_ready():
            waited = self._clock.monotonic_s() - began
            if not self.is_running or waited > READY_S:
                raise DemoFailed(f"the server did not start; its log ends with:\n{self.log_tail()}")
            time.sleep(POLL_S)
        return self._clock.monotonic_s() - began

    def restart(self, *, faults: Sequence[str]) -> None:
        """Stops it as one should, and starts it with these faults."""
        self.stop()
        self.faults = faults
        self.start()

    def kill(self) -> None:
        """SIGKILL: no handler runs, nothing is flushed."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def log_tail(self) -> str:
        return self.log_file.read_text(errors="replace")[-2_000:] if self.log_file.exists() else ""

    def _is_ready(self) -> bool:
        try:
            return httpx2.get(f"{self.url}/readyz", timeout=2.0, trust_env=False).status_code == 200
        except httpx2.HTTPError:
            return False

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(number)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
