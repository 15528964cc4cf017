"""From an activity to the bytes that are stored and sent, and to where its effect would stand in the books.

`prepare` is the last guard (decision M8): what gets past it has only spellings that a service can take.
`look_up` and `next_look_up` work from a *stored* request, which another release may have written.
"""

from __future__ import annotations

from headrace.effects import ledger, payments, wallets
from headrace.effects.port import Reply, Request
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


def look_up(name: str, request: Request) -> Request | None:
    """Where to ask whether this effect stands in the books; None for a read."""
    match name:
        case "CreateTransaction":
            return ledger.look_up_transaction(request)
        case "AddAccountMetadata":
            return ledger.look_up_metadata(request)
        case "CreditWallet" | "DebitWallet":
            return wallets.look_up_transactions(request)
        case "CreateTransferInitiation":
            return payments.look_up_initiation(request)
        case _:
            return None


def next_look_up(name: str, request: Request, reply: Reply, asked: Request | None = None) -> Request | None:
    """What to ask next, given the stored request of the effect and the answer to its latest look-up.

    None when the answer decides, or when nothing more can be asked. Bounded by the caller: a page that is not
    the last reads as Unknown, never as Absent. `asked` is that latest look-up, where the caller has it.
    """
    match name:
        case "CreditWallet" | "DebitWallet":
            return wallets.next_transactions(request, reply)
        case "CreateTransferInitiation":
            return payments.next_initiations(request, reply, asked)
        case _:
            return None
