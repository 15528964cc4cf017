"""Flows that begin at a payment. Numbers are those of the send matrix.

A payment is ingested whole, once per ledger, however many send from it; then the sent amount leaves its holding
account (decision Q19).
"""

from __future__ import annotations

from headrace.errors import StageError
from headrace.workflows.stages.send.legs import PAYMENT_KEY, account_subject, credit, ingest, move, move_out
from headrace.workflows.stages.send.parties import Account, PaymentDestination, PaymentSource, Send, Wallet
from headrace.workflows.stages.send.reads import open_wallet, read_payment
from headrace.workflows.stages.stage import StageRun


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
