"""The three services side by side on one database: which one answers, and what an accident looks like."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from headrace.clock import Clock, Ids
from headrace.effects.port import Request, Response
from headrace.sandbox.bodies import MAX_BODY_BYTES
from headrace.sandbox.books import Books
from headrace.sandbox.events import Outbox
from headrace.sandbox.ledger import LedgerService
from headrace.sandbox.payments import PaymentsService
from headrace.sandbox.releases import Releases
from headrace.sandbox.requests import call_of
from headrace.sandbox.responses import answer, error
from headrace.sandbox.wallets import WalletsService
from headrace.workflows.activities import Service

INTERNAL_CODES: dict[Service, str] = {"ledger": "INTERNAL", "wallets": "INTERNAL_ERROR", "payments": "INTERNAL"}
NAME = "headrace-sandbox"


@dataclass(frozen=True, slots=True)
class Services:
    """The three imitated services behind one store."""

    books: Books
    ledger: LedgerService
    wallets: WalletsService
    payments: PaymentsService

    def answer(self, request: Request) -> Response:
        """The response of the service that a request is for, or of its health check and `_info`."""
        if len(request.body or b"") > MAX_BODY_BYTES:
            return error(413, "VALIDATION", f"a body has at most {MAX_BODY_BYTES} bytes")
        call = call_of(request)
        match call.method, call.segments:
            case "GET", ["_healthcheck"]:
                return answer(200, {"status": "ok"})  # green even while writes fail, as a real ledger's is
            case "GET", ["_info"] | ["v2", "_info"]:
                return answer(200, {"server": NAME, "service": request.service, "version": "sandbox"})
            case _:
                services = {"ledger": self.ledger, "wallets": self.wallets, "payments": self.payments}
                return services[request.service].answer(call)


def services_on(connection: sqlite3.Connection, clock: Clock, ids: Ids, releases: Releases) -> Services:
    books = Books(connection, clock, releases)
    return Services(
        books,
        LedgerService(books, releases),
        WalletsService(connection, books, clock, ids),
        PaymentsService(connection, clock, ids, Outbox(connection, clock, releases)),
    )


def internal_error(service: Service, message: str) -> Response:
    return error(500, INTERNAL_CODES[service], message)
