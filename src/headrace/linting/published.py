"""The events that a workflow's own writes publish, as far as the definition and the trigger's variables say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from headrace.linting.partial import ANY_TEXT, FRESH_ID, UNKNOWN, PartialText, Record, Value, expanded
from headrace.linting.workflow import Json, Party, Send, Workflow, is_literal
from headrace.workflows.stages.send.flows import PAYMENT_KEY

_OWN_REFERENCE = PartialText(("headrace:", ""))
_ELSEWHERE = Record({}, is_open=True)
"""A transaction of the wallets service: its ledger, accounts and reference are that service's choice."""
_INITIATIONS = (
    "SAVED_PAYMENT_INITIATION",
    "SAVED_PAYMENT_INITIATION_ADJUSTMENT",
    "SAVED_PAYMENT_INITIATION_RELATED_PAYMENT",
    "SAVED_TRANSFER_INITIATION",
)
_RUN = ("STARTED_WORKFLOW", "SUCCEEDED_WORKFLOW", "FAILED_WORKFLOW")
_STAGE = ("STARTED_WORKFLOW_STAGE", "SUCCEEDED_WORKFLOW_STAGE", "FAILED_WORKFLOW_STAGE")
_OF_TRIGGER = ("SUCCEEDED_TRIGGER", "FAILED_TRIGGER")


@dataclass(frozen=True, slots=True)
class Published:
    """One event of a run. `stage` is the number of the stage that causes it, None for the run itself."""

    app: str
    type: str
    payload: Record
    stage: int | None = None


def published_events(workflow: Workflow, bindings: Mapping[str, Value]) -> Iterator[Published]:
    """Yield every kind of event that a run certainly causes. `bindings` are the values of its variables.

    A stage with a condition may be skipped: that is how a workflow keeps from starting itself.
    """
    ids = dict.fromkeys(("id", "instanceID", "triggerID", "workflowInstanceID"), FRESH_ID)
    for kind in (*_RUN, *_STAGE, *_OF_TRIGGER):
        yield Published("orchestration", kind, Record({**ids, "number": UNKNOWN, "error": UNKNOWN}))
    for send in workflow.sends:
        if send.index in workflow.conditional:
            continue
        for ledger, transaction in _transactions(send, bindings):
            payload = Record({"ledger": ledger, "transactions": [transaction]}, is_open=True)
            yield Published("ledger", "COMMITTED_TRANSACTIONS", payload, send.index)
        if send.destination.kind == "payment":
            yield from _payout_events(send, bindings)
    for index, body in workflow.bodies("update"):
        if index in workflow.conditional:
            continue
        account = body["account"]
        payload = {
            "ledger": expanded(account["ledger"], bindings),
            "targetType": "ACCOUNT",
            "targetId": expanded(account["id"], bindings),
            "metadata": Record(_texts(account["metadata"], bindings)),
        }
        yield Published("ledger", "SAVED_METADATA", Record(payload, is_open=True), index)


def _payout_events(send: Send, bindings: Mapping[str, Value]) -> Iterator[Published]:
    kind = expanded(send.destination.members.get("type", "TRANSFER"), bindings)
    members: dict[str, Value] = {"type": kind, "asset": expanded(send.asset, bindings)}
    yield Published("payments", "SAVED_PAYMENT", Record(members, is_open=True), send.index)
    for name in _INITIATIONS:
        yield Published("payments", name, Record(members, is_open=True), send.index)


def _transactions(send: Send, bindings: Mapping[str, Value]) -> Iterator[tuple[Value, Record]]:
    """Yield the transactions of a send, each with its ledger: all that are possible where a ledger is open."""
    source, destination = send.parties
    amount = int(send.amount) if is_literal(send.amount) else UNKNOWN
    own = _texts(send.metadata, bindings)
    of_payment: dict[str, Value] = {PAYMENT_KEY: ANY_TEXT} if source.kind == "payment" else {}

    def booked(
        party: Party, start: str | None, end: str | None, amount: Value, metadata: Mapping[str, Value]
    ) -> tuple[Value, Record]:
        posting = Record(
            {
                "source": ANY_TEXT if start is None else expanded(start, bindings),
                "destination": ANY_TEXT if end is None else expanded(end, bindings),
                "amount": amount,
                "asset": expanded(send.asset, bindings),
            }
        )
        members = {"postings": [posting], "reference": _OWN_REFERENCE, "metadata": Record(metadata)}
        return expanded(party.ledger or "", bindings), Record(members, is_open=True)

    if source.kind == "payment":
        # The whole payment is booked, whatever is sent of it.
        yield booked(source, source.through, source.account, UNKNOWN, of_payment)
    if "wallet" in (source.kind, destination.kind):
        yield UNKNOWN, _ELSEWHERE
    if source.ledger is not None and source.may_share_ledger(destination):
        yield booked(source, source.account, destination.account, amount, own | of_payment)
    if source.ledger is None or source.ledger != destination.ledger:
        if source.ledger is not None:
            yield booked(source, source.account, source.through, amount, own | of_payment)
        if destination.ledger is not None:
            yield booked(destination, destination.through, destination.account, amount, own)


def _texts(metadata: Json, bindings: Mapping[str, Value]) -> dict[str, Value]:
    return {key: expanded(text, bindings) for key, text in metadata.items()}
