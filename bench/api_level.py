"""The whole way in: `headrace serve` as a child process, instances started by `POST .../instances` over HTTP."""

from __future__ import annotations

import asyncio
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from bench.workloads import EVENT, VARIABLES, WAIT, Stages

CONNECTIONS = 64
READY_S = 30.0
PATIENCE_S = 300.0


class Front:
    """A client of the served API."""

    def __init__(self, session: aiohttp.ClientSession, url: str, pid: int) -> None:
        self._session = session
        self.url = f"{url}/api/orchestration"
        self.pid = pid

    async def create(self, stages: Stages) -> str:
        return (await self._post("/workflows", {"name": "bench", "stages": stages}))["data"]["id"]

    async def run(self, workflow_id: str, *, wait: bool = False) -> dict[str, Any]:
        query = "?wait=true" if wait else ""
        return (await self._post(f"/workflows/{workflow_id}/instances{query}", VARIABLES))["data"]

    async def send_event(self, instance_id: str) -> None:
        await self._post(f"/instances/{instance_id}/events", {"name": EVENT})

    async def running(self, workflow_id: str) -> int:
        async with self._session.get(f"{self.url}/instances?running=true&workflowID={workflow_id}") as response:
            return len((await response.json())["data"])

    async def failed(self, workflow_id: str) -> int:
        async with self._session.get(f"{self.url}/instances?workflowID={workflow_id}") as response:
            return sum(1 for instance in (await response.json())["data"] if instance.get("error"))

    async def get(self, path: str) -> bytes:
        async with self._session.get(self.url + path) as response:
            body = await response.read()
            assert response.status == 200, f"{path}: {response.status} {body[:500]!r}"
            return body

    async def metric(self, name: str) -> float | None:
        """The value of this series, with its labels as `/metrics` prints them; None where there is none."""
        async with self._session.get(f"{self.url.removesuffix('/api/orchestration')}/metrics") as response:
            lines = (await response.text()).splitlines()
        return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} ")), None)

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    async def _post(self, path: str, body: Any) -> Any:
        async with self._session.post(self.url + path, json=body) as response:
            assert response.status in (201, 204), f"{path}: {response.status} {await response.text()}"
            return await response.json() if response.status == 201 else None


@asynccontextmanager
async def served(folder: Path, url: str, environment: dict[str, str] | None = None) -> AsyncIterator[Front]:
    port = _free_port()
    services = {f"HEADRACE_{service}_URL": url for service in ("LEDGER", "WALLETS", "PAYMENTS")}
    command = [str(Path(sys.executable).parent / "headrace"), "serve", "--auth", "none", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--data", str(folder)]
    log_path = folder / "server.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(command, env={**(environment or os.environ), **services}, stdout=log, stderr=log)
    try:
        connector = aiohttp.TCPConnector(limit=CONNECTIONS)
        async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:
            base = f"http://127.0.0.1:{port}"
            await _ready(session, base, process, log_path)
            yield Front(session, base, process.pid)
    finally:
        process.terminate()
        process.wait()


async def throughput(folder: Path, url: str, stages: Stages, count: int) -> dict[str, float]:
    """Instances per second from the first POST to the last end, on 64 connections; nobody waits for an answer's run."""
    event = WAIT in stages
    async with served(folder, url) as front:
        await _start_all(front, await front.create(stages), CONNECTIONS, event=event)
        workflow_id = await front.create(stages)
        cpu_s, started = front.cpu_s(), time.perf_counter()
        await _start_all(front, workflow_id, count, event=event)
        accepted_s = time.perf_counter() - started
        while await front.running(workflow_id):
            assert time.perf_counter() - started < PATIENCE_S, "instances do not end"
            await asyncio.sleep(0.005)
        took_s = time.perf_counter() - started
        cpu_s = front.cpu_s() - cpu_s
        failed = await front.failed(workflow_id)
        assert not failed, f"{failed} instances failed"
    return {"per_s": count / took_s, "accepted_per_s": count / accepted_s, "cpu_ms_each": cpu_s / count * 1e3}


async def one_by_one(folder: Path, url: str, stages: Stages, count: int) -> dict[str, float]:
    """SEQ with `wait=true`: the median of the request."""
    times: list[float] = []
    async with served(folder, url) as front:
        workflow_id = await front.create(stages)
        await _start_all(front, workflow_id, CONNECTIONS, event=False)
        for _ in range(count):
            started = time.perf_counter()
            instance = await front.run(workflow_id, wait=True)
            times.append(time.perf_counter() - started)
            assert instance["terminated"] and not instance.get("error"), instance
    return {"median_ms": statistics.median(times) * 1e3}


async def _start_all(front: Front, workflow_id: str, count: int, *, event: bool) -> None:
    remaining = iter(range(count))

    async def caller() -> None:
        for _ in remaining:
            instance = await front.run(workflow_id)
            if event:
                await front.send_event(instance["id"])

    await asyncio.gather(*(caller() for _ in range(CONNECTIONS)))


async def _ready(session: aiohttp.ClientSession, url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        assert process.poll() is None, f"headrace serve ended:\n{log.read_text()[-2_000:]}"
        try:
            async with session.get(f"{url}/readyz") as response:
                if response.status == 200:
                    return
        except aiohttp.ClientError:
            pass
        await asyncio.sleep(0.02)
    raise AssertionError(f"headrace serve is not ready:\n{log.read_text()[-2_000:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
