"""Flows that begin at a wallet. Numbers are those of the send matrix."""

from __future__ import annotations

from headrace.workflows.stages.send.legs import account_subject, credit, debit, initiate, move, wallet_subject
from headrace.workflows.stages.send.parties import Account, PaymentDestination, Send, Wallet
from headrace.workflows.stages.send.reads import OpenWallet, account_to_pay_to, open_both_wallets, open_wallet
from headrace.workflows.stages.stage import StageRun


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
