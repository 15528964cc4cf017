"""Activities: the named reads and effects that a stage asks of ledger, wallets and payments.

Each class holds everything about its activity that is not the service's own protocol: its name, which service it
belongs to, how an unknown attempt of it is settled, what history shows, and the sentences that describe it. How it
becomes a request, and what the responses prove, is in the file of its service in `headrace.effects`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from headrace.money import WORLD, Posting, posting
from headrace.workflows.activity import REGISTRY, Activity, Family, Json, Service, money_text, units_text
from headrace.workflows.reversals import UNDOING
from headrace.workflows.search_terms import (
    account_term,
    amount_term,
    payment_term,
    transaction_term,
    wallet_term,
)

INTERNAL_LEDGER = "orchestration-000-internal"
WALLETS = "wallets"
"""The ledger by which an account beside a wallet is searched: its effect does not name the wallet's."""
ACTIVITIES = REGISTRY
"""Every activity by its name, those of `headrace.workflows.reversals` among them."""
assert all(each.name in ACTIVITIES for each in UNDOING)


def metadata_lines(metadata: Json | None) -> list[str]:
    if not metadata:
        return []
    return ["Added metadata: " + ", ".join(f"{name}={value}" for name, value in metadata.items())]


def _subject_text(subject: Json) -> str:
    if subject["type"] == "WALLET":
        return f"wallet {subject['identifier']} (balance: {subject.get('balance', 'main')})"
    return f"account {subject['identifier']}"


def _subject_address(subject: Json) -> str:
    if subject["type"] == "WALLET":
        return f"wallet:{subject['identifier']}:{subject.get('balance') or 'main'}"
    return subject["identifier"]


def _moved_terms(amount: Json, *subjects: Json) -> list[str]:
    """The terms of an amount, and of the wallets and accounts that it moves between; `world` finds nothing."""
    terms = [amount_term(amount["amount"], amount["asset"])]
    for subject in subjects:
        if subject["type"] == "WALLET":
            terms.append(wallet_term(subject["identifier"]))
        elif subject["identifier"] != WORLD:
            terms.append(account_term(subject["identifier"], WALLETS))
    return terms


@dataclass(frozen=True, slots=True)
class GetAccount(Activity):
    """Result: `{"address": ..., "metadata": {...}}`; an account never used has no metadata."""

    name: ClassVar[str] = "GetAccount"
    service: ClassVar[Service] = "ledger"
    family: ClassVar[Family] = Family.READ
    id: str
    ledger: str

    def input(self, key: str) -> Json:
        return {"id": self.id, "ledger": self.ledger}

    @classmethod
    def summary(cls, shown: Json) -> str:
        return f"Read account {shown.get('id', '')} of ledger {shown.get('ledger', '')}"

    @classmethod
    def example(cls) -> GetAccount:
        return cls("merchants:7", "shop")


@dataclass(frozen=True, slots=True)
class GetPayment(Activity):
    """Result: the orchestration `Payment` (contract 3.7)."""

    name: ClassVar[str] = "GetPayment"
    service: ClassVar[Service] = "payments"
    family: ClassVar[Family] = Family.READ
    id: str

    def input(self, key: str) -> Json:
        return {"id": self.id}

    @classmethod
    def summary(cls, shown: Json) -> str:
        return f"Read payment {shown.get('id', '')}"

    @classmethod
    def searched(cls, shown: Json) -> list[str]:
        return [payment_term(shown["id"])]

    @classmethod
    def example(cls) -> GetPayment:
        return cls("PAYMENT")


@dataclass(frozen=True, slots=True)
class GetWallet(Activity):
    """Result: the orchestration `WalletWithBalances`; `ledger` names the wallet's ledger."""

    name: ClassVar[str] = "GetWallet"
    service: ClassVar[Service] = "wallets"
    family: ClassVar[Family] = Family.READ
    id: str

    def input(self, key: str) -> Json:
        return {"id": self.id}

    @classmethod
    def summary(cls, shown: Json) -> str:
        return f"Read wallet {shown.get('id', '')}"

    @classmethod
    def searched(cls, shown: Json) -> list[str]:
        return [wallet_term(shown["id"])]

    @classmethod
    def example(cls) -> GetWallet:
        return cls("WALLET")


@dataclass(frozen=True, slots=True)
class ListWallets(Activity):
    """Result: `{"pageSize": n, "data": [Wallet], ...}`, filtered by this name."""

    name: ClassVar[str] = "ListWallets"
    service: ClassVar[Service] = "wallets"
    family: ClassVar[Family] = Family.READ
    wallet_name: str

    def input(self, key: str) -> Json:
        return {"name": self.wallet_name}

    @classmethod
    def summary(cls, shown: Json) -> str:
        return f"List wallets named {shown.get('name', '')}"

    @classmethod
    def example(cls) -> ListWallets:
        return cls("jane")


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
    family: ClassVar[Family] = Family.TRANSACTION
    known_by: ClassVar[str] = "`reference`"
    ledger: str
    posting: Posting
    metadata: dict[str, str] = field(default_factory=dict[str, str])
    timestamp: str | None = None
    allow_overdraft: bool = False
    payment_id: str | None = None

    def input(self, key: str) -> Json:
        """Return postings, and the script beside them where an overdraft is allowed."""
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

    @property
    def settlement(self) -> Family:
        return self.family if self.payment_id is None else Family.INGESTION

    @classmethod
    def summary(cls, shown: Json) -> str:
        moved = shown["data"]["postings"][0]
        ends = f"from account {moved['source']} to account {moved['destination']}"
        allowed = ", overdraft allowed" if shown["data"].get("script") else ""
        return f"Send {money_text(moved)} {ends} (ledger {shown.get('ledger', '')}{allowed})"

    @classmethod
    def result(cls, output: Json) -> str:
        return f"Created transaction: {output['data']['id']}" if output.get("data") else ""

    @classmethod
    def movements(cls, shown: Json) -> list[str]:
        return [
            f"{shown['ledger']} {moved['source']} -> {moved['destination']} {units_text(moved)}"
            for moved in shown["data"]["postings"]
        ]

    @classmethod
    def searched(cls, shown: Json) -> list[str]:
        terms: list[str] = []
        for moved in shown["data"]["postings"]:
            ends = (moved["source"], moved["destination"])
            terms += [account_term(address, shown["ledger"]) for address in ends if address != WORLD]
            terms.append(amount_term(moved["amount"], moved["asset"]))
        metadata: Json = shown["data"].get("metadata") or {}
        if payment_id := metadata.get("headrace_payment_id"):
            terms.append(payment_term(payment_id))
        return terms

    @classmethod
    def made(cls, shown: Json, output: Json) -> list[str]:
        return [transaction_term(output["data"]["id"], shown["ledger"])] if output.get("data") else []

    def booked(self, result: Json) -> str:
        what = f"{self.posting['amount']} {self.posting['asset']}"
        return f"transaction {result.get('id', '?')} of {what} on ledger {self.ledger}"

    @classmethod
    def example(cls) -> CreateTransaction:
        return cls("shop", posting("users:1", "merchants:7", 2500, "USD/2"), {"order": "1"})


@dataclass(frozen=True, slots=True)
class AddAccountMetadata(Activity):
    """Merge metadata into that of a ledger account."""

    name: ClassVar[str] = "AddAccountMetadata"
    service: ClassVar[Service] = "ledger"
    family: ClassVar[Family] = Family.METADATA
    known_by: ClassVar[str] = ""
    id: str
    ledger: str
    metadata: dict[str, str]

    def input(self, key: str) -> Json:
        return {"id": self.id, "ledger": self.ledger, "metadata": self.metadata}

    @classmethod
    def summary(cls, shown: Json) -> str:
        return f"Add metadata to account {shown.get('id', '')} of ledger {shown.get('ledger', '')}"

    @classmethod
    def movements(cls, shown: Json) -> list[str]:
        pairs = ", ".join(f"{name}={value}" for name, value in shown["metadata"].items())
        return [f"{shown['ledger']} {shown['id']} metadata {pairs}"]

    @classmethod
    def searched(cls, shown: Json) -> list[str]:
        return [account_term(shown["id"], shown["ledger"])]

    def booked(self, result: Json) -> str:
        return f"metadata of account {self.id} on ledger {self.ledger}"

    @classmethod
    def example(cls) -> AddAccountMetadata:
        return cls("orders:1", "shop", {"state": "settled"})


@dataclass(frozen=True, slots=True)
class CreditWallet(Activity):
    """`sources`: subjects `{"type": "ACCOUNT"|"WALLET", "identifier": ..., "balance"?: ...}`."""

    name: ClassVar[str] = "CreditWallet"
    service: ClassVar[Service] = "wallets"
    family: ClassVar[Family] = Family.WALLET
    known_by: ClassVar[str] = "`reference`"
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

    @classmethod
    def summary(cls, shown: Json) -> str:
        data = shown["data"]
        sources = ", ".join(_subject_text(subject) for subject in data["sources"]) or "@world"
        wallet = f"Credit wallet {shown['id']} (balance: {data.get('balance', 'main')})"
        return f"{wallet} of {money_text(data['amount'])} from {sources}"

    @classmethod
    def movements(cls, shown: Json) -> list[str]:
        data = shown["data"]
        sources = ", ".join(_subject_address(subject) for subject in data["sources"]) or "world"
        return [f"wallets {sources} -> wallet:{shown['id']}:{data['balance']} {units_text(data['amount'])}"]

    @classmethod
    def searched(cls, shown: Json) -> list[str]:
        data = shown["data"]
        return [wallet_term(shown["id"]), *_moved_terms(data["amount"], *data["sources"])]

    def booked(self, result: Json) -> str:
        return f"credit of {self.amount} {self.asset} to wallet {self.id}"

    @classmethod
    def example(cls) -> CreditWallet:
        return cls("WALLET", 2500, "USD/2", [{"type": "ACCOUNT", "identifier": "world"}], "main", {"order": "1"})


@dataclass(frozen=True, slots=True)
class DebitWallet(Activity):
    """No `destination` means the ledger account `world`."""

    name: ClassVar[str] = "DebitWallet"
    service: ClassVar[Service] = "wallets"
    family: ClassVar[Family] = Family.WALLET
    known_by: ClassVar[str] = "metadata `headrace_effect`"
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

    @classmethod
    def summary(cls, shown: Json) -> str:
        data = shown["data"]
        balance = (data.get("balances") or ["main"])[0]
        to = _subject_text(data["destination"]) if data.get("destination") else "@world"
        return f"Debit wallet {shown['id']} (balance: {balance}) of {money_text(data['amount'])} to {to}"

    @classmethod
    def movements(cls, shown: Json) -> list[str]:
        data = shown["data"]
        sources = ", ".join(f"wallet:{shown['id']}:{balance}" for balance in data["balances"])
        to = _subject_address(data["destination"]) if data.get("destination") else "world"
        return [f"wallets {sources} -> {to} {units_text(data['amount'])}"]

    @classmethod
    def searched(cls, shown: Json) -> list[str]:
        data = shown["data"]
        to = [data["destination"]] if data.get("destination") else []
        return [wallet_term(shown["id"]), *_moved_terms(data["amount"], *to)]

    def booked(self, result: Json) -> str:
        return f"debit of {self.amount} {self.asset} from wallet {self.id}"

    @classmethod
    def example(cls) -> DebitWallet:
        return cls("WALLET", 2500, "USD/2", ["main"], None, {"order": "1"})


@dataclass(frozen=True, slots=True)
class CreateTransferInitiation(Activity):
    """Asks the payments service to move money at a provider. It succeeds when accepted (Q8)."""

    name: ClassVar[str] = "CreateTransferInitiation"
    service: ClassVar[Service] = "payments"
    family: ClassVar[Family] = Family.INITIATION
    known_by: ClassVar[str] = "`reference`, which history does not show"
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
        """Return the arguments that were given; the key is no part of the description."""
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

    @classmethod
    def summary(cls, shown: Json) -> str:
        kind = str(shown.get("type", "TRANSFER")).lower()
        held = ", to be validated by hand" if shown.get("waitingValidation") else ""
        asked = f"Ask {shown.get('provider', '')} for a {kind} of {money_text(shown)}"
        return f"{asked} to {shown.get('destination', '')}{held}"

    @classmethod
    def movements(cls, shown: Json) -> list[str]:
        return [f"{shown['type'].lower()} {units_text(shown)} {shown['destination']}"]

    @classmethod
    def searched(cls, shown: Json) -> list[str]:
        at_provider = account_term(shown["destination"], shown["provider"].lower())
        return [at_provider, amount_term(shown["amount"], shown["asset"])]

    def booked(self, result: Json) -> str:
        return f"transfer initiation of {self.amount} {self.asset} to {self.destination}"

    @classmethod
    def example(cls) -> CreateTransferInitiation:
        return cls("stripe", 2500, "USD/2", "acct_1", type="PAYOUT")
