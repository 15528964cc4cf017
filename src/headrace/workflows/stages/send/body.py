"""The body of `send`: what it may hold, and how history shows it.

Defaults stay out of history but three, which readers of history rely on: a wallet's `balance` (`main`), the `id` of
a wallet given by name and the `ledger` of an account without one (both empty).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from headrace.errors import InvalidValue, Problem
from headrace.money import WORLD, account_address, amount_of, asset_name, ledger_name
from headrace.workflows.commands import Json
from headrace.workflows.durations import moment_of
from headrace.workflows.stages.shape import (
    Leaf,
    Object,
    TextMap,
    choice,
    foreign_id,
    label,
    one_of,
    plain_name,
    truth,
)
from headrace.workflows.variables import has_placeholder

RESERVED_PREFIX = "headrace_"
MAIN_BALANCE = "main"


def _wallet_id(value: object, path: str) -> str:
    return "" if value == "" else plain_name(value, path)


def _holding_account(value: object, path: str) -> str:
    if value == WORLD:
        raise InvalidValue(path, f"`{WORLD}` cannot hold a payment: it can be overdrawn without limit")
    return account_address(value, path)


def _wallet_is_given_once(given: Json, is_expanded: bool) -> str | None:
    """Clients with typed wallets send an empty `id` beside a `name`."""
    present = [given[name] for name in ("id", "name") if given.get(name)]
    if not present:
        return "needs an `id` or a `name`"
    is_open = not is_expanded and any(isinstance(value, str) and has_placeholder(value) for value in present)
    return None if len(present) == 1 or is_open else "takes an `id` or a `name`, not both"


ACCOUNT = Object(
    {
        "id": Leaf(account_address),
        "ledger": Leaf(ledger_name),
        "throughAccount": Leaf(account_address),
        "allowOverdraft": Leaf(truth),
    },
    required=("id",),
)
WALLET = Object(
    {"id": Leaf(_wallet_id), "name": Leaf(label), "balance": Leaf(plain_name)},
    rule=_wallet_is_given_once,
)
PAYMENT_SOURCE = Object(
    {
        "id": Leaf(foreign_id),
        "ledger": Leaf(ledger_name),
        "holdingAccount": Leaf(_holding_account),
        "throughAccount": Leaf(account_address),
        "allowOverdraft": Leaf(truth),
    },
    required=("id",),
)
PAYMENT_DESTINATION = Object(
    {
        "psp": Leaf(plain_name),
        "type": Leaf(choice("TRANSFER", "PAYOUT")),
        "sourceAccount": Leaf(foreign_id),
        "metadata": Leaf(label),
        "connectorID": Leaf(foreign_id),
        "waitingValidation": Leaf(truth),
    },
    required=("psp",),
)
SEND = Object(
    {
        "source": one_of({"account": ACCOUNT, "wallet": WALLET, "payment": PAYMENT_SOURCE}),
        "destination": one_of({"account": ACCOUNT, "wallet": WALLET, "payment": PAYMENT_DESTINATION}),
        "amount": Object({"amount": Leaf(amount_of), "asset": Leaf(asset_name)}, required=("amount", "asset")),
        "metadata": TextMap(RESERVED_PREFIX),
        "timestamp": Leaf(moment_of),
    },
    required=("source", "destination", "amount"),
)


def problems(body: object, path: str) -> Iterator[Problem]:
    yield from SEND.problems(body, path)
    if _holds_payment(body, "source") and _holds_payment(body, "destination"):
        yield Problem(f"{path}.destination.payment", "a payment cannot be sent to a payment")


def normalise(body: Json) -> Json:
    send = SEND.read(body, "")
    for side in ("source", "destination"):
        _fill_in_what_history_needs(send[side])
    return send


def _fill_in_what_history_needs(party: Json) -> None:
    if "account" in party:
        party["account"].setdefault("ledger", "")
    if "wallet" in party:
        party["wallet"].setdefault("id", "")
        party["wallet"].setdefault("balance", MAIN_BALANCE)


def _holds_payment(body: object, side: str) -> bool:
    if not isinstance(body, dict):
        return False
    party: Any = cast("Json", body).get(side)
    return isinstance(party, dict) and cast("Json", party).get("payment") is not None
