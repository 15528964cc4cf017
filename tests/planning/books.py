"""A sandbox in memory with small books, where money is scarce: what is planned must be what happens."""

from __future__ import annotations

import json
from random import Random
from typing import Any, Literal

from headrace.effects.port import Request, Response
from headrace.money import WORLD, posting
from headrace.sandbox.memory import MemorySandbox
from headrace.sandbox.releases import Releases
from tests.sandbox.conftest import CountedIds, ManualClock

Json = dict[str, Any]

LEDGERS = ("main", "shop", "wallets-002")
ACCOUNTS = ("users:jane", "users:joe", "shop:till", "fees")
ASSETS = ("USD/2", "EUR/2")
MISSING_LEDGER = "nowhere"
PAY_TO = "formanceAccountID"


class Books:
    """The three services, and what a test knows of them."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.new_id = CountedIds().new
        """Ids of instances."""
        self.sandbox = MemorySandbox(self.clock, CountedIds(), Releases())
        self.requests: list[Request] = []
        self.wallets: list[Json] = []
        self.payments: list[str] = []

    def handle(self, request: Request) -> Response:
        """Carry out a request, and remember it."""
        self.requests.append(request)
        return self.sandbox.handle(request)

    def call(
        self, service: Literal["ledger", "wallets", "payments"], method: str, path: str, body: object = None
    ) -> Any:
        data = None if body is None else json.dumps(body).encode()
        response = self.sandbox.handle(Request(service, method, path, data))
        assert response.status < 300, (path, response)
        return json.loads(response.body) if response.body else None

    def open_ledger(self, name: str) -> None:
        self.call("ledger", "POST", f"/v2/{name}", {})

    def pay(self, ledger: str, source: str, destination: str, amount: int, asset: str) -> None:
        body = {"postings": [posting(source, destination, amount, asset)], "metadata": {}}
        self.call("ledger", "POST", f"/v2/{ledger}/transactions", body)

    def fund(self, ledger: str, account: str, amount: int, asset: str) -> None:
        self.sandbox.handle(Request("ledger", "POST", f"/v2/{ledger}", b"{}"))
        self.pay(ledger, WORLD, account, amount, asset)

    def note(self, ledger: str, account: str, metadata: dict[str, str]) -> None:
        self.call("ledger", "POST", f"/v2/{ledger}/accounts/{account}/metadata", metadata)

    def open_wallet(self, name: str, ledger: str, metadata: dict[str, str]) -> Json:
        wallet = self.call("wallets", "POST", "/wallets", {"name": name, "ledger": ledger, "metadata": metadata})
        self.wallets.append(wallet["data"])
        return wallet["data"]

    def receive(self, amount: int, asset: str, status: str = "SUCCEEDED", type_: str = "PAY-IN") -> str:
        payment = {
            "reference": f"card-{len(self.payments)}",
            "connectorID": "stripe",
            "createdAt": "2024-05-01T00:00:00Z",
            "amount": amount,
            "type": type_,
            "status": status,
            "scheme": "visa",
            "asset": asset,
        }
        payment_id = self.call("payments", "POST", "/payments", payment)["data"]["id"]
        self.payments.append(payment_id)
        return payment_id

    def balance(self, ledger: str, account: str, asset: str) -> int:
        response = self.sandbox.handle(Request("ledger", "GET", f"/v2/{ledger}/accounts/{account}?expand=volumes"))
        if response.status == 404:
            return 0
        return json.loads(response.body)["data"]["volumes"].get(asset, {"balance": 0})["balance"]

    def metadata(self, ledger: str, account: str) -> dict[str, str]:
        response = self.sandbox.handle(Request("ledger", "GET", f"/v2/{ledger}/accounts/{account}"))
        return {} if response.status == 404 else json.loads(response.body)["data"]["metadata"]

    def close(self) -> None:
        self.sandbox.close()


def small_books(random: Random, books: Books | None = None) -> Books:
    """Books with little money in them, some metadata, wallets of one name, and payments that cannot be sent."""
    books = books or Books()
    for ledger in LEDGERS:
        books.open_ledger(ledger)
        for account in ACCOUNTS:
            for asset in ASSETS:
                if random.random() < 0.7:
                    books.fund(ledger, account, random.choice((50, 300, 1_000)), asset)
            if random.random() < 0.6:
                books.note(ledger, account, {PAY_TO: f"acc_{account[-4:]}"})
    for name, ledger in (
        ("jane", "wallets-002"),
        ("joe", "wallets-002"),
        ("shop", "main"),
        ("twin", "shop"),
        ("twin", "main"),
    ):
        wallet = books.open_wallet(name, ledger, {PAY_TO: "acc_w"} if random.random() < 0.5 else {})
        for balance in ("main", "coupons"):
            if random.random() < 0.7:
                books.fund(ledger, wallet_address(wallet["id"], balance), random.choice((50, 300, 1_000)), "USD/2")
    for amount in (100, 300):
        books.receive(amount, "USD/2")
    books.receive(200, "EUR/2")
    books.receive(100, "USD/2", status="PENDING")
    books.receive(100, "USD/2", type_="PAYOUT")
    return books


def wallet_address(wallet_id: str, balance: str) -> str:
    return f"wallets:{wallet_id.replace('-', '')}:{balance}"
