"""Schemas of requests and responses of V2, where they differ from those of V1."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from headrace.api.cursors import MAX_PAGE
from headrace.api.v1 import schemas as v1


class _Shape(msgspec.Struct, rename="camel", omit_defaults=True):
    """Members without a value are left out, never null."""


EventPayload = Annotated[dict[str, Any], Meta(description="The payload of an event.", examples=[{"type": "PAY-IN"}])]


class FilterTrial(_Shape, kw_only=True):
    match: bool | UnsetType = UNSET
    error: Annotated[str, Meta(description="The reason why the filter has no result.")] | UnsetType = UNSET


class VariableTrial(_Shape, kw_only=True):
    value: str | UnsetType = UNSET
    error: Annotated[str, Meta(description="The reason why the variable has no value.")] | UnsetType = UNSET


class TriggerTest(_Shape, kw_only=True):
    filter: FilterTrial
    variables: dict[str, VariableTrial]


class TriggerTestResponse(_Shape, kw_only=True):
    data: TriggerTest


# pages


class Page(_Shape, kw_only=True):
    page_size: Annotated[int, Meta(ge=1, le=MAX_PAGE, description="Rows on a page.", examples=[15])]
    has_more: Annotated[bool, Meta(description="True if older rows follow.")]
    next: Annotated[str, Meta(description="Cursor of the older rows after this page.")] | UnsetType = UNSET
    previous: Annotated[str, Meta(description="Cursor of the newer rows before this page.")] | UnsetType = UNSET


class WorkflowPage(Page, kw_only=True):
    data: list[v1.Workflow]


class InstancePage(Page, kw_only=True):
    data: list[v1.Instance]


class TriggerPage(Page, kw_only=True):
    data: list[v1.Trigger]


class OccurrencePage(Page, kw_only=True):
    data: list[v1.Occurrence]


class WorkflowPageResponse(_Shape, kw_only=True):
    cursor: WorkflowPage


class InstancePageResponse(_Shape, kw_only=True):
    cursor: InstancePage


class TriggerPageResponse(_Shape, kw_only=True):
    cursor: TriggerPage


class OccurrencePageResponse(_Shape, kw_only=True):
    cursor: OccurrencePage


# histories


class Transaction(_Shape, kw_only=True):
    """A booked transaction, each member as it is stored."""

    txid: Raw
    postings: Raw
    timestamp: Raw
    metadata: Raw
    reference: Raw | UnsetType = UNSET


class TransactionOutput(_Shape, kw_only=True):
    data: list[Transaction]
