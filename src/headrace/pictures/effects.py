"""From effects to moves: those that a history shows, and those that a plan foresees.

A history shows an effect by its activity's input, a plan by the request that would be sent; both hold the same legs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, cast

from headrace.money import WORLD
from headrace.pictures.moves import Flow, Move, Node, State, joined
from headrace.workflows.activities import Json
from headrace.workflows.activity import check_complete, effect_names
from headrace.workflows.undo import INGESTION_PREFIX

WALLETS = "wallets"
"""The ledger of an account beside a wallet, where the wallet was not read."""


@dataclass(frozen=True, slots=True)
class Effect:
    """An effect of a run, or of a plan. `input`: as history shows it. `note`: what the service made of it."""

    activity: str
    stage: int
    ordinal: int
    input: Json
    state: State
    note: str = ""


@dataclass(slots=True)
class Known:
    """Wallets and payments that were read: the names that a picture calls them by, and where they are."""

    wallet_ledgers: dict[str, str] = field(default_factory=dict[str, str])
    wallet_names: dict[str, str] = field(default_factory=dict[str, str])
    providers: dict[str, str] = field(default_factory=dict[str, str])
    references: dict[str, str] = field(default_factory=dict[str, str])

    def read(self, activity: str, value: object) -> None:
        """Note what a read has shown. `value`: the wallet or the payment; other reads say nothing about places."""
        if activity not in ("GetWallet", "GetPayment") or not isinstance(value, dict):
            return
        value = cast("Json", value)
        found = _text(value, "id")
        if activity == "GetWallet":
            self.wallet_ledgers[found] = _text(value, "ledger") or WALLETS
            self.wallet_names[found] = _text(value, "name")
        else:
            self.providers[found] = _text(value, "provider").lower()
            self.references[found] = _text(value, "reference")


def flow_of(effects: Iterable[Effect], known: Known) -> Flow:
    """The flow of these effects, in their order."""
    tracing = _Tracing(known)
    for effect in effects:
        EFFECTS[effect.activity](tracing, effect)
    moves = tuple(joined(tracing.moves))
    titles = {"wallet": known.wallet_names, "pay-in": known.references}
    names = {node: titles[node.kind].get(node.name, "") for node in Flow(moves).nodes if node.kind in titles}
    return Flow(moves, {node: name for node, name in names.items() if name})


def planned_effects(plan: Json, state: State = "planned") -> list[Effect]:
    """The effects of a plan's document, in its order. One that stands already has no postings, and moves nothing."""
    return [Effect(each["activity"], each["stage"], each["ordinal"], _input(each), state) for each in plan["effects"]]


def foreseen_end(plan: Json) -> str:
    """Why a plan has no effects beyond some stage; empty where it has them all. A shortage does not end a plan."""
    failure: Json | None = plan.get("ends") or plan.get("fails")
    if failure is None or failure.get("code") == "INSUFFICIENT_FUND":
        return ""
    return f"from stage {failure['stage']} on nothing can be planned: {failure['error']}"


def known_in(plan: Json) -> Known:
    """The wallets and payments that a plan has read."""
    known = Known()
    for each in plan["assumptions"]:
        if each["type"] == "read":
            known.read(each["activity"], each["value"])
    return known


def _input(planned: Json) -> Json:
    """The input of an effect as history would show it, from its commitment in a plan."""
    parts: list[str] = planned["path"].split("/")
    body: Json = planned["body"] or {}
    match planned["activity"]:
        case "CreateTransaction":
            postings = [{name: each[name] for name in _POSTING} for each in planned["postings"]]
            return {"ledger": parts[2], "data": {**body, "postings": postings}}
        case "CreditWallet" | "DebitWallet":
            return {"id": parts[2], "data": body}
        case "RevertTransaction":
            return {"ledger": parts[2], "postings": planned["postings"]}
        case _:
            return {**body, "destination": body.get("destinationAccountID", "")}


_POSTING = ("source", "destination", "amount", "asset")


class _Tracing:
    """Moves of effects, one after the other."""

    def __init__(self, known: Known) -> None:
        self._known = known
        self._ingested: set[tuple[str, str]] = set()
        self.moves: list[Move] = []

    def transaction(self, effect: Effect) -> None:
        """A posting on a ledger; where a payment comes in, `world` is that payment. A ledger books that once."""
        ledger, data = effect.input["ledger"], effect.input["data"]
        reference = _text(data, "reference")
        is_ingestion = reference.startswith(INGESTION_PREFIX)
        if is_ingestion and (ledger, reference) in self._ingested:
            return
        if is_ingestion and effect.state == "booked":
            self._ingested.add((ledger, reference))
        for each in data["postings"]:
            source = self._account(ledger, each["source"], effect)
            if is_ingestion and each["source"] == WORLD:
                payment = _text(data.get("metadata") or {}, "headrace_payment_id")
                source = Node("pay-in", payment, self._known.providers.get(payment, ""))
            self._add(effect, source, self._account(ledger, each["destination"], effect), each)

    def credit(self, effect: Effect) -> None:
        """A wallet's balance gets money from its sources; the first of them stands for all."""
        wallet_id, data = effect.input["id"], effect.input["data"]
        sources = data.get("sources") or [{"type": "ACCOUNT", "identifier": WORLD}]
        source = self._subject(sources[0], wallet_id, effect)
        self._add(effect, source, Node("wallet", wallet_id, data.get("balance") or "main"), data["amount"])

    def debit(self, effect: Effect) -> None:
        """A wallet's balances give money; the first of them stands for all."""
        wallet_id, data = effect.input["id"], effect.input["data"]
        wallet = Node("wallet", wallet_id, (data.get("balances") or ["main"])[0])
        to = data.get("destination") or {"type": "ACCOUNT", "identifier": WORLD}
        self._add(effect, wallet, self._subject(to, wallet_id, effect), data["amount"])

    def initiation(self, effect: Effect) -> None:
        """A provider pays out what the stage has moved for it."""
        source = next(
            (move.destination for move in reversed(self.moves) if move.stage == effect.stage),
            Node("crossing", f"world {effect.stage}", ""),
        )
        kind = (_text(effect.input, "type") or "TRANSFER").lower()
        place = f"{_text(effect.input, 'provider').lower()} {kind}".strip()
        self._add(effect, source, Node("payout", _text(effect.input, "destination"), place), effect.input)

    def revert(self, effect: Effect) -> None:
        """The way back, where a plan says what it is; a history shows it at the moves that it undoes."""
        for each in effect.input.get("postings") or ():
            ledger = effect.input["ledger"]
            ends = (self._account(ledger, each[name], effect) for name in ("source", "destination"))
            self._add(effect, *ends, moved=each)

    def nothing(self, effect: Effect) -> None:
        """An effect that moves no money on a ledger, in a wallet or at a provider."""

    def _subject(self, subject: Json, wallet_id: str, effect: Effect) -> Node:
        if subject["type"] == "WALLET":
            return Node("wallet", subject["identifier"], subject.get("balance") or "main")
        return self._account(self._known.wallet_ledgers.get(wallet_id, WALLETS), subject["identifier"], effect)

    def _account(self, ledger: str, address: str, effect: Effect) -> Node:
        if address == WORLD:
            return Node("crossing", f"world {effect.stage}", ledger)
        return Node("account", address, ledger)

    def _add(self, effect: Effect, source: Node, destination: Node, moved: Json) -> None:
        place = effect.state, effect.stage, effect.ordinal, effect.note
        self.moves.append(Move(source, destination, moved["amount"], moved["asset"], *place))


EFFECTS: dict[str, Callable[[_Tracing, Effect], None]] = {
    "CreateTransaction": _Tracing.transaction,
    "AddAccountMetadata": _Tracing.nothing,
    "CreditWallet": _Tracing.credit,
    "DebitWallet": _Tracing.debit,
    "CreateTransferInitiation": _Tracing.initiation,
    "RevertTransaction": _Tracing.revert,
    "RejectTransferInitiation": _Tracing.nothing,
    "ReverseTransferInitiation": _Tracing.nothing,
}
"""By the name of an effect, how its moves are found."""
check_complete(EFFECTS, effect_names(), "picture", "to EFFECTS")


def _text(members: Json, name: str) -> str:
    """A member as text; empty where it is something else."""
    value = cast("Any", members.get(name))
    return value if isinstance(value, str) else ""
