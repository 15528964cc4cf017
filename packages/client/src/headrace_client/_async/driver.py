"""The driver performs the steps of the protocol: it sends requests, waits, and asks for tokens."""

from __future__ import annotations

from typing import TypeVar, cast

import httpx2

from headrace_client.concurrency import AsyncLock, ask_async
from headrace_client.errors import ClientError
from headrace_client.protocol import Protocol
from headrace_client.steps import (
    AskSource,
    HttpFailure,
    HttpRequest,
    HttpResponse,
    NeedToken,
    Pause,
    Step,
    StepResult,
    Steps,
)
from headrace_client.transport import http_failure, http_request, http_response

T = TypeVar("T")


class AsyncDriver:
    """Runs the steps of one client with its HTTP client."""

    def __init__(self, protocol: Protocol, http_client: httpx2.AsyncClient) -> None:
        self.protocol = protocol
        self._http_client = http_client
        self._token_lock = AsyncLock()

    async def run(self, steps: Steps[T]) -> T:
        result: StepResult = None
        while True:
            try:
                step = steps.send(result)
            except StopIteration as stop:
                return cast("T", stop.value)
            result = await self._take(step)

    async def close(self) -> None:
        await self._http_client.aclose()

    async def _take(self, step: Step) -> StepResult:
        match step:
            case HttpRequest():
                return await self._send(step)
            case NeedToken():
                async with self._token_lock:
                    try:
                        return await self.run(self.protocol.obtain_token(step))
                    except ClientError as error:
                        return error
            case AskSource():
                return await ask_async(step.source)
            case Pause():
                await self.protocol.hooks.sleep_async(step.seconds)
                return None

    async def _send(self, step: HttpRequest) -> HttpResponse | HttpFailure:
        try:
            response = await self._http_client.send(http_request(self._http_client, step), follow_redirects=False)
        except httpx2.RequestError as error:
            return http_failure(error)
        return http_response(response)
