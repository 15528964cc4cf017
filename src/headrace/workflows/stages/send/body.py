"""The body of `send`: what it may hold, and how history shows it.

Defaults stay out of history but three, which readers of history rely on: a wallet's `balance` (`main`), the `id` of
a wallet given by name and the `ledger` of an account without one (both empty).
"""

from __future__ import annotations

from typing import Any, cast

from headrace.money import WORLD
from headrace.workflows.activities import INTERNAL_LEDGER, Json
from headrace.workflows.stages.formats import (
    ACCOUNT_ADDRESS,
    AMOUNT,
    ASSET,
    BALANCE_NAME,
    BOOKING_MOMENT,
    BOOLEAN,
    HOLDING_ACCOUNT,
    LABEL,
    LEDGER_NAME,
    PAYMENTS_ID,
    PLAIN_NAME,
    WALLET_ID,
    choice,
)
from headrace.workflows.stages.shape import Leaf, Object, Rule, TextMap, holding, one_of
from headrace.workflows.variables import PLACEHOLDER, has_placeholder

RESERVED_PREFIX = "headrace_"
MAIN_BALANCE = "main"
DEFAULT_DESTINATION_KEY = "formanceAccountID"


def _wallet_is_given_once(given: Json, is_expanded: bool) -> str | None:
    """Clients with typed wallets send an empty `id` beside a `name`."""
    present = [given[name] for name in ("id", "name") if given.get(name)]
    if not present:
        return "needs an `id` or a `name`"
    is_open = not is_expanded and any(isinstance(value, str) and has_placeholder(value) for value in present)
    return None if len(present) == 1 or is_open else "takes an `id` or a `name`, not both"


_FILLED: Json = {"minLength": 1}
_FINAL: Json = {"minLength": 1, "not": {"anyOf": [{"type": "null"}, {"pattern": PLACEHOLDER.pattern}]}}

WALLET_REFERENCE = Rule(
    "wallet-reference",
    _wallet_is_given_once,
    {
        "anyOf": [holding("id", id=_FILLED), holding("name", name=_FILLED)],
        "not": holding("id", "name", id=_FINAL, name=_FINAL),
    },
    count={"minProperties": 1},
)


def _is_no_payment_to_payment(given: Json, _is_expanded: bool) -> str | None:
    """A definition that was stored all the same fails when it runs."""
    is_refused = _holds_payment(given, "source") and _holds_payment(given, "destination")
    return "a payment cannot be sent to a payment" if is_refused else None


NO_PAYMENT_TO_PAYMENT = Rule(
    "payment-to-payment",
    _is_no_payment_to_payment,
    {"not": holding("source", "destination", source=holding("payment"), destination=holding("payment"))},
    at="destination.payment",
    is_of_definitions=True,
)

THROUGH = Leaf(
    ACCOUNT_ADDRESS,
    "The account on this ledger that money leaves by, or comes in by, where the other side is not on this ledger.",
    default=WORLD,
    examples=("liabilities:payouts-pending",),
)
OVERDRAFT = Leaf(
    BOOLEAN,
    "Let the account that pays on this side go below zero without limit.",
    default=False,
    examples=(True, "${overdraft}"),
)
ACCOUNT = Object(
    "An account of a ledger.",
    {
        "id": Leaf(ACCOUNT_ADDRESS, "The account's address.", examples=("users:jane", "users:${user}", WORLD)),
        "ledger": Leaf(
            LEDGER_NAME,
            "The ledger the account is on. A definition without it is accepted, and the stage then fails.",
            examples=("main", "${ledger}"),
        ),
        "throughAccount": THROUGH,
        "allowOverdraft": OVERDRAFT,
    },
    required=("id",),
    name="SendAccount",
)
WALLET = Object(
    "A wallet, by its `id` or by its `name`.",
    {
        "id": Leaf(WALLET_ID, "The wallet's id.", examples=("${wallet}",), is_blank=True),
        "name": Leaf(
            LABEL,
            "The wallet's name, looked up when the stage runs; exactly one wallet must have it.",
            examples=("jane", "${customer}"),
        ),
        "balance": Leaf(
            BALANCE_NAME, "One of the wallet's balances.", default=MAIN_BALANCE, examples=("coupons", "${balance}")
        ),
    },
    rules=(WALLET_REFERENCE,),
    name="SendWallet",
)
PAYMENT_SOURCE = Object(
    "A payment that came in. It is booked whole, once per ledger, on its holding account; then the amount leaves it.",
    {
        "id": Leaf(PAYMENTS_ID, "The id the payments service gave the payment.", examples=("${payment}",)),
        "ledger": Leaf(
            LEDGER_NAME, "The ledger the payment is booked on.", default=INTERNAL_LEDGER, examples=("main", "${ledger}")
        ),
        "holdingAccount": Leaf(
            HOLDING_ACCOUNT,
            "The account that holds the payment. Default: `payment:` and the payment's id.",
            examples=("payments:${payment}",),
        ),
        "throughAccount": THROUGH,
        "allowOverdraft": OVERDRAFT,
    },
    required=("id",),
    name="SendPaymentSource",
    client_name="StageSendSourcePayment",
)
PAYMENT_DESTINATION = Object(
    "A payment to make through a provider. The stage succeeds when the payments service has accepted it.",
    {
        "psp": Leaf(PLAIN_NAME, "The provider to pay through.", examples=("stripe", "wise", "${provider}")),
        "type": Leaf(
            choice("TRANSFER", "PAYOUT"),
            "`TRANSFER`: between accounts of the provider. `PAYOUT`: to an account outside.",
            default="TRANSFER",
            examples=("PAYOUT", "${type}"),
        ),
        "sourceAccount": Leaf(
            PAYMENTS_ID, "The account that pays: its id in the payments service.", examples=("${payer}",)
        ),
        "metadata": Leaf(
            LABEL,
            "The key in the metadata of the source (account or wallet) that holds the id of the account to pay to.",
            default=DEFAULT_DESTINATION_KEY,
            examples=("stripeConnectID", "${key}"),
        ),
        "connectorID": Leaf(
            PAYMENTS_ID, "Which of several connectors of the provider to use.", examples=("${connector}",)
        ),
        "waitingValidation": Leaf(
            BOOLEAN,
            "Leave the payment waiting until somebody validates it in the payments service.",
            default=False,
            examples=(True, "${validate}"),
        ),
    },
    required=("psp",),
    name="SendPaymentDestination",
    client_name="StageSendDestinationPayment",
)
MONETARY = Object(
    "How much of which asset.",
    {
        "amount": Leaf(
            AMOUNT,
            "An exact integer in the asset's smallest unit: 100 of `USD/2` is one dollar. "
            'Text holds it, too, so that it may come from a variable: `"${amount}"`.',
            examples=(100, "100", "${amount}"),
        ),
        "asset": Leaf(
            ASSET,
            "The asset and its decimals: `USD/2` is cents, `JPY` has none.",
            examples=("USD/2", "EUR/2", "JPY", "${asset}"),
        ),
    },
    required=("amount", "asset"),
    name="Monetary",
    client_name="Monetary",
)
SEND = Object(
    "Move an amount from an account, wallet or payment to an account, wallet or payment, on one ledger or across "
    "ledgers. Each movement is booked once, whatever dies or fails to answer in between.",
    {
        "source": one_of(
            "Where the money comes from: exactly one of `account`, `wallet`, `payment`.",
            {"account": ACCOUNT, "wallet": WALLET, "payment": PAYMENT_SOURCE},
            name="SendSource",
        ),
        "destination": one_of(
            "Where the money goes: exactly one of `account`, `wallet`, `payment` (not from a payment to a payment).",
            {"account": ACCOUNT, "wallet": WALLET, "payment": PAYMENT_DESTINATION},
            name="SendDestination",
        ),
        "amount": MONETARY,
        "metadata": TextMap(
            "Metadata of the resulting transactions: texts by key. Keys are taken as they are, values may hold "
            f"`${{variables}}`. Keys that begin with `{RESERVED_PREFIX}` are written by the workflow itself.",
            RESERVED_PREFIX,
            examples=({"order": "${order}"},),
        ),
        "timestamp": Leaf(
            BOOKING_MOMENT,
            "The time at which the resulting transactions take effect. Default: when they are booked.",
            examples=("2030-01-01T00:00:00Z", "${date}"),
        ),
    },
    required=("source", "destination", "amount"),
    rules=(NO_PAYMENT_TO_PAYMENT,),
    name="Send",
)


def normalise(body: Json) -> Json:
    return completed(SEND.read(body, ""))


def completed(send: Json) -> Json:
    """The same body, with the defaults that history shows."""
    for party in (send["source"], send["destination"]):
        if "account" in party:
            party["account"].setdefault("ledger", "")
        if "wallet" in party:
            party["wallet"].setdefault("id", "")
            party["wallet"].setdefault("balance", MAIN_BALANCE)
    return send


def _holds_payment(given: Json, side: str) -> bool:
    party: Any = given.get(side)
    return isinstance(party, dict) and cast("Json", party).get("payment") is not None
