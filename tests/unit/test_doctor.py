"""What the doctor makes of each answer: what is well, what is doubtful, what has failed, and what to do about it."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import subprocess
from contextlib import closing
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
import structlog

from headrace.composition import doctor
from headrace.composition.doctor import (
    Finding,
    check_journal,
    check_limits,
    check_services,
    check_settings,
    check_traces,
    warn_of_services,
)
from headrace.effects.port import NoResponse, Request, Response
from headrace.journal.sqlite.inspection import inspect_journal
from headrace.journal.sqlite.migrations import HEAD, migrate_sqlite
from headrace.settings import Settings
from tests.unit.test_telemetry import FixedClock

PAGE = b'{"cursor":{"data":[]}}'
URL = "http://stack.example"
SETTINGS = Settings(stack_url=URL, concurrency=8)


class Stack:
    """Services that answer as they are said to; a path in `responses` wins over a service."""

    def __init__(self, **responses: Response | NoResponse) -> None:
        self.responses = responses
        self.asked: list[tuple[str, str]] = []

    async def send(self, request: Request) -> Response:
        self.asked.append((request.method, request.path))
        if request.path in doctor.INFO_PATHS:
            response = self.responses.get("info" if request.path == "/_info" else "v2_info", Response(404))
        else:
            response = self.responses.get(request.service, Response(200, PAGE))
        if isinstance(response, NoResponse):
            raise response
        return response

    async def close(self) -> None: ...


async def found(check: str, settings: Settings = SETTINGS, **responses: Response | NoResponse) -> Finding:
    findings = await check_services(Stack(**responses), settings, FixedClock())
    return next(each for each in findings if each.check == check)


async def test_services_that_answer_are_well_and_are_only_read() -> None:
    stack = Stack()
    findings = await check_services(stack, SETTINGS, FixedClock())
    assert [each.status for each in findings] == ["ok"] * len(findings)
    assert {method for method, _ in stack.asked} == {"GET"}
    assert findings[0].text.startswith(f"{URL}/api/ledger answers")


@pytest.mark.parametrize(
    ("response", "says", "hint"),
    [
        (NoResponse("wallets: cannot connect (Connection refused)"), ": cannot connect", "HEADRACE_WALLETS_URL"),
        (Response(401), "refuses the credentials (HTTP 401)", "HEADRACE_STACK_CLIENT_ID"),
        (Response(403), "refuses the credentials (HTTP 403)", "read and write wallets"),
        (Response(404), "HTTP 404", "root"),
        (Response(302), "HTTP 302", "log"),
        (Response(500), "HTTP 500", "log"),
        (Response(200, b"<html>under maintenance</html>"), "not as wallets does", "proxy"),
        (Response(200, b'{"status":"ok"}'), "not as wallets does", "proxy"),
        (Response(200, b"[]"), "not as wallets does", "proxy"),
    ],
)
async def test_a_service_that_cannot_be_used_has_failed(response: Response | NoResponse, says: str, hint: str) -> None:
    finding = await found("wallets", wallets=response)
    assert finding.status == "failed" and says in finding.text and hint in finding.hint
    assert (await found("ledger", wallets=response)).status == "ok", "each service is judged for itself"


@pytest.mark.parametrize(
    ("ahead_s", "status", "says"),
    [
        (0, "ok", "within"),
        (-4, "ok", "within"),
        (30, "warning", "ahead of"),
        (-30, "warning", "behind"),
        (3_600, "failed", "ahead of"),
    ],
)
async def test_clocks_are_compared(ahead_s: int, status: str, says: str) -> None:
    clock = FixedClock()
    date = formatdate(clock.at / 1e6 - ahead_s, usegmt=True)
    finding = await found("clock", payments=Response(200, PAGE, {"date": date}))
    assert finding.status == status and says in finding.text
    assert str(abs(ahead_s)) in finding.text or status == "ok"


@pytest.mark.parametrize("date", ["yesterday", "", "Thu, 01 Jan 99999 00:00:00 GMT"])
async def test_a_date_that_cannot_be_read_says_nothing(date: str) -> None:
    findings = await check_services(Stack(ledger=Response(200, PAGE, {"date": date})), SETTINGS, FixedClock())
    assert not [each for each in findings if each.check == "clock"]


@pytest.mark.parametrize(
    ("version", "concurrency", "status"),
    [
        ("2.4.12", 20, "warning"),
        ("v2.4.0", 64, "warning"),
        ("v3.0.0-rc.1", 64, "warning"),
        ("2.4.12", 19, "ok"),
        ("2.2.59", 64, "ok"),
        ("develop", 64, "ok"),
        ("", 64, "ok"),
    ],
)
def test_concurrency_is_compared_with_the_ledgers_pool(version: str, concurrency: int, status: str) -> None:
    finding = check_limits(version, Settings(concurrency=concurrency))
    assert finding.status == status
    assert ("HEADRACE_CONCURRENCY=19" in finding.hint) == (status == "warning")


@pytest.mark.parametrize("name", ["info", "v2_info"])
async def test_the_ledgers_version_is_found_at_either_path(name: str) -> None:
    info: dict[str, Any] = {name: Response(200, b'{"server":"ledger","version":"v2.4.12"}')}
    finding = await found("limits", Settings(stack_url=URL), **info)
    assert finding.status == "warning" and "v2.4.12" in finding.text


async def test_a_ledger_that_cannot_be_used_is_not_asked_for_its_version() -> None:
    stack = Stack(ledger=Response(500))
    assert "limits" not in {each.check for each in await check_services(stack, SETTINGS, FixedClock())}
    assert not {path for _, path in stack.asked} & set(doctor.INFO_PATHS)


async def test_a_server_warns_at_its_start_of_what_has_failed_and_of_nothing_else() -> None:
    with structlog.testing.capture_logs() as lines:
        await warn_of_services(Stack(payments=Response(401)), SETTINGS, FixedClock())
    (line,) = lines
    assert (line["log_level"], line["check"]) == ("warning", "payments")
    assert "HTTP 401" in line["found"] and "HEADRACE_STACK_CLIENT_ID" in line["hint"]


def test_unknown_variables_are_warnings() -> None:
    (finding,) = check_settings({"HEADRACE_CONCURENCY": "1"})
    assert finding.status == "warning" and "did you mean HEADRACE_CONCURRENCY?" in finding.text
    assert [each.status for each in check_settings({"HEADRACE_CONCURRENCY": "1"})] == ["ok"]


def test_traces_need_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    url, ambient = (
        Settings(traces_url="http://127.0.0.1:4318"),
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"},
    )
    assert check_traces(Settings(), {}) == []
    assert [each.status for each in check_traces(url, {})] == ["ok"]
    monkeypatch.setattr(doctor, "find_spec", lambda _: None)
    assert [each.status for each in check_traces(url, {})] == ["failed"]
    assert [each.status for each in check_traces(Settings(), ambient)] == ["warning"]


# the journal


def make_journal(folder: Path, revision: str) -> Path:
    path = folder / "journal.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
        connection.execute("INSERT INTO alembic_version VALUES (?)", (revision,))
        connection.execute("CREATE TABLE journal_state (closed TEXT, closed_at INTEGER)")
        connection.commit()
    return path


def journal_finding(folder: Path) -> Finding:
    return next(each for each in check_journal(folder) if each.check == "journal")


@pytest.mark.parametrize(
    ("revision", "status", "says"),
    [
        (HEAD, "ok", f"schema {HEAD}, not in use"),
        ("0001", "ok", "migrated at the next start"),
        ("9999", "failed", "9999"),
    ],
)
def test_a_journal_is_of_a_schema(tmp_path: Path, revision: str, status: str, says: str) -> None:
    make_journal(tmp_path, revision)
    finding = journal_finding(tmp_path)
    assert finding.status == status and says in finding.text


def test_no_journal_yet_is_well_and_none_is_made(tmp_path: Path) -> None:
    assert journal_finding(tmp_path / "new").status == "ok"
    assert not (tmp_path / "new").exists()


def test_a_journal_that_is_none_has_failed(tmp_path: Path) -> None:
    (tmp_path / "journal.db").write_text("this is no database, and it is long enough to be seen as none" * 20)
    finding = journal_finding(tmp_path)
    assert finding.status == "failed" and "Do not delete it" in finding.hint


def test_a_damaged_journal_has_failed_whether_a_server_has_it_or_not(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    migrate_sqlite(str(path))
    assert journal_finding(tmp_path).status == "ok"
    with path.open("r+b") as file:
        file.seek(3 * 4096)
        file.write(b"\xaa" * 4096)
    for holds in (False, True):
        with path.with_name("journal.db.lock").open("w") as lock:
            lock.write(f"{os.getpid()}\n")
            lock.flush()
            if holds:
                fcntl.flock(lock, fcntl.LOCK_EX)
            finding = journal_finding(tmp_path)
        assert finding.status == "failed" and "is damaged: " in finding.text and "Do not delete it" in finding.hint


def test_the_owner_is_a_process_that_lives_and_holds_the_lock(tmp_path: Path) -> None:
    path = make_journal(tmp_path, HEAD)
    lock = path.with_name("journal.db.lock")
    lock.write_text(f"{os.getpid()}\n")
    assert inspect_journal(path).owner is None, "nobody holds the lock"
    with lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert inspect_journal(path).owner == str(os.getpid())
        ended = subprocess.Popen(["true"])
        ended.wait()
        lock.write_text(f"{ended.pid}\n")
        assert inspect_journal(path).owner is None, "the lock of a server that is starting is left alone"


def test_little_free_disk_is_a_warning_and_none_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def status(free: int) -> str:
        monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: type("Usage", (), {"free": free})())
        return next(each.status for each in check_journal(tmp_path) if "free at" in each.text)

    assert [status(2 << 30), status(1 << 29), status(1 << 20)] == ["ok", "warning", "failed"]


def test_a_folder_that_others_may_enter_is_a_warning(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (finding,) = [each for each in check_journal(tmp_path) if each.hint.startswith("chmod 700")]
    assert finding.status == "warning"
    tmp_path.chmod(0o700)
    assert not [each for each in check_journal(tmp_path) if each.hint]
