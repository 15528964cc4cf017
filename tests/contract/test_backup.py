"""A backup beside a running server, and what a restored journal does."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from headrace.clock import SystemClock
from headrace.errors import AlreadyOwned, Damaged, TransferError, Unusable
from headrace.journal.port import Journal, Unit
from headrace.journal.sqlite import SqliteJournal
from headrace.journal.sqlite.backup import back_up, put_in_place
from headrace.journal.sqlite.migrations import HEAD
from headrace.journal.sqlite.resting import RestingSqliteJournal
from headrace.journal.transfer import SKIP, Operator, restored
from headrace.journal.writes import AddWorkflow, MovePosition, Publish, WantType
from tests.contract.test_engine import SEND, WAIT, Scripted
from tests.support.in_process import running
from tests.support.released import restore

OPERATOR = Operator("operator:test", "0.0.0", "restore-1")
AT = 1_700_000_000_000_000


async def add_workflow(journal: Journal, workflow_id: str) -> None:
    unit = Unit()
    unit.add(AddWorkflow(workflow_id=workflow_id, name=None, config='{"stages":[]}', created_at=1, updated_at=1))
    await journal.commit(unit)


async def publish(journal: Journal) -> int:
    unit = Unit()
    unit.add(WantType(type="E"))
    unit.add(Publish(type="E", happened_at=1, payload="{}", instance_id=None, depth=0))
    return (await journal.commit(unit))[0].seq  # pyright: ignore[reportAttributeAccessIssue]


def restored_to(backup: Path, path: Path) -> int | None:
    put_in_place(backup, path)
    with closing(RestingSqliteJournal.open(path)) as journal:
        return restored(journal, OPERATOR, SystemClock())


async def test_a_backup_holds_every_commit_before_it_while_the_owner_writes(tmp_path: Path) -> None:
    journal = await SqliteJournal.open(tmp_path / "journal.db")
    is_done = asyncio.Event()
    written = 0

    async def write() -> None:
        nonlocal written
        while not is_done.is_set():
            await add_workflow(journal, f"w{written:06}")
            written += 1

    writing = asyncio.create_task(write())
    for number in range(5):
        while written < 20 * (number + 1):
            await asyncio.sleep(0.001)
        least = written
        await asyncio.to_thread(back_up, tmp_path / "journal.db", tmp_path / f"{number}.db", AT)
        with closing(sqlite3.connect(tmp_path / f"{number}.db")) as copy:
            ids = [row[0] for row in copy.execute("SELECT id FROM workflows ORDER BY id")]
            assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert len(ids) >= least
        assert ids == [f"w{each:06}" for each in range(len(ids))], "no commit without those before it"
    is_done.set()
    await writing
    await journal.check()
    await journal.close()
    assert sorted(each.name for each in tmp_path.glob("?.db*")) == [f"{number}.db" for number in range(5)]
    assert (tmp_path / "0.db").stat().st_mode & 0o777 == 0o600


async def test_no_server_starts_on_a_backup_that_was_only_copied(tmp_path: Path) -> None:
    journal = await SqliteJournal.open(tmp_path / "old/journal.db")
    back_up(tmp_path / "old/journal.db", tmp_path / "backup.db", AT)
    await journal.close()
    (tmp_path / "new").mkdir()
    shutil.copy(tmp_path / "backup.db", tmp_path / "new/journal.db")
    with pytest.raises(Unusable, match=r"a backup of 2023-11-14 22:13:20 UTC, which `headrace restore` must"):
        await SqliteJournal.open(tmp_path / "new/journal.db")
    with closing(RestingSqliteJournal.open(tmp_path / "new/journal.db")) as resting:
        assert restored(resting, OPERATOR, SystemClock()) == AT
    await (await SqliteJournal.open(tmp_path / "new/journal.db")).close()


async def test_numbers_that_were_given_after_the_backup_never_come_again(tmp_path: Path) -> None:
    """Subscribers know events by journal and number: a number that came again would be taken for a repeat."""
    journal = await SqliteJournal.open(tmp_path / "old/journal.db")
    seqs = [await publish(journal) for _ in range(3)]
    for source, position in (("to:done", 3), ("to:late", 1)):
        unit = Unit()
        unit.add(MovePosition(source=source, position=position, expected=None))
        await journal.commit(unit)
    back_up(tmp_path / "old/journal.db", tmp_path / "backup.db", AT)
    after = [await publish(journal) for _ in range(3)]
    identity = await journal.identity()
    await journal.close()

    assert restored_to(tmp_path / "backup.db", tmp_path / "new/journal.db") == AT
    again = await SqliteJournal.open(tmp_path / "new/journal.db")
    assert await again.identity() == identity
    assert [each.seq for each in await again.outbox(0, 10)] == seqs, "what was not acknowledged keeps its number"
    assert await again.position("to:done") == await again.outbox_end() == SKIP
    assert await again.position("to:late") == 1
    fresh = await publish(again)
    assert fresh == SKIP + 1 > max(after)
    (entry,) = await again.audit(2**62, 1)
    assert (entry.operation, entry.principal, entry.seq) == ("restoreJournal", "operator:test", SKIP + 1)
    await again.close()
    with closing(RestingSqliteJournal.open(tmp_path / "new/journal.db")) as resting:
        restored(resting, OPERATOR, SystemClock())
        assert resting.numbers()["outbox"] == 2 * SKIP


async def test_running_instances_go_on_from_the_backup_and_are_booked_once(tmp_path: Path) -> None:
    """What was paid between backup and restore is paid again under the same keys: the services know them."""
    services = Scripted()
    async with running(tmp_path / "journal.db", services) as alive:
        workflow = await alive.workflow("w", [WAIT, SEND, SEND])
        waiting, aborted = [await alive.run_once(workflow, {}, key=key) for key in ("waiting", "aborted")]
        back_up(tmp_path / "journal.db", tmp_path / "backup.db", AT)
        await alive.send_event(waiting, "go")
        assert (await alive.ended(waiting)).is_terminal
        await alive.abort(aborted)
        forgotten = await alive.run_once(workflow, {}, key="forgotten")
        await alive.send_event(forgotten, "go")
        assert (await alive.ended(forgotten)).is_terminal
    assert services.booked() == 4
    sent = [(each.path, each.body, each.key) for each in services.writes]

    put_in_place(tmp_path / "backup.db", tmp_path / "new.db")
    with closing(RestingSqliteJournal.open(tmp_path / "new.db")) as resting:
        outlook = resting.outlook(1)
        restored(resting, OPERATOR, SystemClock())
    assert (outlook.running, outlook.waiting_count) == (2, 2)
    assert [(each.instance_id, each.event) for each in outlook.waiting] == [(min(waiting, aborted), "go")]
    async with running(tmp_path / "new.db", services) as again:
        assert await again.journal.instance(forgotten) is None
        assert await again.run_once(workflow, {}, key="waiting") == waiting
        assert not (await again.ended(waiting, 0.05)).is_terminal, "its event came after the backup"
        await again.send_event(waiting, "go")
        assert (await again.ended(waiting)).error is None
    assert services.booked() == 4
    assert [(each.path, each.body, each.key) for each in services.writes[4:]] == sent[:2]
    await services.close()


async def test_what_an_open_effect_has_sent_is_repeated_byte_for_byte(tmp_path: Path) -> None:
    services = Scripted(lambda _, count: "drop" if count == 1 else None)
    async with running(tmp_path / "journal.db", services, retry_base_s=1_000.0, retry_cap_s=1_000.0) as alive:
        instance_id = await alive.run_once(await alive.workflow("w", [SEND]), {}, key="run")
        await services.under_way.wait()
        back_up(tmp_path / "journal.db", tmp_path / "backup.db", AT)
    put_in_place(tmp_path / "backup.db", tmp_path / "new.db")
    with closing(RestingSqliteJournal.open(tmp_path / "new.db")) as resting:
        assert resting.outlook(9).unsettled == 1
        restored(resting, OPERATOR, SystemClock())
    async with running(tmp_path / "new.db", services) as again:
        assert (await again.ended(instance_id)).error is None
    assert services.booked() == 1
    first, *others = [(each.path, each.body, each.key) for each in services.writes]
    assert others == [first]
    await services.close()


# refusals


async def test_nothing_is_overwritten(tmp_path: Path) -> None:
    journal = await SqliteJournal.open(tmp_path / "old/journal.db")
    (tmp_path / "backup.db").write_bytes(b"precious")
    with pytest.raises(TransferError, match="exists already, and a backup overwrites nothing"):
        back_up(tmp_path / "old/journal.db", tmp_path / "backup.db", AT)
    assert (tmp_path / "backup.db").read_bytes() == b"precious"
    back_up(tmp_path / "old/journal.db", tmp_path / "good.db", AT)
    with pytest.raises(TransferError, match="exists already, and a restore overwrites nothing"):
        put_in_place(tmp_path / "good.db", tmp_path / "old/journal.db")
    await journal.check()
    await journal.close()
    for name in ("journal.db-wal", "journal.db-shm"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / name).write_bytes(b"of another journal")
        with pytest.raises(TransferError, match=f"{name} exists already"):
            put_in_place(tmp_path / "good.db", folder / "journal.db")
        assert [each.name for each in folder.iterdir()] == [name]


def test_a_file_that_is_no_journal_or_damaged_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("no database\n" * 100)
    with closing(sqlite3.connect(tmp_path / "other.db")) as other:
        other.execute("CREATE TABLE t (x)")
    restore("0.2.0", tmp_path / "good.db")
    content = bytearray((tmp_path / "good.db").read_bytes())
    content[40_000:60_000] = b"\x55" * 20_000
    (tmp_path / "damaged.db").write_bytes(content)
    for name, kind in (("text", Damaged), ("other", Unusable), ("damaged", Damaged)):
        with pytest.raises(kind, match=f"{name}.db cannot be opened"):
            put_in_place(tmp_path / f"{name}.db", tmp_path / "new/journal.db")
        with pytest.raises(kind, match=f"{name}.db cannot be opened"):
            back_up(tmp_path / f"{name}.db", tmp_path / "copy.db", AT)
    assert not (tmp_path / "copy.db").exists()
    assert list((tmp_path / "new").iterdir()) == []
    with pytest.raises(TransferError, match="does not exist"):
        put_in_place(tmp_path / "nowhere.db", tmp_path / "new/journal.db")
    with pytest.raises(Unusable, match="does not exist"):
        back_up(tmp_path / "nowhere.db", tmp_path / "copy.db", AT)


def test_a_backup_of_an_earlier_release_is_migrated_and_one_of_a_newer_is_refused(tmp_path: Path) -> None:
    restore("0.2.0", tmp_path / "old.db")
    back_up(tmp_path / "old.db", tmp_path / "backup.db", AT)
    assert restored_to(tmp_path / "backup.db", tmp_path / "new/journal.db") is None
    with closing(RestingSqliteJournal.open(tmp_path / "new/journal.db")) as journal:
        assert (journal.state().revision, journal.outlook(9).running) == (HEAD, 5)
    with closing(sqlite3.connect(tmp_path / "backup.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(Unusable, match="newer release"):
        put_in_place(tmp_path / "backup.db", tmp_path / "newer/journal.db")


async def test_a_journal_that_was_moved_or_runs_is_not_restored(tmp_path: Path) -> None:
    running = await SqliteJournal.open(tmp_path / "journal.db")
    with pytest.raises(AlreadyOwned):
        RestingSqliteJournal.open(tmp_path / "journal.db")
    await running.close()
    with closing(RestingSqliteJournal.open(tmp_path / "journal.db")) as resting:
        with resting.transaction():
            resting.set_closed("moved", AT)
        with pytest.raises(TransferError, match="was exported at 2023-11-14"):
            restored(resting, OPERATOR, SystemClock())
    back_up(tmp_path / "journal.db", tmp_path / "backup.db", AT + 1)
    with pytest.raises(TransferError, match="was exported at 2023-11-14"):
        restored_to(tmp_path / "backup.db", tmp_path / "new/journal.db")
