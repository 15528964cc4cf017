"""Convert between the protocol's steps and the requests and responses of httpx2."""

from __future__ import annotations

import math

import httpx2

from headrace_client.errors import InvalidRequest
from headrace_client.steps import HttpFailure, HttpRequest, HttpResponse

_UNSENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol)


def http_request(http_client: httpx2.Client | httpx2.AsyncClient, step: HttpRequest) -> httpx2.Request:
    try:
        return http_client.build_request(
            step.method, step.url, headers=step.headers, content=step.content, timeout=_timeout(http_client, step)
        )
    except httpx2.InvalidURL as error:
        raise InvalidRequest(f"{step.url!r} is not a URL: {error}") from error


def _timeout(http_client: httpx2.Client | httpx2.AsyncClient, step: HttpRequest) -> httpx2.Timeout:
    if step.timeout_s is None:
        return http_client.timeout
    return httpx2.Timeout(None if math.isinf(step.timeout_s) else step.timeout_s)


def http_response(response: httpx2.Response) -> HttpResponse:
    return HttpResponse(response.status_code, response.headers, response.content)


def http_failure(error: httpx2.RequestError) -> HttpFailure:
    reason = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(": ")
    return HttpFailure(reason, isinstance(error, httpx2.TimeoutException), isinstance(error, _UNSENT))
