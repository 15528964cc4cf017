"""The flows of the send matrix, by source and destination, and the commands that move money in them.

A flow reads first, and moves money only when everything it needs is known. Numbers are those of the send matrix.

`metadata` and `timestamp` of the stage go on every command, but the metadata not on an ingestion: that is shared by all
that send from the payment, and says only which one it books. What leaves the holding account says so too.
"""

from __future__ import annotations

from headrace.errors import StageError
from headrace.money import WORLD, posting
from headrace.workflows.activities import CreateTransaction, CreateTransferInitiation, CreditWallet, DebitWallet, Json
from headrace.workflows.stages.send.parties import Account, PaymentDestination, PaymentSource, Send, Wallet
from headrace.workflows.stages.send.reads import (
    OpenWallet,
    account_to_pay_to,
    open_both_wallets,
    open_wallet,
    read_account_to_pay_to,
    read_payment,
)
from headrace.workflows.stages.stage import StageRun

PAYMENT_KEY = "headrace_payment_id"

FROM_WORLD: Json = {"type": "ACCOUNT", "identifier": WORLD}


# from an account


def account_to_account(send: Send, source: Account, destination: Account) -> StageRun:
    if source.ledger == destination.ledger:
        return account_to_account_same_ledger(send, source, destination)
    return account_to_account_across_ledgers(send, source, destination)


def account_to_account_same_ledger(send: Send, source: Account, destination: Account) -> StageRun:
    """Flow 1: one transaction on one ledger."""
    yield move(send, source.ledger, source.id, destination.id, allows_overdraft=source.allows_overdraft)


def account_to_account_across_ledgers(send: Send, source: Account, destination: Account) -> StageRun:
    """Flow 2: a transaction on each ledger."""
    yield move(send, source.ledger, source.id, source.through, allows_overdraft=source.allows_overdraft)
    yield move(
        send,
        destination.ledger,
        destination.through,
        destination.id,
        allows_overdraft=destination.allows_overdraft,
    )


def account_to_wallet(send: Send, source: Account, destination: Wallet) -> StageRun:
    wallet = yield from open_wallet(destination, send)
    if wallet.ledger == source.ledger:
        yield from account_to_wallet_same_ledger(send, source, wallet)
    else:
        yield from account_to_wallet_across_ledgers(send, source, wallet)


def account_to_wallet_same_ledger(send: Send, source: Account, wallet: OpenWallet) -> StageRun:
    """Flow 3: a credit. Headrace makes no transaction here, so none could allow an overdraft."""
    yield credit(send, wallet, account_subject(source.id))


def account_to_wallet_across_ledgers(send: Send, source: Account, wallet: OpenWallet) -> StageRun:
    """Flow 4: a transaction, then a credit on the other ledger."""
    yield move(send, source.ledger, source.id, source.through, allows_overdraft=source.allows_overdraft)
    yield credit(send, wallet)


def account_to_payment(send: Send, source: Account, destination: PaymentDestination) -> StageRun:
    """Flow 9: a transfer initiation, after the account is read."""
    account_to_pay_to = yield from read_account_to_pay_to(source, destination)
    yield move(send, source.ledger, source.id, source.through, allows_overdraft=source.allows_overdraft)
    yield initiate(send, destination, account_to_pay_to)


# from a payment: it is ingested whole, once per ledger, however many send from it; then the sent amount leaves its
# holding account (decision Q19)


def payment_to_account(send: Send, source: PaymentSource, destination: Account) -> StageRun:
    whole = yield from read_payment(source, send)
    if source.ledger == destination.ledger:
        yield from payment_to_account_same_ledger(send, source, whole, destination)
    else:
        yield from payment_to_account_across_ledgers(send, source, whole, destination)


def payment_to_account_across_ledgers(send: Send, source: PaymentSource, whole: int, destination: Account) -> StageRun:
    """Flow 11 on the internal ledger, flow 13 on one of the user's."""
    yield ingest(send, source, whole)
    yield move_out(send, source, source.through)
    yield move(
        send,
        destination.ledger,
        destination.through,
        destination.id,
        allows_overdraft=destination.allows_overdraft,
    )


def payment_to_account_same_ledger(send: Send, source: PaymentSource, whole: int, destination: Account) -> StageRun:
    """Flow 12: ingestion, then a transaction on the same ledger."""
    yield ingest(send, source, whole)
    yield move_out(send, source, destination.id)


def payment_to_wallet(send: Send, source: PaymentSource, destination: Wallet) -> StageRun:
    """Flow 14. The wallet is read before any effect: its ledger decides the way."""
    whole = yield from read_payment(source, send)
    wallet = yield from open_wallet(destination, send)
    yield ingest(send, source, whole)
    if wallet.ledger == source.ledger:
        yield credit(send, wallet, account_subject(source.holding), {**send.metadata, PAYMENT_KEY: source.id})
    else:
        yield move_out(send, source, source.through)
        yield credit(send, wallet)


def payment_to_payment(send: Send, source: PaymentSource, destination: PaymentDestination) -> StageRun:
    """Flow 15. Refused when the workflow is created; this is for one that was stored all the same."""
    raise StageError("destination.payment: a payment cannot be sent to a payment")
    yield  # makes it a generator, as the other flows are


# from a wallet


def wallet_to_account(send: Send, source: Wallet, destination: Account) -> StageRun:
    wallet = yield from open_wallet(source, send)
    if wallet.ledger == destination.ledger:
        yield from wallet_to_account_same_ledger(send, wallet, destination)
    else:
        yield from wallet_to_account_across_ledgers(send, wallet, destination)


def wallet_to_account_same_ledger(send: Send, wallet: OpenWallet, destination: Account) -> StageRun:
    """Flow 5: a debit to an account on one ledger."""
    yield debit(send, wallet, account_subject(destination.id))


def wallet_to_account_across_ledgers(send: Send, wallet: OpenWallet, destination: Account) -> StageRun:
    """Flow 6: a debit, then a transaction on the other ledger."""
    yield debit(send, wallet)
    yield move(
        send,
        destination.ledger,
        destination.through,
        destination.id,
        allows_overdraft=destination.allows_overdraft,
    )


def wallet_to_wallet(send: Send, source: Wallet, destination: Wallet) -> StageRun:
    payer, payee = yield from open_both_wallets(source, destination, send)
    if payer.ledger == payee.ledger:
        yield from wallet_to_wallet_same_ledger(send, payer, payee)
    else:
        yield from wallet_to_wallet_across_ledgers(send, payer, payee)


def wallet_to_wallet_same_ledger(send: Send, payer: OpenWallet, payee: OpenWallet) -> StageRun:
    """Flow 7. One debit (decision Q3)."""
    yield debit(send, payer, wallet_subject(payee))


def wallet_to_wallet_across_ledgers(send: Send, payer: OpenWallet, payee: OpenWallet) -> StageRun:
    """Flow 8: a debit, then a credit on the other ledger."""
    yield debit(send, payer)
    yield credit(send, payee)


def wallet_to_payment(send: Send, source: Wallet, destination: PaymentDestination) -> StageRun:
    """Flow 10: a debit, then a transfer initiation."""
    wallet = yield from open_wallet(source, send)
    pay_to = account_to_pay_to({"metadata": wallet.metadata}, destination.key, f"wallet {wallet.id}")
    yield debit(send, wallet)
    yield initiate(send, destination, pay_to)


# commands


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
