"""Steps that the methods of both clients share: bodies of events, waiting, and pages of the audit trail."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headrace_client import operations
from headrace_client.errors import InvalidRequest
from headrace_client.models import AuditEntry, Result, WorkflowInstance
from headrace_client.options import Options
from headrace_client.paging import Cursor
from headrace_client.protocol import Protocol
from headrace_client.steps import Steps
from headrace_client.waiting import Progress, Waiting

JsonObject = Mapping[str, Any]


def event_body(name: str | None, request_body: object) -> object:
    """Build the body of an event from `name` or `request_body`. Raises InvalidRequest if both are given."""
    if name is None:
        return request_body
    if request_body is not None:
        raise InvalidRequest("give either name or request_body, not both")
    return {"name": name}


def wait_steps(
    protocol: Protocol,
    prefix: str,
    instance: WorkflowInstance | str,
    timeout_s: float | None,
    on_progress: Progress | None,
    headers: Mapping[str, str] | None,
    server_url: str | None,
) -> Steps[WorkflowInstance]:
    """Poll an instance until it has ended. Raises WaitTimeout after `timeout_s` seconds."""
    instance_id = instance if isinstance(instance, str) else instance.id

    def read(limit_s: float | None) -> Steps[Result[WorkflowInstance]]:
        options = Options(server_url, protocol.at_most_s(limit_s), headers, retries=protocol.retries_within(limit_s))
        return protocol.call(operations.GET_INSTANCE.below(prefix), None, {"instance_id": instance_id}, options)

    return Waiting(read, protocol.hooks.monotonic_s, timeout_s, on_progress).steps()


def audit_page(entries: Result[list[AuditEntry]], limit: int) -> Result[Cursor[AuditEntry]]:
    """Convert entries to a page. The next page begins before the last number, and may be empty."""
    found = entries.data
    has_more = bool(found) and len(found) >= limit
    page = Cursor(limit, has_more, found, str(found[-1].number) if has_more else None)
    return Result(page, entries.status_code, entries.headers, entries.raw)
