"""A connection that breaks around a COMMIT: what the caller is answered is what the database holds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import psycopg
import pytest

from headrace.errors import NotFound, Unavailable
from headrace.journal.group import WriterLimits
from headrace.journal.port import Required, Unit
from headrace.journal.postgres import PostgresJournal
from headrace.journal.writes import AddInstance, AddWorkflow
from tests.support import postgres
from tests.support.cutting_proxy import CuttingProxy, Where

PATIENCE_S = 30.0

pytestmark = pytest.mark.skipif(postgres.programs() is None, reason=postgres.MISSING)


@pytest.fixture
def url() -> str:
    return postgres.new_database()


@pytest.fixture
async def proxy() -> AsyncIterator[CuttingProxy]:
    async with CuttingProxy(postgres.shared_server().port) as running:
        yield running


def through(proxy: CuttingProxy, url: str) -> str:
    return postgres.shared_server().url(url.rpartition("/")[2], port=proxy.port)


def workflow(workflow_id: str) -> Unit:
    unit = Unit()
    unit.add(AddWorkflow(workflow_id=workflow_id, name=None, config="{}", created_at=1, updated_at=1))
    return unit


def stored(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        return {row[0] for row in connection.execute("SELECT id FROM workflows")}


@pytest.mark.parametrize("where", ["before", "after"])
async def test_a_caller_is_answered_what_happened(proxy: CuttingProxy, url: str, where: Where) -> None:
    """A commit that did not reach the database is made again; one that did is not."""
    journal = await PostgresJournal.open(through(proxy, url))
    async with asyncio.timeout(PATIENCE_S):
        for number in range(20):
            proxy.cut = where
            refused = workflow(f"refused {number}")
            refused.add(
                Required(
                    AddInstance(
                        instance_id="i", workflow_id="no", config="", variables="", created_at=1, by_trigger=False
                    ),
                    partial(NotFound, "workflow", "no"),
                )
            )
            answers = await asyncio.gather(
                journal.commit(workflow(f"w{number}")), journal.commit(refused), return_exceptions=True
            )
            assert isinstance(answers[1], NotFound)
            assert answers[0] == []
    assert proxy.cuts == 20
    await journal.close()
    assert stored(url) == {f"w{number}" for number in range(20)}
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT count(*) FROM workflows").fetchone() == (20,)


@pytest.mark.parametrize("where", ["before", "after"])
async def test_a_caller_waits_while_nobody_can_say_what_happened(proxy: CuttingProxy, url: str, where: Where) -> None:
    """Longer than a unit may queue: an answer before the database is back could be false."""
    journal = await PostgresJournal.open(through(proxy, url), limits=WriterLimits(give_up_s=0.3))
    proxy.cut, proxy.is_refusing = where, True
    waiting = asyncio.ensure_future(journal.commit(workflow("doubtful")))
    async with asyncio.timeout(PATIENCE_S):
        while not proxy.cuts:
            await asyncio.sleep(0.01)
        done, _ = await asyncio.wait((waiting,), timeout=1.0)
        assert not done
        with pytest.raises(Unavailable, match="in time"):
            await journal.commit(workflow("late"))
        proxy.is_refusing = False
        if where == "after":
            assert await waiting == []
        else:
            with pytest.raises(Unavailable, match="in time"):
                await waiting
        await journal.commit(workflow("next"))
    await journal.close()
    assert stored(url) == ({"doubtful", "next"} if where == "after" else {"next"})


async def test_a_journal_that_closes_meanwhile_gives_no_answer(
    proxy: CuttingProxy, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace.journal.postgres.writer.CLOSE_S", 0.1)
    journal = await PostgresJournal.open(through(proxy, url))
    proxy.cut, proxy.is_refusing = "after", True
    waiting = asyncio.ensure_future(journal.commit(workflow("doubtful")))
    async with asyncio.timeout(PATIENCE_S):
        while not proxy.cuts:
            await asyncio.sleep(0.01)
        await journal.close()
        with pytest.raises(asyncio.CancelledError):
            await waiting


async def test_reads_and_writes_go_on_after_the_server_was_restarted(tmp_path_factory: pytest.TempPathFactory) -> None:
    """With everything that was answered: this server writes to its disk."""
    from headrace.journal.postgres import migrate

    with postgres.PostgresServer(postgres.short_folder()) as server:
        url = server.create("kept")
        migrate(url)
        journal = await PostgresJournal.open(url)
        answered: list[str] = []

        async def write() -> None:
            number = 0
            while len(answered) < 600:
                number += 1
                name = f"w{number}"
                try:
                    await journal.commit(workflow(name))
                except Unavailable:
                    await asyncio.sleep(0.05)
                else:
                    answered.append(name)

        async with asyncio.timeout(100):
            writing = asyncio.ensure_future(write())
            for _ in range(3):
                before = len(answered)
                while len(answered) < min(before + 20, 600):
                    await asyncio.sleep(0.01)
                await asyncio.to_thread(server.kill)
                with pytest.raises(Unavailable, match="does not answer"):
                    await journal.workflow("w1")
                await asyncio.to_thread(server.start)
                assert await journal.workflow("w1") is not None
            await writing
            await journal.check()
        await journal.close()
        assert set(answered) <= stored(url)


async def _until_it_fails(journal: PostgresJournal) -> None:
    """The writer may not have noticed the cut yet."""
    while True:
        await journal.check()
        await asyncio.sleep(0.01)


async def test_check_says_why_nothing_can_be_written(proxy: CuttingProxy, url: str) -> None:
    journal = await PostgresJournal.open(through(proxy, url), limits=WriterLimits(give_up_s=0.2))
    await journal.check()
    proxy.is_refusing = True
    proxy.cut = "before"
    doubtful = asyncio.ensure_future(journal.commit(workflow("w")))
    async with asyncio.timeout(PATIENCE_S):
        while not proxy.cuts:
            await asyncio.sleep(0.01)
        with pytest.raises(Unavailable, match="the database cannot be reached"):
            await _until_it_fails(journal)
        proxy.is_refusing = False
        while True:
            try:
                await journal.check()
            except Unavailable:
                continue
            break
        with pytest.raises(Unavailable):
            await doubtful
    await journal.close()
