"""Effects that come to need attention, by every way there is (decision M6b), around a sandbox that knows the truth."""

from __future__ import annotations

import json
import re
from typing import Any

from headrace.effects.port import Request, Response
from tests.contract.test_attention import MISMATCH, POOR, crediting
from tests.contract.test_engine import SEND, Scripted

PAYOUT: dict[str, Any] = {
    "send": {
        "source": {"account": {"id": "alice", "ledger": "main"}},
        "destination": {"payment": {"psp": "dummy-pay", "type": "PAYOUT"}},
        "amount": {"asset": "USD/2", "amount": 100},
    }
}
UPDATE: dict[str, Any] = {"update": {"account": {"id": "alice", "ledger": "main", "metadata": {"state": "paid"}}}}
WAYS = (
    "wallet not_found",
    "wallet not_listed",
    "wallet other_values",
    "wallet other_bytes",
    "debit not_found",
    "payments not_listed",
    "payments other_values",
    "ledger other_bytes",
    "metadata other_bytes",
)
"""What the effect is, and the doubt about it. Only with the doubts `not_found` and `not_listed` can both be true.

The effect of a `wallet` is a credit. A `debit` is settled by the same rules.
"""
ENDINGS = {
    "wallet": "/credit",
    "debit": "/debit",
    "payments": "/transfer-initiations",
    "ledger": "/transactions",
    "metadata": "/metadata",
}
_CUT = b'{"cursor":{"pageSize":100,"hasMore":true,"data":[]}}'
_EMPTY = b'{"cursor":{"pageSize":100,"hasMore":false,"data":[]}}'
_NO_FILTER = b'{"errorCode":"VALIDATION","errorMessage":"cannot filter"}'
_JSON = {"content-type": "application/json"}


class Trouble(Scripted):
    """The first attempt of an effect has no response, or a bad one. `is_booked`: whether it was booked all the same.

    `number`: its stage. `is_shown`: the wallet's list shows its transactions by now. `attempts`: writes that were sent.
    """

    def __init__(self, way: str, *, is_booked: bool = False) -> None:
        super().__init__(self._plan)
        kind, self.doubt = way.split()
        self.kind = kind
        self.is_booked = is_booked
        self.is_shown = False
        self.number = 0
        self.attempts = 0
        self.call("ledger", "POST", "/v2/main/accounts/alice/metadata", {"formanceAccountID": "bank-7"})
        self.stage = {"payments": PAYOUT, "ledger": SEND, "metadata": UPDATE}.get(kind) or crediting(self)
        if kind == "debit":
            self.stage = self._debiting()

    def call(self, service: Any, method: str, path: str, body: Any = None) -> Any:
        content = None if body is None else json.dumps(body).encode()
        response = self.sandbox.handle(Request(service, method, path, content))
        assert response.status < 300, response.body
        return json.loads(response.body) if response.body else None

    def _debiting(self) -> dict[str, Any]:
        """A send out of the wallet of the credit, which holds more than enough."""
        send = self.stage["send"]
        body = {"amount": {"asset": "USD/2", "amount": 1000}}
        self.call("wallets", "POST", f"/wallets/{send['destination']['wallet']['id']}/credit", body)
        return {"send": {**send, "source": send["destination"], "destination": send["source"]}}

    def _is_effect(self, request: Request) -> bool:
        is_write = request.method == "POST" and request.path.endswith(ENDINGS[self.kind])
        keys = re.findall(rb"headrace:[0-9a-f-]{36}:(\d+:\d+)", (request.body or b"") + request.key.encode())
        ordinal = 1 if self.kind == "payments" else 0
        return is_write and f"{self.number}:{ordinal}".encode() in keys

    def _plan(self, request: Request, _: int) -> Any:
        if self._is_effect(request):
            self.attempts += 1
            return self._answer(request) if self.attempts == 1 else self._later()
        if request.method == "GET" and not self.is_shown:
            if request.path.startswith("/transactions") and self.doubt in ("not_found", "not_listed"):
                return Response(200, _EMPTY if self.doubt == "not_found" else _CUT, _JSON)
            if request.path.startswith("/transfer-initiations?") and self.doubt == "not_listed":
                return Response(400, _NO_FILTER, _JSON) if "query=" in request.path else Response(200, _CUT, _JSON)
        return None

    def _answer(self, request: Request) -> Any:
        match self.doubt:
            case "other_bytes":
                return MISMATCH
            case "other_values":
                body = json.loads(request.body or b"")
                if self.kind == "payments":
                    self.call("payments", "POST", request.path, {**body, "amount": 1})
                else:
                    self.call("wallets", "POST", request.path, {**body, "amount": {**body["amount"], "amount": 1}})
                return "lose"
            case _:
                return "drop" if self.is_booked else "lose"

    def _later(self) -> Any:
        return POOR if self.kind in ("wallet", "debit") else None

    # the truth

    def transactions(self, ledger: str) -> list[dict[str, Any]]:
        return self.call("ledger", "GET", f"/v2/{ledger}/transactions?pageSize=100")["cursor"]["data"]

    def initiations(self) -> list[dict[str, Any]]:
        return self.call("payments", "GET", "/transfer-initiations?pageSize=100")["cursor"]["data"]

    def in_books(self) -> tuple[int, int]:
        """How many transactions and transfer initiations there are."""
        ledgers = ("main", "other", "wallets-002") if self.kind in ("wallet", "debit") else ("main", "other")
        return sum(len(self.transactions(each)) for each in ledgers), len(self.initiations())

    def bookings(self) -> list[dict[str, Any]]:
        """Bookings of 100 by the effect, under its key."""
        if self.kind == "payments":
            found = [each for each in self.initiations() if each["amount"] == 100]
        else:
            ledger = "wallets-002" if self.kind in ("wallet", "debit") else "main"
            found = [each for each in self.transactions(ledger) if each["postings"][0]["amount"] == 100]
        return [each for each in found if _key_in(each).startswith("headrace:")]

    def by_hand(self) -> dict[str, Any]:
        """A booking with the values of the effect, made by a person; returns it as evidence."""
        match self.kind:
            case "payments":
                body = {
                    "reference": "by hand",
                    "scheduledAt": "2024-05-01T10:00:00Z",
                    "description": "by hand",
                    "sourceAccountID": "",
                    "destinationAccountID": "bank-7",
                    "type": "PAYOUT",
                    "amount": 100,
                    "asset": "USD/2",
                    "validated": True,
                    "provider": "DUMMY-PAY",
                }
                return {"initiationID": self.call("payments", "POST", "/transfer-initiations", body)["data"]["id"]}
            case "wallet" | "debit":
                is_credit = self.kind == "wallet"
                wallet = self.stage["send"]["destination" if is_credit else "source"]["wallet"]["id"]
                before = len(self.transactions("wallets-002"))
                body: dict[str, Any] = {"amount": {"asset": "USD/2", "amount": 100}, "metadata": {}}
                if is_credit:
                    body |= {"reference": "by hand", "sources": [], "balance": "main"}
                else:
                    account = self.stage["send"]["destination"]["account"]["id"]
                    body |= {"destination": {"type": "ACCOUNT", "identifier": account}, "balances": ["main"]}
                self.call("wallets", "POST", f"/wallets/{wallet}{ENDINGS[self.kind]}", body)
                found = self.transactions("wallets-002")
                assert len(found) == before + 1
                return {"ledger": "wallets-002", "transactionID": found[0]["id"]}
            case _:
                posting = {"source": "alice", "destination": "bob", "amount": 100, "asset": "USD/2"}
                body = {"metadata": {}, "postings": [posting]}
                made = self.call("ledger", "POST", "/v2/main/transactions", body)["data"]
                return {"ledger": "main", "transactionID": made["id"]}

    def evidence(self) -> dict[str, Any]:
        """What the books show of the effect itself."""
        (booked,) = self.bookings()
        if self.kind == "payments":
            return {"initiationID": booked["id"]}
        ledger = "wallets-002" if self.kind in ("wallet", "debit") else "main"
        return {"ledger": ledger, "transactionID": booked["id"]}


def _key_in(booking: dict[str, Any]) -> str:
    """The key of the effect that made a booking; that of a debit is in the metadata."""
    return booking.get("reference") or booking["metadata"].get("headrace_effect") or ""
