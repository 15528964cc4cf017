# Generated from _async/driver.py by `make client`: change that file.
"""The driver performs the steps of the protocol: it sends requests, waits, and asks for tokens."""

from __future__ import annotations

from typing import TypeVar, cast

import httpx2

from headrace_client.concurrency import Lock, ask
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


class Driver:
    """Runs the steps of one client with its HTTP client."""

    def __init__(self, protocol: Protocol, http_client: httpx2.Client) -> None:
        self.protocol = protocol
        self._http_client = http_client
        self._token_lock = Lock()

    def run(self, steps: Steps[T]) -> T:
        result: StepResult = None
        while True:
            try:
                step = steps.send(result)
            except StopIteration as stop:
                return cast("T", stop.value)
            result = self._take(step)

    def close(self) -> None:
        self._http_client.close()

    def _take(self, step: Step) -> StepResult:
        match step:
            case HttpRequest():
                return self._send(step)
            case NeedToken():
                with self._token_lock:
                    try:
                        return self.run(self.protocol.obtain_token(step))
                    except ClientError as error:
                        return error
            case AskSource():
                return ask(step.source)
            case Pause():
                self.protocol.hooks.sleep(step.seconds)
                return None

    def _send(self, step: HttpRequest) -> HttpResponse | HttpFailure:
        try:
            response = self._http_client.send(http_request(self._http_client, step), follow_redirects=False)
        except httpx2.RequestError as error:
            return http_failure(error)
        return http_response(response)
