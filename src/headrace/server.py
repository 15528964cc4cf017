"""The listener: sockets, signals, and the HTTP server in front of the composition."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import Callable, Generator, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import structlog
import uvicorn

from headrace.api.http_protocol import BoundedProtocol
from headrace.api.startup import StartupGate
from headrace.background import first_of
from headrace.clock import Clock, RandomIds, SystemClock
from headrace.composition import Composition, compose, temporary_fault
from headrace.composition.doctor import warn_of_services
from headrace.composition.startup import log_start
from headrace.errors import InvalidValue, TakenOver
from headrace.runtime import tune_collector
from headrace.settings import Settings
from headrace.telemetry import configure_logging

START_AGAIN_S = 1.0

log = structlog.get_logger("headrace")


def serve(
    settings: Settings,
    *,
    host: str,
    port: int,
    data: Path | None,
    sandbox: bool,
    faults: Sequence[str],
    on_ready: Callable[[str], None],
    prepare: Callable[[Path], None] | None = None,
    make: Callable[..., contextlib.AbstractAsyncContextManager[Composition]] = compose,
) -> None:
    """Serve until SIGINT or SIGTERM. With `data` None, a temporary folder is deleted when the process ends.

    Raises TakenOver after another server has taken over the journal.

    `prepare` receives the folder before anything is opened in it. `make` is `compose`, or makes a worker.
    """
    import uvloop

    configure_logging(SystemClock(), settings.log_format, settings.log_level)
    tune_collector()
    with contextlib.ExitStack() as stack:
        folder = data if data is not None else Path(stack.enter_context(TemporaryDirectory(prefix="headrace-")))
        listener = stack.enter_context(_listen(host, port))
        if prepare is not None:
            prepare(folder)
        with contextlib.suppress(KeyboardInterrupt), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(settings, listener, folder, sandbox, faults, on_ready, make))


async def _serve(
    settings: Settings,
    listener: socket.socket,
    data: Path,
    sandbox: bool,
    faults: Sequence[str],
    on_ready: Callable[[str], None],
    make: Callable[..., contextlib.AbstractAsyncContextManager[Composition]],
) -> None:
    """Listen at once: `/livez` answers 200, and all else 503 with the reason, until the journal is open."""
    host, port, *_ = listener.getsockname()
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    log_start(settings, os.environ, data=data, url=url, sandbox=sandbox)
    gate = StartupGate(RandomIds())
    config = uvicorn.Config(
        gate,
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="off",
        http=BoundedProtocol,
        ws="none",
        timeout_graceful_shutdown=5,
        timeout_keep_alive=75,
    )
    server = _Server(config)

    async def live() -> None:
        waits = partial(_wait, gate)
        compose_here = partial(make, settings, data=data, sandbox=sandbox, faults=faults, url=url, on_wait=waits)
        async with contextlib.AsyncExitStack() as stack:
            composition = await _opened(stack, compose_here, waits, SystemClock())
            gate.open(composition.app)
            await server.is_up.wait()
            on_ready(url)
            if not sandbox:
                checking = asyncio.create_task(warn_of_services(composition.downstream, settings, SystemClock()))
                stack.callback(checking.cancel)
            await first_of(server.is_done.wait(), composition.lost.wait())
            log.info("stopping", instances_active=composition.engine.active_instances)
        log.info("stopped")
        if composition.lost.is_set():
            raise TakenOver("another server has taken over the journal")

    living = asyncio.create_task(live())
    living.add_done_callback(lambda _: server.end())
    await server.serve(sockets=[listener])
    server.is_done.set()
    if gate.is_closed:
        living.cancel()  # it may be waiting for a disk
    with contextlib.suppress(asyncio.CancelledError):
        await living


async def _opened(
    stack: contextlib.AsyncExitStack,
    make: Callable[[], contextlib.AbstractAsyncContextManager[Composition]],
    on_wait: Callable[[str], None],
    clock: Clock,
) -> Composition:
    """Open the journal and compose the server; repeat while the fault may be temporary, such as a full disk.

    Raises errors that a person must act on.
    """
    while True:
        try:
            return await stack.enter_async_context(make())
        except Exception as error:
            if (fault := temporary_fault(error)) is None:
                raise
            on_wait(str(fault))
        await clock.sleep(START_AGAIN_S)


def _wait(gate: StartupGate, reason: str) -> None:
    """Answer 503 with this reason for as long as the server cannot serve."""
    if gate.reason != reason:
        log.warning("cannot serve yet; retrying", reason=reason)
    gate.reason = reason


class _Server(uvicorn.Server):
    """HTTP server. `is_up` is set when it listens, `is_done` when it no longer does and the rest may close."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_up = asyncio.Event()
        self.is_done = asyncio.Event()

    def end(self) -> None:
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.is_up.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Keep uvicorn from raising the signal again, which would end the process while the rest is still open."""
        with super().capture_signals():
            yield
            self._captured_signals.clear()


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            reason = f"another program listens at {host}:{port}; stop it, or choose another port (0 for a free one)"
        else:
            reason = f"cannot listen at {host}:{port}: {error.strerror or error}"
        raise InvalidValue("port", reason) from error
