"""`revert`: reverse one effect of an earlier instance. Only a computed workflow has such stages, never a definition.

Each stage reads first, and yields at most one effect. What has been reversed before, by hand or otherwise, is left
alone: the stage ends without an effect. `headrace.workflows.undo` computes the stages.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from headrace.errors import StageError
from headrace.workflows.activities import Json
from headrace.workflows.commands import Command
from headrace.workflows.reversals import (
    PAYING_STATUSES,
    AwaitReversal,
    GetTransaction,
    GetTransferInitiation,
    ListTransferInitiations,
    ListWalletTransactions,
    RejectTransferInitiation,
    ReverseTransferInitiation,
    RevertTransaction,
)
from headrace.workflows.stages.formats import AMOUNT, ASSET, BOOLEAN, LABEL, LEDGER_NAME, PLAIN_NAME, choice
from headrace.workflows.stages.shape import Leaf, Object, one_of
from headrace.workflows.stages.stage import Display, StageContext, StageRun, StageType

MAX_PAGES = 100
"""Pages of a list that are read to find one entry."""
NOT_PAID = frozenset({"FAILED", "REJECTED", "REVERSED"})
"""Statuses of a transfer initiation whose money has not left, or is back."""

Reads = Generator[Command, Any, Any]

UNLESS_PAID = Leaf(
    LABEL, "The key of the transfer initiation that this effect funded: while that stands, this is kept."
)
FORCE = Leaf(BOOLEAN, "Let the accounts that pay back go below zero.", default=False)
REVERT = one_of(
    "Reverse one effect of an earlier instance.",
    {
        "transaction": Object(
            "A transaction of a ledger.",
            {
                "id": Leaf(AMOUNT, "Its id."),
                "ledger": Leaf(LEDGER_NAME, "The ledger it is on."),
                "reference": Leaf(LABEL, "Its reference: another transaction under this id is not reverted."),
                "force": FORCE,
                "unlessPaid": UNLESS_PAID,
            },
            required=("id", "ledger"),
            name="RevertTransactionOf",
        ),
        "wallet": Object(
            "A credit or debit of a wallet.",
            {
                "id": Leaf(PLAIN_NAME, "The wallet's id."),
                "ledger": Leaf(LEDGER_NAME, "The ledger of the wallet, where it is known."),
                "key": Leaf(LABEL, "The key of the effect, which its transaction carries."),
                "amount": Leaf(AMOUNT, "How much it moved."),
                "asset": Leaf(ASSET, "Of which asset."),
                "force": FORCE,
                "unlessPaid": UNLESS_PAID,
            },
            required=("id", "key", "amount", "asset"),
            name="RevertWallet",
        ),
        "initiation": Object(
            "A transfer initiation.",
            {
                "reference": Leaf(LABEL, "Its reference: the key of the effect."),
                "amount": Leaf(AMOUNT, "Its whole amount."),
                "asset": Leaf(ASSET, "Of which asset."),
                "external": Leaf(choice("keep", "reverse"), "What to do with one that is paid.", default="keep"),
            },
            required=("reference", "amount", "asset"),
            name="RevertInitiation",
        ),
    },
    name="Revert",
)


class RevertStage(StageType):
    keyword = "revert"
    shape = REVERT
    about = "Reverses one effect of an earlier instance. Only the computed workflow of an undo has it."
    example = (
        'name: undo\nstages:\n  - revert: {transaction: {id: 7, ledger: main, reference: "headrace:INSTANCE:0:0"}}'
    )
    label = "revert"
    color, pale = "#a8475a", "#f5dde2"
    dark_color, dark_pale = "#f08ba0", "#47202a"

    def run(self, body: Json, context: StageContext) -> StageRun:
        if "initiation" in body:
            return _reverse_initiation(body["initiation"])
        return _revert_transaction(body["transaction"]) if "transaction" in body else _revert_wallet(body["wallet"])

    def describe(self, body: Json, display: Display) -> list[str]:
        given: Json = body.get(next(iter(body), "")) or {}
        if "transaction" in body:
            return [f"Revert transaction {given.get('id', '')} of ledger {given.get('ledger', '')}"]
        if "wallet" in body:
            return [f"Revert effect {given.get('key', '')} on wallet {given.get('id', '')}"]
        return [f"Reverse transfer initiation of reference {given.get('reference', '')}"]


# on a ledger


def _revert_transaction(given: Json) -> StageRun:
    if (yield from _is_kept(given)):
        return
    transaction = yield GetTransaction(given["id"], given["ledger"])
    reference = given.get("reference")
    if reference is not None and transaction.get("reference") != reference:
        where = f"transaction {given['id']} of ledger {given['ledger']}"
        raise StageError(f"{where} has the reference {transaction.get('reference', '')!r}, not {reference!r}")
    if not transaction["reverted"]:
        yield RevertTransaction(given["id"], given["ledger"], given.get("force", False))


def _revert_wallet(given: Json) -> StageRun:
    """The wallets service answers a write without an id: the transaction is found among those of the wallet."""
    if (yield from _is_kept(given)):
        return
    cursor = ""
    for _ in range(MAX_PAGES):
        page = yield ListWalletTransactions(given["id"], cursor)
        found = next((item for item in page["data"] if item["key"] == given["key"]), None)
        cursor = page.get("next", "")
        if found is not None or not cursor:
            break
    else:
        found = None
    what = f"effect {given['key']} on wallet {given['id']}"
    if found is None:
        raise StageError(f"{what}: its transaction is not among those that the service lists")
    moved = sum(posting["amount"] for posting in found["postings"])
    if moved != given["amount"] or any(posting["asset"] != given["asset"] for posting in found["postings"]):
        raise StageError(f"{what}: transaction {found['id']} carries its key, with another amount or asset")
    ledger = found["ledger"] or given.get("ledger", "")
    if not ledger or given.get("ledger", ledger) != ledger:
        raise StageError(f"{what}: transaction {found['id']} is on ledger {ledger!r}, not on {given.get('ledger')!r}")
    transaction = yield GetTransaction(found["id"], ledger)
    if transaction["postings"] != found["postings"]:
        raise StageError(f"{what}: transaction {found['id']} of ledger {ledger} has other postings")
    if not transaction["reverted"]:
        yield RevertTransaction(found["id"], ledger, given.get("force", False))


# at a provider


def _reverse_initiation(given: Json) -> StageRun:
    initiation = yield from _settled(given["reference"])
    if (initiation["amount"], initiation["asset"]) != (given["amount"], given["asset"]):
        raise StageError(f"transfer initiation {initiation['id']} has another amount or asset than was asked for")
    match initiation["status"]:
        case "WAITING_FOR_VALIDATION":
            yield RejectTransferInitiation(initiation["id"])
        case "PROCESSED" if given.get("external") == "reverse":
            yield ReverseTransferInitiation(initiation["id"], given["amount"], given["asset"])
            ended = yield AwaitReversal(initiation["id"])
            if ended["status"] != "REVERSED":
                raise _undecided(ended)
        case status if status in NOT_PAID or status == "PROCESSED":
            return
        case _:
            raise _undecided(initiation)


def _is_kept(given: Json) -> Reads:
    """True where the effect funded a payout that stands: reverting it would return money that is paid out."""
    if "unlessPaid" not in given:
        return False
    initiation = yield from _settled(given["unlessPaid"])
    if initiation["status"] not in NOT_PAID and initiation["status"] != "PROCESSED":
        raise _undecided(initiation)
    return initiation["status"] == "PROCESSED"


def _settled(reference: str) -> Reads:
    """The transfer initiation of this reference, once its provider does not work on it any more."""
    page = yield ListTransferInitiations(reference)
    found = _with(reference, page)
    cursor = ""
    for _ in range(MAX_PAGES if found is None else 0):  # the service may not filter: newest first (decision M5)
        page = yield ListTransferInitiations("", cursor)
        found, cursor = _with(reference, page), page.get("next", "")
        if found is not None or not cursor:
            break
    if found is None:
        raise StageError(f"no transfer initiation of reference {reference} is among those that the service lists")
    if found["status"] in PAYING_STATUSES:
        found = yield GetTransferInitiation(found["id"])
    return found


def _with(reference: str, page: Json) -> Json | None:
    return next((item for item in page["data"] if item["reference"] == reference), None)


def _undecided(initiation: Json) -> StageError:
    return StageError(f"transfer initiation {initiation['id']} is {initiation['status']}: a person must decide")
