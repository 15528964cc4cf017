"""Opening a database: its schema, its encoding, a proxy in between, and what the schema promises."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import psycopg
import pytest

from headrace.errors import InvalidValue, Unavailable, Unusable
from headrace.journal.lists import NEWEST, InstanceSearch, WorkflowList
from headrace.journal.port import Unit
from headrace.journal.postgres import PostgresJournal, migrate, migrations
from headrace.journal.postgres import adapter as postgres_adapter
from headrace.journal.postgres.connections import READER_SESSION, SESSION
from headrace.journal.postgres.migrations import HEAD
from headrace.journal.postgres.statements import named_statements
from headrace.journal.sqlite.migrations import HEAD as SQLITE_HEAD
from headrace.journal.writes import AddInstance, AddWorkflow, EndInstance
from tests.support import postgres

PATIENCE_S = 30.0

pytestmark = pytest.mark.skipif(postgres.programs() is None, reason=postgres.MISSING)


@pytest.fixture
def url() -> str:
    return postgres.new_database()


def execute(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)  # pyright: ignore[reportArgumentType,reportCallIssue]


def workflow(workflow_id: str, config: str = "{}", name: str | None = None) -> Unit:
    unit = Unit()
    unit.add(AddWorkflow(workflow_id=workflow_id, name=name, config=config, created_at=1, updated_at=1))
    return unit


async def refusal(url: str, kind: type[Exception] = Unusable) -> str:
    with pytest.raises(kind) as raised:
        await (await PostgresJournal.open(url)).close()
    return str(raised.value)


def test_both_databases_have_the_same_revision() -> None:
    assert HEAD == SQLITE_HEAD


async def test_a_database_without_a_journal_is_refused_and_named(url: str) -> None:
    empty = postgres.new_database(is_empty=True)
    assert "has no journal of Headrace yet. Run `headrace migrate`" in await refusal(empty)
    migrate(empty)
    await (await PostgresJournal.open(empty)).close()


async def test_a_journal_that_is_behind_is_refused(url: str) -> None:
    execute(url, "UPDATE alembic_version SET version_num = '0014'")
    assert f"its schema is 0014, and this release needs {HEAD}. Run `headrace migrate`." in await refusal(url)


async def test_a_journal_that_is_ahead_is_refused_unless_it_works_from_this_release(url: str) -> None:
    execute(url, "UPDATE alembic_version SET version_num = '9001'", "UPDATE journal_state SET works_from = '9001'")
    assert "newer release of Headrace (schema 9001" in await refusal(url)
    with pytest.raises(Unusable, match="newer release"):
        migrate(url)
    execute(url, f"UPDATE journal_state SET works_from = '{HEAD}'")
    migrate(url)
    journal = await PostgresJournal.open(url)
    await journal.commit(workflow("w1"))
    await journal.close()


async def test_a_server_that_would_pay_what_it_must_not_is_kept_away(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that knows no continuations would send effects again, under new keys; one that knows no approvals would go on
    without them; one that knows no times of waits would wait without an end; one that knows no conditions would run
    what is to be skipped; one that knows no names would start the version of which a trigger was made.
    """
    for revision in ("0022", "0025", "0027", "0028", "0029"):
        monkeypatch.setattr(migrations, "HEAD", revision)
        assert f"newer release of Headrace (schema {HEAD}" in await refusal(url)
    monkeypatch.setattr(migrations, "HEAD", "0030")
    await (await PostgresJournal.open(url)).close()


async def test_two_that_migrate_at_once_make_one_schema() -> None:
    empty = postgres.new_database(is_empty=True)
    await asyncio.gather(*(asyncio.to_thread(migrate, empty) for _ in range(4)))
    migrate(empty)
    journal = await PostgresJournal.open(empty)
    assert len(await journal.identity()) == 32
    await journal.close()


def test_a_migration_that_fails_leaves_nothing() -> None:
    empty = postgres.new_database(is_empty=True)
    execute(empty, "CREATE TABLE audit (seq bigint)")
    with pytest.raises(Unusable, match="audit"):
        migrate(empty)
    with psycopg.connect(empty) as connection:
        assert connection.execute("SELECT to_regclass('workflows'), to_regclass('alembic_version')").fetchone() == (
            None,
            None,
        )


async def test_another_encoding_is_refused() -> None:
    server = postgres.shared_server()
    with psycopg.connect(server.socket_url("postgres"), autocommit=True) as admin:
        admin.execute("CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    assert "its encoding is LATIN1" in await refusal(server.url("latin"))
    server.drop(server.url("latin").rpartition("/")[2])


async def test_a_proxy_that_shares_connections_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As behind such a proxy, two connections of this process reach one process of the database."""
    shared: Any = None
    connect_writer = postgres_adapter.connect_writer

    async def remembered(address: str) -> Any:
        nonlocal shared
        shared = await connect_writer(address)
        return shared

    async def same(address: str, role: str, session: str) -> Any:
        return shared

    monkeypatch.setattr(postgres_adapter, "connect_writer", remembered)
    monkeypatch.setattr("headrace.journal.postgres.readers.connect", same)
    message = await refusal(url)
    assert "HEADRACE_DATABASE_URL must reach PostgreSQL directly or through session pooling" in message


async def test_a_database_that_is_not_there_is_named(url: str) -> None:
    server = postgres.shared_server()
    assert "does not exist" in await refusal(server.url("nowhere"))
    unreachable = await refusal(server.url("test", port=1), Unavailable)
    assert "cannot be opened" in unreachable
    with pytest.raises(Unavailable, match="cannot be reached"):
        migrate(server.url("test", port=1))


async def test_text_of_a_service_may_hold_nul_and_a_name_may_not(url: str) -> None:
    journal = await PostgresJournal.open(url)
    good, bad = workflow("good", config='{"a":"\\u0000"}'), workflow("bad", name="a\0b")
    answers = await asyncio.gather(journal.commit(good), journal.commit(bad), return_exceptions=True)
    assert answers[0] == [] and isinstance(answers[1], InvalidValue), answers
    assert str(answers[1]) == "name: must not contain the character NUL"
    unit = Unit()
    unit.add(
        AddInstance(instance_id="i", workflow_id="good", config="{}", variables="{}", created_at=1, by_trigger=False)
    )
    unit.add(EndInstance(at=2, error="Post: \0: text", instance_id="i", version=0))
    await journal.commit(unit)
    instance = await journal.instance("i")
    assert instance is not None and instance.error == "Post: \ufffd: text"
    stored = await journal.workflow("good")
    assert stored is not None and stored.config == '{"a":"\\u0000"}'
    assert await journal.workflow("a\0b") is None and await journal.trigger("a\0b") is None
    await journal.close()


async def test_a_page_holds_no_more_bytes_than_its_limit(url: str) -> None:
    """Rows of 20 MB: two of them are a page."""
    journal = await PostgresJournal.open(url)
    config = '{"a":"' + "x" * (20 << 20) + '"}'
    for number in range(3):
        await journal.commit(workflow(f"w{number}", config=config))
    pages = [[row.id for row in page] async for page in journal.workflows()]
    assert pages == [["w2", "w1"], ["w0"]]
    assert [row.id for row in await journal.workflows_after(WorkflowList(), NEWEST, 1)] == ["w2"]
    await journal.close()


async def test_texts_that_no_index_holds_are_stored_all_the_same(url: str) -> None:
    journal = await PostgresJournal.open(url)
    await journal.commit(workflow("w"))
    unit = Unit()
    unit.add(AddInstance(instance_id="i", workflow_id="w", config="{}", variables="{}", created_at=1, by_trigger=False))
    unit.add(EndInstance(at=2, error=f"Post: {'AB_9' * 9_000}: text", instance_id="i", version=0))
    await journal.commit(unit)
    (found,) = await journal.summaries_after(InstanceSearch(status="failed"), NEWEST, 9)
    assert found.error_code is None
    await journal.close()


def test_an_index_answers_every_page_and_every_search(url: str) -> None:
    """No scan, and no sort: the time of a page does not grow with the list."""
    wanted = {name: sql for name, sql in named_statements().items() if name.endswith(("_page", "_before"))}
    assert len(wanted) > 35
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(SESSION + READER_SESSION)  # pyright: ignore[reportArgumentType,reportCallIssue]
        for number, (name, sql) in enumerate(wanted.items()):
            parameters = len(set(re.findall(r"\$[0-9]+", sql)))
            connection.execute(f"PREPARE p{number} AS {sql}")  # pyright: ignore[reportArgumentType,reportCallIssue]
            values = ", ".join(["NULL"] * parameters)
            given = f"({values})" if parameters else ""
            plan = connection.execute(f"EXPLAIN EXECUTE p{number}{given}").fetchall()  # pyright: ignore[reportArgumentType,reportCallIssue]
            steps = [row[0].strip(" ->") for row in plan]
            sorts = [step for step in steps if step.startswith(("Sort", "Incremental Sort"))]
            assert not [step for step in steps if step.startswith("Seq Scan")], (name, steps)
            assert not sorts, (name, steps)


def test_the_server_of_the_tests_is_found() -> None:
    folder = postgres.programs()
    assert folder is not None and (Path(folder) / "postgres").exists()
