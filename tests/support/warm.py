"""Processes of `headrace` that skip its imports: each is forked from one process that has made them already.

Imports take most of the processor time of a short command and of a server's start, and the suites start thousands. A
process from here is one like any other: with a pid, environment, folder and streams of its own, and it can be killed.
Its interpreter was started with another environment, so what Python reads only then (`PYTHONPATH`, the encoding of its
streams) is that of the tests: a test of these things starts `headrace` itself.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NoReturn

PACKAGES = ("headrace", "headrace_client")
"""All of their modules are imported before the first fork."""
OTHERS = ("alembic.command", "anyio.streams.tls", "encodings.idna", "h11", "sqlalchemy", "typer._adapters", "uvicorn")
"""What they import only when they need it, and need often."""
_LONGEST_MESSAGE = 1 << 17
_STREAMS = 3


class Process:
    """A process that was forked, with what the tests use of `subprocess.Popen`."""

    def __init__(self, pid: int, ending: socket.socket) -> None:
        """`ending` becomes readable, with the wait status, when the process has ended."""
        self.pid = pid
        self.returncode: int | None = None
        self._ending = ending

    def poll(self) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Raises subprocess.TimeoutExpired. `timeout` is in seconds."""
        if self.returncode is None:
            if not select.select([self._ending], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("headrace", timeout or 0)
            self.returncode = os.waitstatus_to_exitcode(int(self._ending.recv(16)))
            self._ending.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def start(
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path | str | None = None,
    stdin: int | IO[Any] = subprocess.DEVNULL,
    stdout: int | IO[Any],
    stderr: int | IO[Any],
) -> Process:
    """Start `headrace ...` or `python -m ...`. Streams are files, or subprocess.DEVNULL."""
    message = json.dumps([list(command), dict(env), str(cwd or Path.cwd())]).encode()
    assert len(message) < _LONGEST_MESSAGE
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with open(os.devnull, "r+b") as nothing, theirs:
        streams = [nothing if each == subprocess.DEVNULL else each for each in (stdin, stdout, stderr)]
        numbers = [each if isinstance(each, int) else each.fileno() for each in streams]
        socket.send_fds(_parent(), [message], [*numbers, theirs.fileno()])
    return Process(int(ours.recv(16)), ours)


def run(
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path | str | None = None,
    typed: str = "",
    timeout: float | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run such a command to its end. Raises subprocess.TimeoutExpired after it has killed it."""
    with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        stdin.write(typed.encode())
        stdin.seek(0)
        process = start(command, env=env, cwd=cwd, stdin=stdin, stdout=stdout, stderr=stderr)
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        texts: list[str] = []
        for stream in (stdout, stderr):
            stream.seek(0)
            texts.append(stream.read().decode())
    return subprocess.CompletedProcess(list(command), code, *texts)


@functools.cache
def _parent() -> socket.socket:
    """The way to the process that is forked. That ends when this one does, or closes it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for each in (ours, theirs):
        each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * _LONGEST_MESSAGE)
    command = [sys.executable, "-P", __file__, str(theirs.fileno())]
    process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
    theirs.close()

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


# the process that is forked


def _serve(requests: socket.socket) -> tuple[list[str], dict[str, str], str] | None:
    """Fork for each request. Returns in each child what it shall run, and None once the tests have ended."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    children: dict[int, socket.socket] = {}
    while True:
        ready = select.select([requests, reading], [], [])[0]
        if reading in ready:
            os.read(reading, 1 << 12)
            _report(children)
        if requests not in ready:
            continue
        message, descriptors, _, _ = socket.recv_fds(requests, _LONGEST_MESSAGE, _STREAMS + 1)
        if not message:
            return None
        asker = socket.socket(fileno=descriptors.pop())
        pid = os.fork()
        if not pid:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for each in (requests, asker, *children.values()):
                each.close()
            os.close(reading)
            os.close(writing)
            for number, descriptor in enumerate(descriptors):
                os.dup2(descriptor, number)
            for descriptor in set(descriptors) - set(range(_STREAMS)):
                os.close(descriptor)
            command, environment, folder = json.loads(message)
            return command, environment, folder
        for descriptor in descriptors:
            os.close(descriptor)
        children[pid] = asker
        with contextlib.suppress(OSError):
            asker.send(str(pid).encode())


def _report(children: dict[int, socket.socket]) -> None:
    """Tell who asked for them of the children that have ended."""
    while children:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        with children.pop(pid) as asker, contextlib.suppress(OSError):
            asker.send(str(status).encode())


def _become(command: list[str], environment: dict[str, str], folder: str) -> None:
    """Do as a process that was just started: with its streams, its environment, its folder."""
    sys.stdin = sys.__stdin__ = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = sys.__stdout__ = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.__stderr__ = open(2, "w", 1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    if command[1] == "-m":
        sys.path.insert(0, folder)
        sys.argv = command[2:]
        runpy.run_module(command[2], run_name="__main__", alter_sys=True)
    else:
        sys.argv = command
        sys.modules["headrace.cli.main"].main()


def main() -> NoReturn:
    for package in PACKAGES:
        place = importlib.import_module(package).__path__
        for module in pkgutil.walk_packages(place, f"{package}."):
            if not module.name.endswith("__main__") and ".migrations." not in module.name:
                importlib.import_module(module.name)
    for name in OTHERS:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # a child does not look at all of this again
    wanted = _serve(socket.socket(fileno=int(sys.argv[1])))
    if wanted is None:
        sys.exit()
    code = 0
    try:
        _become(*wanted)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
