"""What the machine could do at best, measured in the same run: raw HTTP posts, and durable SQLite commits."""

from __future__ import annotations

import asyncio
import sqlite3
import statistics
import time
from pathlib import Path

import aiohttp

from bench.workloads import post_request

IN_FLIGHT = 64


async def posts(url: str, count: int) -> dict[str, float]:
    """aiohttp POSTs of the bytes that a W1 effect sends, 64 in flight."""
    request = post_request()
    remaining = iter(range(count))

    async def client(session: aiohttp.ClientSession) -> None:
        for _ in remaining:
            async with session.post(url + request.path, data=request.body) as response:
                await response.read()

    async with _session() as session:
        cpu_s, started = time.process_time(), time.perf_counter()
        await asyncio.gather(*(client(session) for _ in range(IN_FLIGHT)))
        took_s, cpu_s = time.perf_counter() - started, time.process_time() - cpu_s
    return {"per_s": count / took_s, "cpu_ms_each": cpu_s / count * 1e3}


async def post_ms(url: str, count: int) -> float:
    """Median of one POST after another."""
    request = post_request()
    times: list[float] = []
    async with _session() as session:
        for _ in range(count):
            started = time.perf_counter()
            async with session.post(url + request.path, data=request.body) as response:
                await response.read()
            times.append(time.perf_counter() - started)
    return statistics.median(times) * 1e3


def commits_per_s(folder: Path, seconds: float) -> float:
    """Durable commits of one small row each, one after another (WAL, `synchronous=FULL`)."""
    times = _commit_times(folder, seconds)
    return len(times) / sum(times)


def commit_ms(folder: Path, seconds: float) -> float:
    """Median of one such commit."""
    return statistics.median(_commit_times(folder, seconds)) * 1e3


def _commit_times(folder: Path, seconds: float) -> list[float]:
    connection = sqlite3.connect(folder / "floor.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE IF NOT EXISTS row (id INTEGER PRIMARY KEY, body TEXT)")
    times: list[float] = []
    deadline = time.perf_counter() + seconds
    while (started := time.perf_counter()) < deadline:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO row (body) VALUES (?)", ("x" * 300,))
        connection.execute("COMMIT")
        times.append(time.perf_counter() - started)
    connection.close()
    return times


def _session() -> aiohttp.ClientSession:
    headers = {"Content-Type": "application/json", "Idempotency-Key": "headrace:bench"}
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=IN_FLIGHT),
        headers=headers,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
    )
