"""Checks that no test talks to a server of this machine that it has not started.

The command line's default server is 127.0.0.1:8484. During a test run a listener holds that port, where it is free,
and a connection from a process of the run fails it: on a developer's machine it would have reached their own server.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading

import psutil

DEFAULT_PORT = 8484


class DefaultPortWatch:
    """Listens at 127.0.0.1 and notes which processes connect. Does nothing where the port is in use."""

    def __init__(self, port: int = DEFAULT_PORT) -> None:
        self.visitors: list[str] = []
        """Command lines of the processes of this run that connected."""
        self._listener: socket.socket | None = None
        with contextlib.suppress(OSError):
            self._listener = socket.create_server(("127.0.0.1", port), backlog=16)
        if self._listener is not None:
            threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    @property
    def port(self) -> int | None:
        """The port it listens at; None where that port is in use."""
        return None if self._listener is None else self._listener.getsockname()[1]

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, address = listener.accept()
            except OSError:
                return
            self.visitors += _processes_of_this_run(address[1])
            connection.close()

    def close(self) -> None:
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()


def _root_of_this_run() -> psutil.Process:
    """This process, or the one that started the workers of a parallel run: one worker holds the port for all."""
    this = psutil.Process()
    return this if "PYTEST_XDIST_WORKER" not in os.environ else this.parent() or this


def _processes_of_this_run(port: int) -> list[str]:
    """Command lines of the run's processes that have a connection from that local port."""
    root = _root_of_this_run()
    found: list[str] = []
    for process in (root, *root.children(recursive=True)):
        with contextlib.suppress(psutil.Error):
            if any(each.laddr and each.laddr.port == port for each in process.net_connections("tcp")):
                found.append(" ".join(process.cmdline()))
    return found
