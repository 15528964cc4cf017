"""Real brokers as child processes, for tests and for plain scripts: started, killed, frozen, started again.

    with NatsServer(folder) as server:
        bus = NatsBus(NatsOptions(servers=(server.address,), ...))
        server.kill()
        server.restart()

Everything is bound to 127.0.0.1, and only the process that was started here is ever signalled, by its pid.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from headrace.buses.nats.bus import NatsBus
from headrace.buses.nats.options import NatsOptions
from headrace.buses.port import Publisher, Subscriber
from tests.support.server import free_port, freeze

READY_S = 20.0
STOP_S = 10.0
STARTS = 3
LOG_TAIL = 4_000
NATS_SERVER = "HEADRACE_TEST_NATS_SERVER"
"""Names another nats-server than the one on the path."""


def nats_program() -> str | None:
    """None: this machine has none (Debian: apt-get install nats-server)."""
    return shutil.which(os.environ.get(NATS_SERVER, "nats-server"), path=f"{os.environ.get('PATH', '')}:/usr/sbin")


class NatsServer:
    """nats-server with JetStream. Its port and its store stay the same over kills and restarts."""

    def __init__(self, folder: Path, *, arguments: Sequence[str] = (), has_jetstream: bool = True) -> None:
        self.folder = folder
        store = ["-js", "-sd", str(folder / "store")] if has_jetstream else []
        self.arguments = [*store, *arguments]
        self.port = free_port()
        self.log_path = folder / "nats-server.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """As HEADRACE_BROKER_URL has it."""
        return f"nats://{self.address}"

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server is not running"
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> Self:
        """Start it and wait until it greets."""
        is_first = not self.log_path.exists()
        for remaining in reversed(range(STARTS)):
            self._spawn()
            try:
                self._wait_until_ready()
                return self
            except RuntimeError:
                self.kill()
                # A port found free may be taken before the child binds it; only a first start may move.
                if not remaining or not is_first or "in use" not in self.log():
                    raise
                self.port = free_port()
        raise AssertionError("unreachable")

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def restart(self) -> Self:
        """Start again on the same port and store; kills first what still runs."""
        self.kill()
        return self.start()

    def freeze(self) -> None:
        """It keeps its connections and says nothing."""
        freeze(self.pid)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def _spawn(self) -> None:
        program = nats_program()
        assert program is not None, "nats-server is not installed"
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [program, "-a", "127.0.0.1", "-p", str(self.port), *self.arguments]
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def _wait_until_ready(self) -> None:
        """It listens a moment before its JetStream is there; its log says when all is."""
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            if not self.is_running:
                raise RuntimeError(f"nats-server ended before it was ready:\n{self.log()[-LOG_TAIL:]}")
            if f"[{self.pid}]" in self.log() and self._is_ready() and self._greets():
                return
            time.sleep(0.01)
        raise RuntimeError(f"nats-server was not ready after {READY_S} s:\n{self.log()[-LOG_TAIL:]}")

    def _is_ready(self) -> bool:
        return any("Server is ready" in line and f"[{self.pid}]" in line for line in self.log().splitlines())

    def _greets(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1.0) as connection:
                return connection.recv(5).startswith(b"INFO")
        except OSError:
            return False

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        process, self._process = self._process, None
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)  # a frozen one obeys nothing
            process.send_signal(number)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class BusHarness(Protocol):
    """A broker with its adapter, as the contract suite of buses wants them."""

    name: str
    drops_repeated_ids: bool
    """A second publication of one id is not delivered."""
    acknowledges_singly: bool
    """Of deliveries that came together, one is acknowledged without those before it."""

    @staticmethod
    def missing() -> str:
        """What this machine lacks to run the broker; empty: nothing."""
        ...

    def start_broker(self, folder: Path) -> None: ...

    def kill_broker(self) -> None: ...

    def restart_broker(self) -> None: ...

    def end_broker(self) -> None: ...

    async def subscriber(self, *topics: str, group: str = "suite", dead_letter_topic: str = "suite-dead") -> Subscriber:
        """What it holds unacknowledged comes again a few seconds after it is closed, at the latest."""
        ...

    async def publisher(self, topic: str) -> Publisher: ...

    async def make_anew(self, topic: str) -> None:
        """The topic is deleted with all it holds, and there is a new one of that name."""
        ...


class NatsHarness:
    """See `BusHarness`."""

    name = "nats"
    drops_repeated_ids = True
    acknowledges_singly = True

    def __init__(self) -> None:
        self._server: NatsServer | None = None

    @property
    def server(self) -> NatsServer:
        assert self._server is not None, "the broker was not started"
        return self._server

    @staticmethod
    def missing() -> str:
        return "" if nats_program() else "nats-server is not installed"

    def start_broker(self, folder: Path) -> None:
        self._server = NatsServer(folder).start()

    def kill_broker(self) -> None:
        self.server.kill()

    def restart_broker(self) -> None:
        self.server.restart()

    def end_broker(self) -> None:
        self.server.kill()

    def options(self, *topics: str, **others: Any) -> NatsOptions:
        chosen = {"ack_wait_s": 2.0, "publish_topic": "suite-out", "dead_letter_topic": "suite-dead", **others}
        return NatsOptions(servers=(self.server.address,), topics=topics, **chosen)

    async def subscriber(self, *topics: str, group: str = "suite", dead_letter_topic: str = "suite-dead") -> NatsBus:
        return NatsBus(self.options(*topics, group=group, dead_letter_topic=dead_letter_topic))

    async def publisher(self, topic: str) -> NatsBus:
        return NatsBus(self.options(publish_topic=topic))

    async def make_anew(self, topic: str) -> None:
        import nats

        async with await nats.connect(self.server.url) as client:
            jetstream = client.jetstream()
            name = await jetstream.find_stream_name_by_subject(topic)
            await jetstream.delete_stream(name)
            await jetstream.add_stream(name=name, subjects=[topic])
