"""The sandbox's own database file, and the one thread that reads and writes it.

Requests queue up; whatever waits is carried out in one SQLite transaction, each request in a
savepoint of its own, and answered after the commit. So an answer is durable, one bad request harms
no other, and 64 callers share an fsync instead of waiting for 64.
"""

from __future__ import annotations

import logging
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from headrace.clock import Clock, Ids
from headrace.effects.port import NoResponse, Request, Response
from headrace.errors import InvalidValue
from headrace.sandbox.releases import Releases
from headrace.sandbox.responses import Rollback
from headrace.sandbox.stack import internal_error, services_on

SCHEMA_VERSION = 1
MAX_BATCH = 256
BUSY_TIMEOUT_S = 5.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Job:
    request: Request
    is_rehearsal: bool
    """Find out the answer and undo everything."""
    response: Future[Response] = field(default_factory=Future[Response])


@dataclass(frozen=True, slots=True)
class Question:
    """Something else that is asked of the database, between the requests."""

    ask: Callable[[sqlite3.Connection], Any]
    response: Future[Any] = field(default_factory=Future[Any])


class Store:
    """`on_events` is called on the store's thread after a commit that published something."""

    def __init__(
        self,
        path: Path | None,
        clock: Clock,
        ids: Ids,
        releases: Releases,
        *,
        on_events: Callable[[], None] | None = None,
    ) -> None:
        self._on_events = on_events
        self._connection = connect(path)
        self._services = services_on(self._connection, clock, ids, releases)
        self._last_seq = _last_seq(self._connection)
        self._jobs: queue.SimpleQueue[Job | Question | None] = queue.SimpleQueue()
        self._gate = threading.Lock()
        self._is_closed = False
        self._thread = threading.Thread(target=self._serve, name="headrace-sandbox", daemon=True)
        self._thread.start()

    def submit(self, request: Request, *, is_rehearsal: bool = False) -> Future[Response]:
        job = Job(request, is_rehearsal)
        self._put(job)
        return job.response

    def ask(self, question: Callable[[sqlite3.Connection], Any]) -> Future[Any]:
        job = Question(question)
        self._put(job)
        return job.response

    def _put(self, job: Job | Question) -> None:
        with self._gate:
            if self._is_closed:
                raise NoResponse("the sandbox is closed")
            self._jobs.put(job)

    def close(self) -> None:
        """Carry out what waits, then close the file. Safe to call twice."""
        with self._gate:
            if not self._is_closed:
                self._is_closed = True
                self._jobs.put(None)
        self._thread.join()

    def _serve(self) -> None:
        is_open = True
        while is_open:
            batch, is_open = self._next_batch()
            self._perform([job for job in batch if job.response.set_running_or_notify_cancel()])
        self._connection.close()

    def _next_batch(self) -> tuple[list[Job | Question], bool]:
        """All that waits, and whether more may come."""
        batch: list[Job | Question] = []
        job = self._jobs.get()
        while job is not None:
            batch.append(job)
            if len(batch) == MAX_BATCH or self._jobs.empty():
                return batch, True
            job = self._jobs.get()
        return batch, False

    def _perform(self, batch: list[Job | Question]) -> None:
        try:
            self._connection.execute("BEGIN")
            responses = [self._answer(job) if isinstance(job, Job) else job.ask(self._connection) for job in batch]
            self._connection.execute("COMMIT")
        except Exception as problem:  # noqa: BLE001  # callers wait: whatever it is, they get an answer
            _log.exception("sandbox: nothing of %d requests was carried out", len(batch))
            try:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
            except sqlite3.Error:
                _log.exception("sandbox: roll-back failed")
            responses = [_failed(job, problem) for job in batch]
        for job, response in zip(batch, responses, strict=True):
            if isinstance(response, Exception):
                job.response.set_exception(response)
            else:
                job.response.set_result(response)
        last_seq = _last_seq(self._connection)
        if self._on_events is not None and last_seq > self._last_seq:
            self._on_events()
        self._last_seq = last_seq

    def _answer(self, job: Job) -> Response:
        """One request in its savepoint. Where the whole transaction is gone (a full disk), so is the savepoint: then
        the roll-back fails, and with it the batch.
        """
        self._connection.execute("SAVEPOINT request")
        try:
            response, burns, is_kept = self._services.answer(job.request), None, not job.is_rehearsal
        except Rollback as rollback:
            response, burns, is_kept = rollback.response, rollback.burns, False
        except Exception:  # noqa: BLE001  # a defect in one request must not end the thread of all
            _log.exception("sandbox: a defect in answering %s %s", job.request.method, job.request.service)
            response, burns, is_kept = internal_error(job.request.service, "a defect of the sandbox"), None, False
        if not is_kept:
            self._connection.execute("ROLLBACK TO request")
        if burns and not job.is_rehearsal:
            self._services.books.burn_id(burns)
        self._connection.execute("RELEASE request")
        return response


def _failed(job: Job | Question, problem: Exception) -> Response | Exception:
    if isinstance(job, Question):
        return NoResponse(f"the sandbox's database failed: {problem}")
    return internal_error(job.request.service, f"the database failed: {problem}")


def _last_seq(connection: sqlite3.Connection) -> int:
    """Number of the last published event."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'").fetchone()
    return row[0] if row else 0


def connect(path: Path | None) -> sqlite3.Connection:
    """The database, its tables made where they are missing. It is used by one thread at a time only."""
    connection = sqlite3.connect(
        path or ":memory:", timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
    )
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version not in (0, SCHEMA_VERSION):
        connection.close()
        raise InvalidValue("sandbox", f"{path} was made by another version (schema {version}): move it away")
    connection.executescript(files("headrace.sandbox").joinpath("schema.sql").read_text("utf-8"))
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    return connection
