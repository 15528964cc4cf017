"""From an activity to the bytes that are stored and sent.

`prepare` is the last guard (decision M8): what gets past it has only spellings that a service can take.
"""

from __future__ import annotations

from headrace.effects import ledger, payments, wallets
from headrace.effects.port import Request
from headrace.workflows.commands import (
    Activity,
    AddAccountMetadata,
    CreateTransaction,
    CreateTransferInitiation,
    CreditWallet,
    DebitWallet,
    GetAccount,
    GetPayment,
    GetWallet,
    ListWallets,
)


def prepare(activity: Activity, key: str, started_at: int) -> Request:
    """The full request of an activity. `key` is "" for a read; `started_at` is its stage's stored start.

    Raises InvalidValue, which names the field: then nothing may be stored or sent.
    """
    match activity:
        case GetAccount():
            return ledger.get_account(activity)
        case AddAccountMetadata():
            return ledger.add_account_metadata(activity, key)
        case CreateTransaction():
            return ledger.create_transaction(activity, key)
        case GetWallet():
            return wallets.get_wallet(activity)
        case ListWallets():
            return wallets.list_wallets(activity)
        case CreditWallet():
            return wallets.credit_wallet(activity, key)
        case DebitWallet():
            return wallets.debit_wallet(activity, key)
        case GetPayment():
            return payments.get_payment(activity)
        case CreateTransferInitiation():
            return payments.create_transfer_initiation(activity, key, started_at)
        case _:
            raise NotImplementedError(activity.name)


def create_ledger(name: str) -> Request:
    """Creates the internal ledger of payment ingestion (decision Q22). It needs no key: a second time is refused."""
    return ledger.create(name)
