"""V2: the operations common to both versions, paged lists, and the test of a trigger.

`list_...` requests one page; a `cursor`, the `next` or `previous` of another page, excludes other arguments.
`iterate_...` yields all rows, and requests each page when it needs its first row.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, Unpack

from headrace_client import requests
from headrace_client import v2_operations as operations
from headrace_client._async.base import AsyncBase
from headrace_client._async.paging import AsyncPages
from headrace_client.calls import JsonObject
from headrace_client.history import V2WorkflowInstanceHistoryStage
from headrace_client.models import Result, Trigger, TriggerOccurrence, TriggerTest, Workflow, WorkflowInstance
from headrace_client.operations import Operation
from headrace_client.options import CallOptions, WriteOptions
from headrace_client.paging import Cursor

T = TypeVar("T")


class AsyncV2(AsyncBase):
    """`client.orchestration.v2` of `AsyncClient`."""

    _prefix = operations.PREFIX

    async def list_workflows(
        self,
        *,
        page_size: int | None = None,
        cursor: str | None = None,
        request: requests.V2ListWorkflowsRequest | JsonObject | None = None,
        **options: Unpack[CallOptions],
    ) -> Result[Cursor[Workflow]]:
        """List workflows that are not deleted: one page, newest first."""
        arguments = {"page_size": page_size, "cursor": cursor}
        return await self._call(operations.LIST_WORKFLOWS, request, arguments, options)

    def iterate_workflows(
        self,
        *,
        page_size: int | None = None,
        **options: Unpack[CallOptions],
    ) -> AsyncPages[Workflow]:
        """Iterate over workflows that are not deleted, newest first, in pages of `page_size`."""
        arguments: dict[str, object] = {"page_size": page_size}
        return self._iterate(operations.LIST_WORKFLOWS, arguments, {}, options)

    async def list_instances(
        self,
        *,
        workflow_id: str | None = None,
        running: bool | None = None,
        page_size: int | None = None,
        cursor: str | None = None,
        request: requests.V2ListInstancesRequest | JsonObject | None = None,
        **options: Unpack[CallOptions],
    ) -> Result[Cursor[WorkflowInstance]]:
        """List instances: one page, newest first; optionally of one workflow, or only running ones."""
        arguments = {"workflow_id": workflow_id, "running": running, "page_size": page_size, "cursor": cursor}
        return await self._call(operations.LIST_INSTANCES, request, arguments, options)

    def iterate_instances(
        self,
        *,
        workflow_id: str | None = None,
        running: bool | None = None,
        page_size: int | None = None,
        **options: Unpack[CallOptions],
    ) -> AsyncPages[WorkflowInstance]:
        """Iterate over instances, newest first, in pages of `page_size`; filters as in `list_instances`."""
        arguments: dict[str, object] = {"workflow_id": workflow_id, "running": running, "page_size": page_size}
        return self._iterate(operations.LIST_INSTANCES, arguments, {}, options)

    async def list_triggers(
        self,
        *,
        name: str | None = None,
        page_size: int | None = None,
        cursor: str | None = None,
        request: requests.V2ListTriggersRequest | JsonObject | None = None,
        **options: Unpack[CallOptions],
    ) -> Result[Cursor[Trigger]]:
        """List triggers: one page, newest first; optionally those whose name contains `name`."""
        arguments = {"name": name, "page_size": page_size, "cursor": cursor}
        return await self._call(operations.LIST_TRIGGERS, request, arguments, options)

    def iterate_triggers(
        self,
        *,
        name: str | None = None,
        page_size: int | None = None,
        **options: Unpack[CallOptions],
    ) -> AsyncPages[Trigger]:
        """Iterate over triggers, newest first, in pages of `page_size`; filter as in `list_triggers`."""
        arguments: dict[str, object] = {"name": name, "page_size": page_size}
        return self._iterate(operations.LIST_TRIGGERS, arguments, {}, options)

    async def list_triggers_occurrences(
        self,
        *,
        trigger_id: str | None = None,
        page_size: int | None = None,
        cursor: str | None = None,
        request: requests.V2ListTriggersOccurrencesRequest | JsonObject | None = None,
        **options: Unpack[CallOptions],
    ) -> Result[Cursor[TriggerOccurrence]]:
        """List the occurrences of a trigger: one page, newest first."""
        arguments = {"trigger_id": trigger_id, "page_size": page_size, "cursor": cursor}
        return await self._call(operations.LIST_TRIGGERS_OCCURRENCES, request, arguments, options)

    def iterate_triggers_occurrences(
        self,
        *,
        trigger_id: str,
        page_size: int | None = None,
        **options: Unpack[CallOptions],
    ) -> AsyncPages[TriggerOccurrence]:
        """Iterate over the occurrences of a trigger, newest first, in pages of `page_size`."""
        arguments: dict[str, object] = {"trigger_id": trigger_id, "page_size": page_size}
        return self._iterate(operations.LIST_TRIGGERS_OCCURRENCES, arguments, {"trigger_id": trigger_id}, options)

    async def get_instance_stage_history(
        self,
        *,
        instance_id: str | None = None,
        number: int | None = None,
        request: requests.GetInstanceStageHistoryRequest | JsonObject | None = None,
        **options: Unpack[CallOptions],
    ) -> Result[list[V2WorkflowInstanceHistoryStage]]:
        """List the activities of stage `number`, counted from 0."""
        arguments = {"instance_id": instance_id, "number": number}
        return await self._call(operations.GET_INSTANCE_STAGE_HISTORY, request, arguments, options)

    async def test_trigger(
        self,
        *,
        trigger_id: str | None = None,
        request_body: Mapping[str, Any] | None = None,
        request: requests.V2TestTriggerRequest | JsonObject | None = None,
        **options: Unpack[WriteOptions],
    ) -> Result[TriggerTest]:
        """Evaluate a trigger's filter and variables for the payload of an event. Starts and stores nothing."""
        arguments = {"trigger_id": trigger_id, "request_body": request_body}
        return await self._call(operations.TEST_TRIGGER, request, arguments, options)

    def _iterate(
        self,
        operation: Operation[Cursor[T]],
        arguments: Mapping[str, object],
        kept: Mapping[str, object],
        options: CallOptions,
    ) -> AsyncPages[T]:
        """Iterate over an operation's pages. `kept` are the path arguments, which accompany a cursor too."""

        async def ask(cursor: str | None) -> Result[Cursor[T]]:
            given = arguments if cursor is None else {**kept, "cursor": cursor}
            return await self._call(operation, None, given, options)

        return AsyncPages(ask)
