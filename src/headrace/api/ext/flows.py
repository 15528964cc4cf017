"""The flow of funds of an instance's case, as moves that a picture is drawn from."""

from __future__ import annotations

from msgspec import UNSET

from headrace import json_text
from headrace.api.context import Context
from headrace.api.ext import flow_schemas as schemas
from headrace.api.operations import READ, Operation
from headrace.api.requests import Request
from headrace.api.responses import Response, json_response
from headrace.api.v1.instances import TAG
from headrace.pictures.moves import Flow, Move, Node
from headrace.usecases.flows import CaseFlow, case_flow


async def flow(context: Context, request: Request) -> Response:
    shown = _shown(await case_flow(context.ports, request.params["instanceID"]))
    return json_response(200, json_text.encode(schemas.FlowResponse(data=shown)))


def _shown(found: CaseFlow) -> schemas.Flow:
    return schemas.Flow(
        moves=[_move(found.flow, move) for move in found.flow.moves],
        sums=[
            schemas.FlowSums(
                asset=each.asset,
                came_in=each.came_in,
                taken=each.taken,
                held=each.held,
                stuck=each.stuck,
                arrived=each.arrived,
                paid_out=each.paid_out,
                unknown=each.open,
            )
            for each in found.flow.sums()
        ],
        unplanned=found.unplanned or UNSET,
    )


def _move(flow: Flow, move: Move) -> schemas.FlowMove:
    return schemas.FlowMove(
        source=_node(flow, move.source),
        destination=_node(flow, move.destination),
        amount=move.amount,
        asset=move.asset,
        state=move.state,
        stage=move.stage,
        ordinal=move.ordinal,
        note=move.note or UNSET,
    )


def _node(flow: Flow, node: Node) -> schemas.FlowNode:
    return schemas.FlowNode(
        kind=node.kind, name=node.name, place=node.place or UNSET, title=flow.names.get(node) or UNSET
    )


OPERATIONS = (
    Operation(
        method="GET",
        path="/ext/instances/{instanceID}/flow",
        operation_id="readFlow",
        scope=READ,
        handler=flow,
        tag=TAG,
        summary="Read the flow of funds of an instance",
        description=(
            "What its case has moved, moves and will move, in order: from the history of the run and of the instances "
            "that continue it, and from the planner for what is not reached yet. What an undo has reverted is "
            "`undone`. Each asset is conserved: `cameIn` and `taken` are `held`, `stuck`, `arrived` and `paidOut` "
            "together. Services are only read."
        ),
        response=schemas.FlowResponse,
        errors=(404, 503),
    ),
)
