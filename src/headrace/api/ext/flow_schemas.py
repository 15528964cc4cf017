"""Schemas of the flow of funds of an instance."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from headrace.api.ext.schemas import Shape
from headrace.pictures.moves import NodeKind, State

Amount = Annotated[int, Meta(ge=0, description="In the asset's smallest unit.")]


class FlowNode(Shape, kw_only=True):
    """A place of money: an account, a wallet, a payment that came in, a payout, or `world` as a stage uses it."""

    kind: Annotated[
        NodeKind,
        Meta(
            description=(
                "`crossing`: money goes into `world` of one place and comes out of that of another, in one stage; "
                "`outside`: `world`, where only one side is there."
            )
        ),
    ]
    name: Annotated[str, Meta(description="An address, or the id of a wallet or a payment.")]
    place: Annotated[str, Meta(description="The ledger, the balance of a wallet, or the provider.")] | UnsetType = UNSET
    title: Annotated[str, Meta(description="What its service calls it, where that was read.")] | UnsetType = UNSET


class FlowMove(Shape, kw_only=True):
    """Money from one node to another."""

    source: FlowNode
    destination: FlowNode
    amount: Amount
    asset: Annotated[str, Meta(examples=["USD/2"])]
    state: Annotated[
        State,
        Meta(
            description=(
                "`moving`: under way; `retrying`: an attempt has failed or had no usable answer, so it may be booked; "
                "`unknown`: a person has to decide; `planned`: not reached yet; `unmade`: its run has ended before it; "
                "`undone`: it was booked, and then reverted."
            )
        ),
    ]
    stage: Annotated[int, Meta(ge=0, description="Counted from 0.")]
    ordinal: Annotated[int, Meta(ge=0, description="Of its effect in the stage, counted from 0.")]
    note: Annotated[str, Meta(description="What the service made of it.")] | UnsetType = UNSET


class FlowSums(Shape, kw_only=True):
    """One asset. `cameIn` + `taken` = `held` + `stuck` + `arrived` + `paidOut`."""

    asset: str
    came_in: Annotated[int, Meta(ge=0, description="From payments and from outside.")]
    taken: Annotated[int, Meta(ge=0, description="From accounts and wallets that had it before.")]
    held: Annotated[int, Meta(ge=0, description="Where a later move will take it away.")]
    stuck: Annotated[int, Meta(ge=0, description="Where a move that will not be made should have taken it away.")]
    arrived: Annotated[int, Meta(ge=0, description="Where it stays.")]
    paid_out: Annotated[int, Meta(ge=0, description="To providers and outside.")]
    unknown: Annotated[int, Meta(ge=0, description="Of moves whose outcome is not known yet; in no other sum.")]


class Flow(Shape, kw_only=True):
    """The moves of a case in their order, and their sums."""

    moves: list[FlowMove]
    sums: list[FlowSums]
    unplanned: (
        Annotated[str, Meta(description="Why moves that are not reached may be missing; absent: none is.")] | UnsetType
    ) = UNSET


class FlowResponse(Shape, kw_only=True):
    """The answer to readFlow."""

    data: Flow
