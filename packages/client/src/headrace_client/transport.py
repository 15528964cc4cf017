"""Convert between the protocol's steps and the requests and responses of httpx2."""

from __future__ import annotations

import math

import httpx2

from headrace_client.errors import InvalidRequest
from headrace_client.steps import HttpFailure, HttpRequest, HttpResponse

_UNSENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol)


def http_request(http_client: httpx2.Client | httpx2.AsyncClient, step: HttpRequest) -> httpx2.Request:
    timeout = http_client.timeout
    if step.timeout_s is not None:
        timeout = httpx2.Timeout(None if math.isinf(step.timeout_s) else step.timeout_s)
    try:
        return http_client.build_request(
            step.method, step.url, headers=step.headers, content=step.content, timeout=timeout
        )
    except httpx2.InvalidURL as error:
        raise InvalidRequest(f"{step.url!r} is not a URL: {error}") from error


def http_response(response: httpx2.Response) -> HttpResponse:
    return HttpResponse(response.status_code, response.headers, response.content)


def http_failure(error: httpx2.RequestError) -> HttpFailure:
    reason = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(": ")
    return HttpFailure(reason, isinstance(error, httpx2.TimeoutException), isinstance(error, _UNSENT))
