"""The commands that move money, each with what the stage says about it.

`metadata` and `timestamp` of the stage go on every one of them, but the metadata not on an ingestion: that is shared
by all who send from the payment, and says only which one it books. What leaves the holding account says so too.
"""

from __future__ import annotations

from headrace.money import WORLD, posting
from headrace.workflows.activities import CreateTransaction, CreateTransferInitiation, CreditWallet, DebitWallet, Json
from headrace.workflows.stages.send.parties import PaymentDestination, PaymentSource, Send
from headrace.workflows.stages.send.reads import OpenWallet

PAYMENT_KEY = "headrace_payment_id"

FROM_WORLD: Json = {"type": "ACCOUNT", "identifier": WORLD}


def move(
    send: Send, ledger: str, source: str, destination: str, *, allows_overdraft: bool = False
) -> CreateTransaction:
    """One posting. `world` may be overdrawn anyway, and a ledger refuses a script that says so again."""
    return CreateTransaction(
        ledger,
        posting(source, destination, send.amount, send.asset),
        send.metadata,
        send.timestamp,
        allows_overdraft and source != WORLD,
    )


def ingest(send: Send, payment: PaymentSource, whole: int) -> CreateTransaction:
    """Book the whole payment on its holding account."""
    return CreateTransaction(
        payment.ledger,
        posting(payment.through, payment.holding, whole, send.asset),
        {PAYMENT_KEY: payment.id},
        send.timestamp,
        payment.allows_overdraft and payment.through != WORLD,
        payment.id,
    )


def move_out(send: Send, payment: PaymentSource, destination: str) -> CreateTransaction:
    """The sent amount leaves the holding account."""
    return CreateTransaction(
        payment.ledger,
        posting(payment.holding, destination, send.amount, send.asset),
        {**send.metadata, PAYMENT_KEY: payment.id},
        send.timestamp,
    )


def credit(
    send: Send, wallet: OpenWallet, source: Json = FROM_WORLD, metadata: dict[str, str] | None = None
) -> CreditWallet:
    """Build a credit of the amount to a wallet."""
    return CreditWallet(
        wallet.id,
        send.amount,
        send.asset,
        [source],
        wallet.balance,
        send.metadata if metadata is None else metadata,
        send.timestamp,
    )


def debit(send: Send, wallet: OpenWallet, destination: Json | None = None) -> DebitWallet:
    """Without a destination the money goes to `world`."""
    return DebitWallet(wallet.id, send.amount, send.asset, [wallet.balance], destination, send.metadata, send.timestamp)


def initiate(send: Send, payment: PaymentDestination, account_to_pay_to: str) -> CreateTransferInitiation:
    """Build the transfer initiation of the amount."""
    return CreateTransferInitiation(
        payment.psp,
        send.amount,
        send.asset,
        account_to_pay_to,
        payment.source_account,
        payment.type,
        payment.connector_id,
        payment.is_waiting_validation,
        metadata=send.metadata,
    )


def account_subject(account_id: str) -> Json:
    return {"type": "ACCOUNT", "identifier": account_id}


def wallet_subject(wallet: OpenWallet) -> Json:
    return {"type": "WALLET", "identifier": wallet.id, "balance": wallet.balance}
