"""V1: the operations common to both versions, and V1's lists, which are always complete."""

from __future__ import annotations

from typing import Unpack

from headrace_client import operations, requests
from headrace_client._async.base import AsyncBase
from headrace_client.calls import JsonObject
from headrace_client.history import WorkflowInstanceHistoryStage
from headrace_client.models import Result, ServerInfo, Trigger, TriggerOccurrence, Workflow, WorkflowInstance
from headrace_client.options import CallOptions


class AsyncV1(AsyncBase):
    """`client.orchestration.v1` of `AsyncClient`."""

    async def get_server_info_orchestration(self, **options: Unpack[CallOptions]) -> Result[ServerInfo]:
        """Return the same as `get_server_info`, under the name in other clients."""
        return await self.get_server_info(**options)

    async def orchestrationget_server_info(self, **options: Unpack[CallOptions]) -> Result[ServerInfo]:
        """Return the same as `get_server_info`, under the name in older clients."""
        return await self.get_server_info(**options)

    async def list_workflows(self, **options: Unpack[CallOptions]) -> Result[list[Workflow]]:
        """List all workflows, newest first."""
        return await self._call(operations.LIST_WORKFLOWS, None, {}, options)

    async def list_instances(
        self,
        *,
        workflow_id: str | None = None,
        running: bool | None = None,
        request: requests.ListInstancesRequest | JsonObject | None = None,
        **options: Unpack[CallOptions],
    ) -> Result[list[WorkflowInstance]]:
        """List instances, newest first; optionally of one workflow, or only running ones."""
        arguments = {"workflow_id": workflow_id, "running": running}
        return await self._call(operations.LIST_INSTANCES, request, arguments, options)

    async def get_instance_stage_history(
        self,
        *,
        instance_id: str | None = None,
        number: int | None = None,
        request: requests.GetInstanceStageHistoryRequest | JsonObject | None = None,
        **options: Unpack[CallOptions],
    ) -> Result[list[WorkflowInstanceHistoryStage]]:
        """List the activities of stage `number`, counted from 0."""
        arguments = {"instance_id": instance_id, "number": number}
        return await self._call(operations.GET_INSTANCE_STAGE_HISTORY, request, arguments, options)

    async def list_triggers(
        self,
        *,
        name: str | None = None,
        request: requests.ListTriggersRequest | JsonObject | None = None,
        **options: Unpack[CallOptions],
    ) -> Result[list[Trigger]]:
        """List triggers, newest first; optionally those whose name contains `name`."""
        arguments = {"name": name}
        return await self._call(operations.LIST_TRIGGERS, request, arguments, options)

    async def list_triggers_occurrences(
        self,
        *,
        trigger_id: str | None = None,
        request: requests.ListTriggersOccurrencesRequest | JsonObject | None = None,
        **options: Unpack[CallOptions],
    ) -> Result[list[TriggerOccurrence]]:
        """List the occurrences of a trigger, newest first: each is an instance that it started, or an error."""
        arguments = {"trigger_id": trigger_id}
        return await self._call(operations.LIST_TRIGGERS_OCCURRENCES, request, arguments, options)
