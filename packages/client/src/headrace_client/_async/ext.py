"""Headrace's own operations below `/ext`: events, the audit trail, the search for instances."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar, Unpack

from headrace_client import ext_operations as operations
from headrace_client import requests
from headrace_client._async.batches import AsyncBatches
from headrace_client._async.names import AsyncNames
from headrace_client._async.paging import AsyncPages
from headrace_client.calls import JsonObject, audit_page
from headrace_client.dead_letters import DeadLetter, Replay
from headrace_client.flows import Flow
from headrace_client.models import (
    Attention,
    AuditEntry,
    Certificate,
    CertificateKeys,
    Continuation,
    DecidedPlan,
    Event,
    InstanceDescription,
    InstanceSummary,
    Plan,
    PlanSummary,
    ReceivedEvent,
    Resolution,
    Result,
    SentEvents,
    Undoing,
    UndoPreview,
    WorkflowInstance,
)
from headrace_client.options import CallOptions, WriteOptions
from headrace_client.paging import Cursor

T = TypeVar("T")

AUDIT_PAGE = 100


class AsyncExt(AsyncBatches, AsyncNames):
    """`client.orchestration.ext` of `AsyncClient`."""

    async def send_events(
        self,
        *,
        events: Event | JsonObject | Sequence[Event | JsonObject] | bytes | None = None,
        request: requests.SendEventsRequest | JsonObject | None = None,
        **options: Unpack[WriteOptions],
    ) -> Result[SentEvents]:
        """Send one event or several to the triggers; all are on disk when the method returns.

        An event with an `idempotency_key` or an `id`, or sent under the same `idempotency_key=`, starts a workflow
        once, however often it is sent. Bytes must be JSON, and are sent unchanged.
        """
        return await self._call(operations.SEND_EVENTS, request, {"events": events}, options)

    async def list_events(
        self,
        *,
        repeated: bool | None = None,
        conflicting: bool | None = None,
        request: requests.ListEventsRequest | JsonObject | None = None,
        **options: Unpack[CallOptions],
    ) -> Result[list[ReceivedEvent]]:
        """List the latest 1,000 received events, newest first; optionally only repeated or conflicting ones."""
        arguments = {"repeated": repeated, "conflicting": conflicting}
        return await self._call(operations.LIST_EVENTS, request, arguments, options)

    async def list_dead_letters(self, **options: Unpack[CallOptions]) -> Result[list[DeadLetter]]:
        """List the latest 100 dead letters, newest first: published events that a publisher rejected repeatedly."""
        return await self._call(operations.LIST_DEAD_LETTERS, None, {}, options)

    async def replay_dead_letters(
        self,
        *,
        request_body: requests.ReplayDeadLettersRequestBody | JsonObject | None = None,
        request: requests.ReplayDeadLettersRequest | JsonObject | None = None,
        **options: Unpack[WriteOptions],
    ) -> Result[Replay]:
        """Publish dead letters of a publisher again, once their cause is removed, in the order of their events.

        `request_body` has its name, and the `ids` of events; without them the first 100 are tried.

        An event that is accepted is a dead letter no more; one that is rejected stays.
        """
        return await self._call(operations.REPLAY_DEAD_LETTERS, request, {"request_body": request_body}, options)

    async def list_audit(
        self,
        *,
        target: str | None = None,
        principal: str | None = None,
        before: int | None = None,
        limit: int | None = None,
        request: requests.ListAuditRequest | JsonObject | None = None,
        **options: Unpack[CallOptions],
    ) -> Result[list[AuditEntry]]:
        """List the latest writes: to the object with the id `target`, by `principal`, or with a number below `before`.

        `limit` is 100 by default, and at most 1,000.
        """
        arguments = {"target": target, "principal": principal, "before": before, "limit": limit}
        return await self._call(operations.LIST_AUDIT, request, arguments, options)

    def iterate_audit(
        self,
        *,
        target: str | None = None,
        principal: str | None = None,
        page_size: int | None = None,
        **options: Unpack[CallOptions],
    ) -> AsyncPages[AuditEntry]:
        """Iterate over all writes, newest first, in pages of `page_size`, at most 1,000."""
        limit = AUDIT_PAGE if page_size is None else page_size
        arguments: dict[str, object] = {"target": target, "principal": principal, "limit": limit}

        async def ask(cursor: str | None) -> Result[Cursor[AuditEntry]]:
            given = arguments if cursor is None else {**arguments, "before": int(cursor)}
            return audit_page(await self._call(operations.LIST_AUDIT, None, given, options), limit)

        return AsyncPages(ask)

    async def search_instances(
        self,
        *,
        workflow_id: str | None = None,
        status: str | None = None,
        since: datetime | None = None,
        variable: str | None = None,
        error_code: str | None = None,
        q: str | None = None,
        page_size: int | None = None,
        cursor: str | None = None,
        request: requests.SearchInstancesRequest | JsonObject | None = None,
        **options: Unpack[CallOptions],
    ) -> Result[Cursor[InstanceSummary]]:
        """Search by status, workflow, time, error code or `variable` (`name=value`). Returns one page, newest first.

        `q`: an id, `name=value`, an account, a payment, a booking or an amount such as `> 1000 EUR`.
        """
        arguments = _arguments(workflow_id, status, since, variable, error_code, q, page_size)
        return await self._call(operations.SEARCH_INSTANCES, request, {**arguments, "cursor": cursor}, options)

    def iterate_instances(
        self,
        *,
        workflow_id: str | None = None,
        status: str | None = None,
        since: datetime | None = None,
        variable: str | None = None,
        error_code: str | None = None,
        q: str | None = None,
        page_size: int | None = None,
        **options: Unpack[CallOptions],
    ) -> AsyncPages[InstanceSummary]:
        """Search as `search_instances` does; iterate over all, newest first, in pages of `page_size`."""
        arguments = _arguments(workflow_id, status, since, variable, error_code, q, page_size)

        async def ask(cursor: str | None) -> Result[Cursor[InstanceSummary]]:
            return await self._call(
                operations.SEARCH_INSTANCES, None, arguments if cursor is None else {"cursor": cursor}, options
            )

        return AsyncPages(ask)

    async def list_attention(
        self,
        *,
        instance_id: str | None = None,
        page_size: int | None = None,
        cursor: str | None = None,
        request: requests.ListAttentionRequest | JsonObject | None = None,
        **options: Unpack[CallOptions],
    ) -> Result[Cursor[Attention]]:
        """List open effects that need attention, of one instance or of all. Returns one page, newest instance first."""
        arguments = {"instance_id": instance_id, "page_size": page_size, "cursor": cursor}
        return await self._call(operations.LIST_ATTENTION, request, arguments, options)

    def iterate_attention(
        self, *, instance_id: str | None = None, page_size: int | None = None, **options: Unpack[CallOptions]
    ) -> AsyncPages[Attention]:
        """Iterate over all open effects that need attention, in pages of `page_size`."""
        arguments = {"instance_id": instance_id, "page_size": page_size}

        async def ask(cursor: str | None) -> Result[Cursor[Attention]]:
            return await self._call(
                operations.LIST_ATTENTION, None, arguments if cursor is None else {"cursor": cursor}, options
            )

        return AsyncPages(ask)

    async def resolve_effect(
        self,
        *,
        instance_id: str | None = None,
        number: int | None = None,
        position: int | None = None,
        request_body: requests.ResolveEffectRequestBody | JsonObject | None = None,
        request: requests.ResolveEffectRequest | JsonObject | None = None,
        **options: Unpack[WriteOptions],
    ) -> Result[Resolution]:
        """Decide whether an effect that needs attention was booked. Requires the scope `orchestration:approve`.

        `number` is that of the stage, `position` that of the activity in it. `request_body` has `outcome` (booked or
        not_booked), `evidence` (`{"ledger", "transactionID"}`, `{"initiationID"}` or `{"text"}`) and `reason`.
        """
        arguments = {
            "instance_id": instance_id,
            "number": number,
            "position": position,
            "request_body": request_body,
        }
        return await self._call(operations.RESOLVE_EFFECT, request, arguments, options)

    async def list_resolutions(
        self,
        *,
        instance_id: str | None = None,
        request: requests.ListResolutionsRequest | JsonObject | None = None,
        **options: Unpack[CallOptions],
    ) -> Result[list[Resolution]]:
        """List what persons decided about effects of an instance."""
        return await self._call(operations.LIST_RESOLUTIONS, request, {"instance_id": instance_id}, options)

    async def describe_instance(
        self,
        *,
        instance_id: str | None = None,
        request: requests.DescribeInstanceRequest | JsonObject | None = None,
        **options: Unpack[CallOptions],
    ) -> Result[InstanceDescription]:
        """Read of which kind an instance is, to which case and plan it belongs, and why it failed."""
        return await self._call(operations.DESCRIBE_INSTANCE, request, {"instance_id": instance_id}, options)

    async def read_flow(
        self,
        *,
        instance_id: str | None = None,
        request: requests.ReadFlowRequest | JsonObject | None = None,
        **options: Unpack[CallOptions],
    ) -> Result[Flow]:
        """Read what the case of an instance has moved, moves and will move: who pays whom, and where that stands."""
        return await self._call(operations.READ_FLOW, request, {"instance_id": instance_id}, options)

    async def abort_instance(
        self,
        *,
        instance_id: str | None = None,
        request_body: JsonObject | None = None,
        request: requests.AbortInstanceRequest | JsonObject | None = None,
        **options: Unpack[WriteOptions],
    ) -> Result[None]:
        """Abort an instance, and store why: `request_body` has the `reason`. Final, as `cancel_event` of V1."""
        arguments = {"instance_id": instance_id, "request_body": request_body}
        return await self._call(operations.ABORT_INSTANCE, request, arguments, options)

    async def redrive_instance(
        self,
        *,
        instance_id: str | None = None,
        request_body: requests.RedriveInstanceRequestBody | JsonObject | None = None,
        request: requests.RedriveInstanceRequest | JsonObject | None = None,
        **options: Unpack[WriteOptions],
    ) -> Result[Continuation]:
        """Continue an instance that has failed; `request_body` has the `reason`. What is done is not sent again.

        `create_plan(plan={"redrive": ...})` shows what it would send. With the `planID` of such a plan the new instance
        has no effect but those of the plan; `acceptFailure` continues it by a plan that would fail.
        """
        arguments = {"instance_id": instance_id, "request_body": request_body}
        return await self._call(operations.REDRIVE_INSTANCE, request, arguments, options)

    async def preview_undo(
        self,
        *,
        instance_id: str | None = None,
        external: str | None = None,
        request: requests.PreviewUndoRequest | JsonObject | None = None,
        **options: Unpack[CallOptions],
    ) -> Result[UndoPreview]:
        """Read what an undo would revert and keep. `external` (keep or reverse): what to do with a paid payout."""
        arguments = {"instance_id": instance_id, "external": external}
        return await self._call(operations.PREVIEW_UNDO, request, arguments, options)

    async def undo_instance(
        self,
        *,
        instance_id: str | None = None,
        request_body: requests.UndoInstanceRequestBody | JsonObject | None = None,
        request: requests.UndoInstanceRequest | JsonObject | None = None,
        **options: Unpack[WriteOptions],
    ) -> Result[Undoing]:
        """Undo the case of an instance that has ended; `request_body` has the `reason`, and `external` if not keep.

        With the `planID` of `create_plan(plan={"undo": ...})` it has no effect but those of the plan.
        """
        arguments = {"instance_id": instance_id, "request_body": request_body}
        return await self._call(operations.UNDO_INSTANCE, request, arguments, options)

    async def create_plan(
        self,
        *,
        plan: JsonObject | None = None,
        request: requests.CreatePlanRequest | JsonObject | None = None,
        **options: Unpack[WriteOptions],
    ) -> Result[Plan]:
        """Plan a run: `plan` holds `workflowID` or `definition` and `variables`, `triggerID` and `event`, or `redrive`,
        or `undo` and `external`.

        With `instance` it is of the rest of a run that waits for approvals. Nothing is booked. A run that would fail
        has a plan too: `verdict` and `fails` say so.
        """
        return await self._call(operations.CREATE_PLAN, request, {"plan": plan}, options)

    async def run_plan(
        self,
        *,
        plan_id: str | None = None,
        request_body: JsonObject | None = None,
        request: requests.RunPlanRequest | JsonObject | None = None,
        **options: Unpack[WriteOptions],
    ) -> Result[WorkflowInstance]:
        """Start the one instance of a plan, which has no effect but those of the plan.

        `request_body` has the `hash` that was signed; `acceptFailure` runs a plan that would fail; `workflowID` belongs
        to a plan of a definition.
        """
        arguments = {"plan_id": plan_id, "request_body": request_body}
        return await self._call(operations.RUN_PLAN, request, arguments, options)

    async def approve_plan(
        self,
        *,
        plan_id: str | None = None,
        request_body: requests.DecidePlanRequestBody | JsonObject | None = None,
        request: requests.DecidePlanRequest | JsonObject | None = None,
        **options: Unpack[WriteOptions],
    ) -> Result[DecidedPlan]:
        """Approve exactly this plan; `request_body` has its `hash` and the `reason`.

        The last approval of the rest of an instance lets it go on. Needs the scope `orchestration:approve`.
        """
        arguments = {"plan_id": plan_id, "request_body": request_body}
        return await self._call(operations.APPROVE_PLAN, request, arguments, options)

    async def reject_plan(
        self,
        *,
        plan_id: str | None = None,
        request_body: requests.DecidePlanRequestBody | JsonObject | None = None,
        request: requests.DecidePlanRequest | JsonObject | None = None,
        **options: Unpack[WriteOptions],
    ) -> Result[DecidedPlan]:
        """Reject a plan for good; `request_body` has its `hash` and the `reason`. An instance that waits ends."""
        arguments = {"plan_id": plan_id, "request_body": request_body}
        return await self._call(operations.REJECT_PLAN, request, arguments, options)

    async def get_plan(
        self,
        *,
        plan_id: str | None = None,
        request: requests.GetPlanRequest | JsonObject | None = None,
        **options: Unpack[CallOptions],
    ) -> Result[Plan]:
        """Read a plan with its effects."""
        return await self._call(operations.GET_PLAN, request, {"plan_id": plan_id}, options)

    async def list_plans(
        self,
        *,
        state: str | None = None,
        page_size: int | None = None,
        cursor: str | None = None,
        request: requests.ListPlansRequest | JsonObject | None = None,
        **options: Unpack[CallOptions],
    ) -> Result[Cursor[PlanSummary]]:
        """List plans, newest first; optionally only those in a state. Returns one page, without effects."""
        arguments = {"state": state, "page_size": page_size, "cursor": cursor}
        return await self._call(operations.LIST_PLANS, request, arguments, options)

    async def create_certificate(
        self,
        *,
        instance_id: str | None = None,
        request: requests.CreateCertificateRequest | JsonObject | None = None,
        **options: Unpack[WriteOptions],
    ) -> Result[Certificate]:
        """Check the case of an instance, which has ended, against the books, and sign what they show.

        Refused with 409: the `reason` of the error's details says which check does not hold.
        """
        arguments = {"certificate": None if instance_id is None else {"instance": instance_id}}
        return await self._call(operations.CREATE_CERTIFICATE, request, arguments, options)

    async def create_period_certificate(
        self,
        *,
        from_: datetime | None = None,
        to: datetime | None = None,
        full: bool = False,
        request: requests.CreateCertificateRequest | JsonObject | None = None,
        **options: Unpack[WriteOptions],
    ) -> Result[Certificate]:
        """Check each case that ended from a moment to before another one, and sign their lines, sums and exceptions.

        `full`: every transaction of the ledgers in this time whose reference is Headrace's must be an effect, too.
        Refused with 409: the error's details have the `reason`, and the `case` that has it.
        """
        period = {} if from_ is None or to is None else {"from": from_.isoformat(), "to": to.isoformat(), "full": full}
        arguments = {"certificate": period or None}
        return await self._call(operations.CREATE_CERTIFICATE, request, arguments, options)

    async def get_certificate(
        self,
        *,
        certificate_id: str | None = None,
        request: requests.GetCertificateRequest | JsonObject | None = None,
        **options: Unpack[CallOptions],
    ) -> Result[Certificate]:
        """Read a certificate."""
        return await self._call(operations.GET_CERTIFICATE, request, {"certificate_id": certificate_id}, options)

    async def get_certificate_keys(self, **options: Unpack[CallOptions]) -> Result[CertificateKeys]:
        """Read the public keys of certificates, to be pinned once and used offline."""
        return await self._call(operations.GET_CERTIFICATE_KEYS, None, {}, options)


def _arguments(
    workflow_id: str | None,
    status: str | None,
    since: datetime | None,
    variable: str | None,
    error_code: str | None,
    q: str | None,
    page_size: int | None,
) -> dict[str, object]:
    return {
        "workflow_id": workflow_id,
        "status": status,
        "since": since,
        "variable": variable,
        "error_code": error_code,
        "q": q,
        "page_size": page_size,
    }
