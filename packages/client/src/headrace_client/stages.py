"""Stages as the history shows them: the body without its keyword, variables expanded."""

from __future__ import annotations

from typing import Any

import msgspec

from headrace_client.models import Model, Timestamp


class Monetary(Model):
    asset: str
    amount: int


class StageSendAccount(Model):
    """A ledger account, as source or destination."""

    id: str
    ledger: str | None = None
    through_account: str | None = None
    allow_overdraft: bool | None = None


class StageSendWallet(Model):
    """A wallet, as source or destination. A wallet given by name has an empty id until it is found."""

    id: str = ""
    name: str | None = None
    balance: str | None = None


class StageSendSourcePayment(Model):
    id: str
    ledger: str | None = None
    holding_account: str | None = None
    through_account: str | None = None
    allow_overdraft: bool | None = None


class StageSendDestinationPayment(Model):
    psp: str
    type: str | None = None
    source_account: str | None = None
    metadata: str | None = None
    connector_id: str | None = None
    waiting_validation: bool | None = None


class StageSendSource(Model):
    account: StageSendAccount | None = None
    wallet: StageSendWallet | None = None
    payment: StageSendSourcePayment | None = None


class StageSendDestination(Model):
    account: StageSendAccount | None = None
    wallet: StageSendWallet | None = None
    payment: StageSendDestinationPayment | None = None


class StageSend(Model):
    source: StageSendSource | None = None
    destination: StageSendDestination | None = None
    amount: Monetary | None = None
    metadata: dict[str, str] | None = None
    timestamp: Timestamp | None = None


class StageDelay(Model):
    duration: str | None = None
    until: Timestamp | None = None


class StageWaitEvent(Model):
    event: str


class UpdateAccount(Model):
    id: str
    ledger: str
    metadata: dict[str, str]


class Update(Model):
    account: UpdateAccount | None = None


class UnknownStage(Model):
    """A stage this client has no class for: its members as they came."""

    members: dict[str, Any]


Stage = StageSend | StageDelay | StageWaitEvent | Update | UnknownStage

_BY_NAME: dict[str, type[StageSend | StageDelay | StageWaitEvent | Update]] = {
    "send": StageSend,
    "delay": StageDelay,
    "wait_event": StageWaitEvent,
    "update": Update,
}
# Members that only one kind of stage has, for servers that name stages in their own way.
_BY_MEMBER = {
    "source": "send",
    "destination": "send",
    "amount": "send",
    "duration": "delay",
    "until": "delay",
    "event": "wait_event",
    "account": "update",
}


def read_stage(name: str, body: dict[str, Any]) -> Stage:
    """The typed stage: its name decides, and its members where the name says nothing."""
    known = _BY_NAME.get(name) or _kind_by_members(body)
    return UnknownStage(body) if known is None else msgspec.convert(body, known)


def _kind_by_members(body: dict[str, Any]) -> type[StageSend | StageDelay | StageWaitEvent | Update] | None:
    kinds = {_BY_MEMBER[member] for member in body if member in _BY_MEMBER}
    return _BY_NAME[kinds.pop()] if len(kinds) == 1 else None
