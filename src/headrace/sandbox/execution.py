"""Carries out requests within a transaction that the caller has begun, each in a savepoint of its own."""

from __future__ import annotations

import logging
import sqlite3
from urllib.parse import urlsplit

from headrace.clock import Clock, Ids
from headrace.effects.port import Request, Response
from headrace.sandbox.releases import Releases
from headrace.sandbox.responses import Rollback, error, is_done
from headrace.sandbox.stack import internal_error, services_on

_log = logging.getLogger(__name__)


class Executor:
    """The services on one connection."""

    def __init__(self, connection: sqlite3.Connection, clock: Clock, ids: Ids, releases: Releases) -> None:
        self._connection = connection
        self.services = services_on(connection, clock, ids, releases)

    def answer(self, request: Request, *, is_rehearsal: bool = False) -> Response:
        """Carry out one request; a rehearsal finds out the response and undoes everything.

        Where the whole transaction is gone (a full disk), so is the savepoint: then the roll-back fails, and with it
        all requests of the transaction.
        """
        self._connection.execute("SAVEPOINT request")
        try:
            response, burns, is_kept = self.services.answer(request), None, not is_rehearsal
        except Rollback as rollback:
            response, burns, is_kept = rollback.response, rollback.burns, False
        except Exception:  # noqa: BLE001  # a defect in one request must not end the thread of all
            _log.exception("sandbox: a defect in answering %s %s", request.method, request.service)
            response, burns, is_kept = internal_error(request.service, "a defect of the sandbox"), None, False
        if not is_kept:
            self._connection.execute("ROLLBACK TO request")
        if burns and not is_rehearsal:
            self.services.books.burn_id(burns)
        self._connection.execute("RELEASE request")
        return response


def race_response(request: Request, rehearsed: Response) -> Response | None:
    """Response to an attempt that read the key before the first one's commit, and the books after it (contract 8.1).

    `rehearsed`: what the same request would get without its key. None: the attempt is performed as any other.
    """
    if not is_done(rehearsed):
        return rehearsed
    if urlsplit(request.path).path.endswith(("/transactions", "/credit", "/debit")):
        return error(400, "INSUFFICIENT_FUND", "insufficient funds")
    return None
