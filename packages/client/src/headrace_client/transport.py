"""The two drivers: they send what the protocol asks for, and wait as it says. All I/O is here."""

from __future__ import annotations

import asyncio
import inspect
import math
import threading
from typing import TypeVar, cast

import httpx2

from headrace_client.credentials import checked_given
from headrace_client.errors import ClientError, InvalidRequest
from headrace_client.protocol import Protocol
from headrace_client.wire import Answer, AskSource, NeedToken, Pause, Step, Steps, WireFailure, WireReply, WireRequest

T = TypeVar("T")

_UNSENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol)


class SyncDriver:
    def __init__(self, protocol: Protocol, http_client: httpx2.Client) -> None:
        self.protocol = protocol
        self._http_client = http_client
        self._token_lock = threading.Lock()

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
                return checked_given(_at_once(step.source()))
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
            reply = self._http_client.send(_request(self._http_client, step), follow_redirects=False)
        except httpx2.RequestError as error:
            return wire_failure(error)
        return wire_reply(reply)


class AsyncDriver:
    def __init__(self, protocol: Protocol, http_client: httpx2.AsyncClient) -> None:
        self.protocol = protocol
        self._http_client = http_client
        self._token_lock = asyncio.Lock()

    async def run(self, steps: Steps[T]) -> T:
        answer: Answer = None
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as stop:
                return cast("T", stop.value)
            answer = await self._take(step)

    async def close(self) -> None:
        await self._http_client.aclose()

    async def _take(self, step: Step) -> Answer:
        match step:
            case WireRequest():
                return await self._send(step)
            case NeedToken():
                async with self._token_lock:
                    return await self._token(step)
            case AskSource():
                given = step.source()
                return checked_given(await given if inspect.isawaitable(given) else given)
            case Pause():
                await self.protocol.hooks.sleep_async(step.seconds)
                return None

    async def _token(self, need: NeedToken) -> str | ClientError:
        try:
            return await self.run(self.protocol.obtain_token(need))
        except ClientError as error:
            return error

    async def _send(self, step: WireRequest) -> WireReply | WireFailure:
        try:
            reply = await self._http_client.send(_request(self._http_client, step), follow_redirects=False)
        except httpx2.RequestError as error:
            return wire_failure(error)
        return wire_reply(reply)


def _at_once(given: object) -> object:
    if inspect.isawaitable(given):
        if inspect.iscoroutine(given):
            given.close()  # it will never be awaited
        raise InvalidRequest("security: an async function needs AsyncClient")
    return given


def _request(http_client: httpx2.Client | httpx2.AsyncClient, step: WireRequest) -> httpx2.Request:
    try:
        return http_client.build_request(
            step.method, step.url, headers=step.headers, content=step.content, timeout=_timeout(http_client, step)
        )
    except httpx2.InvalidURL as error:
        raise InvalidRequest(f"{step.url!r} is not a URL: {error}") from error


def _timeout(http_client: httpx2.Client | httpx2.AsyncClient, step: WireRequest) -> httpx2.Timeout:
    if step.timeout_s is None:
        return http_client.timeout
    return httpx2.Timeout(None if math.isinf(step.timeout_s) else step.timeout_s)


def wire_reply(reply: httpx2.Response) -> WireReply:
    return WireReply(reply.status_code, reply.headers, reply.content)


def wire_failure(error: httpx2.RequestError) -> WireFailure:
    reason = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(": ")
    return WireFailure(reason, isinstance(error, httpx2.TimeoutException), isinstance(error, _UNSENT))
