"""What a run takes on the disk: each fact is stored once, and what is stored once is guarded."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from headrace.errors import Damaged
from headrace.journal.lists import NEWEST, InstanceList
from headrace.journal.port import Unit
from headrace.journal.sqlite import SqliteJournal
from headrace.journal.writes import (
    AddClosedActivity,
    AddInstance,
    AddWorkflow,
    AmendStage,
    CloseActivity,
    CloseStage,
    DeleteWorkflow,
    EndInstance,
    OpenActivity,
    OpenStage,
)

RUNS = 400
MAX_BYTES = 3_500
"""Of a run with one send and 300 bytes of metadata."""
NOTE = "a note that is found in the file once for each place that has to hold it"
METADATA = {"order": NOTE, "invoice": "0123456789" * 8, "customer": "abcdefghij" * 8, "branch": "klmnopqrst" * 5}
SEND = {"source": {"account": {"id": "users:1", "ledger": "main"}}, "amount": {"asset": "USD/2", "amount": 1}}
CONFIG = msgspec.json.encode({"stages": [{"send": {**SEND, "metadata": METADATA}}]}).decode()


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _run(instance_id: str, config: str = CONFIG) -> Unit:
    """All writes of a run that sends once."""
    key = f"headrace:{instance_id}:0:0"
    body = {"metadata": dict(sorted(METADATA.items())), "postings": [{"source": "users:1"}], "reference": key}
    shown = {"ledger": "main", "data": {**body, "metadata": METADATA}}
    output = {"data": {"id": 7, "timestamp": "2024-05-01T10:00:00Z", "reverted": False, **body}}
    unit = Unit()
    for write in (
        AddInstance(
            instance_id=instance_id, workflow_id="w1", config=config, variables="{}", created_at=20, by_trigger=False
        ),
        OpenStage(
            instance_id=instance_id,
            number=0,
            keyword="send",
            input=_text({**SEND, "metadata": METADATA}),
            started_at=20,
        ),
        OpenActivity(
            instance_id=instance_id,
            stage=0,
            position=0,
            name="CreateTransaction",
            input=_text(shown),
            started_at=20,
            attempt=1,
            key=key,
            request_method="POST",
            request_path="/v2/main/transactions",
            request_body=msgspec.json.encode(body),
        ),
        CloseActivity(
            attempt=1,
            output=_text(output),
            error=None,
            terminated_at=21,
            instance_id=instance_id,
            stage=0,
            position=0,
        ),
        CloseStage(terminated_at=21, error=None, instance_id=instance_id, number=0),
        EndInstance(at=21, error=None, instance_id=instance_id, version=0),
    ):
        unit.add(write)
    return unit


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[SqliteJournal]:
    opened = await SqliteJournal.open(tmp_path / "journal.db")
    unit = Unit()
    unit.add(AddWorkflow(workflow_id="w1", name="name", config=CONFIG, created_at=10, updated_at=10))
    await opened.commit(unit)
    yield opened
    await opened.close()


def _checkpointed(path: Path) -> bytes:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path.read_bytes()


async def test_a_run_takes_no_more_than_is_promised(journal: SqliteJournal, tmp_path: Path) -> None:
    empty = len(_checkpointed(tmp_path / "journal.db"))
    for number in range(RUNS):
        await journal.commit(_run(f"01a22759-fc91-7c36-bf8a-0000000{number:05}"))
    content = _checkpointed(tmp_path / "journal.db")
    assert (len(content) - empty) / RUNS < MAX_BYTES
    assert content.count(NOTE.encode()) == RUNS + 1, "once in each request, once in the definition"


@pytest.mark.parametrize("config", [CONFIG, '{"stages":[]}'], ids=["its workflow's", "another"])
async def test_what_is_read_is_what_was_written(journal: SqliteJournal, config: str) -> None:
    unit = _run("i1", config)
    wanted = {type(write): write for write in unit.writes}
    begun, opened, closed = wanted[OpenStage], wanted[OpenActivity], wanted[CloseActivity]
    assert isinstance(begun, OpenStage) and isinstance(opened, OpenActivity) and isinstance(closed, CloseActivity)
    unit.add(DeleteWorkflow(at=30, workflow_id="w1"))
    await journal.commit(unit)
    instance = await journal.instance("i1")
    assert instance is not None and instance.config == config
    assert instance.stages[0].input == begun.input
    (activity,) = await journal.activities("i1", 0)
    assert (activity.input, activity.request_body) == (opened.input, opened.request_body)
    assert activity.output == closed.output
    standing = await journal.standing("i1")
    assert standing is not None and (standing.instance, standing.activities) == (instance, (activity,))
    assert await journal.instances_after(InstanceList(), NEWEST, 9) == [instance]


async def test_amended_stages_and_activities_that_were_never_open_are_read_as_they_were_written(
    journal: SqliteJournal,
) -> None:
    amended, output = _text({**SEND, "metadata": METADATA, "more": NOTE}), _text({"data": METADATA, "more": "é"})
    unit = Unit()
    for write in _run("i1").writes[:2]:
        unit.add(write)
    unit.add(AmendStage(input=amended, instance_id="i1", number=0))
    unit.add(
        AddClosedActivity(
            instance_id="i1",
            stage=0,
            position=0,
            name="GetAccount",
            input="{}",
            started_at=20,
            attempt=1,
            key="",
            request_method="GET",
            request_path="/v2/main/accounts/users:1",
            request_body=None,
            output=output,
            error=None,
            last_failure=None,
            terminated_at=21,
        )
    )
    await journal.commit(unit)
    assert (await journal.stages("i1"))[0].input == amended
    (activity,) = await journal.activities("i1", 0)
    assert (activity.input, activity.output) == ("{}", output)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE activities SET request_body = x'7b7d'",
        "UPDATE workflows SET config = '{}'",
        "DELETE FROM workflows",
        "UPDATE instances SET variables = '{}'",
        "UPDATE instances SET config = '{}'",
        "UPDATE instances SET workflow_id = 'w2'",
    ],
)
async def test_a_text_that_others_refer_to_never_changes(
    journal: SqliteJournal, tmp_path: Path, statement: str
) -> None:
    await journal.commit(_run("i1"))
    connection = sqlite3.connect(tmp_path / "journal.db")
    with closing(connection), pytest.raises(sqlite3.IntegrityError, match="never changes"):
        connection.execute(statement)


async def test_a_text_that_cannot_be_unpacked_is_damage(journal: SqliteJournal, tmp_path: Path) -> None:
    await journal.commit(_run("i1"))
    with closing(sqlite3.connect(tmp_path / "journal.db")) as connection:
        connection.execute("UPDATE activities SET output = substr(output, 1, length(output) - 1)")
        connection.commit()
    with pytest.raises(Damaged):
        await journal.activities("i1", 0)
    with pytest.raises(Damaged):
        await journal.commit(_run("i2"))


async def test_no_table_with_long_rows_is_without_a_rowid(journal: SqliteJournal, tmp_path: Path) -> None:
    """In such a table a row of more than about 1,000 bytes takes a page of its own besides."""
    with closing(sqlite3.connect(tmp_path / "journal.db")) as connection:
        rows = connection.execute("SELECT name FROM sqlite_schema WHERE sql LIKE '%WITHOUT ROWID%'").fetchall()
    assert {row[0] for row in rows} <= {
        "identity",
        "positions",
        "event_keys",
        "instance_variables",
        "lookups",
        "wanted",
    }
