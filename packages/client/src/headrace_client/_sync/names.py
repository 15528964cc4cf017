# Generated from _async/names.py by `make client`: change that file.
"""Operations on names with versions and on what is applied, below `/ext`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Unpack

from headrace_client import ext_operations as operations
from headrace_client import requests
from headrace_client._sync.calls import Calls
from headrace_client.calls import JsonObject
from headrace_client.models import Result, WorkflowInstance
from headrace_client.names import Applied, KeptTrigger, NamedWorkflow
from headrace_client.options import CallOptions, WriteOptions
from headrace_client.paging import Cursor


class Names(Calls):
    """Workflows and triggers by name."""

    def put_workflow(
        self,
        *,
        name: str | None = None,
        request_body: JsonObject | None = None,
        request: requests.PutWorkflowRequest | JsonObject | None = None,
        **options: Unpack[WriteOptions],
    ) -> Result[NamedWorkflow]:
        """Make a definition the current version of a name; one that is current already changes nothing.

        `request_body` has the `definition`; with `ifVersion`, that number must be the current one until then.
        """
        arguments = {"name": name, "request_body": request_body}
        return self._call(operations.PUT_WORKFLOW, request, arguments, options)

    def list_named_workflows(
        self,
        *,
        page_size: int | None = None,
        cursor: str | None = None,
        request: requests.ListNamesRequest | JsonObject | None = None,
        **options: Unpack[CallOptions],
    ) -> Result[Cursor[NamedWorkflow]]:
        """List names of workflows with their versions, newest first. Returns one page."""
        arguments = {"page_size": page_size, "cursor": cursor}
        return self._call(operations.LIST_NAMED_WORKFLOWS, request, arguments, options)

    def get_named_workflow(
        self,
        *,
        name: str | None = None,
        request: requests.NamedWorkflowRequest | JsonObject | None = None,
        **options: Unpack[CallOptions],
    ) -> Result[NamedWorkflow]:
        """Read a name of a workflow with all of its versions."""
        return self._call(operations.GET_NAMED_WORKFLOW, request, {"name": name}, options)

    def delete_named_workflow(
        self,
        *,
        name: str | None = None,
        request: requests.NamedWorkflowRequest | JsonObject | None = None,
        **options: Unpack[WriteOptions],
    ) -> Result[None]:
        """Take a name away with the workflows of all of its versions; instances that run go on."""
        return self._call(operations.DELETE_NAMED_WORKFLOW, request, {"name": name}, options)

    def run_named_workflow(
        self,
        *,
        name: str | None = None,
        request_body: Mapping[str, str] | None = None,
        request: requests.RunNamedWorkflowRequest | JsonObject | None = None,
        **options: Unpack[WriteOptions],
    ) -> Result[WorkflowInstance]:
        """Start the version of a name that is current in the commit of the start. `request_body` are the variables."""
        arguments = {"name": name, "request_body": request_body}
        return self._call(operations.RUN_NAMED_WORKFLOW, request, arguments, options)

    def put_trigger(
        self,
        *,
        name: str | None = None,
        request_body: JsonObject | None = None,
        request: requests.PutTriggerRequest | JsonObject | None = None,
        **options: Unpack[WriteOptions],
    ) -> Result[KeptTrigger]:
        """Make or replace the trigger under a name; each event has the definition of the moment at which it came.

        `request_body` has `event`, and `workflow`, the name of the workflow that it starts.
        """
        arguments = {"name": name, "request_body": request_body}
        return self._call(operations.PUT_TRIGGER, request, arguments, options)

    def list_kept_triggers(
        self,
        *,
        page_size: int | None = None,
        cursor: str | None = None,
        request: requests.ListNamesRequest | JsonObject | None = None,
        **options: Unpack[CallOptions],
    ) -> Result[Cursor[KeptTrigger]]:
        """List the triggers that are kept under names, newest first. Returns one page."""
        arguments = {"page_size": page_size, "cursor": cursor}
        return self._call(operations.LIST_KEPT_TRIGGERS, request, arguments, options)

    def apply(
        self,
        *,
        documents: JsonObject | None = None,
        request: requests.ApplyRequest | JsonObject | None = None,
        **options: Unpack[WriteOptions],
    ) -> Result[Applied]:
        """Put workflows and triggers under their names in one commit: all of them, or none.

        `documents` has `workflows` and `triggers` by name; `prune` deletes what its `set` has made and it does not
        name; `dryRun` only finds out what would be done.
        """
        return self._call(operations.APPLY, request, {"documents": documents}, options)
