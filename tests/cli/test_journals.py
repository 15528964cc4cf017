"""`migrate`, `backup`, `restore`, `export`, `import` and `engine`: messages, exit codes, and a server on the result."""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from headrace.journal.sqlite.migrations import HEAD
from tests.support.released import restore
from tests.support.server import Server

Headrace = Callable[..., Any]
LIMIT_S = 30.0
API = "/api/orchestration"
TRANSFER = {
    "name": "transfer",
    "stages": [
        {"wait_event": {"event": "go"}},
        {
            "send": {
                "source": {"account": {"id": "world", "ledger": "main"}},
                "destination": {"account": {"id": "users:1", "ledger": "main"}},
                "amount": {"asset": "USD/2", "amount": 100},
            }
        },
    ],
}


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    for name in ("HEADRACE_DATA", "HEADRACE_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def old_journal(tmp_path: Path) -> Path:
    """The data folder of release 0.2.0, killed with running instances."""
    (tmp_path / "old").mkdir()
    restore("0.2.0", tmp_path / "old/journal.db")
    return tmp_path / "old"


def start_waiting_instance(server: Server) -> str:
    assert server.post("/api/ledger/v2/main").status == 204
    workflow_id = server.post(f"{API}/workflows", TRANSFER).json["data"]["id"]
    return server.post(f"{API}/workflows/{workflow_id}/instances", {}).json["data"]["id"]


def end_by_event(server: Server, instance_id: str) -> None:
    """Send the event that an instance waits for, and wait until the instance has ended without an error."""
    assert server.post(f"{API}/instances/{instance_id}/events", {"name": "go"}).status == 204
    deadline = time.monotonic() + LIMIT_S
    while not (instance := server.get(f"{API}/instances/{instance_id}").json["data"])["terminated"]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert "error" not in instance


def booked(server: Server) -> int:
    page = server.get("/api/ledger/v2/main/transactions").json["cursor"]["data"]
    return sum(each["reference"].startswith("headrace:") for each in page)


def fits(text: str) -> bool:
    """Whether sentences fit a terminal; a path or an id is not cut."""
    return all(len(line) <= 80 or "/" in line for line in text.splitlines())


# migrate


def test_migrate_says_what_there_is_to_do_and_does_it(headrace: Headrace, old_journal: Path) -> None:
    data = ("--data", str(old_journal))
    path = old_journal / "journal.db"
    before = path.read_bytes()
    ran = headrace("migrate", "--check", *data)
    assert (ran.code, ran.out) == (1, f"{path} has schema 0011: `headrace migrate` brings it to {HEAD}.\n")
    assert path.read_bytes() == before
    ran = headrace("migrate", *data)
    assert (ran.code, ran.out) == (0, f"{path} was migrated from schema 0011 to {HEAD}.\n")
    for arguments in (["migrate"], ["migrate", "--check"]):
        ran = headrace(*arguments, *data)
        assert (ran.code, ran.out) == (0, f"{path} has schema {HEAD} already: nothing to do.\n")
    document = json.loads(headrace("-o", "json", "migrate", *data).out)["data"]["migration"]
    assert document == {"journal": str(path), "before": HEAD, "after": HEAD, "head": HEAD}


def test_migrate_creates_a_journal_but_does_not_check_one_into_being(headrace: Headrace, tmp_path: Path) -> None:
    data = ("--data", str(tmp_path / "new"))
    ran = headrace("migrate", "--check", *data)
    assert ran.code == 1 and "journal.db does not exist" in ran.out
    assert not (tmp_path / "new").exists()
    ran = headrace("migrate", *data)
    assert ran.code == 0 and f"was created with schema {HEAD}" in ran.out


def test_reindex_makes_the_instances_of_an_earlier_release_findable(headrace: Headrace, old_journal: Path) -> None:
    data, count = ("--data", str(old_journal)), 0
    for _ in range(2):
        ran = headrace("reindex", *data)
        assert ran.code == 0 and fits(ran.out)
        with closing(sqlite3.connect(old_journal / "journal.db")) as connection:
            ((count,),) = connection.execute("SELECT count(*) FROM instances")
            found = connection.execute("SELECT DISTINCT instance_id FROM lookups").fetchall()
            kinds = {term.partition(" ")[0] for (term,) in connection.execute("SELECT term FROM lookups")}
        assert ran.out == f"{count:,} instances are findable.\n" and count >= len(found) > 3
        assert kinds >= {"account", "amount", "transaction"}
    document = json.loads(headrace("-o", "json", "reindex", *data).out)["data"]["reindex"]
    assert document == {"journal": str(old_journal / "journal.db"), "instances": count}


def test_reindex_makes_no_journal(headrace: Headrace, tmp_path: Path) -> None:
    ran = headrace("reindex", "--data", str(tmp_path / "new"))
    assert ran.code == 2 and "there is no journal at" in ran.err and not (tmp_path / "new").exists()


@pytest.mark.parametrize("command", [("migrate",), ("engine", "status"), ("engine", "resume"), ("export", "x.jsonl")])
@pytest.mark.parametrize("url", ["mysql://bob:secret@h/x", "postgresql://bob:secret@h:0/x", "x"])
def test_a_database_that_is_no_url_is_refused_without_its_password(
    headrace: Headrace, command: tuple[str, ...], url: str
) -> None:
    done = headrace(*command, "--database-url", url)
    assert done.code == 2 and "HEADRACE_DATABASE_URL" in done.err
    assert "secret" not in done.err + done.out


def test_migrate_refuses_a_newer_release_and_what_is_no_journal(headrace: Headrace, old_journal: Path) -> None:
    with closing(sqlite3.connect(old_journal / "journal.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    for arguments in (["migrate"], ["migrate", "--check"]):
        ran = headrace(*arguments, "--data", str(old_journal))
        assert ran.code == 6 and "written by a newer release" in ran.err and ran.out == ""
    (old_journal / "journal.db").write_text("no database" * 100)
    ran = headrace("migrate", "--data", str(old_journal))
    assert ran.code == 6 and "cannot be read" in ran.err


# while a server runs


def test_beside_a_server_only_backup_and_status_work(
    headrace: Headrace, start_server: Callable[..., Server], tmp_path: Path
) -> None:
    server = start_server()
    instance_id = start_waiting_instance(server)
    data = ("--data", str(server.data))
    for arguments in (
        ["export", str(tmp_path / "file")],
        ["export", "--copy", str(tmp_path / "file")],
        ["reindex"],
        ["export", "--undo"],
        ["import", str(tmp_path / "empty")],
        ["restore"],
        ["engine", "switch", "embedded"],
    ):
        (tmp_path / "empty").touch()
        ran = headrace(*arguments, *data)
        assert ran.code == 5, (arguments, ran)
        assert f"in use by another Headrace server (process {server.pid})" in ran.err
    ran = headrace("migrate", *data)
    assert ran.code == 0 and "nothing to do" in ran.out

    ran = headrace("engine", "status", *data)
    assert ran.code == 0 and fits(ran.out), ran
    assert f"process {server.pid}" in ran.out and "1 for an event" in ran.out and "0017" <= HEAD in ran.out
    status = json.loads(headrace("-o", "json", "engine", "status", *data).out)["data"]["engine"]
    assert (status["running"], status["waiting"], status["closed"]) == (1, 1, None)

    backup = tmp_path / "backup.db"
    ran = headrace("backup", str(backup), *data)
    assert ran.code == 0 and "bytes, checked. It is the journal of " in ran.out
    ran = headrace("backup", str(backup), *data)
    assert ran.code == 1 and "exists already" in ran.err
    assert server.get("/readyz").status == 200
    assert server.get(f"{API}/instances/{instance_id}").status == 200


# a backup and a move, with real servers


def test_a_restored_journal_goes_on_and_says_what_to_check(
    headrace: Headrace, start_server: Callable[..., Server], tmp_path: Path
) -> None:
    server = start_server()
    instance_id = start_waiting_instance(server)
    backup = tmp_path / "backup.db"
    assert headrace("backup", str(backup), "--data", str(server.data)).code == 0
    end_by_event(server, instance_id)
    assert booked(server) == 1
    server.stop()
    ran = headrace("restore", str(backup), "--data", str(server.data))
    assert ran.code == 1 and "overwrites nothing: move it to another folder" in ran.err
    (tmp_path / "broken").mkdir()
    for path in server.data.glob("journal.db*"):
        shutil.move(path, tmp_path / "broken")
    ran = headrace("restore", str(backup), "--data", str(server.data))
    assert ran.code == 0 and fits(ran.out), ran
    for text in (instance_id, "1 for an event", "Waits for", "go", "1. Before the start", "4. After the start"):
        assert text in ran.out
    server.start()
    assert not server.get(f"{API}/instances/{instance_id}").json["data"]["terminated"]
    end_by_event(server, instance_id)
    assert booked(server) == 1, "the same key was booked once"


def test_a_backup_that_was_only_copied_stops_the_server(
    headrace: Headrace, start_server: Callable[..., Server], tmp_path: Path
) -> None:
    assert headrace("migrate", "--data", str(tmp_path / "old")).code == 0
    (tmp_path / "data").mkdir()
    assert headrace("backup", str(tmp_path / "data/journal.db"), "--data", str(tmp_path / "old")).code == 0
    server = Server(tmp_path / "data").launch()
    assert server.ended() == 6
    assert "which `headrace restore` must restore first" in server.log()
    ran = headrace("restore", "--data", str(tmp_path / "data"))
    assert ran.code == 0 and "an empty journal" not in ran.out
    start_server()


def test_a_moved_journal_goes_on_elsewhere_and_not_here(
    headrace: Headrace, start_server: Callable[..., Server], tmp_path: Path
) -> None:
    old = start_server("old")
    instance_id = start_waiting_instance(old)
    old.stop()
    file = tmp_path / "journal.jsonl"
    ran = headrace("export", str(file), "--data", str(old.data))
    assert ran.code == 0 and fits(ran.out), ran
    assert "No server starts on this journal any more." in ran.out
    assert old.launch().ended() == 6
    assert "`headrace export --undo` opens this journal again" in old.log()
    ran = headrace("engine", "status", "--data", str(old.data))
    assert ran.code == 0 and "its instances go on where the file was imported" in ran.out

    ran = headrace("doctor", "--data", str(old.data))
    assert "is closed: it was exported at " in ran.out

    new = tmp_path / "new"
    document = json.loads(headrace("-o", "json", "import", str(file), "--data", str(new)).out)["data"]["import"]
    assert (document["kind"], document["counts"]["instances"]) == ("move", 1)
    ran = headrace("import", str(file), "--data", str(new))
    assert ran.code == 1 and "is in use already" in ran.err
    shutil.copy(old.data / "sandbox.db", new / "sandbox.db")
    server = start_server("new")
    end_by_event(server, instance_id)
    assert booked(server) == 1
    operations = [each["operation"] for each in server.get(f"{API}/ext/audit").json["data"]]
    assert "importJournal" in operations and "createWorkflow" in operations


def test_an_export_is_undone_and_a_copy_warns(headrace: Headrace, old_journal: Path, tmp_path: Path) -> None:
    data = ("--data", str(old_journal))
    ran = headrace("export", str(tmp_path / "file"), *data)
    assert ran.code == 6 and "`headrace migrate` brings it to this release's" in ran.err
    assert headrace("migrate", *data).code == 0
    ran = headrace("export", "--undo", *data)
    assert ran.code == 1 and "nothing to undo" in ran.err
    assert headrace("export", str(tmp_path / "file"), *data).code == 0
    ran = headrace("export", "--undo", *data)
    assert ran.code == 0 and "is open again" in ran.out
    ran = headrace("export", "--copy", str(tmp_path / "copy"), *data)
    assert ran.code == 0 and "The journal stays open" in ran.out
    ran = headrace("import", str(tmp_path / "copy"), "--data", str(tmp_path / "new"))
    assert ran.code == 0 and "Instances    10" in ran.out
    assert "this is a copy: the original may still run" in ran.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["export"], "give FILE"),
        (["export", "--undo", "FILE"], "give FILE"),
        (["export", "--undo", "--copy"], "give FILE"),
        (["import", "nowhere"], "nowhere does not exist"),
        (["migrate", "--data", "x", "--database-url", "postgresql://host/name"], "exclude each other"),
        (["backup", "x.db", "--database-url", "postgresql://host/name"], "copies a SQLite journal"),
        (["restore", "x.db", "--database-url", "postgresql://host/name"], "FILE is for a data folder"),
        (["engine", "switch", "steam"], "'steam' is no engine"),
        (["engine", "switch", "temporal"], "needs a journal in PostgreSQL"),
    ],
)
def test_a_wrong_command_line_is_refused(
    arguments: list[str], message: str, headrace: Headrace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = headrace(*arguments)
    assert ran.code == 2 and message in ran.err, ran
    assert list(tmp_path.iterdir()) == []


def test_a_cut_off_file_imports_nothing(headrace: Headrace, old_journal: Path, tmp_path: Path) -> None:
    assert headrace("migrate", "--data", str(old_journal)).code == 0
    file = tmp_path / "file"
    assert headrace("export", str(file), "--data", str(old_journal)).code == 0
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    ran = headrace("import", str(file), "--data", str(tmp_path / "new"))
    assert ran.code == 1 and "is not whole: it was cut off after line" in ran.err
    assert not (tmp_path / "new").exists()
    (tmp_path / "other").mkdir()
    (tmp_path / "other/clients.json").write_text("{}")
    assert headrace("import", str(file), "--data", str(tmp_path / "other")).code == 1
    assert [each.name for each in (tmp_path / "other").iterdir()] == ["clients.json"]
    file.write_bytes(content)
    assert headrace("import", str(file), "--data", str(tmp_path / "new")).code == 0
    assert headrace("import", str(file), "--data", str(tmp_path / "new")).code == 1
    with closing(sqlite3.connect(tmp_path / "new/journal.db")) as connection:
        assert connection.execute("SELECT count(*) FROM workflows").fetchone() != (0,)


def test_the_engine_is_switched_at_rest(headrace: Headrace, old_journal: Path) -> None:
    data = ("--data", str(old_journal))
    assert headrace("migrate", *data).code == 0
    ran = headrace("engine", "switch", "embedded", *data)
    assert ran.code == 0 and "is driven by embedded already" in ran.out
    with closing(sqlite3.connect(old_journal / "journal.db")) as connection, connection:
        connection.execute("UPDATE journal_state SET engine = 'temporal'")
    ran = headrace("engine", "switch", "embedded", *data)
    assert ran.code == 0 and "is driven by embedded from now on" in ran.out
    ran = headrace("engine", "resume", *data)
    assert ran.code == 1 and "there is nothing to resume" in ran.err
