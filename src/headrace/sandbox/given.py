"""Contents of the sandbox before a workflow runs: ledgers with accounts, wallets and payments, from a document.

    ledgers:
      main:
        users:jane: {balance: {USD/2: 5000}, metadata: {formanceAccountID: acc_1}}
    wallets:
      - {id: w1, name: jane, ledger: main, balances: {main: {USD/2: 100}}}
    payments:
      - {id: p1, amount: 4199, asset: USD/2}

`read_given` checks such a document completely, before anything is written; `fill` writes it. All money comes from
`world`, so the balances of each ledger sum to zero here too. A member that is not known is an error: a misspelt one
would otherwise change what a test proves.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from headrace.errors import InvalidValue
from headrace.money import (
    MAX_DIGITS,
    WORLD,
    Posting,
    account_address,
    amount_of,
    asset_name,
    ledger_name,
    opaque_id,
    posting,
)
from headrace.sandbox import timestamps
from headrace.sandbox.books import Draft
from headrace.sandbox.payments import SCHEMES, STATUSES, TYPES
from headrace.sandbox.stack import Services
from headrace.sandbox.wallets import DEFAULT_LEDGER, MAIN

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*", re.ASCII)
_WALLET_PART = re.compile(r"[0-9A-Za-z_-]{1,128}", re.ASCII)
_KINDS: tuple[tuple[type[Any], str], ...] = (
    (str, "text"),
    (bool, "true or false"),
    (int, "a number"),
    (float, "a number"),
    (list, "a list"),
    (dict, "an object"),
)
_CREATED_AT = "2024-01-01T00:00:00Z"
_CONNECTOR_ID = "dummy-pay"


@dataclass(frozen=True, slots=True)
class GivenAccount:
    """An account. `balance` by asset, below zero for one that is overdrawn."""

    balance: dict[str, int] = field(default_factory=dict[str, int])
    metadata: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class GivenWallet:
    """A wallet. `balances`: amounts by the name of the balance and by asset."""

    id: str
    name: str
    ledger: str
    balances: dict[str, dict[str, int]]
    metadata: dict[str, str]


@dataclass(frozen=True, slots=True)
class GivenPayment:
    """A payment of the payments service, in the members that its routes name so."""

    id: str
    amount: int
    asset: str
    type: str
    status: str
    scheme: str
    reference: str
    connector_id: str
    source_account_id: str
    destination_account_id: str
    created_at: str


@dataclass(frozen=True, slots=True)
class Given:
    """Contents of the services. `ledgers`: accounts by the name of the ledger and by address."""

    ledgers: dict[str, dict[str, GivenAccount]] = field(default_factory=dict[str, dict[str, GivenAccount]])
    wallets: tuple[GivenWallet, ...] = ()
    payments: tuple[GivenPayment, ...] = ()


# Reading


def read_given(value: object, path: str = "given") -> Given:
    """The contents that a decoded document describes; nothing at all is empty services.

    Raises InvalidValue, which names the place, such as `given.wallets[0].balances.main["USD/2"]`, and the reason.
    """
    members = _members(value, path, ("ledgers", "wallets", "payments"))
    ledgers: dict[str, dict[str, GivenAccount]] = {}
    for name, place, accounts in _entries(members.get("ledgers"), f"{path}.ledgers"):
        ledger_name(name, place)
        ledgers[name] = {address: _account(address, body, at) for address, at, body in _entries(accounts, place)}
    wallets = tuple(_wallet(item, place) for place, item in _items(members.get("wallets"), f"{path}.wallets"))
    payments = tuple(_payment(item, place) for place, item in _items(members.get("payments"), f"{path}.payments"))
    _require_distinct([wallet.id.replace("-", "") for wallet in wallets], f"{path}.wallets", "id")
    _require_distinct([payment.id for payment in payments], f"{path}.payments", "id")
    references = [f"{payment.connector_id} {payment.reference}" for payment in payments]
    _require_distinct(references, f"{path}.payments", "reference")
    return Given(ledgers, wallets, payments)


def _account(address: str, value: object, path: str) -> GivenAccount:
    account_address(address, path)
    members = _members(value, path, ("balance", "metadata"))
    balance = _amounts(members.get("balance"), f"{path}.balance", may_be_negative=True)
    if balance and address == WORLD:
        raise InvalidValue(f"{path}.balance", "the balance of `world` follows from those of the other accounts")
    return GivenAccount(balance, _metadata(members.get("metadata"), f"{path}.metadata"))


def _wallet(value: object, path: str) -> GivenWallet:
    members = _members(value, path, ("id", "name", "ledger", "balances", "metadata"))
    wallet_id = _text(members, "id", path)
    _match(_WALLET_PART, wallet_id, f"{path}.id")
    if not wallet_id.strip("-"):
        raise InvalidValue(f"{path}.id", "needs a letter, a digit or _")
    name = _text(members, "name", path, wallet_id)
    ledger = ledger_name(_text(members, "ledger", path, DEFAULT_LEDGER), f"{path}.ledger")
    balances: dict[str, dict[str, int]] = {MAIN: {}}
    for balance, place, amounts in _entries(members.get("balances"), f"{path}.balances"):
        _match(_WALLET_PART, balance, place)
        balances[balance] = _amounts(amounts, place, may_be_negative=False)
    return GivenWallet(wallet_id, name, ledger, balances, _metadata(members.get("metadata"), f"{path}.metadata"))


def _payment(value: object, path: str) -> GivenPayment:
    texts = ("id", "type", "status", "scheme", "reference", "connectorID", "createdAt")
    accounts = ("sourceAccountID", "destinationAccountID")
    members = _members(value, path, (*texts, *accounts, "amount", "asset"))
    payment_id = opaque_id(_text(members, "id", path), f"{path}.id")
    created_at = _text(members, "createdAt", path, _CREATED_AT)
    try:
        timestamps.microseconds(created_at)
    except ValueError as problem:
        raise InvalidValue(f"{path}.createdAt", f"is {problem}") from None
    for name in ("amount", "asset"):
        if members.get(name) is None:
            raise InvalidValue(f"{path}.{name}", "is required")
    return GivenPayment(
        payment_id,
        amount_of(members["amount"], f"{path}.amount"),
        asset_name(members["asset"], f"{path}.asset"),
        _choice(members, "type", path, TYPES, "PAY-IN"),
        _choice(members, "status", path, STATUSES, "SUCCEEDED"),
        _choice(members, "scheme", path, SCHEMES, "other"),
        _text(members, "reference", path, payment_id),
        _text(members, "connectorID", path, _CONNECTOR_ID),
        _text(members, "sourceAccountID", path, ""),
        _text(members, "destinationAccountID", path, ""),
        created_at,
    )


def _amounts(value: object, path: str, *, may_be_negative: bool) -> dict[str, int]:
    """Amounts by asset."""
    amounts: dict[str, int] = {}
    for asset, place, amount in _entries(value, path):
        asset_name(asset, place)
        if may_be_negative and type(amount) is int and amount < 0:
            amounts[asset] = -amount_of(-amount, place)
        else:
            amounts[asset] = amount_of(amount, place)
    return amounts


def _metadata(value: object, path: str) -> dict[str, str]:
    metadata: dict[str, str] = {}
    for name, place, text in _entries(value, path):
        if not isinstance(text, str):
            raise InvalidValue(place, f"metadata is text: write {_quoted(text)}")
        metadata[name] = text
    return metadata


def _quoted(value: object) -> str:
    is_plain = isinstance(value, int | float) and not isinstance(value, bool)
    return f'"{value}"' if is_plain and len(str(value)) <= MAX_DIGITS else "it in quotes"


def _members(value: object, path: str, known: Collection[str]) -> dict[str, Any]:
    """The members of an object, all of them known; nothing at all has none."""
    members = {name: member for name, _, member in _entries(value, path)}
    for name in members:
        if name not in known:
            raise InvalidValue(member_path(path, name), f"is not known here; known are {', '.join(known)}")
    return members


def _entries(value: object, path: str) -> Iterator[tuple[str, str, Any]]:
    """Name, place and value of each member."""
    if value is None:
        return
    if not isinstance(value, dict):
        raise InvalidValue(path, f"must be an object, not {_kind(value)}")
    for name, member in cast("dict[object, object]", value).items():
        if not isinstance(name, str):
            raise InvalidValue(path, f"the name {name!r} of a member must be text")
        yield name, member_path(path, name), member


def _items(value: object, path: str) -> Iterator[tuple[str, Any]]:
    """Place and value of each item."""
    if value is None:
        return
    if not isinstance(value, list):
        raise InvalidValue(path, f"must be a list, not {_kind(value)}")
    for number, item in enumerate(cast("list[object]", value)):
        if item is None:
            raise InvalidValue(f"{path}[{number}]", "must be an object")
        yield f"{path}[{number}]", item


def member_path(path: str, name: str) -> str:
    """The place of a member: `given.ledgers`, or `given.ledgers.main["users:jane"]` where the name is no plain word."""
    plain = _NAME.fullmatch(name)
    return f"{path}.{name}" if plain else f"{path}[{_shown(name)}]"


def _shown(name: str) -> str:
    short = name if len(name) <= 80 else name[:77] + "..."
    return '"' + short.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _kind(value: object) -> str:
    return next((name for kind, name in _KINDS if isinstance(value, kind)), type(value).__name__)


def _text(members: Mapping[str, Any], name: str, path: str, default: str | None = None) -> str:
    value = members.get(name, default)
    if value is None:
        raise InvalidValue(f"{path}.{name}", "is required")
    if not isinstance(value, str):
        raise InvalidValue(f"{path}.{name}", f"must be text, not {_kind(value)}: write {_quoted(value)}")
    if not value and default != "":
        raise InvalidValue(f"{path}.{name}", "must not be empty")
    return value


def _choice(members: Mapping[str, Any], name: str, path: str, allowed: Collection[str], default: str) -> str:
    value = _text(members, name, path, default)
    if value not in allowed:
        raise InvalidValue(f"{path}.{name}", f"must be one of {', '.join(allowed)}")
    return value


def _match(pattern: re.Pattern[str], text: str, path: str) -> None:
    if not pattern.fullmatch(text):
        raise InvalidValue(path, "has 1 to 128 of a-z, A-Z, 0-9, _ and -")


def _require_distinct(values: list[str], path: str, name: str) -> None:
    for number, value in enumerate(values):
        if value in values[:number]:
            raise InvalidValue(f"{path}[{number}].{name}", "is that of an earlier one")


# Writing


def fill(services: Services, given: Given) -> None:
    """Write the contents. Called between requests, once, for services that hold nothing yet."""
    for name, accounts in given.ledgers.items():
        services.books.open_ledger(name, {})
        _book(services, name, {address: account.balance for address, account in accounts.items()})
        for address, account in accounts.items():
            if account.metadata:
                services.books.add_metadata(name, address, account.metadata)
    for wallet in given.wallets:
        added = services.wallets.add(wallet.id, wallet.name, wallet.ledger, wallet.metadata, wallet.balances)
        balances = {added.account(balance): amounts for balance, amounts in wallet.balances.items()}
        _book(services, wallet.ledger, balances)
    for payment in given.payments:
        services.payments.add(
            {
                "id": payment.id,
                "reference": payment.reference,
                "sourceAccountID": payment.source_account_id,
                "destinationAccountID": payment.destination_account_id,
                "connectorID": payment.connector_id,
                "type": payment.type,
                "status": payment.status,
                "amount": payment.amount,
                "scheme": payment.scheme,
                "asset": payment.asset,
                "createdAt": payment.created_at,
            }
        )


def _book(services: Services, ledger: str, balances: Mapping[str, Mapping[str, int]]) -> None:
    """One transaction that gives the accounts of a ledger their balances."""
    postings: list[Posting] = []
    overdrawn: set[str] = set()
    for address, amounts in balances.items():
        for asset, amount in amounts.items():
            if amount < 0:
                overdrawn.add(address)
                postings.append(posting(address, WORLD, -amount, asset))
            else:
                postings.append(posting(WORLD, address, amount, asset))
    if postings:
        services.books.book(Draft(ledger, postings, {"given": "true"}, unbounded=overdrawn))
