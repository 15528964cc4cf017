"""The sandbox over HTTP, at `/api/ledger`, `/api/wallets` and `/api/payments`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, get_args
from urllib.parse import quote

from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Mount
from starlette.types import Receive, Scope, Send

from headrace.effects.port import NoResponse, Request
from headrace.sandbox.bodies import MAX_BODY_BYTES
from headrace.sandbox.responses import error
from headrace.sandbox.sandbox import Sandbox
from headrace.workflows.activities import Service

_SERVICES: tuple[Service, ...] = get_args(Service)


def sandbox_routes(sandbox: Sandbox) -> list[Mount]:
    return [Mount(f"/api/{service}", app=ServiceApp(sandbox, service)) for service in _SERVICES]


@dataclass(frozen=True, slots=True)
class ServiceApp:
    """One service as an ASGI application. What follows its prefix is the service's own path."""

    sandbox: Sandbox
    service: Service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            http = HttpRequest(scope, receive)
            body = await _body(http.stream())
            if body is None:
                response = error(413, "VALIDATION", f"a body has at most {MAX_BODY_BYTES} bytes")
            else:
                # The path as it came, still percent-encoded: an address may hold an encoded slash.
                raw: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
                _, _, path = raw.decode("latin-1").partition("?")[0].partition(f"/api/{self.service}")
                query: bytes = scope["query_string"]
                path = f"{path or '/'}?{query.decode('latin-1')}" if query else path or "/"
                key = http.headers.get("idempotency-key", "")
                response = await self.sandbox.send(Request(self.service, http.method, path, body or None, key))
        except ClientDisconnect:
            return
        except NoResponse:
            await _hang_up(receive)
            return
        await Response(response.body, response.status, response.headers)(scope, receive, send)


async def _body(chunks: AsyncIterator[bytes]) -> bytes | None:
    """Read the body. Returns None for one that is too long, whose rest is not read."""
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            return None
    return bytes(body)


async def _hang_up(receive: Receive) -> None:
    """Close the connection without an answer.

    ASGI has no word for this. Under uvicorn `receive` belongs to the object that holds the
    connection; elsewhere NoResponse goes to the server, which makes a 500 of it: unknown all the same.
    """
    transport: Any = getattr(getattr(receive, "__self__", None), "transport", None)
    if transport is None:
        raise NoResponse("the answer was dropped by the sandbox")
    transport.abort()
    while (await receive())["type"] != "http.disconnect":
        pass
