"""What became of a commit whose answer was lost, and of a batch that waited while another process took the journal."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from headrace.errors import Unavailable
from headrace.journal.port import Unit
from headrace.journal.postgres import PostgresJournal, migrate
from headrace.journal.postgres.commit_marker import KEPT, Mark
from headrace.journal.postgres.connections import connect
from headrace.journal.writes import AddWorkflow
from tests.support.postgres import MISSING, PostgresServer, new_database, programs

pytestmark = pytest.mark.skipif(programs() is None, reason=MISSING)


@pytest.fixture
def durable() -> Iterator[PostgresServer]:
    """A PostgreSQL that may be killed: what it has confirmed is on its disk."""
    with tempfile.TemporaryDirectory(prefix="hr-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)  # PostgreSQL's own user must get in
        with PostgresServer(Path(folder) / "pg") as server:
            yield server


def workflow(workflow_id: str) -> Unit:
    unit = Unit()
    unit.add(AddWorkflow(workflow_id=workflow_id, name="n", config="{}", created_at=1, updated_at=1))
    return unit


async def test_a_transaction_that_a_crash_lost_is_not_committed_by_another_with_its_number(
    durable: PostgresServer,
) -> None:
    """PostgreSQL gives the number out again, and says of it that it is committed."""
    url = durable.create("books")
    migrate(url)
    mark, connection = Mark(), await connect(url, "test")
    await mark.make(connection)
    await mark.begin(connection)
    number = (await (await connection.execute("SELECT pg_current_xact_id()::text")).fetchall())[0][0]
    durable.kill()
    await connection.close()
    durable.start()
    with psycopg.connect(url) as other:
        other.execute("INSERT INTO wanted (type) VALUES ('E')")
        reused = other.execute("SELECT pg_current_xact_id()::text").fetchone()
    assert reused == (number,), "this release of PostgreSQL reuses no number: the test shows nothing"
    async with await connect(url, "test") as again:
        status = await again.execute("SELECT pg_xact_status($1::text::xid8)", (number,))
        assert await status.fetchall() == [("committed",)]
        assert not await mark.is_committed(again)


async def test_a_commit_is_found_on_another_connection() -> None:
    url = new_database()
    mark, connection = Mark(), await connect(url, "test")
    await mark.make(connection)
    async with await connect(url, "test") as other:
        for _ in range(3):
            await mark.begin(connection)
            await connection.execute("COMMIT")
            assert await mark.is_committed(other)
        await mark.begin(connection)
        await connection.execute("ROLLBACK")
        assert not await mark.is_committed(other)
        await mark.begin(connection)
        await other.execute("SET lock_timeout = '50ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):  # it has not ended yet: neither answer would be true
            await mark.is_committed(other)
    await connection.close()


async def test_marks_of_processes_that_are_long_gone_are_removed() -> None:
    async with await connect(new_database(), "test") as connection:
        for _ in range(3):
            await Mark().make(connection)
        await connection.execute("SELECT setval(pg_get_serial_sequence('writers', 'id'), $1)", (KEPT + 2,))
        await Mark().make(connection)
        rows = await (await connection.execute("SELECT id FROM writers ORDER BY id")).fetchall()
        assert [row[0] for row in rows] == [KEPT + 3]


async def test_an_owner_that_lost_the_journal_writes_nothing_that_waited() -> None:
    url = new_database()
    first, second = await PostgresJournal.open(url), await PostgresJournal.open(url)
    try:
        assert await first.owner.try_own()
        await first.commit(workflow("w1"))
        assert not await second.owner.try_own()
        with psycopg.connect(url, autocommit=True) as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted "
                "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            )
        while not await second.owner.try_own():
            pass
        with pytest.raises(Unavailable, match="does not own the journal any more"):
            await first.commit(workflow("w2"))
        assert first.owner.lost.is_set()
        assert await second.workflow("w2") is None
        with pytest.raises(Unavailable):
            await first.commit(workflow("w3"))
        await second.commit(workflow("w4"))
    finally:
        await first.close()
        await second.close()
