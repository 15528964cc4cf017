"""Reads of `send` before it moves anything; the responses of other services are checked."""

from __future__ import annotations

from collections.abc import Generator
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any, cast

from headrace.errors import InvalidValue, StageError
from headrace.money import amount_of, asset_name, ledger_name
from headrace.workflows.activities import GetAccount, GetPayment, GetWallet, Json, ListWallets
from headrace.workflows.commands import Amend, Command
from headrace.workflows.stages.checks import foreign_id, plain_name
from headrace.workflows.stages.send.parties import Account, PaymentDestination, PaymentSource, Send, Wallet

INGESTED_TYPE = "PAY-IN"
INGESTED_STATUS = "SUCCEEDED"


@dataclass(frozen=True, slots=True)
class OpenWallet:
    """A wallet that has been read: its id is known, and the ledger its money is on."""

    id: str
    balance: str
    ledger: str
    metadata: Json


def open_wallet(wallet: Wallet, send: Send) -> Generator[Command, Any, OpenWallet]:
    """`ListWallets` first where the wallet is given by name."""
    wallet_id = wallet.id or (yield from _resolve(wallet.name, send))
    return _opened(wallet, wallet_id, (yield GetWallet(wallet_id)))


def open_both_wallets(
    source: Wallet, destination: Wallet, send: Send
) -> Generator[Command, Any, tuple[OpenWallet, OpenWallet]]:
    """A name on both sides is looked up once, and one wallet on both sides is read once."""
    payer = yield from open_wallet(source, send)
    if not destination.id and not source.id and destination.name == source.name:
        payee_id = payer.id
        yield _amendment(send, destination.name, payee_id)
    else:
        payee_id = destination.id or (yield from _resolve(destination.name, send))
    if payee_id == payer.id:
        return payer, replace(payer, balance=destination.balance)
    return payer, _opened(destination, payee_id, (yield GetWallet(payee_id)))


def read_payment(source: PaymentSource, send: Send) -> Generator[Command, Any, int]:
    """The whole amount of the payment. Raises StageError unless it can be ingested (decision Q19)."""
    payment = _object((yield GetPayment(source.id)), "payment")
    kind, status = payment.get("type"), payment.get("status")
    if kind != INGESTED_TYPE or status != INGESTED_STATUS:
        raise StageError(
            f"payment {source.id} cannot be sent from: it is a {kind} with status {status}, "
            f"not a {INGESTED_TYPE} with status {INGESTED_STATUS}"
        )
    asset = asset_name(payment.get("asset"), "payment.asset")
    if asset != send.asset:
        raise StageError(f"amount.asset: payment {source.id} is in {asset}, not in {send.asset}")
    whole = amount_of(payment.get("initialAmount"), "payment.initialAmount")
    if send.amount > whole:
        raise StageError(f"amount.amount: payment {source.id} is of {whole} {asset}, less than {send.amount}")
    return whole


def read_account_to_pay_to(account: Account, payment: PaymentDestination) -> Generator[Command, Any, str]:
    """The payments service's id of the account to pay to, from the metadata of a ledger account."""
    answer = _object((yield GetAccount(account.id, account.ledger)), "account")
    return account_to_pay_to(answer, payment.key, f"account {account.id} on ledger {account.ledger}")


def account_to_pay_to(holder: Json, key: str, what: str) -> str:
    metadata = holder.get("metadata")
    value = cast("Json", metadata).get(key) if isinstance(metadata, dict) else None
    if not value:
        raise StageError(f"{what} has no metadata {key!r}: it would name the account to pay to")
    return foreign_id(value, f"metadata {key!r} of {what}")


def _resolve(name: str, send: Send) -> Generator[Command, Any, str]:
    page = _object((yield ListWallets(name)), "wallets")
    found = [_object(item, "wallets.data") for item in cast("list[object]", page.get("data") or [])]
    named = [wallet for wallet in found if wallet.get("name") == name]
    if not named:
        raise StageError(f"no wallet has the name {name!r}")
    if len(named) > 1 or page.get("hasMore"):
        raise StageError(f"several wallets may have the name {name!r}: give the id")
    wallet_id = plain_name(named[0].get("id"), "wallet.id")
    yield _amendment(send, name, wallet_id)
    return wallet_id


def _amendment(send: Send, name: str, wallet_id: str) -> Amend:
    """The body, with this wallet's id on the first side that still lacks it."""
    for party in (send.body["source"], send.body["destination"]):
        wallet = party.get("wallet")
        if wallet is not None and not wallet["id"] and wallet.get("name") == name:
            wallet["id"] = wallet_id
            break
    return Amend(deepcopy(send.body))


def _opened(wallet: Wallet, wallet_id: str, answer: object) -> OpenWallet:
    read = _object(answer, "wallet")
    metadata = read.get("metadata")
    return OpenWallet(
        wallet_id,
        wallet.balance,
        ledger_name(read.get("ledger"), f"wallet {wallet_id}: ledger"),
        cast("Json", metadata) if isinstance(metadata, dict) else {},
    )


def _object(value: object, what: str) -> Json:
    if not isinstance(value, dict):
        raise InvalidValue(what, "the service answered without one")
    return cast("Json", value)
