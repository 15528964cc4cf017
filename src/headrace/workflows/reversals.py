"""Activities that reverse an effect, and the reads by which an undo finds what is left to reverse.

Only the computed workflow of an undo asks for them: no definition can.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from headrace.workflows.activity import Activity, Family, Json, Service, money_text, units_text
from headrace.workflows.search_terms import amount_term, initiation_term, transaction_term

V1_ONLY = frozenset({"v1"})
NOT_DESCRIBED: frozenset[str] = frozenset()

PAYING_STATUSES = frozenset({"VALIDATED", "PROCESSING", "ASK_RETRIED", "ASK_REVERSED", "REVERSE_PROCESSING"})
"""Statuses of a transfer initiation on which its provider still works."""


@dataclass(frozen=True, slots=True)
class GetTransaction(Activity):
    """Result: the orchestration `Transaction`. Refused with NOT_FOUND where the ledger has none of this id."""

    name: ClassVar[str] = "GetTransaction"
    service: ClassVar[Service] = "ledger"
    family: ClassVar[Family] = Family.READ
    versions: ClassVar[frozenset[str]] = NOT_DESCRIBED
    id: int
    ledger: str

    def input(self, key: str) -> Json:
        return {"id": str(self.id), "ledger": self.ledger}

    @classmethod
    def summary(cls, shown: Json) -> str:
        return f"Read transaction {shown['id']} of ledger {shown.get('ledger', '')}"

    @classmethod
    def example(cls) -> GetTransaction:
        return cls(7, "shop")


@dataclass(frozen=True, slots=True)
class RevertTransaction(Activity):
    """Book the reverse postings of a transaction. The ledger does so once for all callers, and links the two.

    `force`: the accounts that pay back may go below zero. Result: the orchestration `Transaction` that reverts; where
    the revert was found by a look-up, the reverted one, whose `reverted` is true.
    """

    name: ClassVar[str] = "RevertTransaction"
    service: ClassVar[Service] = "ledger"
    family: ClassVar[Family] = Family.REVERT
    known_by: ClassVar[str] = "`reverted` of the transaction"
    versions: ClassVar[frozenset[str]] = V1_ONLY
    id: int
    ledger: str
    force: bool = False

    def input(self, key: str) -> Json:
        return {"id": str(self.id), "ledger": self.ledger}

    @classmethod
    def summary(cls, shown: Json) -> str:
        return f"Revert transaction {shown['id']} of ledger {shown.get('ledger', '')}"

    @classmethod
    def result(cls, output: Json) -> str:
        if not output.get("data"):
            return ""
        found = "Found as reverted: transaction" if output["data"].get("reverted") else "Created transaction:"
        return f"{found} {output['data']['id']}"

    @classmethod
    def movements(cls, shown: Json) -> list[str]:
        return [f"{shown['ledger']} revert {shown['id']}"]

    @classmethod
    def searched(cls, shown: Json) -> list[str]:
        return [transaction_term(shown["id"], shown["ledger"])]

    @classmethod
    def made(cls, shown: Json, output: Json) -> list[str]:
        return [transaction_term(output["data"]["id"], shown["ledger"])] if output.get("data") else []

    def booked(self, result: Json) -> str:
        return f"revert of transaction {self.id} on ledger {self.ledger}"

    @classmethod
    def example(cls) -> RevertTransaction:
        return cls(7, "shop")


@dataclass(frozen=True, slots=True)
class ListWalletTransactions(Activity):
    """A page of a wallet's transactions, newest first. `cursor`: that of the page before; "" for the first.

    Result: `{"hasMore": ..., "next"?: ..., "data": [{"id", "ledger", "key", "postings"}]}`, with only those
    transactions that carry the key of an effect.
    """

    name: ClassVar[str] = "ListWalletTransactions"
    service: ClassVar[Service] = "wallets"
    family: ClassVar[Family] = Family.READ
    versions: ClassVar[frozenset[str]] = NOT_DESCRIBED
    id: str
    cursor: str = ""

    def input(self, key: str) -> Json:
        return {"id": self.id, **({"cursor": self.cursor} if self.cursor else {})}

    @classmethod
    def summary(cls, shown: Json) -> str:
        return f"List transactions of wallet {shown['id']}"

    @classmethod
    def example(cls) -> ListWalletTransactions:
        return cls("WALLET")


@dataclass(frozen=True, slots=True)
class ListTransferInitiations(Activity):
    """A page of transfer initiations, newest first: of this reference, or all where it is "".

    `cursor`: that of the page before; "" for the first. Result: `{"hasMore": ..., "next"?: ..., "data": [{"id",
    "reference", "status", "amount", "asset"}]}`, with only those whose reference is the key of an effect; a service
    that refuses to filter counts as having none.
    """

    name: ClassVar[str] = "ListTransferInitiations"
    service: ClassVar[Service] = "payments"
    family: ClassVar[Family] = Family.READ
    versions: ClassVar[frozenset[str]] = NOT_DESCRIBED
    reference: str = ""
    cursor: str = ""

    def input(self, key: str) -> Json:
        given = {"reference": self.reference, "cursor": self.cursor}
        return {name: value for name, value in given.items() if value}

    @classmethod
    def summary(cls, shown: Json) -> str:
        of = f" of reference {shown['reference']}" if shown.get("reference") else ""
        return f"List transfer initiations{of}"

    @classmethod
    def example(cls) -> ListTransferInitiations:
        return cls("headrace:INSTANCE:0:1")


@dataclass(frozen=True, slots=True)
class GetTransferInitiation(Activity):
    """Read a transfer initiation until its provider is done with it, with back-off like a failed attempt.

    Result: `{"id", "reference", "status", "amount", "asset"}`, whose status is none of `PAYING_STATUSES`.
    """

    name: ClassVar[str] = "GetTransferInitiation"
    service: ClassVar[Service] = "payments"
    family: ClassVar[Family] = Family.READ
    versions: ClassVar[frozenset[str]] = NOT_DESCRIBED
    id: str

    def input(self, key: str) -> Json:
        return {"id": self.id}

    @classmethod
    def summary(cls, shown: Json) -> str:
        return f"Read transfer initiation {shown['id']}"

    @classmethod
    def example(cls) -> GetTransferInitiation:
        return cls("INITIATION")


@dataclass(frozen=True, slots=True)
class AwaitReversal(Activity):
    """Read a transfer initiation, like `GetTransferInitiation`, until an accepted reversal has come to an end."""

    name: ClassVar[str] = "AwaitReversal"
    service: ClassVar[Service] = "payments"
    family: ClassVar[Family] = Family.READ
    versions: ClassVar[frozenset[str]] = NOT_DESCRIBED
    id: str

    def input(self, key: str) -> Json:
        return {"id": self.id}

    @classmethod
    def summary(cls, shown: Json) -> str:
        return f"Wait for the reversal of transfer initiation {shown['id']}"

    @classmethod
    def example(cls) -> AwaitReversal:
        return cls("INITIATION")


@dataclass(frozen=True, slots=True)
class RejectTransferInitiation(Activity):
    """Reject a transfer initiation that waits for validation."""

    name: ClassVar[str] = "RejectTransferInitiation"
    service: ClassVar[Service] = "payments"
    family: ClassVar[Family] = Family.REVERSAL
    known_by: ClassVar[str] = "the status of the initiation"
    versions: ClassVar[frozenset[str]] = NOT_DESCRIBED
    id: str

    def input(self, key: str) -> Json:
        return {"id": self.id}

    @classmethod
    def summary(cls, shown: Json) -> str:
        return f"Reject transfer initiation {shown['id']}"

    @classmethod
    def movements(cls, shown: Json) -> list[str]:
        return [f"reject initiation {shown['id']}"]

    @classmethod
    def searched(cls, shown: Json) -> list[str]:
        return [initiation_term(shown["id"])]

    def booked(self, result: Json) -> str:
        return f"rejection of transfer initiation {self.id}"

    @classmethod
    def example(cls) -> RejectTransferInitiation:
        return cls("INITIATION")


@dataclass(frozen=True, slots=True)
class ReverseTransferInitiation(Activity):
    """Ask the payments service to get a whole paid amount back. It is done when the service accepts that."""

    name: ClassVar[str] = "ReverseTransferInitiation"
    service: ClassVar[Service] = "payments"
    family: ClassVar[Family] = Family.REVERSAL
    known_by: ClassVar[str] = "`reference` of the reversal, and the status of the initiation"
    versions: ClassVar[frozenset[str]] = NOT_DESCRIBED
    id: str
    amount: int
    asset: str

    def input(self, key: str) -> Json:
        return {"id": self.id, "amount": self.amount, "asset": self.asset, "reference": key}

    @classmethod
    def summary(cls, shown: Json) -> str:
        return f"Reverse transfer initiation {shown['id']} of {money_text(shown)}"

    @classmethod
    def movements(cls, shown: Json) -> list[str]:
        return [f"reverse initiation {shown['id']} {units_text(shown)}"]

    @classmethod
    def searched(cls, shown: Json) -> list[str]:
        return [initiation_term(shown["id"]), amount_term(shown["amount"], shown["asset"])]

    def booked(self, result: Json) -> str:
        return f"reversal of {self.amount} {self.asset} of transfer initiation {self.id}"

    @classmethod
    def example(cls) -> ReverseTransferInitiation:
        return cls("INITIATION", 2500, "USD/2")


UNDOING = (RevertTransaction, RejectTransferInitiation, ReverseTransferInitiation)
"""Effects that only the computed workflow of an undo has: no definition can ask for them."""
