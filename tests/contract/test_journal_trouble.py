"""A journal that cannot be opened, read or written says why; nothing is accepted meanwhile, and nothing is lost."""

from __future__ import annotations

import fcntl
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from headrace.errors import AlreadyOwned, Damaged, Unavailable, Unusable
from headrace.journal.port import Unit
from headrace.journal.sqlite import SqliteJournal, faults
from headrace.journal.sqlite.migrations import HEAD, migrate_sqlite
from headrace.journal.writes import AddWorkflow, MovePosition
from tests.support.disks import Disk, small_disk
from tests.support.server import NoAnswer, Server

LIMIT_S = 60.0
WAITING = {"stages": [{"wait_event": {"event": "go"}}]}
OWNED, UNUSABLE = 5, 6
IS_FULL, IS_READ_ONLY = "is full", "Read-only file system"


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline, "it has not come about"
        time.sleep(0.02)


def answers(server: Server, path: str, status: int, part: str = "") -> bool:
    """Whether this is what the server answers now."""
    assert server.is_running, server.log()
    try:
        answer = server.get(path, timeout_s=10.0)
    except NoAnswer:
        return False
    return answer.status == status and part in answer.body.decode()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with small_disk(tmp_path / "disk") as mounted:
        yield mounted


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Not started. Its folder is where a small disk is mounted, if one is."""
    made = Server(tmp_path / "disk")
    yield made
    made.kill()


def create(server: Server) -> Any:
    return server.post("/api/orchestration/workflows", WAITING)


# a disk that is full or read-only: it passes


def assert_starting(server: Server, reason: str) -> None:
    """Liveness, and 503 with the reason for all else."""
    until(lambda: answers(server, "/readyz", 503, reason))
    assert answers(server, "/livez", 200) and answers(server, "/api/orchestration/livez", 200)
    for method, path in (
        ("GET", "/api/orchestration/workflows"),
        ("POST", "/api/orchestration/workflows"),
        ("GET", "/_healthcheck"),
        ("GET", "/metrics"),
        ("GET", "/api/orchestration/v2/instances"),
        ("POST", "/livez"),
        ("GET", "/nowhere"),
    ):
        answer = server.request(method, path, WAITING if method == "POST" else None)
        assert answer.status == 503, (method, path)
        assert answer.json["errorCode"] == "INTERNAL" and reason in answer.json["errorMessage"], (method, path)
        assert answer.headers["retry-after"] == "1"


def test_on_a_full_disk_a_server_says_so_and_starts_once_there_is_room(server: Server, disk: Disk) -> None:
    disk.fill()
    server.launch()
    assert_starting(server, IS_FULL)
    disk.empty()
    until(lambda: answers(server, "/readyz", 200))
    assert create(server).status == 201
    assert server.log().count("cannot serve yet; retrying") == 1, "said once, not at every attempt"
    assert server.stop() == 0


def test_on_a_read_only_disk_a_server_says_so_and_starts_once_it_is_writable(server: Server, disk: Disk) -> None:
    disk.remount("ro")
    server.launch()
    assert_starting(server, IS_READ_ONLY)
    disk.remount("rw")
    until(lambda: answers(server, "/readyz", 200))
    assert create(server).status == 201


def test_a_server_that_waits_for_its_disk_stops_when_asked(server: Server, disk: Disk) -> None:
    disk.fill()
    server.launch()
    until(lambda: answers(server, "/readyz", 503, IS_FULL))
    assert server.stop() == 0


def test_a_disk_that_fills_up_refuses_writes_and_loses_none(server: Server, disk: Disk) -> None:
    server.start()
    disk.fill()
    accepted: list[str] = []

    def is_refused() -> bool:
        answer = create(server)
        if answer.status == 201:
            accepted.append(answer.json["data"]["id"])
        return answer.status == 503

    until(is_refused)
    assert answers(server, "/readyz", 503, "full") and answers(server, "/livez", 200)
    refusal = create(server)
    assert refusal.status == 503 and "full" in refusal.json["errorMessage"]
    listed = server.get("/api/orchestration/v2/workflows?pageSize=1000")
    assert listed.status == 200, "what needs no room is answered"
    disk.empty()
    until(lambda: answers(server, "/readyz", 200))
    accepted.append(create(server).json["data"]["id"])
    server.restart()
    for workflow_id in accepted:
        assert server.get(f"/api/orchestration/workflows/{workflow_id}").status == 200
    assert len(server.get("/api/orchestration/workflows").json["data"]) == len(accepted)


def test_a_disk_that_is_nearly_full_is_not_ready_though_small_commits_fit(server: Server, disk: Disk) -> None:
    server.start()
    disk.fill(left=faults.MIN_FREE_BYTES // 2)
    assert answers(server, "/readyz", 503, IS_FULL)
    assert create(server).status == 201


async def test_a_check_writes_to_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.journal.sqlite.adapter.FRESH_S", 0.0)
    journal = await SqliteJournal.open(tmp_path / "journal.db")
    try:
        wal = tmp_path / "journal.db-wal"
        for _ in range(2):
            before = wal.stat().st_size
            await journal.check()
            assert wal.stat().st_size > before
    finally:
        await journal.close()


async def test_checks_that_follow_a_commit_do_not_write(tmp_path: Path) -> None:
    journal = await SqliteJournal.open(tmp_path / "journal.db")
    try:
        for _ in range(50):
            await journal.check()
        assert journal.commits < 10, "a caller of /readyz keeps no disk busy"
    finally:
        await journal.close()


async def test_a_commit_that_does_not_fit_is_unavailable_and_so_is_the_check(tmp_path: Path) -> None:
    """SQLite's own word for a full disk, without one."""
    journal = await SqliteJournal.open(tmp_path / "journal.db")
    connection: sqlite3.Connection = journal._writer._connection  # pyright: ignore[reportPrivateUsage]
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    try:
        await journal.check()
        connection.execute(f"PRAGMA max_page_count={pages}")
        unit = Unit()
        unit.add(AddWorkflow(workflow_id="w1", name="n" * 100_000, config="{}", created_at=1, updated_at=1))
        with pytest.raises(Unavailable, match="full"):
            await journal.commit(unit)
        connection.execute("PRAGMA max_page_count=1000000")
        await journal.commit(unit)
    finally:
        await journal.close()


async def test_a_locked_journal_passes(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as thief:
        thief.execute("BEGIN EXCLUSIVE")
        with pytest.raises(Unavailable, match=r"journal\.db cannot be opened: .*locked"):
            await SqliteJournal.open(path)
    await (await SqliteJournal.open(path)).close()


# a journal that is damaged, too new, or somebody else's: a person must act


def zeroes(path: Path) -> None:
    path.write_bytes(b"\0" * 4_096 + path.read_bytes()[4_096:])


def noise(path: Path) -> None:
    path.write_bytes(b"\xa5\x5a\x01 noise" * 1_000)


def header(path: Path) -> None:
    path.write_bytes(b"SQLite format 4\0" + path.read_bytes()[16:])


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2 // 4_096 * 4_096 + 100])


def schema(path: Path) -> None:
    """The page of the schema, behind the file's header."""
    content = path.read_bytes()
    path.write_bytes(content[:100] + b"\xff" * 3_996 + content[4_096:])


def other_program(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
        connection.execute("INSERT INTO alembic_version VALUES (?)", (HEAD,))
        connection.commit()


def newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


UNOPENABLE = [
    (noise, "damaged"),
    (header, "damaged"),
    (zeroes, "damaged"),
    (cut, "damaged"),
    (schema, "damaged"),
    (newer, "newer release"),
    (other_program, "no journal of Headrace"),
    (folder, "Is a directory"),
]


@pytest.mark.parametrize(("change", "reason"), UNOPENABLE, ids=lambda each: getattr(each, "__name__", ""))
async def test_what_cannot_be_opened_is_named_with_its_reason(
    tmp_path: Path, change: Callable[[Path], None], reason: str
) -> None:
    path = tmp_path / "journal.db"
    migrate_sqlite(str(path))
    change(path)
    before = path.read_bytes() if path.is_file() else b""
    for _ in range(2):  # and the first try leaves no lock behind
        with pytest.raises((Unusable, Damaged), match=rf"journal\.db cannot be opened: .*{reason}"):
            await SqliteJournal.open(path)
    if path.is_file() and change is not other_program:
        assert path.read_bytes() == before, "what is left is not touched"


@pytest.mark.parametrize(("change", "reason"), [(noise, "damaged"), (newer, "newer release")])
def test_a_server_ends_with_an_exit_code_and_one_line(
    server: Server, tmp_path: Path, change: Callable[[Path], None], reason: str
) -> None:
    (tmp_path / "disk").mkdir()
    path = tmp_path / "disk/journal.db"
    migrate_sqlite(str(path))
    change(path)
    server.launch()
    assert server.ended() == UNUSABLE
    last = server.log().strip().splitlines()[-1]
    assert "journal.db cannot be opened" in last and reason in last
    assert "Traceback" not in server.log() and "bug" not in server.log()


def test_a_folder_that_may_not_be_entered(tmp_path: Path) -> None:
    """A user of no rights, as root is bound by none."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    shut = tmp_path / "shut"
    shut.mkdir(mode=0o700)
    program = (
        "import asyncio, os, sys\n"
        "from pathlib import Path\n"
        "from headrace.errors import Unusable\n"
        "from headrace.journal.sqlite import SqliteJournal\n"
        "os.setuid(65534)\n"
        "try: asyncio.run(SqliteJournal.open(Path(sys.argv[1])))\n"
        "except Unusable as error: sys.exit(str(error))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, str(shut / "journal.db")], capture_output=True, text=True, check=False
    )
    assert ran.stderr.strip().endswith("Permission denied"), ran.stderr


def damage_rows(path: Path, table: str) -> None:
    """Overwrite every page of a table but the schema's."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        root = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)).fetchone()[0]
    with path.open("r+b") as file:
        file.seek((root - 1) * 4_096)
        file.write(b"\xee" * 4_096)


async def test_a_damaged_page_found_while_serving_is_said_and_nothing_is_written_any_more(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = await SqliteJournal.open(path)
    unit = Unit()
    unit.add(AddWorkflow(workflow_id="w1", name="n", config="{}", created_at=1, updated_at=1))
    await journal.commit(unit)
    await journal.close()
    damage_rows(path, "workflows")
    journal = await SqliteJournal.open(path)
    try:
        await journal.check()
        with pytest.raises(Damaged, match="damaged"):
            await journal.workflow("w1")
        unit = Unit()
        unit.add(MovePosition(source="s", position=1, expected=None))
        for attempt in (journal.check(), journal.commit(unit)):
            with pytest.raises(Damaged, match="the journal is damaged"):
                await attempt
    finally:
        await journal.close()


async def test_a_damaged_page_found_by_a_write_is_said_to_all_of_its_batch(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    await (await SqliteJournal.open(path)).close()
    damage_rows(path, "positions")
    journal = await SqliteJournal.open(path)
    try:
        unit = Unit()
        unit.add(MovePosition(source="s", position=1, expected=None))
        with pytest.raises(Damaged):
            await journal.commit(unit)
        with pytest.raises(Damaged):
            await journal.check()
    finally:
        await journal.close()


def test_a_server_whose_journal_turns_out_damaged_answers_503_with_the_reason(server: Server, tmp_path: Path) -> None:
    server.start()
    workflow_id = create(server).json["data"]["id"]
    assert server.stop() == 0
    damage_rows(tmp_path / "disk/journal.db", "workflows")
    server.start()
    for _ in range(2):
        answer = server.get(f"/api/orchestration/workflows/{workflow_id}")
        assert (answer.status, answer.json["errorCode"]) == (503, "INTERNAL")
        assert "the journal is damaged" in answer.json["errorMessage"]
    assert create(server).status == 503
    assert answers(server, "/readyz", 503, "damaged") and answers(server, "/livez", 200)


# a damaged log: commits that were answered, and that SQLite passes over in silence


def killed_with_commits(path: Path, count: int) -> None:
    """A journal whose process was killed after so many commits: they stand in the log."""
    program = (
        "import asyncio, os, sys\n"
        "from pathlib import Path\n"
        "from headrace.journal.port import Unit\n"
        "from headrace.journal.sqlite import SqliteJournal\n"
        "from headrace.journal.writes import AddWorkflow\n"
        "async def main():\n"
        "    await (await SqliteJournal.open(Path(sys.argv[1]))).close()\n"
        "    journal = await SqliteJournal.open(Path(sys.argv[1]))\n"
        "    for number in range(int(sys.argv[2])):\n"
        "        unit = Unit()\n"
        "        at = {'created_at': number, 'updated_at': number}\n"
        "        unit.add(AddWorkflow(workflow_id=f'w{number}', name='n', config='{}', **at))\n"
        "        await journal.commit(unit)\n"
        "    os._exit(9)\n"
        "asyncio.run(main())\n"
    )
    ran = subprocess.run([sys.executable, "-c", program, str(path), str(count)], check=False)
    assert ran.returncode == 9


FRAME = 24 + 4_096


def commit_ends(log: bytes | bytearray) -> list[int]:
    """Where the frame of each commit ends."""
    ends = range(32 + FRAME, len(log) + 1, FRAME)
    return [end for end in ends if int.from_bytes(log[end - FRAME + 4 : end - FRAME + 8], "big")]


async def workflows_in(path: Path) -> int:
    journal = await SqliteJournal.open(path)
    try:
        return sum([len(page) async for page in journal.workflows()])
    finally:
        await journal.close()


async def test_after_a_kill_every_commit_is_read(tmp_path: Path) -> None:
    killed_with_commits(tmp_path / "journal.db", 6)
    assert len(commit_ends((tmp_path / "journal.db-wal").read_bytes())) == 6
    assert await workflows_in(tmp_path / "journal.db") == 6


@pytest.mark.parametrize("commit", [0, 1, 3])
async def test_a_log_damaged_before_other_commits_is_not_passed_over(tmp_path: Path, commit: int) -> None:
    path, log = tmp_path / "journal.db", tmp_path / "journal.db-wal"
    killed_with_commits(path, 6)
    content = bytearray(log.read_bytes())
    end = commit_ends(content)[commit]
    content[end - 100 : end - 90] = b"\xff" * 10
    log.write_bytes(content)
    before = path.read_bytes()
    for _ in range(2):
        with pytest.raises(Damaged, match=r"journal\.db-wal is damaged: \d commits cannot be read"):
            await SqliteJournal.open(path)
    assert (path.read_bytes(), log.read_bytes()) == (before, bytes(content)), "what is left is not touched"
    with closing(sqlite3.connect(path)) as connection:  # the way out that the documentation names
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert await workflows_in(path) == commit


@pytest.mark.parametrize("place", [0, 8, 17, 30])
async def test_a_log_damaged_in_its_header_is_not_passed_over(tmp_path: Path, place: int) -> None:
    path, log = tmp_path / "journal.db", tmp_path / "journal.db-wal"
    killed_with_commits(path, 3)
    content = bytearray(log.read_bytes())
    content[place] ^= 0x55
    log.write_bytes(content)
    with pytest.raises(Damaged, match=r"journal\.db-wal is damaged in its header"):
        await SqliteJournal.open(path)


@pytest.mark.parametrize("missing", [1, 30, 2_000, FRAME, FRAME + 100])
async def test_a_log_whose_last_commit_was_cut_off_is_no_damage(tmp_path: Path, missing: int) -> None:
    """As a power cut leaves it: that commit was not answered."""
    path, log = tmp_path / "journal.db", tmp_path / "journal.db-wal"
    killed_with_commits(path, 6)
    content = log.read_bytes()
    log.write_bytes(content[:-missing])
    frames_of_last = (commit_ends(content)[-1] - commit_ends(content)[-2]) // FRAME
    if missing > FRAME * frames_of_last:
        pytest.fail("this cuts more than the last commit")
    assert await workflows_in(path) == 5


async def test_frames_of_failed_commits_behind_the_last_one_are_no_damage(tmp_path: Path) -> None:
    """Commits that failed at their fsync were rolled back; parts of them stay in the log, each with its end."""
    path, log = tmp_path / "journal.db", tmp_path / "journal.db-wal"
    killed_with_commits(path, 6)
    content = log.read_bytes()
    ends = commit_ends(content)
    left_over = content[ends[3] : ends[4]] + content[ends[4] : ends[5]]
    log.write_bytes(content[: ends[1]] + left_over[-FRAME:] + left_over[: ends[4] - ends[3]])
    assert await workflows_in(path) == 2


async def test_an_older_generation_behind_a_log_that_began_anew_is_no_damage(tmp_path: Path) -> None:
    path, log = tmp_path / "journal.db", tmp_path / "journal.db-wal"
    killed_with_commits(path, 6)
    older = log.read_bytes()
    assert await workflows_in(path) == 6  # and everything is in the file itself now
    killed_with_commits(path, 0)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE time_served SET probes = probes + 1")
        content = log.read_bytes()
        (tmp_path / "copy.db-wal").write_bytes(content + older[len(content) :])
        (tmp_path / "copy.db").write_bytes(path.read_bytes())
    assert len(older) > len(content)
    assert await workflows_in(tmp_path / "copy.db") == 6


# one owner


locks_the_journal = pytest.mark.skipif(
    not hasattr(fcntl, "F_OFD_SETLK"), reason="this system has no locks that belong to an open file"
)


@locks_the_journal
async def test_a_removed_lock_file_lets_no_second_owner_in(tmp_path: Path) -> None:
    first = await SqliteJournal.open(tmp_path / "journal.db")
    try:
        (tmp_path / "journal.db.lock").unlink()
        for _ in range(2):
            with pytest.raises(AlreadyOwned, match="in use by another Headrace server"):
                await SqliteJournal.open(tmp_path / "journal.db")
        unit = Unit()
        unit.add(MovePosition(source="s", position=1, expected=None))
        await first.commit(unit)
    finally:
        await first.close()
    await (await SqliteJournal.open(tmp_path / "journal.db")).close()


@locks_the_journal
def test_a_second_server_ends_with_its_exit_code_also_when_the_lock_file_is_gone(
    start_server: Callable[..., Server], tmp_path: Path
) -> None:
    first = start_server()
    second = Server(first.data)
    try:
        assert second.launch().ended() == OWNED
        assert f"in use by another Headrace server (process {first.pid})" in second.log()
        (first.data / "journal.db.lock").unlink()
        os.kill(first.pid, signal.SIGSTOP)  # a paused owner keeps it
        assert second.launch().ended() == OWNED
        os.kill(first.pid, signal.SIGCONT)
        assert create(first).status == 201
        first.kill()
        assert second.start().is_running
        assert len(second.get("/api/orchestration/workflows").json["data"]) == 1
    finally:
        second.kill()


async def test_a_journal_that_was_replaced_under_a_server_is_not_ready(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = await SqliteJournal.open(path)
    try:
        await journal.check()
        path.rename(tmp_path / "moved.db")
        with pytest.raises(Unavailable, match="removed or replaced"):
            await journal.check()
        migrate_sqlite(str(path))
        with pytest.raises(Unavailable, match="removed or replaced"):
            await journal.check()
    finally:
        await journal.close()


@locks_the_journal
async def test_other_programs_may_read_and_back_up_while_a_server_runs(tmp_path: Path) -> None:
    """Opening and closing the file elsewhere, in this process too, frees no lock."""
    journal = await SqliteJournal.open(tmp_path / "journal.db")
    try:
        program = (
            "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute('PRAGMA integrity_check').fetchone()[0])"
        )
        for _ in range(2):
            with closing(sqlite3.connect(tmp_path / "journal.db")) as reader:
                assert reader.execute("SELECT count(*) FROM workflows").fetchone() == (0,)
            command = [sys.executable, "-c", program, str(tmp_path / "journal.db")]
            assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "ok"
            (tmp_path / "journal.db.lock").unlink(missing_ok=True)
            with pytest.raises(AlreadyOwned):
                await SqliteJournal.open(tmp_path / "journal.db")
    finally:
        await journal.close()


# what an answer survives


async def test_every_connection_waits_for_the_disk(tmp_path: Path) -> None:
    """`synchronous` below FULL answers before a commit is on the disk, and no test can pull the plug."""
    journal = await SqliteJournal.open(tmp_path / "journal.db")
    try:
        for connection in (journal._writer._connection, journal._reader):  # pyright: ignore[reportPrivateUsage]
            assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    finally:
        await journal.close()
