"""Typed responses about the flow of funds of an instance."""

from __future__ import annotations

from headrace_client.models import Model


class FlowNode(Model, kw_only=True):
    """A place of money. `kind`: account, wallet, pay-in, payout, crossing or outside.

    `place`: the ledger, the balance of a wallet, or the provider. `title`: what its service calls it.
    """

    kind: str
    name: str
    place: str | None = None
    title: str | None = None


class FlowMove(Model, kw_only=True):
    """Money from one node to another, in the asset's smallest unit.

    `state`: booked, moving, retrying, unknown, refused, planned, unmade or undone.
    """

    source: FlowNode
    destination: FlowNode
    amount: int
    asset: str
    state: str
    stage: int
    ordinal: int
    note: str | None = None


class FlowSums(Model, kw_only=True):
    """One asset of a flow: `came_in` and `taken` are `held`, `stuck`, `arrived` and `paid_out` together."""

    asset: str
    came_in: int
    taken: int
    held: int
    stuck: int
    arrived: int
    paid_out: int
    unknown: int


class Flow(Model, kw_only=True):
    """The moves of an instance's case. `unplanned`: why moves that are not reached may be missing."""

    moves: list[FlowMove]
    sums: list[FlowSums]
    unplanned: str | None = None
