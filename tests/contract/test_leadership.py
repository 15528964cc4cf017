"""Duties under advisory locks of a real PostgreSQL: one server each, lost with the connection."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import psycopg
import pytest

from headrace.clock import SystemClock
from headrace.events.duties import Duties
from headrace.journal.postgres.leadership import PostgresLeadership
from tests.support.in_process import FastClock
from tests.support.postgres import MISSING, PostgresServer, new_database, programs

pytestmark = pytest.mark.skipif(programs() is None, reason=MISSING)

LIMIT_S = 60.0
STEP_S = 0.01


@pytest.fixture
def url() -> str:
    return new_database(is_empty=True)


@asynccontextmanager
async def leadership(url: str) -> AsyncIterator[PostgresLeadership]:
    """Of one server, whose look at its connection comes every hundredth of a second."""
    opened = PostgresLeadership(url, FastClock())
    looking = asyncio.ensure_future(opened.run())
    try:
        yield opened
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
        await opened.close()


def cut(url: str) -> int:
    """End the connections of duties on the side of PostgreSQL."""
    with psycopg.connect(url, autocommit=True) as admin:
        return admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name LIKE 'headrace duties %'"
        ).rowcount


async def test_a_duty_is_at_one_server(url: str) -> None:
    async with leadership(url) as a, leadership(url) as b, asyncio.timeout(LIMIT_S):
        held = await a.take("triggers")
        assert held is not None
        assert await b.take("triggers") is None
        other = await b.take("retention")
        assert other is not None, "another duty is another lock"
        assert await a.take("retention") is None
        await a.give_back("triggers")
        assert await b.take("triggers") is not None
        assert await a.take("triggers") is None
        await a.give_back("triggers")
        assert await a.take("triggers") is None, "only the server that has a duty can give it back"
        assert not held.is_set()


async def test_duties_of_two_databases_are_apart(url: str) -> None:
    async with leadership(url) as a, leadership(new_database(is_empty=True)) as b, asyncio.timeout(LIMIT_S):
        assert await a.take("triggers") is not None
        assert await b.take("triggers") is not None


async def test_the_loss_of_the_connection_is_noticed_and_the_duty_moves(url: str) -> None:
    async with leadership(url) as a, leadership(url) as b, asyncio.timeout(LIMIT_S):
        held = [await a.take(duty) for duty in ("triggers", "gauges")]
        assert await b.take("triggers") is None
        assert cut(url) == 2
        for lost in held:
            assert lost is not None
            await lost.wait()
        while (taken := await b.take("triggers")) is None:
            await asyncio.sleep(STEP_S)
        assert await a.take("triggers") is None
        assert not taken.is_set()


async def test_work_goes_on_at_some_server_however_often_connections_are_cut(url: str) -> None:
    begun, ended = asyncio.Semaphore(0), asyncio.Semaphore(0)

    async def work() -> None:
        begun.release()
        try:
            await asyncio.Event().wait()
        finally:
            ended.release()

    async with AsyncExitStack() as stack, asyncio.timeout(LIMIT_S):
        for _ in range(3):
            duties = Duties(await stack.enter_async_context(leadership(url)), FastClock())
            running = asyncio.ensure_future(duties.run("triggers", work))
            stack.callback(running.cancel)
        for _ in range(5):
            await begun.acquire()
            cut(url)
            await ended.acquire()


@pytest.fixture
def public() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="hr-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


async def test_a_database_that_is_away_costs_the_duties_and_no_error(public: Path) -> None:
    server = PostgresServer(public / "pg")
    server.start()
    try:
        async with leadership(server.url("postgres")) as a, asyncio.timeout(LIMIT_S):
            held = await a.take("triggers")
            assert held is not None
            server.kill()
            await held.wait()
            assert await a.take("triggers") is None
            await a.give_back("triggers")
            server.start()
            while await a.take("triggers") is None:
                await asyncio.sleep(STEP_S)
    finally:
        server.stop()


async def test_a_server_that_is_closed_has_lost_its_duties(url: str) -> None:
    leader = PostgresLeadership(url, SystemClock())
    held = await leader.take("triggers")
    await leader.close()
    assert held is not None
    assert held.is_set()
