"""The body of each stage as history shows it. Written by `make schema`: do not edit it."""

from __future__ import annotations

from headrace_client.models import Model, Timestamp

__all__ = [
    "Monetary",
    "StageApprove",
    "StageDelay",
    "StageSend",
    "StageSendAccount",
    "StageSendDestination",
    "StageSendDestinationPayment",
    "StageSendSource",
    "StageSendSourcePayment",
    "StageSendWallet",
    "StageWaitEvent",
    "Update",
    "UpdateAccount",
]


class StageSendAccount(Model):
    """An account of a ledger."""

    id: str
    ledger: str | None = None
    through_account: str | None = None
    allow_overdraft: bool | None = None


class StageSendWallet(Model):
    """A wallet, by its `id` or by its `name`."""

    id: str = ""
    name: str | None = None
    balance: str | None = None


class StageSendSourcePayment(Model):
    """A payment that came in. It is booked whole, once per ledger, on its holding account; then the amount leaves
    it.
    """

    id: str
    ledger: str | None = None
    holding_account: str | None = None
    through_account: str | None = None
    allow_overdraft: bool | None = None


class StageSendSource(Model):
    """Where the money comes from: exactly one of `account`, `wallet`, `payment`."""

    account: StageSendAccount | None = None
    wallet: StageSendWallet | None = None
    payment: StageSendSourcePayment | None = None


class StageSendDestinationPayment(Model):
    """A payment to make through a provider. The stage succeeds when the payments service has accepted it."""

    psp: str
    type: str | None = None
    source_account: str | None = None
    metadata: str | None = None
    connector_id: str | None = None
    waiting_validation: bool | None = None


class StageSendDestination(Model):
    """Where the money goes: exactly one of `account`, `wallet`, `payment` (not from a payment to a payment)."""

    account: StageSendAccount | None = None
    wallet: StageSendWallet | None = None
    payment: StageSendDestinationPayment | None = None


class Monetary(Model):
    """How much of which asset."""

    asset: str
    amount: int


class StageSend(Model):
    """Move an amount from an account, wallet or payment to an account, wallet or payment, on one ledger or across
    ledgers. Each movement is booked once, whatever dies or fails to answer in between.
    """

    source: StageSendSource | None = None
    destination: StageSendDestination | None = None
    amount: Monetary | None = None
    metadata: dict[str, str] | None = None
    timestamp: Timestamp | None = None


class StageDelay(Model):
    """Go on after a `duration`, or at a moment (`until`): exactly one of them. It never ends early, and a restart
    does not begin it anew.
    """

    duration: str | None = None
    until: Timestamp | None = None


class StageWaitEvent(Model):
    """Go on when the instance is sent an event of this name. One that came before is kept and used; each is used
    once.
    """

    event: str
    timeout: str | None = None
    on_timeout: str | None = None


class UpdateAccount(Model):
    """The account, and what to add to it."""

    id: str
    ledger: str
    metadata: dict[str, str]


class Update(Model):
    """Add metadata to a ledger account. It is merged into what the account has."""

    account: UpdateAccount | None = None


class StageApprove(Model):
    """Go on when persons have approved what the run would do from here on, and do exactly that. Headrace only:
    other servers of the Orchestration API do not know it.
    """

    title: str | None = None
    approvals: int | None = None
    timeout: str | None = None


KnownStage = StageSend | StageDelay | StageWaitEvent | Update | StageApprove

BY_KEYWORD: dict[str, type[KnownStage]] = {
    "send": StageSend,
    "delay": StageDelay,
    "wait_event": StageWaitEvent,
    "update": Update,
    "approve": StageApprove,
}

BY_MEMBER: dict[str, str] = {
    "source": "send",
    "destination": "send",
    "amount": "send",
    "duration": "delay",
    "until": "delay",
    "event": "wait_event",
    "account": "update",
}
"""Members that only one stage needs, for servers that name stages in their own way."""
