"""What machines ask: is it alive, is it ready, how is it doing."""

from __future__ import annotations

import asyncio

from headrace import telemetry
from headrace.api.operations import Operation
from headrace.api.replies import Headers, Reply, json_reply
from headrace.api.requests import Request
from headrace.api.services import Services
from headrace.errors import Unavailable

TAG = "Server"
HEALTH_TIMEOUT_S = 5.0

_NO_STORE: Headers = ((b"cache-control", b"no-store"),)
LIVE = json_reply(200, b'{"status":"ok"}', _NO_STORE)


async def live(services: Services, request: Request) -> Reply:
    return LIVE


async def ready(services: Services, request: Request) -> Reply:
    try:
        await asyncio.wait_for(services.journal.check(), HEALTH_TIMEOUT_S)
    except TimeoutError:
        raise Unavailable(f"the journal has not committed within {HEALTH_TIMEOUT_S:g} s") from None
    return LIVE


async def metrics(services: Services, request: Request) -> Reply:
    return Reply(200, services.telemetry.render(), ((b"content-type", telemetry.CONTENT_TYPE),))


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
        reply=dict[str, str],
        errors=(503,) if is_ready else (),
    )


OPERATIONS = (
    _probe("/livez", "getLiveness", "Is the process alive?", "Asks nothing else.", is_ready=False),
    _probe(
        "/readyz", "getReadiness", "Can it take work?", "Writes to the journal; 503 says why that fails.", is_ready=True
    ),
    _probe("/_healthcheck", "getHealth", "Is it healthy?", "As `/readyz`.", is_ready=True),
    Operation(
        method="GET",
        path="/metrics",
        operation_id="getMetrics",
        scope=None,
        handler=metrics,
        tag=TAG,
        summary="Read the metrics",
        description="In Prometheus' text format.",
        reply=str,
        media_type="text/plain",
        errors=(),
    ),
)
