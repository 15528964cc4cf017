"""Rows of the journal as responses of V2, where they differ from those of V1."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import UNSET, Raw, UnsetType

from headrace.api.v1 import schemas as v1
from headrace.api.v1 import views
from headrace.api.v2 import schemas
from headrace.journal.records import ActivityRow
from headrace.json_text import encode

TRANSACTION = "CreateTransaction"


class _StoredTransaction(msgspec.Struct):
    """The members of V1's output that V2 shows, each as it is stored."""

    id: Raw
    postings: Raw
    timestamp: Raw
    metadata: Raw
    reference: Raw | UnsetType = UNSET


class _StoredOutput(msgspec.Struct):
    data: _StoredTransaction


_stored_output = msgspec.json.Decoder(_StoredOutput)


def activity_history_response(activities: Sequence[ActivityRow]) -> bytes:
    return encode(v1.ActivityHistoryResponse(data=[activity(row) for row in activities]))


def activity(row: ActivityRow) -> v1.ActivityHistory:
    """As in V1, except for the output of CreateTransaction: a list, with `txid` and without `reverted`."""
    shown = views.activity(row, "v2")
    if row.name == TRANSACTION and row.output is not None:
        stored = _stored_output.decode(row.output).data
        transaction = schemas.Transaction(
            txid=stored.id,
            postings=stored.postings,
            timestamp=stored.timestamp,
            metadata=stored.metadata,
            reference=stored.reference,
        )
        shown.output = {TRANSACTION: Raw(encode(schemas.TransactionOutput(data=[transaction])))}
    return shown
