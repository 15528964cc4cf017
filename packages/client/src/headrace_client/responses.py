"""Read responses: return typed data, or raise the error that fits."""

from __future__ import annotations

from typing import TypeVar, cast

import msgspec

from headrace_client.errors import ClientError, ConnectionFailure, Error, SDKError
from headrace_client.models import Result
from headrace_client.operations import Operation
from headrace_client.steps import HttpFailure, HttpRequest, HttpResponse

T = TypeVar("T")

NO_CONTENT = 204
PREVIEW_CHARACTERS = 200


class Envelope(msgspec.Struct, rename="camel"):
    """The API's error document."""

    error_code: str
    error_message: str


def read_response(operation: Operation[T], request: HttpRequest, response: HttpResponse) -> Result[T]:
    """Return the result of `operation`. Raises Error or SDKError."""
    if response.status not in (operation.status, operation.unchanged_status):
        raise _status_error(operation.status, request, response)
    if operation.status == NO_CONTENT:
        return Result(operation.read(None), response.status, response.headers, response.body)
    if not _is_json(response):
        found = response.headers.get("content-type") or "none"
        raise _sdk_error(request, response, f"expected application/json, the content type is {found}")
    try:
        value: object = msgspec.json.decode(response.body)
        if operation.wrapper is not None:
            if not isinstance(value, dict) or operation.wrapper not in value:
                raise msgspec.ValidationError(f"expected an object with the member {operation.wrapper!r}")
            value = cast("dict[str, object]", value)[operation.wrapper]
        data = operation.read(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _sdk_error(request, response, f"the body does not fit {operation.name}: {error}") from error
    return Result(data, response.status, response.headers, response.body)


def failure_error(request: HttpRequest, failure: HttpFailure, idempotency_key: str | None) -> ConnectionFailure:
    """Build the error of a request without a response. A write may have been carried out."""
    limit = f" within {request.timeout_s:g} s" if failure.is_timeout and request.timeout_s is not None else ""
    text = f"{request.label}: {'no answer' if not failure.is_unsent else 'cannot connect'}{limit} ({failure.reason})"
    advice = ""
    if idempotency_key is not None and not failure.is_unsent:
        advice = (
            ". The server may have carried it out: repeat the call with "
            f"idempotency_key={idempotency_key!r}, so that it takes effect once"
        )
    error = ConnectionFailure(text, advice=advice, is_timeout=failure.is_timeout, is_unsent=failure.is_unsent)
    error.idempotency_key = idempotency_key
    return error


def _is_json(response: HttpResponse) -> bool:
    return response.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"


def _status_error(expected: int, request: HttpRequest, response: HttpResponse) -> ClientError:
    if 200 <= response.status <= 299:
        return _sdk_error(request, response, f"expected HTTP {expected}, the server answered {response.status}")
    envelope = _envelope(response)
    if envelope is not None:
        return Error(envelope.error_code, envelope.error_message, response.status, response.headers, response.body)
    return _sdk_error(request, response, f"HTTP {response.status}", _advice(response))


def _envelope(response: HttpResponse) -> Envelope | None:
    if not _is_json(response):
        return None
    try:
        return msgspec.json.decode(response.body, type=Envelope)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _advice(response: HttpResponse) -> str:
    if 300 <= response.status <= 399:
        return f". Redirects are not followed; check server_url. It points to {response.headers.get('location')}"
    if response.status == 401:
        return ". No valid token; check security=Security(client_id, client_secret)"
    if response.status == 404:
        return ". Not a response of this API; check server_url: it is the root, without /api/orchestration"
    return ""


def _sdk_error(request: HttpRequest, response: HttpResponse, message: str, advice: str = "") -> SDKError:
    preview = response.body[:PREVIEW_CHARACTERS].decode("utf-8", "replace")
    text = f"{request.label}: {message}" + (f"; the body begins {preview!r}" if preview else "")
    return SDKError(text, response.status, response.headers, response.body, advice=advice)
