"""A real PostgreSQL as a child process: one cluster for the tests of a session, a database for each test.

    with PostgresServer(folder) as server:
        url = server.create("test_1")
        server.kill()
        server.restart()

It listens on a Unix socket in its folder and on 127.0.0.1. Only the process that was started here is ever signalled, by
its pid; where the tests run as root, it runs as the user `postgres`, since PostgreSQL refuses root.
"""

from __future__ import annotations

import atexit
import functools
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg

from tests.support.server import free_port

READY_S, STOP_S = 60.0, 30.0
PROGRAMS = "HEADRACE_TEST_POSTGRES"
"""Names another folder of PostgreSQL's programs (Debian keeps them off the path)."""
USER = "headrace"
ROOT_USER = "postgres"
MISSING = "no PostgreSQL on this machine (Debian: apt-get install postgresql)"
_PREFIX = "hr-pg-"
STILL_IN_USE = "is still in use"
"""Logged when the children of a server that was killed have not all ended yet."""
FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_wal_size": "128MB"}
"""For suites, which lose no power. What shows that a commit is durable runs without these."""


def programs() -> Path | None:
    """The folder of initdb and postgres, the newest release first; None: this machine has none."""
    named = os.environ.get(PROGRAMS)
    found = [Path(named)] if named else sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    on_path = shutil.which("initdb")
    found += [Path(on_path).resolve().parent] if on_path else []
    return next((folder for folder in found if (folder / "initdb").exists()), None)


class PostgresServer:
    """A cluster. Its port and its data stay the same over kills and restarts."""

    def __init__(self, folder: Path, *, settings: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.settings = settings or {}
        self.port = free_port()
        self._programs = programs()
        self._process: subprocess.Popen[Any] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server is not running"
        return self._process.pid

    def url(self, database: str, *, port: int | None = None) -> str:
        """Over TCP; `port`: that of a proxy."""
        return f"postgresql://{USER}@127.0.0.1:{port or self.port}/{database}"

    def socket_url(self, database: str) -> str:
        """Over the Unix socket."""
        return f"postgresql://{USER}@/{database}?host={self.folder}&port={self.port}"

    def start(self) -> Self:
        assert self._programs is not None, MISSING
        if not (self.folder / "data").exists():
            self._make()
        end_s = time.monotonic() + READY_S
        self._spawn()
        while not self._is_ready():
            if self._process is None or self._process.poll() is not None:
                if STILL_IN_USE not in self.log()[-500:] or time.monotonic() > end_s:
                    raise RuntimeError(f"PostgreSQL did not start: {self.log()[-2000:]}")
                self._spawn()
            assert time.monotonic() < end_s, f"PostgreSQL is not ready: {self.log()[-2000:]}"
            time.sleep(0.02)
        return self

    def _spawn(self) -> None:
        assert self._programs is not None
        command = [str(self._programs / "postgres"), "-D", str(self.folder / "data")]
        with (self.folder / "postgres.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, **_as_postgres())

    def kill(self) -> None:
        """As a crash: the children of the server notice, and end too."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """At once, with its connections cut."""
        self._end(signal.SIGINT)

    def restart(self) -> Self:
        self.kill()
        return self.start()

    def create(self, database: str, template: str = "template0") -> str:
        """A new database; gives its URL."""
        with psycopg.connect(self.socket_url("postgres"), autocommit=True) as admin:
            admin.execute(f'CREATE DATABASE "{database}" TEMPLATE "{template}"')  # pyright: ignore[reportArgumentType,reportCallIssue]
        return self.url(database)

    def drop(self, database: str) -> None:
        with psycopg.connect(self.socket_url("postgres"), autocommit=True) as admin:
            admin.execute(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')  # pyright: ignore[reportArgumentType,reportCallIssue]

    def version(self) -> str:
        with psycopg.connect(self.socket_url("postgres")) as admin:
            return str(admin.execute("SHOW server_version").fetchall()[0][0])

    def log(self) -> str:
        return (self.folder / "postgres.log").read_text(errors="replace")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _make(self) -> None:
        assert self._programs is not None
        self.folder.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            shutil.chown(self.folder, ROOT_USER)
        command = [str(self._programs / "initdb"), "-D", str(self.folder / "data"), "-A", "trust", "-U", USER]
        command += ["-E", "UTF8", "--locale", "C.UTF-8", "-N"]
        subprocess.run(command, check=True, capture_output=True, **_as_postgres())
        lines = {
            "listen_addresses": "'127.0.0.1'",
            "port": str(self.port),
            "unix_socket_directories": f"'{self.folder}'",
            "max_connections": "120",
            "log_checkpoints": "off",
            **self.settings,
        }
        with (self.folder / "data/postgresql.conf").open("a") as file:
            file.write("\n" + "\n".join(f"{name} = {value}" for name, value in lines.items()) + "\n")

    def _is_ready(self) -> bool:
        try:
            psycopg.connect(self.socket_url("postgres")).close()
            psycopg.connect(self.url("postgres")).close()
        except psycopg.OperationalError:
            return False
        return True

    def _end(self, number: int) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(number)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _as_postgres() -> dict[str, Any]:
    """Options of a child process: in a folder that every user may enter, and never as root."""
    if os.geteuid() != 0:
        return {"cwd": "/"}
    account = pwd.getpwnam(ROOT_USER)
    return {"cwd": "/", "user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def short_folder() -> Path:
    """A new folder, removed at the end of the process. The path of a socket may have about 100 characters."""
    _remove_abandoned()
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _remove_abandoned() -> None:
    """Remove the folders of processes that were killed before they could: each has some hundred megabytes."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*-*"):
        maker = folder.name.removeprefix(_PREFIX).partition("-")[0]
        try:
            server = (folder / "data/postmaster.pid").read_text().split("\n")[0]
        except OSError:  # it is stopped, or another process removes it just now
            server = ""
        if not any(pid.isdecimal() and Path(f"/proc/{pid}").exists() for pid in (maker, server)):
            shutil.rmtree(folder, ignore_errors=True)


@functools.cache
def shared_server() -> PostgresServer:
    """The cluster of this process: a worker of pytest-xdist has one of its own. It ends with the process."""
    server = PostgresServer(short_folder(), settings=FAST)
    atexit.register(server.stop)
    return server.start()


_numbers = itertools.count(1)


@functools.cache
def _template() -> str:
    """A database with an empty journal of this release."""
    from headrace.journal.postgres import migrate

    migrate(shared_server().create("template_journal"))
    return "template_journal"


_made: list[str] = []


def new_database(*, is_empty: bool = False) -> str:
    """The URL of a new database with an empty journal, or with nothing in it. It lasts until `drop_databases()`."""
    _made.append(f"test_{next(_numbers)}")
    return shared_server().create(_made[-1], "template0" if is_empty else _template())


def drop_databases() -> None:
    """Drop all that were made since the last call: kept, those of one run of the suite would fill 10 GB."""
    while _made:
        shared_server().drop(_made.pop())
