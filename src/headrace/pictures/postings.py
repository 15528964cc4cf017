"""The moves of a flow as a list for people: each in words, with the balance that it leaves where the money arrives."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.pictures.amounts import amount_text
from headrace.pictures.moves import Flow, Move, Node, Sums


@dataclass(frozen=True, slots=True)
class PostedMove:
    """A move in words. `balance`: of the place that receives it, within the flow and after it; empty: nothing moved."""

    move: Move
    source: str
    destination: str
    amount: str
    balance: str


def posted_moves(flow: Flow) -> list[PostedMove]:
    """Every move of the flow, in order. Balances count what is booked."""
    balances: dict[tuple[Node, str], int] = {}
    found: list[PostedMove] = []
    for move in flow.moves:
        balance = ""
        if move.state == "booked":
            balances[move.source, move.asset] = balances.get((move.source, move.asset), 0) - move.amount
            after = balances.get((move.destination, move.asset), 0) + move.amount
            balances[move.destination, move.asset] = after
            balance = amount_text(after, move.asset)
        amount = flow.amount_text(move.amount, move.asset)
        found.append(PostedMove(move, flow.title(move.source), flow.title(move.destination), amount, balance))
    return found


def conservation(sums: Sums) -> str:
    """Whether the money of an asset is all accounted for: `ok`, `open` where an outcome is not known, else `off`."""
    return "off" if not sums.is_conserved else "open" if sums.open else "ok"
