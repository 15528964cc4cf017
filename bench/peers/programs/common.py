"""What the programs share: processes started and ended by id, their CPU time, callers, and the POST of an instance."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import uvloop

READY_S = 60.0
PATIENCE_S = 240.0
STOP_S = 20.0


@dataclass(frozen=True)
class Task:
    """What is to be measured, as `python -m bench.peers` hands it over."""

    workload: str
    url: str
    body: str
    folder: Path
    count: int
    callers: int

    @classmethod
    def given(cls) -> Task:
        given = json.loads(os.environ["BENCH_TASK"])
        return cls(**{**given, "folder": Path(given["folder"])})


class Poster:
    """Sends what a stage sends: the same bytes to the same address, with a key, over connections that stay open."""

    def __init__(self, url: str, body: str) -> None:
        self._url = url
        self._body = body.encode()
        self._session: aiohttp.ClientSession | None = None

    async def post(self, key: str) -> int:
        """The id of the transaction in the response."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar()
            )
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        async with self._session.post(self._url, data=self._body, headers=headers) as response:
            assert response.status == 200, response.status
            return (await response.json())["data"]["id"]

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


def run(program: Coroutine[Any, Any, None]) -> None:
    """On uvloop, as Headrace runs."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(program)


async def measure(
    task: Task,
    one: Callable[[int], Awaitable[object]],
    roots: list[int],
    ended: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Warm up, run all instances, print the figures. `ended` waits for what `one` does not wait for."""
    warm_up = max(task.callers, 64)
    await _all(one, range(warm_up), task.callers)
    if ended is not None:
        await ended()
    cpu_s, started = _cpu_s(roots), time.perf_counter()
    await _all(one, range(warm_up, warm_up + task.count), task.callers)
    if ended is not None:
        await ended()
    took_s = time.perf_counter() - started
    cpu_s = _cpu_s(roots) - cpu_s
    print(json.dumps({"per_s": task.count / took_s, "cpu_ms_each": cpu_s / task.count * 1e3}), flush=True)


async def _all(one: Callable[[int], Awaitable[object]], numbers: range, callers: int) -> None:
    remaining = iter(numbers)

    async def caller() -> None:
        for number in remaining:
            await asyncio.wait_for(one(number), PATIENCE_S)

    await asyncio.gather(*(caller() for _ in range(callers)))


def _cpu_s(roots: list[int]) -> float:
    """CPU seconds of these processes, of all below them, and of those below them that have ended already."""
    total = 0.0
    for root in roots:
        top = psutil.Process(root)
        for process in (top, *top.children(recursive=True)):
            try:
                times = process.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += times.user + times.system + times.children_user + times.children_system
    return total


def free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


@contextmanager
def child(command: list[str], log: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process with its output in this file; ended at the exit, by its id."""
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env={**os.environ, **environment})
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


async def until(what: Callable[[], Awaitable[object]], process: subprocess.Popen[bytes], log: Path) -> None:
    """Repeat until it no longer fails; give up when the process has ended or after a minute."""
    deadline = time.monotonic() + READY_S
    while True:
        try:
            await what()
        except Exception as error:
            if process.poll() is not None or time.monotonic() > deadline:
                text = log.read_text(errors="replace")[-2_000:]
                raise AssertionError(f"{process.args} is not ready: {error!r}\n{text}") from error
            await asyncio.sleep(0.05)
        else:
            return


async def connectable(port: int) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.close()


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """The address of a cluster of its own with the server's defaults (`fsync` and `synchronous_commit` on).

    `initdb` refuses root: then the user `postgres` runs it, as Debian's package made it.
    """
    binaries = _postgres_binaries()
    folder.mkdir(parents=True)
    as_user: list[str] = []
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
        as_user = ["runuser", "-u", "postgres", "--"]
    data = str(folder / "data")
    initdb = [*as_user, f"{binaries}/initdb", "-D", data, "-U", "bench", "-A", "trust", "-E", "UTF8", "--locale=C"]
    subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, cwd="/")
    (port,) = free_ports(1)
    settings = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "max_connections": "200"}
    command = [*as_user, f"{binaries}/postgres", "-D", data, "-p", str(port)]
    for name, value in settings.items():
        command += ["-c", f"{name}={value}"]
    log = folder.parent / "postgres.log"
    with child(command, log) as process:
        asyncio.run(until(lambda: _postgres_answers(port), process, log))
        yield f"postgresql://bench@127.0.0.1:{port}/postgres"


async def _postgres_answers(port: int) -> None:
    import psycopg  # not every program needs it

    async with await psycopg.AsyncConnection.connect(host="127.0.0.1", port=port, user="bench", dbname="postgres"):
        return


def _postgres_binaries() -> str:
    found = shutil.which("initdb")
    if found:
        return str(Path(found).resolve().parent)
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    if not installed:
        sys.exit("PostgreSQL is needed: `initdb` is neither on the PATH nor in /usr/lib/postgresql")
    return str(installed[-1])
