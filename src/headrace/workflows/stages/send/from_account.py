"""Flows that begin at a ledger account. Numbers are those of the send matrix."""

from __future__ import annotations

from headrace.workflows.stages.send.legs import account_subject, credit, initiate, move
from headrace.workflows.stages.send.parties import Account, PaymentDestination, Send, Wallet
from headrace.workflows.stages.send.reads import OpenWallet, open_wallet, read_account_to_pay_to
from headrace.workflows.stages.stage import StageRun


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
