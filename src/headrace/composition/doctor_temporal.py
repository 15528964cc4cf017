"""Checks of the Temporal cluster: reach, credentials, namespace, and the workers that poll the task queue."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from typing import TYPE_CHECKING

from headrace.clock import Clock
from headrace.composition.engines import temporal_options
from headrace.composition.findings import Finding
from headrace.errors import InvalidValue
from headrace.settings import Settings

if TYPE_CHECKING:
    from temporalio.client import Client

    from headrace.engine.temporal.client import TemporalOptions

TIMEOUT_S = 10.0
POLLED_S = 120.0
"""A worker polls at least once a minute. Temporal remembers one that has gone for some minutes more."""
WAITS = "Accepted work waits until then."


async def check_temporal(settings: Settings, clock: Clock) -> list[Finding]:
    """Connect with these settings, and ask for the namespace and the pollers of the task queue. Nothing is changed."""
    try:
        options = temporal_options(settings)
    except InvalidValue as error:
        return [Finding("temporal", "failed", str(error))]
    from temporalio.service import RPCError

    from headrace.engine.temporal.client import connect

    try:
        async with asyncio.timeout(TIMEOUT_S):
            return await _ask(await connect(options, lazy=False), options, clock)
    except InvalidValue as error:
        return [Finding("temporal", "failed", str(error))]
    except TimeoutError:
        return [_away(options, "it does not answer")]
    except (RuntimeError, RPCError) as error:
        return [_refused(options, error) or _away(options, _reason(error))]


async def _ask(client: Client, options: TemporalOptions, clock: Clock) -> list[Finding]:
    from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest, GetSystemInfoRequest
    from temporalio.service import RPCError, RPCStatusCode

    service, limit = client.workflow_service, timedelta(seconds=TIMEOUT_S)
    system = await service.get_system_info(GetSystemInfoRequest(), timeout=limit)
    text = f"Temporal {system.server_version} answers at {options.address}"
    findings = [Finding("temporal", "ok", text)]
    try:
        await service.describe_namespace(DescribeNamespaceRequest(namespace=options.namespace), timeout=limit)
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
        text = f"Temporal has no namespace {options.namespace!r}"
        hint = f"Create it: temporal operator namespace create {options.namespace}; or set HEADRACE_TEMPORAL_NAMESPACE"
        return [*findings, Finding("namespace", "failed", text, hint)]
    findings.append(Finding("namespace", "ok", f"the namespace {options.namespace!r} exists"))
    workers = await _workers(client, options, clock)
    if not workers:
        text = f"no worker has polled the task queue {options.task_queue!r} in the last {POLLED_S:g} s"
        hint = f"Start `headrace worker` with the same HEADRACE_TEMPORAL_ settings. {WAITS}"
        return [*findings, Finding("workers", "warning", text, hint)]
    count = f"{len(workers)} worker" + "s" * (len(workers) > 1)
    return [*findings, Finding("workers", "ok", f"the task queue {options.task_queue!r} is polled by {count}")]


async def _workers(client: Client, options: TemporalOptions, clock: Clock) -> set[str]:
    """Identities that have polled both for workflows and for activities a short time ago."""
    from temporalio.api.enums.v1 import TaskQueueType
    from temporalio.api.taskqueue.v1 import TaskQueue
    from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest

    polling: list[set[str]] = []
    for kind in (TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW, TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY):
        request = DescribeTaskQueueRequest(
            namespace=options.namespace, task_queue=TaskQueue(name=options.task_queue), task_queue_type=kind
        )
        described = await client.workflow_service.describe_task_queue(request, timeout=timedelta(seconds=TIMEOUT_S))
        since_s = clock.now_at() / 1e6 - POLLED_S
        polling.append({each.identity for each in described.pollers if each.last_access_time.seconds >= since_s})
    return polling[0] & polling[1]


def _refused(options: TemporalOptions, error: Exception) -> Finding | None:
    """A finding where the cluster, or a gateway before it, refuses the credentials; None where it is another error."""
    from temporalio.service import RPCError, RPCStatusCode

    status = error.status if isinstance(error, RPCError) else None
    is_refused = status in (RPCStatusCode.UNAUTHENTICATED, RPCStatusCode.PERMISSION_DENIED)
    if not is_refused and not re.search(r"HTTP status code 40[13]\b", _reason(error)):  # a gateway that speaks no gRPC
        return None
    hint = "Set HEADRACE_TEMPORAL_API_KEY, or HEADRACE_TEMPORAL_CERT and HEADRACE_TEMPORAL_KEY, for this namespace."
    return Finding("temporal", "failed", f"{options.address} refuses the credentials: {_reason(error)}", hint)


def _reason(error: Exception) -> str:
    """The cause of a failed connection: the SDK's text holds it within the names of its own types."""
    text = " ".join(str(error).split())
    if "InvalidContentType" in text:
        return "it does not speak TLS"
    found = re.search(r'message: "([^"]+)"', text)
    return found[1] if found else text


def _away(options: TemporalOptions, reason: str) -> Finding:
    hint = f"Is it running, and are HEADRACE_TEMPORAL_ADDRESS and _TLS right? {WAITS}"
    return Finding("temporal", "failed", f"{options.address}: {reason}", hint)
