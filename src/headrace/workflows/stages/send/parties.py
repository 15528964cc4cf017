"""A normalised `send` with its defaults: source, destination, amount."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from re import compile as pattern
from typing import Any, Literal

from headrace.errors import StageError
from headrace.money import MAX_ADDRESS_BYTES, WORLD
from headrace.workflows.activities import INTERNAL_LEDGER, Json
from headrace.workflows.stages.send.body import DEFAULT_DESTINATION_KEY, MAIN_BALANCE

_FITS_ADDRESS = pattern(r"[a-zA-Z0-9_-]{1,248}")


@dataclass(frozen=True, slots=True)
class Account:
    """An account of a ledger. `through` is its ledger's side of the bridge to elsewhere."""

    id: str
    ledger: str
    through: str
    allows_overdraft: bool


@dataclass(frozen=True, slots=True)
class Wallet:
    """A wallet by id, or by name while `id` is empty."""

    id: str
    name: str
    balance: str


@dataclass(frozen=True, slots=True)
class PaymentSource:
    """A payment that came in, and the accounts that book it."""

    id: str
    ledger: str
    holding: str
    through: str
    allows_overdraft: bool


@dataclass(frozen=True, slots=True)
class PaymentDestination:
    """A provider to pay through. `key` names the source's metadata that holds the account to pay to."""

    psp: str
    type: Literal["TRANSFER", "PAYOUT"]
    source_account: str | None
    key: str
    connector_id: str | None
    is_waiting_validation: bool


Source = Account | Wallet | PaymentSource
Destination = Account | Wallet | PaymentDestination


@dataclass(frozen=True, slots=True)
class Send:
    """One `send`. `body` is the normalised body it was read from: a copy, for amendments, where it has a wallet."""

    source: Source
    destination: Destination
    amount: int
    asset: str
    metadata: dict[str, str] = field(default_factory=dict[str, str])
    timestamp: str | None = None
    body: Json = field(default_factory=dict[str, Any])


def send_of(body: Json) -> Send:
    """Read a normalised body. Raises StageError for an account without a ledger."""
    source, destination = body["source"], body["destination"]
    has_wallet = "wallet" in source or "wallet" in destination
    return Send(
        _source(source),
        _destination(destination),
        body["amount"]["amount"],
        body["amount"]["asset"],
        body.get("metadata", {}),
        body.get("timestamp"),
        {**body, "source": _copy(source), "destination": _copy(destination)} if has_wallet else body,
    )


def holding_account(payment_id: str) -> str:
    """Decision Q18: readable where the id allows it, different for different ids always."""
    if _FITS_ADDRESS.fullmatch(payment_id):
        return f"payment:{payment_id}"
    address = f"payment:hex:{payment_id.encode().hex()}"
    if len(address) <= MAX_ADDRESS_BYTES:
        return address
    return f"payment:sha256:{sha256(payment_id.encode()).hexdigest()}"


def _copy(party: Json) -> Json:
    return {kind: dict(members) for kind, members in party.items()}


def _source(party: Json) -> Source:
    if "account" in party:
        return _account(party["account"], "source")
    if "wallet" in party:
        return _wallet(party["wallet"])
    payment = party["payment"]
    return PaymentSource(
        payment["id"],
        payment.get("ledger", INTERNAL_LEDGER),
        payment.get("holdingAccount") or holding_account(payment["id"]),
        payment.get("throughAccount", WORLD),
        payment.get("allowOverdraft", False),
    )


def _destination(party: Json) -> Destination:
    if "account" in party:
        return _account(party["account"], "destination")
    if "wallet" in party:
        return _wallet(party["wallet"])
    payment = party["payment"]
    return PaymentDestination(
        payment["psp"],
        payment.get("type", "TRANSFER"),
        payment.get("sourceAccount"),
        payment.get("metadata", DEFAULT_DESTINATION_KEY),
        payment.get("connectorID"),
        payment.get("waitingValidation", False),
    )


def _account(account: Json, side: str) -> Account:
    if not account["ledger"]:
        raise StageError(f"{side}.account.ledger: is missing; account {account['id']} is on no ledger")
    return Account(
        account["id"],
        account["ledger"],
        account.get("throughAccount", WORLD),
        account.get("allowOverdraft", False),
    )


def _wallet(wallet: Json) -> Wallet:
    return Wallet(wallet["id"], wallet.get("name", ""), wallet.get("balance", MAIN_BALANCE))
