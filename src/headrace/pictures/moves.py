"""Moves: what money a run has moved, moves and will move. The one model behind every picture.

A move goes from one node to another. An account is a node of its ledger, a wallet one of its balance; a payment that
came in and a payout are nodes of their provider. `world` is never one node: within a stage, money into `world` and out
of it meet in a *crossing* between ledgers; where only one side is there, it is *outside*.

Each asset is conserved: in + taken from accounts = held + stuck + arrived + paid out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import Literal, NamedTuple

from headrace.money import MAX_DIGITS
from headrace.pictures.amounts import amount_text

NodeKind = Literal["account", "wallet", "pay-in", "payout", "crossing", "outside"]
State = Literal["booked", "moving", "retrying", "unknown", "refused", "planned", "unmade", "undone"]
"""The state of a move.

booked    its effect is done
moving    an attempt is under way
retrying  an attempt has failed or had no usable answer, so it may be booked; another attempt or a look-up follows
unknown   no service can say whether it is booked: a person has to decide
refused   the service declined it
planned   it is not reached yet
unmade    it is not reached, and its run has ended
undone    it was booked, and an undo has reverted it
"""
WORDS: dict[State, str] = {
    "booked": "booked",
    "moving": "on its way",
    "retrying": "retrying, may be booked",
    "unknown": "outcome unknown",
    "refused": "refused",
    "planned": "planned",
    "unmade": "will not be made",
    "undone": "booked, then undone",
}
"""The words of a picture for each state, in the order of its legend."""
LIVE: frozenset[State] = frozenset({"planned", "moving", "retrying", "unknown"})
OPEN: frozenset[State] = frozenset({"moving", "retrying", "unknown"})


AMOUNT_MARK = 10 ** (MAX_DIGITS - 1)
"""Stands for an amount that is open in a definition, plus the number of its variable: no amount is larger."""
ASSET_MARK = "UNKNOWN"
"""Stands for an asset that is open, with the number of its variable."""


class Node(NamedTuple):
    """A place of money. `place`: the ledger of an account, the balance of a wallet, the provider of a payment."""

    kind: NodeKind
    name: str
    place: str


class Move(NamedTuple):
    """Money from one node to another: by an effect of a stage, or by one that is planned.

    `amount`: in the asset's smallest unit. `ordinal`: of the effect in its stage. `note`: what the service made of it.
    """

    source: Node
    destination: Node
    amount: int
    asset: str
    state: State
    stage: int
    ordinal: int
    note: str = ""


class Edge(NamedTuple):
    """The moves of one pair of nodes, one asset and one state, drawn as one line."""

    source: Node
    destination: Node
    asset: str
    state: State
    moves: tuple[Move, ...]

    @property
    def amount(self) -> int:
        return sum(move.amount for move in self.moves)


Standing = Literal["held", "stuck", "arrived", ""]
"""The standing of money on a node: it will move on; it should have, and will not; it stays there; there is none."""


@dataclass(frozen=True, slots=True)
class Sums:
    """One asset of a flow. `taken`: from accounts that had it before; `open`: of moves whose outcome is not known."""

    asset: str
    came_in: int
    taken: int
    held: int
    stuck: int
    arrived: int
    paid_out: int
    open: int

    @property
    def is_conserved(self) -> bool:
        return self.came_in + self.taken == self.held + self.stuck + self.arrived + self.paid_out


@dataclass(frozen=True)
class Flow:
    """Moves in the order of their run. `names`: what a service calls a node; `groups`: of how many accounts one is.

    `unknowns`: of a definition's outline, the variables for which marks stand; None: the flow is of a run or a plan.
    """

    moves: tuple[Move, ...] = ()
    names: Mapping[Node, str] = field(default_factory=dict[Node, str])
    groups: Mapping[Node, int] = field(default_factory=dict[Node, int])
    unknowns: tuple[str, ...] | None = None

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """All nodes, in the order in which money comes to them."""
        return tuple(dict.fromkeys(node for move in self.moves for node in (move.source, move.destination)))

    @cached_property
    def edges(self) -> tuple[Edge, ...]:
        """The lines of the picture, in the order of their first moves."""
        merged: dict[tuple[Node, Node, str, State], list[Move]] = {}
        for move in self.moves:
            merged.setdefault((move.source, move.destination, move.asset, move.state), []).append(move)
        return tuple(Edge(*key, tuple(moves)) for key, moves in merged.items())

    @cached_property
    def _balances(self) -> dict[Node, Counter[str]]:
        found: dict[Node, Counter[str]] = {}
        for move in self.moves:
            if move.state == "booked":
                found.setdefault(move.source, Counter())[move.asset] -= move.amount
                found.setdefault(move.destination, Counter())[move.asset] += move.amount
        return found

    @cached_property
    def _left_by(self) -> dict[tuple[Node, str], set[State]]:
        """The states of moves that take an asset away from a node, or go on elsewhere for what came to it.

        Two accounts that bridge ledgers are such a place: money comes to one, and goes on from the other.
        """
        found: dict[tuple[Node, str], set[State]] = {}
        for move in self.moves:
            found.setdefault((move.source, move.asset), set()).add(move.state)
        for move, after in pairwise(self.moves):
            if move.stage == after.stage:
                found.setdefault((move.destination, move.asset), set()).add(after.state)
        return found

    def balance(self, node: Node) -> dict[str, int]:
        """The amounts booked to a node less those booked from it, by asset, but for zero."""
        return {asset: amount for asset, amount in self._balances.get(node, Counter()).items() if amount}

    def standing(self, node: Node, asset: str) -> Standing:
        """The standing of the money of one asset on a node. Only accounts, wallets and crossings hold any."""
        if node.kind not in ("account", "wallet", "crossing") or self.balance(node).get(asset, 0) <= 0:
            return ""
        leaving = self._left_by.get((node, asset), set[State]())
        if leaving & LIVE:
            return "held"
        return "stuck" if leaving & {"unmade", "refused"} else "arrived"

    def sums(self) -> list[Sums]:
        """Each asset of the flow, in the order in which it is first moved."""
        return [self._sum(asset) for asset in dict.fromkeys(move.asset for move in self.moves)]

    def _sum(self, asset: str) -> Sums:
        totals: Counter[str] = Counter()
        for move in self.moves:
            if move.asset != asset:
                continue
            if move.state in OPEN:
                totals["open"] += move.amount
            if move.state == "booked":
                totals["in"] += move.amount if move.source.kind in ("pay-in", "outside") else 0
                totals["out"] += move.amount if move.destination.kind in ("payout", "outside") else 0
        for node in self.nodes:
            if node.kind in ("account", "wallet", "crossing"):
                amount = self.balance(node).get(asset, 0)
                totals[self.standing(node, asset) or "taken"] += abs(amount)
        names = ("in", "taken", "held", "stuck", "arrived", "out", "open")
        return Sums(asset, *(totals[name] for name in names))

    def amount_text(self, amount: int, asset: str) -> str:
        """An amount of this flow; one that is open is named by its variable: `${amount} USD`."""
        if not self.unknowns:
            return amount_text(amount, asset)
        code, number = asset.partition("/")[0], asset.removeprefix(ASSET_MARK)
        if number.isdecimal() and number != asset and int(number) < len(self.unknowns):
            asset = code = "${" + self.unknowns[int(number)] + "}"
        if amount < AMOUNT_MARK:
            return amount_text(amount, asset)
        place = amount - AMOUNT_MARK
        name = "${" + self.unknowns[place] + "}" if place < len(self.unknowns) else "?"
        return f"{name} {code}"

    def title(self, node: Node) -> str:
        """The name of a node in a picture."""
        match node.kind:
            case "crossing":
                return "between ledgers"
            case "outside":
                return "outside"
            case _:
                return self.names.get(node, node.name)

    def caption(self, node: Node) -> str:
        """The line beneath the title: where the node is."""
        match node.kind:
            case "account":
                count = f"{self.groups[node]} accounts, " if node in self.groups else ""
                return f"{count}{node.place}"
            case "wallet":
                return f"wallet, {node.place}"
            case "pay-in":
                return f"pay-in {node.place}".strip()
            case "payout":
                return node.place
            case "crossing":
                return "nets to zero"
            case "outside":
                return f"world of {node.place}"


def joined(moves: Iterable[Move]) -> list[Move]:
    """The moves with the two sides of `world` of each stage put together: as a crossing, or as outside."""
    moves = list(moves)
    sides: dict[str, set[str]] = {}
    for move in moves:
        if move.destination.kind == "crossing":
            sides.setdefault(move.destination.name, set()).add("in")
        if move.source.kind == "crossing":
            sides.setdefault(move.source.name, set()).add("out")

    def placed(node: Node) -> Node:
        if node.kind != "crossing":
            return node
        return Node("crossing", node.name, "") if len(sides[node.name]) == 2 else Node("outside", node.name, node.place)

    return [move._replace(source=placed(move.source), destination=placed(move.destination)) for move in moves]


MAX_NODES = 60


def halted(flow: Flow) -> Flow:
    """The flow if nothing more is made: what is planned will not be, so that money on its way is stuck."""
    moves = (move._replace(state="unmade") if move.state == "planned" else move for move in flow.moves)
    return replace(flow, moves=tuple(moves))


def grouped(flow: Flow, limit: int = MAX_NODES) -> Flow:
    """The flow; where it has more nodes than the limit, with accounts put together by their address but its end."""
    if len(flow.nodes) <= limit:
        return flow
    members: dict[Node, list[Node]] = {}
    for node in flow.nodes:
        if node.kind == "account" and ":" in node.name:
            members.setdefault(node._replace(name=f"{node.name.rpartition(':')[0]}:*"), []).append(node)
    groups = {group: found for group, found in members.items() if len(found) > 1}
    place = {node: group for group, found in groups.items() for node in found}
    moves = tuple(
        move._replace(
            source=place.get(move.source, move.source), destination=place.get(move.destination, move.destination)
        )
        for move in flow.moves
    )
    return replace(flow, moves=moves, groups={group: len(found) for group, found in groups.items()})
