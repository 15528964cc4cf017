"""Probes of liveness and readiness, and the metrics."""

from __future__ import annotations

import asyncio

from headrace import telemetry
from headrace.api.context import Context
from headrace.api.operations import Operation
from headrace.api.requests import Request
from headrace.api.responses import Headers, Response, json_response
from headrace.errors import Unavailable

TAG = "Server"
HEALTH_TIMEOUT_S = 5.0

_NO_STORE: Headers = ((b"cache-control", b"no-store"),)
LIVE = json_response(200, b'{"status":"ok"}', _NO_STORE)


async def live(context: Context, request: Request) -> Response:
    return LIVE


async def ready(context: Context, request: Request) -> Response:
    try:
        await asyncio.wait_for(context.ports.journal.check(), HEALTH_TIMEOUT_S)
    except TimeoutError:
        raise Unavailable(f"the journal has not committed within {HEALTH_TIMEOUT_S:g} s") from None
    return LIVE


async def metrics(context: Context, request: Request) -> Response:
    return Response(200, context.telemetry.render(), ((b"content-type", telemetry.CONTENT_TYPE),))


def _probe(path: str, operation_id: str, summary: str, description: str, *, is_ready: bool) -> Operation:
    return Operation(
        method="GET",
        path=path,
        operation_id=operation_id,
        scope=None,
        handler=ready if is_ready else live,
        tag=TAG,
        summary=summary,
        description=description,
        response=dict[str, str],
        errors=(503,) if is_ready else (),
    )


OPERATIONS = (
    _probe("/livez", "getLiveness", "Is the process alive?", "Does not read the journal.", is_ready=False),
    _probe(
        "/readyz",
        "getReadiness",
        "Is the server ready?",
        "Writes to the journal; a 503 gives the reason of a failure.",
        is_ready=True,
    ),
    _probe("/_healthcheck", "getHealth", "Is the server healthy?", "As `/readyz`.", is_ready=True),
    Operation(
        method="GET",
        path="/metrics",
        operation_id="getMetrics",
        scope=None,
        handler=metrics,
        tag=TAG,
        summary="Read the metrics",
        description="In the text format of Prometheus.",
        response=str,
        media_type="text/plain",
        errors=(),
    ),
)
