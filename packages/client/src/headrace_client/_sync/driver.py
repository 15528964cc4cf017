# Generated from _async/driver.py by `make client`: change that file.
"""The driver: it sends what the protocol asks for, and waits as it says."""

from __future__ import annotations

from typing import TypeVar, cast

import httpx2

from headrace_client.concurrency import Lock, ask
from headrace_client.errors import ClientError
from headrace_client.protocol import Protocol
from headrace_client.transport import http_request, wire_failure, wire_reply
from headrace_client.wire import Answer, AskSource, NeedToken, Pause, Step, Steps, WireFailure, WireReply, WireRequest

T = TypeVar("T")


class Driver:
    def __init__(self, protocol: Protocol, http_client: httpx2.Client) -> None:
        self.protocol = protocol
        self._http_client = http_client
        self._token_lock = Lock()

    def run(self, steps: Steps[T]) -> T:
        answer: Answer = None
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as stop:
                return cast("T", stop.value)
            answer = self._take(step)

    def close(self) -> None:
        self._http_client.close()

    def _take(self, step: Step) -> Answer:
        match step:
            case WireRequest():
                return self._send(step)
            case NeedToken():
                with self._token_lock:
                    return self._token(step)
            case AskSource():
                return ask(step.source)
            case Pause():
                self.protocol.hooks.sleep(step.seconds)
                return None

    def _token(self, need: NeedToken) -> str | ClientError:
        try:
            return self.run(self.protocol.obtain_token(need))
        except ClientError as error:
            return error

    def _send(self, step: WireRequest) -> WireReply | WireFailure:
        try:
            reply = self._http_client.send(http_request(self._http_client, step), follow_redirects=False)
        except httpx2.RequestError as error:
            return wire_failure(error)
        return wire_reply(reply)
