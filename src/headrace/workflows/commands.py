"""What a stage may ask for. A stage yields these; it never performs anything itself.

An *activity* is a named read or effect on a downstream service; its name is the key under which
stage history shows it. `input(key)` is that history entry's input, exactly as the public description
has it, with the effect's idempotency key where the downstream carries one in its body.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from headrace.money import Posting

Json = dict[str, Any]
Service = Literal["ledger", "wallets", "payments"]

INTERNAL_LEDGER = "orchestration-000-internal"


@dataclass(frozen=True, slots=True)
class SleepUntil:
    """Go on at this moment (microseconds since the epoch); at once when it has passed."""

    deadline_at: int


@dataclass(frozen=True, slots=True)
class WaitEvent:
    """Go on when an event of this name has come, now or earlier."""

    event: str


@dataclass(frozen=True, slots=True)
class Amend:
    """Show this as the stage's input in history from now on (a wallet's name was resolved)."""

    input: Json


@dataclass(frozen=True, slots=True)
class Activity:
    name: ClassVar[str]
    service: ClassVar[Service]
    is_effect: ClassVar[bool]

    def input(self, key: str) -> Json:
        """The history input under `name`. `key` is "" for a read."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class GetAccount(Activity):
    """Result: `{"address": ..., "metadata": {...}}`; an account never used has no metadata."""

    name: ClassVar[str] = "GetAccount"
    service: ClassVar[Service] = "ledger"
    is_effect: ClassVar[bool] = False
    id: str
    ledger: str

    def input(self, key: str) -> Json:
        return {"id": self.id, "ledger": self.ledger}


@dataclass(frozen=True, slots=True)
class GetPayment(Activity):
    """Result: the orchestration `Payment` (contract 3.7)."""

    name: ClassVar[str] = "GetPayment"
    service: ClassVar[Service] = "payments"
    is_effect: ClassVar[bool] = False
    id: str

    def input(self, key: str) -> Json:
        return {"id": self.id}


@dataclass(frozen=True, slots=True)
class GetWallet(Activity):
    """Result: the orchestration `WalletWithBalances`; `ledger` names the wallet's ledger."""

    name: ClassVar[str] = "GetWallet"
    service: ClassVar[Service] = "wallets"
    is_effect: ClassVar[bool] = False
    id: str

    def input(self, key: str) -> Json:
        return {"id": self.id}


@dataclass(frozen=True, slots=True)
class ListWallets(Activity):
    """Result: `{"pageSize": n, "data": [Wallet], ...}`, filtered by this name."""

    name: ClassVar[str] = "ListWallets"
    service: ClassVar[Service] = "wallets"
    is_effect: ClassVar[bool] = False
    wallet_name: str

    def input(self, key: str) -> Json:
        return {"name": self.wallet_name}


# The only Numscript we ever send: values travel in `vars` (decision M7). Line breaks are significant.
OVERDRAFT_SCRIPT = """vars {
  monetary $amount
  account $src
  account $dst
}
send $amount (
  source = $src allowing unbounded overdraft
  destination = $dst
)
"""


@dataclass(frozen=True, slots=True)
class CreateTransaction(Activity):
    """One posting on one ledger. Result: the orchestration `Transaction`.

    `payment_id` makes it an ingestion: its reference is derived from the payment, not from the
    effect, and it is looked up before it is sent (decision Q19).
    """

    name: ClassVar[str] = "CreateTransaction"
    service: ClassVar[Service] = "ledger"
    is_effect: ClassVar[bool] = True
    ledger: str
    posting: Posting
    metadata: dict[str, str] = field(default_factory=dict[str, str])
    timestamp: str | None = None
    allow_overdraft: bool = False
    payment_id: str | None = None

    def input(self, key: str) -> Json:
        data: Json = {"metadata": self.metadata, "postings": [self.posting], "reference": self.reference(key)}
        if self.allow_overdraft:
            data["script"] = {
                "plain": OVERDRAFT_SCRIPT,
                "vars": {
                    "amount": f"{self.posting['asset']} {self.posting['amount']}",
                    "src": self.posting["source"],
                    "dst": self.posting["destination"],
                },
            }
        if self.timestamp is not None:
            data["timestamp"] = self.timestamp
        return {"ledger": self.ledger, "data": data}

    def reference(self, key: str) -> str:
        if self.payment_id is None:
            return key
        from hashlib import sha256

        return f"headrace:ingest:{sha256(self.payment_id.encode()).hexdigest()}"


@dataclass(frozen=True, slots=True)
class AddAccountMetadata(Activity):
    name: ClassVar[str] = "AddAccountMetadata"
    service: ClassVar[Service] = "ledger"
    is_effect: ClassVar[bool] = True
    id: str
    ledger: str
    metadata: dict[str, str]

    def input(self, key: str) -> Json:
        return {"id": self.id, "ledger": self.ledger, "metadata": self.metadata}


@dataclass(frozen=True, slots=True)
class CreditWallet(Activity):
    """`sources`: subjects `{"type": "ACCOUNT"|"WALLET", "identifier": ..., "balance"?: ...}`."""

    name: ClassVar[str] = "CreditWallet"
    service: ClassVar[Service] = "wallets"
    is_effect: ClassVar[bool] = True
    id: str
    amount: int
    asset: str
    sources: list[Json]
    balance: str
    metadata: dict[str, str] = field(default_factory=dict[str, str])
    timestamp: str | None = None

    def input(self, key: str) -> Json:
        data: Json = {
            "amount": {"asset": self.asset, "amount": self.amount},
            "sources": self.sources,
            "metadata": self.metadata,
            "balance": self.balance,
            "reference": key,
        }
        if self.timestamp is not None:
            data["timestamp"] = self.timestamp
        return {"id": self.id, "data": data}


@dataclass(frozen=True, slots=True)
class DebitWallet(Activity):
    """No `destination` means the ledger account `world`."""

    name: ClassVar[str] = "DebitWallet"
    service: ClassVar[Service] = "wallets"
    is_effect: ClassVar[bool] = True
    id: str
    amount: int
    asset: str
    balances: list[str]
    destination: Json | None = None
    metadata: dict[str, str] = field(default_factory=dict[str, str])
    timestamp: str | None = None

    def input(self, key: str) -> Json:
        data: Json = {
            "amount": {"asset": self.asset, "amount": self.amount},
            "metadata": {**self.metadata, "headrace_effect": key},
            "balances": self.balances,
        }
        if self.destination is not None:
            data["destination"] = self.destination
        if self.timestamp is not None:
            data["timestamp"] = self.timestamp
        return {"id": self.id, "data": data}


@dataclass(frozen=True, slots=True)
class CreateTransferInitiation(Activity):
    """Asks the payments service to move money at a provider. It succeeds when accepted (Q8)."""

    name: ClassVar[str] = "CreateTransferInitiation"
    service: ClassVar[Service] = "payments"
    is_effect: ClassVar[bool] = True
    provider: str
    amount: int
    asset: str
    destination: str
    source: str | None = None
    type: Literal["TRANSFER", "PAYOUT"] = "TRANSFER"
    connector_id: str | None = None
    waiting_validation: bool = False
    description: str = ""
    metadata: dict[str, str] = field(default_factory=dict[str, str])

    def input(self, key: str) -> Json:
        data: Json = {
            "provider": self.provider,
            "amount": self.amount,
            "asset": self.asset,
            "destination": self.destination,
            "type": self.type,
            "waitingValidation": self.waiting_validation,
        }
        if self.source is not None:
            data["source"] = self.source
        if self.connector_id is not None:
            data["connectorID"] = self.connector_id
        if self.description:
            data["description"] = self.description
        if self.metadata:
            data["metadata"] = self.metadata
        return data


Command = Activity | SleepUntil | WaitEvent | Amend

ACTIVITIES: dict[str, type[Activity]] = {
    activity.name: activity
    for activity in (
        GetAccount,
        GetPayment,
        GetWallet,
        ListWallets,
        CreateTransaction,
        AddAccountMetadata,
        CreditWallet,
        DebitWallet,
        CreateTransferInitiation,
    )
}
