"""The stages of a workflow, as `/openapi.json` and `/docs` describe them.

Only described here: `workflows` checks them, all problems at once. A test holds the two together.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

HOLD_EXACTLY_ONE = ("Stage", "SendSource", "SendDestination", "Delay")
"""Shapes of which one member is given."""

Metadata = Annotated[dict[str, str], Meta(description="Texts by key.")]
Through = Annotated[str, Meta(description="Account in between, `world` if not given.")]
Overdraft = Annotated[bool | str, Meta(description="Let the paying account of this side go below zero.")]
Ledger = Annotated[str, Meta(description="Name of the ledger.", examples=["main"])]
Moment = Annotated[str, Meta(description="RFC 3339 time, with an offset or Z.", examples=["2030-01-01T00:00:00Z"])]


class _Body(msgspec.Struct, rename="camel", forbid_unknown_fields=True, omit_defaults=True):
    """Every text may hold `${name}` placeholders."""


class Monetary(_Body, kw_only=True):
    """An exact amount of an asset."""

    asset: Annotated[str, Meta(description="Asset and its precision.", examples=["USD/2"])]
    amount: Annotated[int | str, Meta(description="In the asset's smallest unit; as text it may be a placeholder.")]


class SendAccount(_Body, kw_only=True):
    """A ledger account."""

    id: Annotated[str, Meta(description="Its address.", examples=["users:${userID}"])]
    ledger: Ledger | UnsetType = UNSET
    through_account: Through | UnsetType = UNSET
    allow_overdraft: Overdraft | UnsetType = UNSET


class SendWallet(_Body, kw_only=True):
    """A wallet, by its id or by its name."""

    id: Annotated[str, Meta(description="Its id.")] | UnsetType = UNSET
    name: Annotated[str, Meta(description="Its name, which must fit one wallet only.")] | UnsetType = UNSET
    balance: Annotated[str, Meta(description="One of its balances, `main` if not given.")] | UnsetType = UNSET


class SendPaymentSource(_Body, kw_only=True):
    """A payment that came in."""

    id: Annotated[str, Meta(description="The payment's id.")]
    ledger: Annotated[str, Meta(description="Ledger it is booked on first.")] | UnsetType = UNSET
    holding_account: Annotated[str, Meta(description="`payment:{id}` if not given.")] | UnsetType = UNSET
    through_account: Through | UnsetType = UNSET
    allow_overdraft: Overdraft | UnsetType = UNSET


class SendPaymentDestination(_Body, kw_only=True):
    """A transfer or payout at a payment provider. The stage ends when the payments service has accepted it."""

    psp: Annotated[str, Meta(description="The provider.", examples=["stripe"])]
    type: Annotated[str, Meta(description="TRANSFER (if not given) or PAYOUT.")] | UnsetType = UNSET
    source_account: Annotated[str, Meta(description="The paying account, as payments knows it.")] | UnsetType = UNSET
    metadata: (
        Annotated[str, Meta(description="Key of the source's metadata that holds the receiving account's id.")]
        | UnsetType
    ) = UNSET
    connector_id: Annotated[str, Meta(description="One of several connectors of a provider.")] | UnsetType = (
        msgspec.field(default=UNSET, name="connectorID")
    )
    waiting_validation: Annotated[bool | str, Meta(description="Leave it for a person to validate.")] | UnsetType = (
        UNSET
    )


class SendSource(_Body):
    """Where money comes from: exactly one of these."""

    account: SendAccount | UnsetType = UNSET
    wallet: SendWallet | UnsetType = UNSET
    payment: SendPaymentSource | UnsetType = UNSET


class SendDestination(_Body):
    """Where money goes: exactly one of these. A payment cannot be sent to a payment."""

    account: SendAccount | UnsetType = UNSET
    wallet: SendWallet | UnsetType = UNSET
    payment: SendPaymentDestination | UnsetType = UNSET


class Send(_Body, kw_only=True):
    """Move money."""

    source: SendSource
    destination: SendDestination
    amount: Monetary
    metadata: Metadata | UnsetType = UNSET
    timestamp: Annotated[str, Meta(description="RFC 3339; when the transactions take effect.")] | UnsetType = UNSET


class Delay(_Body):
    """Wait: exactly one of these. It survives restarts and never ends early."""

    duration: (
        Annotated[str, Meta(description="Units ns us ms s m h d w.", examples=["1h30m", "500ms", "7d"])] | UnsetType
    ) = UNSET
    until: Moment | UnsetType = UNSET


class WaitEvent(_Body, kw_only=True):
    """Wait for an event that is sent to the instance, now or earlier."""

    event: Annotated[str, Meta(description="Its name, compared exactly.", examples=["approved"])]


class UpdateAccount(_Body, kw_only=True):
    """A ledger account and what to add to its metadata."""

    id: Annotated[str, Meta(description="Its address.")]
    ledger: Ledger
    metadata: Metadata


class Update(_Body, kw_only=True):
    """Add metadata to a ledger account."""

    account: UpdateAccount


class Stage(_Body, rename=None):
    """One step: exactly one of these."""

    send: Send | UnsetType = UNSET
    delay: Delay | UnsetType = UNSET
    wait_event: WaitEvent | UnsetType = UNSET
    update: Update | UnsetType = UNSET


def sharpen(components: dict[str, Any]) -> None:
    """Say in the schemas what types cannot: that stages are stages, and how many members there are."""
    components["WorkflowConfig"]["properties"]["stages"]["items"] = {"$ref": "#/components/schemas/Stage"}
    for name in HOLD_EXACTLY_ONE:
        components[name].update({"minProperties": 1, "maxProperties": 1})
    components["SendWallet"]["minProperties"] = 1
