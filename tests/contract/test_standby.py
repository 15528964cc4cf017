"""An owner and a standby as real `headrace serve` processes on one PostgreSQL database."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from headrace.journal.postgres import migrate
from tests.crash import books
from tests.crash.books import API
from tests.crash.players import FAST
from tests.support.postgres import MISSING, PostgresServer, new_database, programs
from tests.support.server import freeze
from tests.support.serving import LOOK_S, PATIENCE_S, Servers, Serving

pytestmark = [
    pytest.mark.skipif(programs() is None, reason=MISSING),
    pytest.mark.timeout(300),
]

PAY: dict[str, Any] = {
    "send": {
        "source": {"account": {"id": "world", "ledger": "shop"}},
        "destination": {"account": {"id": "bank", "ledger": "shop"}},
        "amount": {"amount": "7", "asset": "USD/2"},
    }
}
WAIT: dict[str, Any] = {"wait_event": {"event": "go"}}
STANDBY_LOOKS = 3


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    with Servers(tmp_path, new_database(), settings=FAST) as opened:
        prepared(opened)
        yield opened


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that PostgreSQL's own user may enter, with a path that is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="hr-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def prepared(servers: Servers) -> None:
    servers.owner()
    assert servers.stack.post("/api/ledger/v2/shop", {}).status == 204


def created(servers: Servers, *stages: dict[str, Any]) -> str:
    answer = servers.post(f"{API}/workflows", {"stages": list(stages)})
    assert answer.status == 201, answer
    return answer.json["data"]["id"]


def started(servers: Servers, workflow_id: str) -> str:
    answer = servers.post(f"{API}/workflows/{workflow_id}/instances", {})
    assert answer.status == 201, answer
    return answer.json["data"]["id"]


def until(what: str, is_so: Callable[[], Any]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(LOOK_S)


def ended(servers: Servers, instance_id: str) -> bool:
    answer = servers.get(f"{API}/instances/{instance_id}")
    return answer.status == 200 and answer.json["data"]["terminated"]


def generation(servers: Servers) -> int:
    with psycopg.connect(servers.settings["HEADRACE_DATABASE_URL"]) as connection:
        row = connection.execute("SELECT generation FROM journal_state").fetchone()
    assert row is not None
    return row[0]


def go_on(servers: Servers, *instances: str) -> None:
    """Send each the event that it waits for, wait until all have ended, and compare the books."""
    for instance_id in instances:
        assert servers.post(f"{API}/instances/{instance_id}/events", {"name": "go"}).status == 204
    for instance_id in instances:
        until(f"{instance_id} has ended", lambda each=instance_id: ended(servers, each))
    verdict = books.check(servers.owner().url, servers.url)
    verdict.raise_if_bad()
    assert verdict.failed == 0


def test_a_standby_says_so_and_takes_over_from_an_owner_that_is_killed(servers: Servers) -> None:
    owner = servers.owner()
    (standby,) = servers.others(owner)
    assert standby.status("/livez") == 200
    until("the standby waits", standby.is_standby)
    for path in ("/readyz", f"{API}/workflows", f"{API}/instances", "/metrics"):
        answer = standby.get(path)
        assert answer.status == 503
        assert b"standby: another server owns the journal" in answer.body
    assert standby.post(f"{API}/workflows", {"stages": [PAY]}).status == 503

    before = generation(servers)
    instance_id = started(servers, created(servers, PAY, WAIT, PAY))
    owner.kill()
    until("the standby serves", lambda: standby.status("/readyz") == 200)
    assert generation(servers) == before + 1
    go_on(servers, instance_id)

    owner.launch().until_alive()
    until("the killed one is the standby", owner.is_standby)
    assert standby.stop() == 0
    until("the first one serves again", lambda: owner.status("/readyz") == 200)
    go_on(servers, started(servers, created(servers, PAY, WAIT, PAY)))


def test_an_owner_that_was_frozen_goes_on(servers: Servers) -> None:
    """Nothing takes over from a process whose host still answers for it (decision E3)."""
    owner = servers.owner()
    (standby,) = servers.others(owner)
    before = generation(servers)
    instance_id = started(servers, created(servers, PAY, WAIT, PAY))
    freeze(owner.pid)
    try:
        for _ in range(STANDBY_LOOKS):
            assert standby.status("/readyz") == 503
            time.sleep(1)  # the standby looks each second by its own clock
    finally:
        os.kill(owner.pid, signal.SIGCONT)
    until("the owner serves", lambda: owner.status("/readyz") == 200)
    assert generation(servers) == before
    go_on(servers, instance_id)


def test_a_frozen_owner_that_lost_its_connection_ends_with_75(servers: Servers) -> None:
    owner = servers.owner()
    (standby,) = servers.others(owner)
    instance_id = started(servers, created(servers, PAY, WAIT, PAY))
    freeze(owner.pid)
    try:
        with psycopg.connect(servers.settings["HEADRACE_DATABASE_URL"], autocommit=True) as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE %s",
                (f"headrace %:{owner.pid}",),
            )
        until("the standby serves", lambda: standby.status("/readyz") == 200)
        servers.all.remove(owner)  # it answers nothing
        go_on(servers, instance_id)
    finally:
        os.kill(owner.pid, signal.SIGCONT)
        servers.all = [owner, standby]
    assert owner.ended() == 75
    assert "another server has taken over the journal" in owner.log()
    owner.launch().until_alive()
    until("it is a standby now", owner.is_standby)
    go_on(servers, started(servers, created(servers, PAY, WAIT, PAY)))


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_runs_go_on_when_postgresql_is_back(tmp_path: Path, public: Path, how: str) -> None:
    with PostgresServer(public / "pg") as postgres:
        database = postgres.create("books")
        migrate(database)
        with Servers(tmp_path, database, settings=FAST, count=1, faults=["ledger:delay:1:0.3"]) as servers:
            prepared(servers)
            owner, before = servers.owner(), generation(servers)
            workflow_id = created(servers, PAY, WAIT, PAY)
            instances = [started(servers, workflow_id) for _ in range(10)]
            getattr(postgres, how)()
            until("the server says so", lambda: owner.status("/readyz") == 503)
            assert owner.post(f"{API}/workflows", {"stages": [PAY]}).status == 503
            assert owner.status("/livez") == 200
            postgres.start()
            until("the server serves", lambda: owner.status("/readyz") == 200)
            assert (owner.is_running, generation(servers)) == (True, before)
            go_on(servers, *instances)


def test_a_server_waits_for_its_database(tmp_path: Path, public: Path) -> None:
    with PostgresServer(public / "pg") as postgres:
        database = postgres.create("books")
        migrate(database)
        postgres.stop()
        with Servers(tmp_path, database, count=1) as servers:
            (server,) = servers.all
            until("the server says why", lambda: b"database" in server.get("/readyz").body)
            assert server.get("/readyz").status == 503
            assert server.log().count("cannot serve yet; retrying") == 1
            postgres.start()
            until("the server serves", lambda: server.status("/readyz") == 200)


def alone(tmp_path: Path, **settings: str) -> Serving:
    server = Serving(tmp_path / "alone")
    server.settings = {"HEADRACE_AUTH": "none", "HEADRACE_STACK_URL": "http://127.0.0.1:9", **settings}
    return server.launch()


def test_a_database_without_a_journal_is_refused(tmp_path: Path) -> None:
    server = alone(tmp_path, HEADRACE_DATABASE_URL=new_database(is_empty=True))
    assert server.ended() == 6
    assert "headrace migrate" in server.log()


def test_a_journal_of_another_engine_is_refused(tmp_path: Path) -> None:
    url = new_database()
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE journal_state SET engine = 'temporal'")
    server = alone(tmp_path, HEADRACE_DATABASE_URL=url)
    assert server.ended() == 6
    assert "driven by the engine temporal: set HEADRACE_ENGINE=temporal" in server.log()


def test_a_url_that_is_none_of_postgresql_is_refused(tmp_path: Path) -> None:
    server = alone(tmp_path, HEADRACE_DATABASE_URL="mysql://me:hunter2@127.0.0.1/books")
    assert server.ended() == 2
    assert "HEADRACE_DATABASE_URL" in server.log()
    assert "hunter2" not in server.log()
