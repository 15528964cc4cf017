# Generated from _async/v2.py by `make client`: change that file.
"""V2: the operations that all versions have, lists a page at a time, and trying a trigger out.

`list_...` asks for one page; with a `cursor`, which is `next` or `previous` of another page, nothing else is given.
`iterate_...` gives all rows, and asks for a page when its first row is wanted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, Unpack

from headrace_client import requests
from headrace_client import v2_operations as operations
from headrace_client._sync.base import Base
from headrace_client._sync.paging import Pages
from headrace_client.calls import JsonObject
from headrace_client.history import V2WorkflowInstanceHistoryStage
from headrace_client.models import Result, Trigger, TriggerOccurrence, TriggerTest, Workflow, WorkflowInstance
from headrace_client.operations import Operation
from headrace_client.options import CallOptions, WriteOptions
from headrace_client.paging import Cursor

T = TypeVar("T")


class V2(Base):
    """`client.orchestration.v2` of `Client`."""

    _prefix = operations.PREFIX

    def list_workflows(
        self,
        *,
        page_size: int | None = None,
        cursor: str | None = None,
        request: requests.V2ListWorkflowsRequest | JsonObject | None = None,
        **options: Unpack[CallOptions],
    ) -> Result[Cursor[Workflow]]:
        """Workflows that are not deleted: one page, newest first."""
        arguments = {"page_size": page_size, "cursor": cursor}
        return self._call(operations.LIST_WORKFLOWS, request, arguments, options)

    def iterate_workflows(
        self,
        *,
        page_size: int | None = None,
        **options: Unpack[CallOptions],
    ) -> Pages[Workflow]:
        """Workflows that are not deleted: all, newest first, by pages of `page_size`."""
        arguments: dict[str, object] = {"page_size": page_size}
        return self._iterate(operations.LIST_WORKFLOWS, arguments, {}, options)

    def list_instances(
        self,
        *,
        workflow_id: str | None = None,
        running: bool | None = None,
        page_size: int | None = None,
        cursor: str | None = None,
        request: requests.V2ListInstancesRequest | JsonObject | None = None,
        **options: Unpack[CallOptions],
    ) -> Result[Cursor[WorkflowInstance]]:
        """Instances; of one workflow, or only those that run: one page, newest first."""
        arguments = {"workflow_id": workflow_id, "running": running, "page_size": page_size, "cursor": cursor}
        return self._call(operations.LIST_INSTANCES, request, arguments, options)

    def iterate_instances(
        self,
        *,
        workflow_id: str | None = None,
        running: bool | None = None,
        page_size: int | None = None,
        **options: Unpack[CallOptions],
    ) -> Pages[WorkflowInstance]:
        """Instances; of one workflow, or only those that run: all, newest first, by pages of `page_size`."""
        arguments: dict[str, object] = {"workflow_id": workflow_id, "running": running, "page_size": page_size}
        return self._iterate(operations.LIST_INSTANCES, arguments, {}, options)

    def list_triggers(
        self,
        *,
        name: str | None = None,
        page_size: int | None = None,
        cursor: str | None = None,
        request: requests.V2ListTriggersRequest | JsonObject | None = None,
        **options: Unpack[CallOptions],
    ) -> Result[Cursor[Trigger]]:
        """Triggers; those whose name holds `name`: one page, newest first."""
        arguments = {"name": name, "page_size": page_size, "cursor": cursor}
        return self._call(operations.LIST_TRIGGERS, request, arguments, options)

    def iterate_triggers(
        self,
        *,
        name: str | None = None,
        page_size: int | None = None,
        **options: Unpack[CallOptions],
    ) -> Pages[Trigger]:
        """Triggers; those whose name holds `name`: all, newest first, by pages of `page_size`."""
        arguments: dict[str, object] = {"name": name, "page_size": page_size}
        return self._iterate(operations.LIST_TRIGGERS, arguments, {}, options)

    def list_triggers_occurrences(
        self,
        *,
        trigger_id: str | None = None,
        page_size: int | None = None,
        cursor: str | None = None,
        request: requests.V2ListTriggersOccurrencesRequest | JsonObject | None = None,
        **options: Unpack[CallOptions],
    ) -> Result[Cursor[TriggerOccurrence]]:
        """What came of each event that a trigger matched: one page, newest first."""
        arguments = {"trigger_id": trigger_id, "page_size": page_size, "cursor": cursor}
        return self._call(operations.LIST_TRIGGERS_OCCURRENCES, request, arguments, options)

    def iterate_triggers_occurrences(
        self,
        *,
        trigger_id: str,
        page_size: int | None = None,
        **options: Unpack[CallOptions],
    ) -> Pages[TriggerOccurrence]:
        """What came of each event that a trigger matched: all, newest first, by pages of `page_size`."""
        arguments: dict[str, object] = {"trigger_id": trigger_id, "page_size": page_size}
        return self._iterate(operations.LIST_TRIGGERS_OCCURRENCES, arguments, {"trigger_id": trigger_id}, options)

    def get_instance_stage_history(
        self,
        *,
        instance_id: str | None = None,
        number: int | None = None,
        request: requests.GetInstanceStageHistoryRequest | JsonObject | None = None,
        **options: Unpack[CallOptions],
    ) -> Result[list[V2WorkflowInstanceHistoryStage]]:
        """The activities of stage `number`, counted from 0."""
        arguments = {"instance_id": instance_id, "number": number}
        return self._call(operations.GET_INSTANCE_STAGE_HISTORY, request, arguments, options)

    def test_trigger(
        self,
        *,
        trigger_id: str | None = None,
        request_body: Mapping[str, Any] | None = None,
        request: requests.V2TestTriggerRequest | JsonObject | None = None,
        **options: Unpack[WriteOptions],
    ) -> Result[TriggerTest]:
        """What a trigger makes of an event's payload. Nothing is started, nothing stored."""
        arguments = {"trigger_id": trigger_id, "request_body": request_body}
        return self._call(operations.TEST_TRIGGER, request, arguments, options)

    def _iterate(
        self,
        operation: Operation[Cursor[T]],
        arguments: Mapping[str, object],
        kept: Mapping[str, object],
        options: CallOptions,
    ) -> Pages[T]:
        """`kept` is what goes with a cursor as well, for the path."""

        def ask(cursor: str | None) -> Result[Cursor[T]]:
            given = arguments if cursor is None else {**kept, "cursor": cursor}
            return self._call(operation, None, given, options)

        return Pages(ask)
