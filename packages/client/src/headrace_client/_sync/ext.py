# Generated from _async/ext.py by `make client`: change that file.
"""What Headrace has beside the orchestration API, below `/ext`: the search for instances."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Unpack

from headrace_client import ext_operations as operations
from headrace_client import requests
from headrace_client._sync.driver import Driver
from headrace_client._sync.paging import Pages
from headrace_client.calls import JsonObject
from headrace_client.models import InstanceSummary, Result
from headrace_client.options import CallOptions, complete
from headrace_client.paging import Cursor


class Ext:
    """`client.orchestration.ext` of `Client`."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    def search_instances(
        self,
        *,
        workflow_id: str | None = None,
        status: str | None = None,
        since: datetime | None = None,
        variable: str | None = None,
        error_code: str | None = None,
        page_size: int | None = None,
        cursor: str | None = None,
        request: requests.SearchInstancesRequest | JsonObject | None = None,
        **options: Unpack[CallOptions],
    ) -> Result[Cursor[InstanceSummary]]:
        """Instances by status, workflow, time, error code, or `variable` (`name=value`): one page, newest first."""
        arguments = _arguments(workflow_id, status, since, variable, error_code, page_size)
        return self._call(request, {**arguments, "cursor": cursor}, options)

    def iterate_instances(
        self,
        *,
        workflow_id: str | None = None,
        status: str | None = None,
        since: datetime | None = None,
        variable: str | None = None,
        error_code: str | None = None,
        page_size: int | None = None,
        **options: Unpack[CallOptions],
    ) -> Pages[InstanceSummary]:
        """The same: all of them, newest first, by pages of `page_size`."""
        arguments = _arguments(workflow_id, status, since, variable, error_code, page_size)

        def ask(cursor: str | None) -> Result[Cursor[InstanceSummary]]:
            return self._call(None, arguments if cursor is None else {"cursor": cursor}, options)

        return Pages(ask)

    def _call(
        self, request: object, arguments: Mapping[str, object], options: CallOptions
    ) -> Result[Cursor[InstanceSummary]]:
        protocol = self._driver.protocol
        return self._driver.run(protocol.call(operations.SEARCH_INSTANCES, request, arguments, complete(options)))


def _arguments(
    workflow_id: str | None,
    status: str | None,
    since: datetime | None,
    variable: str | None,
    error_code: str | None,
    page_size: int | None,
) -> dict[str, object]:
    return {
        "workflow_id": workflow_id,
        "status": status,
        "since": since,
        "variable": variable,
        "error_code": error_code,
        "page_size": page_size,
    }
