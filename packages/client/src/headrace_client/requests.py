"""Typed arguments of each operation. A dict with the same names, or keyword arguments, work too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from headrace_client.errors import InvalidRequest
from headrace_client.models import Timestamp

RequestT = TypeVar("RequestT", bound=msgspec.Struct)


class Request(msgspec.Struct, forbid_unknown_fields=True):
    """Base of the request objects."""


class EmptyRequest(Request):
    """Arguments of an operation without arguments."""


class CreateWorkflowRequest(Request, omit_defaults=True):
    """A definition: each stage is an object with one key, the stage's keyword. `on_failure`: undo, or left out."""

    stages: list[dict[str, Any]]
    name: str | None = None
    on_failure: str | None = None


class GetWorkflowRequest(Request):
    flow_id: str


class DeleteWorkflowRequest(Request):
    flow_id: str


class RunWorkflowRequest(Request):
    """`request_body` holds the variables. With `wait` the response comes when the instance has ended."""

    workflow_id: str
    request_body: dict[str, str] | None = None
    wait: bool | None = None


class ListInstancesRequest(Request):
    workflow_id: str | None = None
    running: bool | None = None


class GetInstanceRequest(Request):
    instance_id: str


class SendEventRequestBody(Request):
    name: str


class SendEventRequest(Request):
    instance_id: str
    request_body: SendEventRequestBody


class CancelEventRequest(Request):
    instance_id: str


class GetInstanceHistoryRequest(Request):
    instance_id: str


class GetInstanceStageHistoryRequest(Request):
    """`number` counts stages from 0."""

    instance_id: str
    number: int


class ListTriggersRequest(Request):
    name: str | None = None


class CreateTriggerRequest(Request, omit_defaults=True):
    """A trigger: `filter` and the values of `vars` are expressions over `event`, the payload."""

    event: str
    workflow_id: str
    name: str | None = None
    filter: str | None = None
    vars: dict[str, Any] | None = None
    version: str | None = None


class ReadTriggerRequest(Request):
    trigger_id: str


class DeleteTriggerRequest(Request):
    trigger_id: str


class ListTriggersOccurrencesRequest(Request):
    trigger_id: str


# V2, where it takes more


class PageRequest(Request):
    """`cursor` is `next` or `previous` of a page, and excludes other arguments."""

    cursor: str | None = None
    page_size: int | None = None


class V2ListWorkflowsRequest(PageRequest):
    pass


class V2ListInstancesRequest(PageRequest):
    workflow_id: str | None = None
    running: bool | None = None


class SearchInstancesRequest(PageRequest):
    """`variable` is `name=value`; `since` has a time zone."""

    workflow_id: str | None = None
    status: str | None = None
    since: Timestamp | None = None
    variable: str | None = None
    error_code: str | None = None
    q: str | None = None


class ListAttentionRequest(PageRequest):
    instance_id: str | None = None


class ResolveEffectRequestBody(Request, omit_defaults=True):
    """`outcome` is booked or not_booked; `evidence` as in `models.Evidence`."""

    outcome: str
    evidence: dict[str, Any]
    reason: str


class ResolveEffectRequest(Request):
    """`number` counts stages from 0, `position` the activities of a stage."""

    instance_id: str
    number: int
    position: int
    request_body: ResolveEffectRequestBody


class ListResolutionsRequest(Request):
    instance_id: str


class DescribeInstanceRequest(Request):
    instance_id: str


class ReadFlowRequest(Request):
    instance_id: str


class RunPlanRequest(Request):
    """`request_body` has `hash`, and may have `acceptFailure` and `workflowID`."""

    plan_id: str
    request_body: dict[str, Any]


class DecidePlanRequestBody(Request):
    """`hash`: of the plan that was read; `reason`: 1 to 1,024 bytes, stored."""

    hash: str
    reason: str


class DecidePlanRequest(Request):
    plan_id: str
    request_body: DecidePlanRequestBody


class RedriveInstanceRequestBody(Request, omit_defaults=True):
    """`reason`: 1 to 1,024 bytes; it is stored. `plan_id`: of this redrive; `accept_failure`: though it would fail.

    `skip`: of a failed undo; the effect that it could not revert is kept.
    """

    reason: str
    plan_id: str | None = msgspec.field(default=None, name="planID")
    accept_failure: bool | None = msgspec.field(default=None, name="acceptFailure")
    skip: bool | None = None


class AbortInstanceRequest(Request):
    """`request_body` is `{"reason": why}`, of 1 to 1,024 bytes."""

    instance_id: str
    request_body: dict[str, Any]


class RedriveInstanceRequest(Request):
    instance_id: str
    request_body: RedriveInstanceRequestBody


class PreviewUndoRequest(Request):
    instance_id: str
    external: str | None = None


class UndoInstanceRequestBody(Request, omit_defaults=True):
    """`reason`: 1 to 1,024 bytes; `external`: keep (as without it) or reverse, for a payout that is paid.

    `plan_id`: a plan of this undo, instead of `external`; `accept_failure`: though it would fail.
    """

    reason: str
    external: str | None = None
    plan_id: str | None = msgspec.field(default=None, name="planID")
    accept_failure: bool | None = msgspec.field(default=None, name="acceptFailure")


class UndoInstanceRequest(Request):
    instance_id: str
    request_body: UndoInstanceRequestBody


class SendEventsRequest(Request):
    """`events` is one event, a list of them, or their JSON as bytes, which are sent unchanged."""

    events: dict[str, Any] | list[dict[str, Any]] | bytes


class ListEventsRequest(Request):
    repeated: bool | None = None
    conflicting: bool | None = None


class ReplayDeadLettersRequestBody(Request, omit_defaults=True):
    """`publisher` as the list of dead letters names it; `ids` of at most 100 events, None: the first 100."""

    publisher: str
    ids: list[str] | None = None


class ReplayDeadLettersRequest(Request):
    request_body: ReplayDeadLettersRequestBody


class ListAuditRequest(Request):
    """`before` is the number of an entry; `limit` is at most 1,000."""

    target: str | None = None
    principal: str | None = None
    before: int | None = None
    limit: int | None = None


class CreatePlanRequest(Request):
    """`plan`, the body: `workflowID` or `definition` and `variables`, `triggerID` and `event`, `redrive`, `undo`, or
    `instance`.
    """

    plan: dict[str, Any]


class CreateBatchRequest(Request):
    """`batch` is the body: `kind`, `reason`, and `filter` or `instances`, or `runs`; `rate`, `maxOpen`, `stopAfter`."""

    batch: dict[str, Any]


class ListBatchesRequest(PageRequest):
    pass


class GetBatchRequest(Request):
    batch_id: str


class StartBatchRequest(Request):
    """`request_body` is `{"hash": that of the batch}`."""

    batch_id: str
    request_body: dict[str, Any]


class DecideBatchRequest(Request):
    """`request_body` is `{"hash": that of the batch, "reason": why}`."""

    batch_id: str
    request_body: dict[str, Any]


class ListBatchItemsRequest(Request):
    """`after` is the number of an item; `limit` is at most 1,000."""

    batch_id: str
    state: str | None = None
    after: int | None = None
    limit: int | None = None


class NamedWorkflowRequest(Request):
    name: str


class ListNamesRequest(PageRequest):
    pass


class PutWorkflowRequest(Request):
    """`request_body` is `{"definition", "ifVersion"?, "set"?}`."""

    name: str
    request_body: dict[str, Any]


class RunNamedWorkflowRequest(Request):
    """`request_body` are the variables."""

    name: str
    request_body: dict[str, str] | None = None


class PutTriggerRequest(Request):
    """`request_body` has `event`, `workflow` (a name) or `workflowID`, and perhaps `filter`, `version`, `vars`,
    `ifRevision`, `set`.
    """

    name: str
    request_body: dict[str, Any]


class ApplyRequest(Request):
    """`documents` is the body: `workflows` and `triggers` by name, `set`, `prune`, `dryRun`."""

    documents: dict[str, Any]


class CreateCertificateRequest(Request):
    """`certificate` is the body: `{"instance": id}`, or `{"from": time, "to": time, "full"?: bool}`."""

    certificate: dict[str, Any]


class GetCertificateRequest(Request):
    certificate_id: str


class ListPlansRequest(PageRequest):
    state: str | None = None


class GetPlanRequest(Request):
    plan_id: str


class V2ListTriggersRequest(PageRequest):
    name: str | None = None


class V2ListTriggersOccurrencesRequest(PageRequest, kw_only=True):
    trigger_id: str


class V2TestTriggerRequest(Request):
    """`request_body` is the payload of an event."""

    trigger_id: str
    request_body: dict[str, Any]


def chosen_request(kind: type[RequestT], request: object, arguments: Mapping[str, object]) -> RequestT:
    """Return the request given as object, as dict, or as keyword arguments (None means absent)."""
    given = {name: value for name, value in arguments.items() if value is not None}
    if request is None:
        return _converted(kind, given)
    if given:
        raise InvalidRequest(f"give either request= or {', '.join(given)}, not both")
    return _converted(kind, request)


def _converted(kind: type[RequestT], value: object) -> RequestT:
    try:
        plain = msgspec.to_builtins(value, builtin_types=(bytes,))
        present = {name: member for name, member in plain.items() if member is not None}
        return msgspec.convert(present, kind, builtin_types=(bytes,))
    except (msgspec.ValidationError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidRequest(f"{kind.__name__}: {error}") from error
