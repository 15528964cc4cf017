"""The commands on a journal in PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from headrace.journal.postgres.migrations import HEAD
from tests.support import postgres
from tests.support.released import restore

Headrace = Callable[..., Any]


@pytest.fixture
def database() -> str:
    """The URL of an empty database."""
    if postgres.programs() is None:
        pytest.skip(postgres.MISSING)
    return postgres.new_database(is_empty=True)


def test_migrate_makes_the_schema_once(headrace: Headrace, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_DATABASE_URL", database)
    ran = headrace("migrate", "--check")
    assert ran.code == 1 and "does not exist" in ran.out, ran
    ran = headrace("migrate")
    assert ran.code == 0 and f"was created with schema {HEAD}" in ran.out, ran
    for arguments in (["migrate"], ["migrate", "--check"]):
        ran = headrace(*arguments)
        assert ran.code == 0 and f"has schema {HEAD} already: nothing to do." in ran.out
    with psycopg.connect(database) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    for arguments in (["migrate"], ["migrate", "--check"], ["engine", "status"]):
        ran = headrace(*arguments)
        assert ran.code == 6 and "written by a newer release" in ran.err, ran


def test_a_file_moves_to_a_database_and_back(headrace: Headrace, database: str, tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    restore("0.2.0", tmp_path / "old/journal.db")
    there, file, back = ("--database-url", database), str(tmp_path / "file"), str(tmp_path / "back")
    assert headrace("migrate", "--data", str(tmp_path / "old")).code == 0
    assert headrace("export", file, "--data", str(tmp_path / "old")).code == 0
    ran = headrace("import", file, *there)
    assert ran.code == 0 and "Instances    10" in ran.out, ran
    ran = headrace("import", file, *there)
    assert ran.code == 1 and "is in use already: its table positions has rows" in ran.err, ran
    status = json.loads(headrace("-o", "json", "engine", "status", *there).out)["data"]["engine"]
    assert (status["running"], status["waiting"], status["delayed"], status["engine"]) == (5, 1, 1, "embedded")

    ran = headrace("engine", "switch", "temporal", *there)
    assert ran.code == 0 and "is driven by temporal from now on" in ran.out, ran
    status = json.loads(headrace("-o", "json", "engine", "status", *there).out)["data"]["engine"]
    assert (status["engine"], status["nudged"]) == ("temporal", 5)
    ran = headrace("engine", "resume", *there)
    assert ran.code == 0 and ran.out.startswith("5 open instances of "), ran
    assert headrace("engine", "switch", "embedded", *there).code == 0

    ran = headrace("restore", *there)
    assert ran.code == 0 and "1. Before the start" in ran.out, ran
    assert headrace("export", back, *there).code == 0
    ran = headrace("engine", "switch", "temporal", *there)
    assert ran.code == 1 and "was exported at" in ran.err, ran
    assert headrace("import", back, "--data", str(tmp_path / "new")).code == 0
    ran = headrace("export", "--undo", *there)
    assert ran.code == 0 and "is open again" in ran.out, ran


def test_a_connected_server_is_named_and_refused(headrace: Headrace, database: str, tmp_path: Path) -> None:
    """Also one that has not the owner's lock: an API server, a standby or a worker."""
    there = ("--database-url", database)
    assert headrace("migrate", *there).code == 0
    with psycopg.connect(database, application_name="headrace writer host:7"):
        for arguments in (["export", str(tmp_path / "file")], ["engine", "switch", "temporal"], ["restore"]):
            ran = headrace(*arguments, *there)
            assert ran.code == 5 and "in use by Headrace (headrace writer host:7)" in ran.err, ran
        assert headrace("engine", "status", *there).code == 0
        assert headrace("migrate", *there).code == 0
    assert headrace("export", str(tmp_path / "file"), *there).code == 0


def test_no_message_shows_a_password(headrace: Headrace, database: str) -> None:
    url = database.replace("headrace@", "headrace:se-cret@")
    for arguments in (["migrate", "--check"], ["engine", "status"], ["migrate"], ["engine", "status"]):
        ran = headrace(*arguments, "--database-url", url)
        assert "se-cret" not in ran.out + ran.err
    ran = headrace("migrate", "--database-url", url.replace("/test_", "/nowhere_"))
    assert ran.code != 0 and "nowhere_" in ran.err and "se-cret" not in ran.err, ran
