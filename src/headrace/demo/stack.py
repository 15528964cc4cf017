"""Seeds and reads a sandbox through its HTTP routes, as a person could with curl.

Writes carry an Idempotency-Key and are repeated until answered, so a sandbox that misbehaves can be seeded too.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import httpx2

from headrace.clock import Ids, RandomIds
from headrace.demo.examples import (
    CreateLedger,
    CreateWallet,
    CreditWallet,
    DescribeAccount,
    Example,
    FundAccount,
    PayIn,
    SeedStep,
)
from headrace.errors import HeadraceError

Json = dict[str, Any]
MAX_ATTEMPTS = 20
CONNECTOR_ID = "dummy-pay"


class StackError(HeadraceError):
    """The sandbox refused a request of the demo."""


class Stack:
    """`url` is the server's root; the services are below `/api`."""

    def __init__(self, url: str, *, ids: Ids | None = None, timeout_s: float = 30.0) -> None:
        self._http = httpx2.Client(base_url=url, timeout=timeout_s)
        self._ids = ids or RandomIds()

    def close(self) -> None:
        self._http.close()

    # Seeding

    def seed(self, example: Example, run: str) -> dict[str, str]:
        """Carries out every seed step; returns the names they gave, for `variables` and `expected`.

        Runs of different examples never share an account: the example's number is part of `${run}`.
        """
        names = {"run": f"{example.number}{run}"}
        for index in range(len(example.plan.seed)):
            self.carry_out(example.seed_step(index, names), names)
        return names

    def carry_out(self, step: SeedStep, names: dict[str, str]) -> None:
        """Perform one step, and add the names that it created."""
        match step:
            case CreateLedger(ledger):
                self.create_ledger(ledger)
            case FundAccount(ledger, account, amount, asset):
                self.move(ledger, "world", account, amount, asset)
            case DescribeAccount(ledger, account, metadata):
                path = f"/api/ledger/v2/{_part(ledger)}/accounts/{_part(account)}/metadata"
                self._write("POST", path, dict(metadata))
            case CreateWallet():
                names[step.save_as] = self.create_wallet(step.name, ledger=step.ledger, metadata=step.metadata)
            case CreditWallet(wallet, amount, asset):
                body: Json = {
                    "amount": {"amount": amount, "asset": asset},
                    "sources": [],
                    "metadata": {},
                    "balance": "main",
                }
                self._write("POST", f"/api/wallets/wallets/{_part(wallet)}/credit", body)
            case PayIn():
                names[step.save_as] = self.pay_in(step)

    def create_ledger(self, ledger: str) -> None:
        try:
            self._write("POST", f"/api/ledger/v2/{_part(ledger)}", {})
        except StackError as error:
            if "LEDGER_ALREADY_EXISTS" not in str(error):
                raise

    def move(self, ledger: str, source: str, destination: str, amount: int, asset: str) -> None:
        posting = {"source": source, "destination": destination, "amount": amount, "asset": asset}
        body: Json = {"postings": [posting], "metadata": {}}
        self._write("POST", f"/api/ledger/v2/{_part(ledger)}/transactions", body)

    def create_wallet(self, name: str, *, ledger: str | None = None, metadata: dict[str, str] | None = None) -> str:
        body: Json = {"name": name, "metadata": metadata or {}}
        if ledger is not None:
            body["ledger"] = ledger
        return str(self._write("POST", "/api/wallets/wallets", body)["data"]["id"])

    def pay_in(self, step: PayIn) -> str:
        """Create a pay-in, and return the id of its payment."""
        body: Json = {
            "reference": step.reference,
            "connectorID": CONNECTOR_ID,
            "createdAt": "2024-01-01T00:00:00Z",
            "amount": step.amount,
            "asset": step.asset,
            "type": "PAY-IN",
            "status": "SUCCEEDED",
            "scheme": "visa",
        }
        return str(self._write("POST", "/api/payments/payments", body)["data"]["id"])

    # Reading

    def payment(self, payment_id: str) -> Json:
        return _decoded(self._http.get(f"/api/payments/payments/{_part(payment_id)}"))["data"]

    def balance(self, ledger: str, account: str, asset: str) -> int:
        path = f"/api/ledger/v2/{_part(ledger)}/accounts/{_part(account)}"
        response = self._http.get(path, params={"expand": "volumes"})
        if response.status_code == 404:
            return 0
        volume = _decoded(response)["data"].get("volumes", {}).get(asset, {})
        return int(volume.get("input", 0)) - int(volume.get("output", 0))

    def account_metadata(self, ledger: str, account: str) -> dict[str, str]:
        response = self._http.get(f"/api/ledger/v2/{_part(ledger)}/accounts/{_part(account)}")
        return {} if response.status_code == 404 else _decoded(response)["data"]["metadata"]

    def wallet_balance(self, wallet: str, asset: str) -> int:
        balances = self.wallet(wallet)["balances"]
        return int(balances["main"]["assets"].get(asset, 0))

    def wallet(self, wallet: str) -> Json:
        return _decoded(self._http.get(f"/api/wallets/wallets/{_part(wallet)}"))["data"]

    def aggregated(self, ledger: str) -> dict[str, int]:
        return _decoded(self._http.get(f"/api/ledger/v2/{_part(ledger)}/aggregate/balances"))["data"]

    def ledgers(self, candidates: list[str]) -> list[str]:
        """The `candidates` that exist."""
        return [name for name in candidates if self._http.get(f"/api/ledger/v2/{_part(name)}").status_code == 200]

    def transactions(self, ledger: str) -> list[Json]:
        return self._pages(f"/api/ledger/v2/{_part(ledger)}/transactions", {"pageSize": 100})

    def initiations(self) -> list[Json]:
        return self._pages("/api/payments/transfer-initiations", {"pageSize": 100})

    def _pages(self, path: str, query: Json) -> list[Json]:
        items: list[Json] = []
        while True:
            cursor = _decoded(self._http.get(path, params=query))["cursor"]
            items += cursor["data"]
            if not cursor.get("hasMore"):
                return items
            query = {"cursor": cursor["next"]}

    def _write(self, method: str, path: str, body: Json) -> Json:
        headers = {"Idempotency-Key": f"seed:{self._ids.new()}", "Content-Type": "application/json"}
        content = json.dumps(body).encode()
        for _ in range(MAX_ATTEMPTS):
            try:
                response = self._http.request(method, path, content=content, headers=headers)
            except httpx2.TransportError:
                continue
            if response.status_code < 500:
                return _decoded(response)
        raise StackError(f"{method} {path} was not answered in {MAX_ATTEMPTS} attempts")


def _part(text: str) -> str:
    return quote(text, safe="")


def _decoded(response: httpx2.Response) -> Json:
    if response.status_code >= 400:
        raise StackError(
            f"{response.request.method} {response.request.url.path}: {response.status_code} {response.text}"
        )
    return json.loads(response.content) if response.content else {}
