"""Activities in the history of a stage: requests to ledger, wallets and payments, and their responses.

`activity_types` has the documents of a history, which are keyed by these activities.
Values that other services define (providers, statuses, schemes) are plain text, because those lists grow.
"""

from __future__ import annotations

from typing import Any

import msgspec

from headrace_client.models import Model, Timestamp
from headrace_client.stages import Monetary


class Posting(Model):
    amount: int
    asset: str
    source: str
    destination: str


class Script(Model):
    plain: str
    vars: dict[str, Any] | None = None


class PostTransaction(Model):
    metadata: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    postings: list[Posting] | None = None
    script: Script | None = None
    reference: str | None = None
    timestamp: Timestamp | None = None


class LedgerAccountSubject(Model, tag_field="type", tag="ACCOUNT"):
    identifier: str


class WalletSubject(Model, tag_field="type", tag="WALLET"):
    identifier: str
    balance: str | None = None


Subject = LedgerAccountSubject | WalletSubject


class ActivityGetAccount(Model):
    id: str
    ledger: str


class ActivityAddAccountMetadata(Model):
    id: str
    ledger: str
    metadata: dict[str, str]


class ActivityCreateTransaction(Model):
    ledger: str | None = None
    data: PostTransaction | None = None


class ActivityRevertTransaction(Model):
    id: str
    ledger: str


class StripeTransferRequest(Model):
    connector_id: str | None = None
    amount: int | None = None
    asset: str | None = None
    destination: str | None = None
    waiting_validation: bool | None = None
    metadata: dict[str, Any] | None = None


class CreateTransferInitiationRequest(Model):
    connector_id: str | None = None
    provider: str | None = None
    amount: int | None = None
    asset: str | None = None
    destination: str | None = None
    source: str | None = None
    type: str | None = None
    description: str | None = None
    waiting_validation: bool | None = None
    metadata: dict[str, Any] | None = None


class ActivityGetPayment(Model):
    id: str


class ActivityConfirmHold(Model):
    id: str


class ActivityVoidHold(Model):
    id: str


class ActivityGetWallet(Model):
    id: str


class ActivityListWallets(Model):
    name: str | None = None


class CreditWalletRequest(Model):
    amount: Monetary
    sources: list[Subject] = msgspec.field(default_factory=list[Subject])
    metadata: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    balance: str | None = None
    reference: str | None = None
    timestamp: Timestamp | None = None


class DebitWalletRequest(Model):
    amount: Monetary
    metadata: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    pending: bool | None = None
    description: str | None = None
    destination: Subject | None = None
    balances: list[str] | None = None
    timestamp: Timestamp | None = None


class ActivityCreditWallet(Model):
    id: str | None = None
    data: CreditWalletRequest | None = None


class ActivityDebitWallet(Model):
    id: str | None = None
    data: DebitWalletRequest | None = None


class Volume(Model):
    input: int
    output: int
    balance: int | None = None


class Account(Model):
    address: str
    metadata: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    volumes: dict[str, Volume] | None = None
    effective_volumes: dict[str, Volume] | None = None


class Transaction(Model):
    id: int
    postings: list[Posting]
    timestamp: Timestamp
    metadata: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    reverted: bool = False
    reference: str | None = None


class PaymentAdjustment(Model):
    status: str
    amount: int
    date: Timestamp
    raw: dict[str, Any] | None = None
    absolute: bool = False


class Payment(Model):
    """A payment as the payments service records it. Amounts are in the asset's smallest unit."""

    id: str
    reference: str
    type: str
    status: str
    asset: str
    initial_amount: int
    created_at: Timestamp
    connector_id: str = ""
    source_account_id: str = ""
    destination_account_id: str = ""
    provider: str | None = None
    scheme: str | None = None
    raw: dict[str, Any] | None = None
    adjustments: list[PaymentAdjustment] = msgspec.field(default_factory=list[PaymentAdjustment])
    metadata: dict[str, Any] | None = None


class Hold(Model):
    id: str
    wallet_id: str
    metadata: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    description: str = ""
    destination: Subject | None = None


class Wallet(Model):
    id: str
    name: str
    created_at: Timestamp
    ledger: str
    metadata: dict[str, str] = msgspec.field(default_factory=dict[str, str])


class AssetHolder(Model):
    assets: dict[str, int]


class WalletBalances(Model):
    main: AssetHolder


class WalletWithBalances(Wallet, kw_only=True):
    balances: WalletBalances


class WalletsPage(Model):
    page_size: int
    data: list[Wallet]
    has_more: bool | None = None
    next: str | None = None
    previous: str | None = None


class V2Transaction(Model):
    txid: int
    postings: list[Posting]
    timestamp: Timestamp
    metadata: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    reference: str | None = None


class AccountOutput(Model):
    data: Account


class TransactionOutput(Model):
    data: Transaction


class V2TransactionOutput(Model):
    data: list[V2Transaction]


class PaymentOutput(Model):
    data: Payment


class HoldOutput(Model):
    data: Hold


class WalletOutput(Model):
    data: WalletWithBalances


class WalletsOutput(Model):
    cursor: WalletsPage


class ByActivity(msgspec.Struct, omit_defaults=True, rename="pascal"):
    """Base of the documents keyed by the activity's name: one member is set, the others are None."""

    @property
    def activity(self) -> msgspec.Struct | dict[str, Any] | None:
        """The activity's own document; None for an activity that this client has no class for."""
        values = (getattr(self, name) for name in self.__struct_fields__)
        return next((value for value in values if value is not None), None)
