"""From an activity to the bytes that are stored and sent.

`prepare` is the last guard (decision M8): what gets past it has only spellings that a service can take.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

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

NO_SCHEMAS: Mapping[str, str] = MappingProxyType({})


def prepare(activity: Activity, key: str, started_at: int, schemas: Mapping[str, str] = NO_SCHEMAS) -> Request:
    """The full request of an activity. `key` is "" for a read; `started_at` is its stage's stored start.

    `schemas`: the schema version of each ledger that has one. It becomes part of the request, so an effect that is
    stored keeps the version that it was stored with.

    Raises InvalidValue, which names the field: then nothing may be stored or sent.
    """
    match activity:
        case GetAccount():
            return ledger.get_account(activity)
        case AddAccountMetadata():
            return ledger.add_account_metadata(activity, key, schemas)
        case CreateTransaction():
            return ledger.create_transaction(activity, key, schemas)
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
