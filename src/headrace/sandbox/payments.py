"""Payments with a dummy connector: accounts and pay-ins made by a call, transfer initiations that end at once.

No money moves here. There is no `Idempotency-Key` on these routes, as in the real service: a
transfer initiation is known by its `reference`.
"""

from __future__ import annotations

import sqlite3
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from headrace.clock import Clock, Ids
from headrace.effects.port import Response
from headrace.sandbox import timestamps
from headrace.sandbox.bodies import Fields, object_of, stored
from headrace.sandbox.events import Outbox
from headrace.sandbox.payment_views import api_account_v3, api_payment_v3
from headrace.sandbox.requests import Call, match_of, page_of
from headrace.sandbox.responses import Json, bare, data, encoded, invalid, no_content, not_found

MAX_PAGE_SIZE = 1_000
DUMMY = "DUMMY-PAY"
PROVIDERS = (
    "STRIPE",
    DUMMY,
    "WISE",
    "MODULR",
    "CURRENCY-CLOUD",
    "BANKING-CIRCLE",
    "MANGOPAY",
    "MONEYCORP",
    "ATLAR",
    "ADYEN",
    "GENERIC",
)
TYPES = ("PAY-IN", "PAYOUT", "TRANSFER", "OTHER")
STATUSES = (
    "PENDING",
    "SUCCEEDED",
    "CANCELLED",
    "FAILED",
    "EXPIRED",
    "REFUNDED",
    "REFUNDED_FAILURE",
    "DISPUTE",
    "DISPUTE_WON",
    "DISPUTE_LOST",
    "OTHER",
)
SCHEMES = (
    "visa",
    "mastercard",
    "amex",
    "diners",
    "discover",
    "jcb",
    "unionpay",
    "alipay",
    "cup",
    "sepa debit",
    "sepa credit",
    "sepa",
    "apple pay",
    "google pay",
    "doku",
    "dragonpay",
    "maestro",
    "molpay",
    "a2a",
    "ach debit",
    "ach",
    "rtp",
    "unknown",
    "other",
)
WAITING = "WAITING_FOR_VALIDATION"
OUTCOMES = {"VALIDATED": "PROCESSED", "REJECTED": "REJECTED"}
ACCOUNT_TYPES = ("INTERNAL", "EXTERNAL", "UNKNOWN")
_TABLES = {
    "payments": "payment",
    "payments_accounts": "account",
    "transfer_initiations": "transfer initiation",
}


@dataclass(frozen=True, slots=True)
class PaymentsService:
    """The imitated payments service."""

    connection: sqlite3.Connection
    clock: Clock
    ids: Ids
    outbox: Outbox

    def answer(self, call: Call) -> Response:
        """Route a call to its handler, and return the response."""
        match call.method, call.segments:
            case "POST", ["accounts"]:
                return data(self._create_account(Fields(object_of(call.body))))
            case "GET", ["accounts"]:
                return self._list("payments_accounts", call)
            case "GET", ["accounts", account_id]:
                return data(self._read("payments_accounts", account_id))
            case "POST", ["payments"]:
                return self._create_payment(Fields(object_of(call.body)))
            case "GET", ["payments"]:
                return self._list("payments", call)
            case "GET", ["payments", payment_id]:
                return data(self._read("payments", payment_id))
            case "POST", ["transfer-initiations"]:
                return self._initiate(Fields(object_of(call.body)))
            case "GET", ["transfer-initiations"]:
                return self._list("transfer_initiations", call)
            case "GET", ["transfer-initiations", initiation_id]:
                return data(self._read("transfer_initiations", initiation_id))
            case "POST", ["transfer-initiations", initiation_id, "status"]:
                return self._decide(initiation_id, Fields(object_of(call.body)))
            case _, ["v3", *segments]:
                return self._answer_v3(call, segments)
            case _:
                return bare(404, "404 page not found\n")

    def _answer_v3(self, call: Call, segments: list[str]) -> Response:
        """Version 3, as far as links of events and readers of payments need it."""
        match call.method, segments:
            case "POST", ["accounts"]:
                return data(api_account_v3(self._create_account(Fields(object_of(call.body)))), 201)
            case "GET", ["accounts"]:
                return self._list("payments_accounts", call, api_account_v3)
            case "GET", ["accounts", account_id]:
                return data(api_account_v3(self._read("payments_accounts", account_id)))
            case "GET", ["payments"]:
                return self._list("payments", call, api_payment_v3)
            case "GET", ["payments", payment_id]:
                return data(api_payment_v3(self._read("payments", payment_id)))
            case _:
                return bare(404, "404 page not found\n")

    # Accounts

    def _create_account(self, fields: Fields) -> Json:
        connector_id = fields.text("connectorID")
        asset = fields.asset("defaultAsset") if "defaultAsset" in fields else ""
        account: Json = {
            "id": self.ids.new(),
            "reference": fields.text("reference"),
            "createdAt": _moment(fields, "createdAt"),
            "connectorID": connector_id,
            "provider": _provider(connector_id),
            "defaultCurrency": asset,
            "defaultAsset": asset,
            "accountName": fields.optional_text("accountName") or "",
            "type": fields.choice("type", ACCOUNT_TYPES),
            "pools": [],
            "metadata": fields.metadata(),
            "raw": {},
        }

        cursor = self.connection.execute(
            "INSERT INTO payments_accounts (id, connector_id, reference, document) VALUES (?, ?, ?, ?)"
            " ON CONFLICT DO NOTHING",
            (account["id"], account["connectorID"], account["reference"], encoded(account).decode()),
        )
        if cursor.rowcount != 1:
            raise invalid(f"reference {account['reference']} was used on this connector")
        self.outbox.saved_account(account)
        return account

    # Payments

    def _create_payment(self, fields: Fields) -> Response:
        connector_id, amount = fields.text("connectorID"), fields.amount("amount")
        payment: Json = {
            "id": self.ids.new(),
            "reference": fields.text("reference"),
            "sourceAccountID": fields.optional_text("sourceAccountID") or "",
            "destinationAccountID": fields.optional_text("destinationAccountID") or "",
            "connectorID": connector_id,
            "provider": _provider(connector_id),
            "type": fields.choice("type", TYPES),
            "status": fields.choice("status", STATUSES),
            "amount": amount,
            "initialAmount": amount,
            "scheme": fields.choice("scheme", SCHEMES),
            "asset": fields.asset("asset"),
            "createdAt": _moment(fields, "createdAt"),
            "raw": {},
            "adjustments": [],
            "metadata": {},
        }

        cursor = self.connection.execute(
            "INSERT INTO payments (id, connector_id, reference, document) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (payment["id"], payment["connectorID"], payment["reference"], encoded(payment).decode()),
        )
        if cursor.rowcount != 1:
            raise invalid(f"reference {payment['reference']} was used on this connector")
        self.outbox.saved_payment(payment)
        return data(payment)

    # Transfer initiations

    def _initiate(self, fields: Fields) -> Response:
        named = fields.optional_text("provider")
        connector_id = fields.optional_text("connectorID") or ""
        if named and named.upper() not in PROVIDERS:
            raise fields.wrong("provider", f"must be one of {', '.join(PROVIDERS)}")
        if not (named or connector_id):
            raise fields.wrong("connectorID", "or provider is required")
        provider = named.upper() if named else _provider(connector_id)
        connector_id = connector_id or provider
        amount, metadata = fields.amount("amount"), fields.metadata()
        status = "PROCESSED" if fields.flag("validated") else WAITING
        now = timestamps.shown(self.clock.now_at())
        reference = fields.text("reference")
        # The payments service gives the same id for the same reference.
        names = encoded({"ConnectorID": connector_id, "Reference": reference})
        initiation: Json = {
            "id": urlsafe_b64encode(names).decode().rstrip("="),
            "reference": reference,
            "createdAt": now,
            "scheduledAt": _moment(fields, "scheduledAt"),
            "description": fields.text("description", may_be_empty=True),
            "sourceAccountID": fields.text("sourceAccountID", may_be_empty=True),
            "destinationAccountID": fields.text("destinationAccountID"),
            "connectorID": connector_id,
            "provider": provider,
            "type": fields.choice("type", ("TRANSFER", "PAYOUT")),
            "amount": amount,
            "initialAmount": amount,
            "asset": fields.asset("asset"),
            "status": status,
            "error": "",
            "metadata": metadata,
            "relatedPayments": [],
            "relatedAdjustments": [self._adjustment(status, now)],
        }

        cursor = self.connection.execute(
            "INSERT INTO transfer_initiations (id, reference, document) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            (initiation["id"], initiation["reference"], encoded(initiation).decode()),
        )
        if cursor.rowcount != 1:
            raise invalid(f"there is a transfer initiation of reference {initiation['reference']}")
        self.outbox.saved_transfer_initiation(initiation)
        return data(initiation)

    def _adjustment(self, status: str, now: str) -> Json:
        return {"adjustmentID": self.ids.new(), "createdAt": now, "status": status, "error": "", "metadata": {}}

    def _decide(self, initiation_id: str, fields: Fields) -> Response:
        initiation = self._read("transfer_initiations", initiation_id)
        status = OUTCOMES[fields.choice("status", tuple(OUTCOMES))]
        if initiation["status"] != WAITING:
            raise fields.wrong("status", f"cannot change: the initiation is {initiation['status']}")
        initiation["status"] = status
        initiation["relatedAdjustments"].append(self._adjustment(status, timestamps.shown(self.clock.now_at())))
        self.connection.execute(
            "UPDATE transfer_initiations SET document = ? WHERE id = ?", (encoded(initiation).decode(), initiation_id)
        )
        self.outbox.saved_transfer_initiation(initiation)
        return no_content()

    # All of them

    def _read(self, table: str, identity: str) -> Json:
        row = self.connection.execute(f"SELECT document FROM {table} WHERE id = ?", (identity,)).fetchone()
        if row is None:
            raise not_found(f"{_TABLES[table]} {identity} does not exist")
        return stored(row["document"])

    def _list(self, table: str, call: Call, shown: Callable[[Json], Json] = lambda document: document) -> Response:
        """A page of payments, newest first."""
        page = page_of(call, max_size=MAX_PAGE_SIZE)
        parameters: list[Any] = [page.before()]
        condition = "number < ?"
        if match := match_of(page.query, ("reference",)):
            condition += " AND reference = ?"
            parameters.append(match[1])
        statement = f"SELECT number, document FROM {table} WHERE {condition} ORDER BY number DESC LIMIT ?"
        rows = self.connection.execute(statement, (*parameters, page.limit)).fetchall()
        return page.response(rows, lambda row: row["number"], lambda row: shown(stored(row["document"])))


def _provider(connector_id: str) -> str:
    """Any connector id goes; one that is the name of a provider is of that provider, the others are dummies."""
    return connector_id.upper() if connector_id.upper() in PROVIDERS else DUMMY


def _moment(fields: Fields, name: str) -> str:
    moment_at = fields.moment_at(name)
    if moment_at is None:
        raise fields.wrong(name, "is required")
    return timestamps.shown(moment_at)
