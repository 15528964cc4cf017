"""Definitions for tests of the linter: short forms of sends, and of triggers."""

from __future__ import annotations

from typing import Any

from headrace.linting.workflow import Trigger

Json = dict[str, Any]

PAY_IN = 'event.type == "PAY-IN" and event.status == "SUCCEEDED"'


def account(id_: str, ledger: str | None = "main", **more: Any) -> Json:
    return {"account": {"id": id_, **({"ledger": ledger} if ledger else {}), **more}}


def wallet(id_: str, **more: Any) -> Json:
    return {"wallet": {"id": id_, **more}}


def payment(id_: str, **more: Any) -> Json:
    return {"payment": {"id": id_, **more}}


def payout(**more: Any) -> Json:
    return {"payment": {"psp": "stripe", **more}}


def send(source: Json, destination: Json, amount: Any = 100, asset: str = "USD/2", **more: Any) -> Json:
    return {
        "send": {"source": source, "destination": destination, "amount": {"asset": asset, "amount": amount}, **more}
    }


def update(id_: str, ledger: str = "main", **metadata: str) -> Json:
    return {"update": {"account": {"id": id_, "ledger": ledger, "metadata": metadata}}}


def wait(event: str, **more: Any) -> Json:
    return {"wait_event": {"event": event, **more}}


def delay(duration: str) -> Json:
    return {"delay": {"duration": duration}}


def trigger(event: str = "SAVED_PAYMENT", filter_: str | None = PAY_IN, **variables: str) -> Trigger:
    return Trigger(event, filter_, variables)
