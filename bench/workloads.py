"""The workflows that are measured, as definitions."""

from __future__ import annotations

from typing import Any

from headrace.effects.port import Request
from headrace.effects.services import prepare
from headrace.money import posting
from headrace.workflows.activities import CreateTransaction

Stages = list[dict[str, Any]]

VARIABLES = {"customer": "customers:1", "merchant": "merchants:1", "amount": "100"}
EVENT = "go"

SEND: dict[str, Any] = {
    "send": {
        "source": {"account": {"id": "${customer}", "ledger": "bench"}},
        "destination": {"account": {"id": "${merchant}", "ledger": "bench"}},
        "amount": {"asset": "USD/2", "amount": "${amount}"},
    }
}
WAIT: dict[str, Any] = {"wait_event": {"event": EVENT}}

W1: Stages = [SEND]
"""One HTTP activity."""

W2: Stages = [SEND, WAIT, SEND, SEND]
"""Three HTTP activities and an awaited event."""


W3: Stages = [{"delay": {"until": "${until}"}}]
"""A delay that ends at a moment of the caller's choice."""


def post_request() -> Request:
    """Exactly what a W1 instance sends."""
    one = posting(VARIABLES["customer"], VARIABLES["merchant"], int(VARIABLES["amount"]), "USD/2")
    key = "headrace:00000000-0000-7000-8000-000000000000:0:0"
    return prepare(CreateTransaction(ledger="bench", posting=one), key, 0)
