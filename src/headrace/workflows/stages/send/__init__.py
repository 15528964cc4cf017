"""`send`: move an amount from an account, wallet or payment to an account, wallet or payment.

    from \\ to  account             wallet             payment
    account    account_to_account  account_to_wallet  account_to_payment
    wallet     wallet_to_account   wallet_to_wallet   wallet_to_payment
    payment    payment_to_account  payment_to_wallet  payment_to_payment (refused)

Each of these, in `flows.py`, splits into the flows of the matrix by whether both sides are on one ledger.
A flow reads first, and moves money only when everything it needs is known.
"""

from __future__ import annotations

from typing import cast

from headrace.errors import StageError
from headrace.money import WORLD
from headrace.workflows.activities import Json, money_text
from headrace.workflows.stages.send import body as bodies
from headrace.workflows.stages.send.flows import (
    account_to_account,
    account_to_payment,
    account_to_wallet,
    payment_to_account,
    payment_to_payment,
    payment_to_wallet,
    wallet_to_account,
    wallet_to_payment,
    wallet_to_wallet,
)
from headrace.workflows.stages.send.parties import Account, PaymentSource, Send, Wallet, send_of
from headrace.workflows.stages.stage import Display, StageContext, StageRun, StageType
from headrace.workflows.variables import has_placeholder


class SendStage(StageType):
    keyword = "send"
    shape = bodies.SEND
    about = "Moves an amount. From each kind of source to each kind of destination: [the matrix](#the-send-matrix)."
    example = (
        'name: pay\nstages:\n  - send:\n      source: {account: {id: "users:${user}", ledger: main}}\n'
        '      destination: {wallet: {id: "${wallet}", balance: main}}\n'
        '      amount: {asset: USD/2, amount: "${amount}"}\n      metadata: {order: "${order}"}'
    )
    label = "send"
    color, pale = "#3b6fb6", "#dbe6f5"
    dark_color, dark_pale = "#6ea8fe", "#16304f"

    def completed(self, body: Json) -> Json:
        return bodies.completed(body)

    def run(self, body: Json, context: StageContext) -> StageRun:
        # Event data may not choose to pay from `world`, which is never empty (decision M9).
        for side, kind, name in () if context.may_name_world else _ACCOUNTS_THAT_PAY:
            is_world = body[side].get(kind, {}).get(name) == WORLD
            if is_world and has_placeholder(context.raw[side][kind][name]):
                why = f"{WORLD!r} may not come from a variable of this run: event data is not trusted"
                raise StageError(f"{side}.{kind}.{name}: {why}")
        yield from _flow(send_of(body))

    def reads(self, body: Json) -> tuple[str, ...]:
        source, destination = _ends(body.get("source")), _ends(body.get("destination"))
        names: list[str] = ["GetPayment"] if "payment" in source else []
        for end in (source, destination):
            if (wallet := end.get("wallet")) is not None:
                names += ["GetWallet"] if wallet.get("id") else ["ListWallets", "GetWallet"]
        return (*names, "GetAccount") if "account" in source and "payment" in destination else tuple(names)

    def sentence(self, body: Json) -> str:
        ends = f"from {_end_name(_ends(body.get('source')))} to {_end_name(_ends(body.get('destination')))}"
        amount: Json = body.get("amount") or {}
        return f"Send {money_text(amount) if {'amount', 'asset'} <= amount.keys() else 'nothing'} {ends}"

    def describe(self, body: Json, display: Display) -> list[str]:
        ends = f"from {_end_text(body.get('source') or {})} to {_end_text(body.get('destination') or {})}"
        return [f"Send {money_text(body.get('amount'))} {ends}"]


def _ends(side: object) -> dict[str, Json]:
    """The account, wallet or payment of a side, as far as it is an object."""
    members = cast("Json", side) if isinstance(side, dict) else {}
    return {kind: cast("Json", value) for kind, value in members.items() if isinstance(value, dict)}


def _end_text(end: Json) -> str:
    """The source or the destination in a few words."""
    if account := end.get("account"):
        return f"account '{account['id']}' (ledger: {account.get('ledger', '')})"
    if wallet := end.get("wallet"):
        name = wallet.get("id") or wallet.get("name", "")
        return f"wallet '{name}' (balance: {wallet.get('balance', bodies.MAIN_BALANCE)})"
    payment: Json = end.get("payment") or {}
    if payment.get("psp"):
        return f"{payment['psp']} ({payment.get('type', 'TRANSFER').lower()})"
    return f"payment '{payment.get('id', '')}'"


def _end_name(end: dict[str, Json]) -> str:
    """The source or the destination by its name alone, with the balance of a wallet where it is not the main one."""
    if account := end.get("account"):
        return str(account.get("id", ""))
    if wallet := end.get("wallet"):
        balance = wallet.get("balance") or bodies.MAIN_BALANCE
        of_balance = "" if balance == bodies.MAIN_BALANCE else f" ({balance})"
        return f"wallet {wallet.get('id') or wallet.get('name', '')}{of_balance}"
    payment = end.get("payment") or {}
    if payment.get("psp"):
        return f"{payment['psp']} ({str(payment.get('type') or 'TRANSFER').lower()})"
    return f"payment {payment.get('id', '')}"


def _flow(send: Send) -> StageRun:
    match send.source, send.destination:
        case Account() as source, Account() as destination:
            return account_to_account(send, source, destination)
        case Account() as source, Wallet() as destination:
            return account_to_wallet(send, source, destination)
        case Account() as source, destination:
            return account_to_payment(send, source, destination)
        case Wallet() as source, Account() as destination:
            return wallet_to_account(send, source, destination)
        case Wallet() as source, Wallet() as destination:
            return wallet_to_wallet(send, source, destination)
        case Wallet() as source, destination:
            return wallet_to_payment(send, source, destination)
        case PaymentSource() as source, Account() as destination:
            return payment_to_account(send, source, destination)
        case PaymentSource() as source, Wallet() as destination:
            return payment_to_wallet(send, source, destination)
        case PaymentSource() as source, destination:
            return payment_to_payment(send, source, destination)


_ACCOUNTS_THAT_PAY = (
    ("source", "account", "id"),
    ("source", "payment", "throughAccount"),
    ("destination", "account", "throughAccount"),
)
"""Path of the source of a posting in a body."""
