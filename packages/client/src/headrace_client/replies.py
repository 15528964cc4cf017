"""The one reader of replies: typed data, or the error that fits."""

from __future__ import annotations

from typing import TypeVar, cast

import msgspec

from headrace_client.errors import ClientError, ConnectionFailure, Error, SDKError
from headrace_client.models import Result
from headrace_client.operations import Operation
from headrace_client.wire import WireFailure, WireReply, WireRequest

T = TypeVar("T")

NO_CONTENT = 204
PREVIEW_CHARACTERS = 200


class Envelope(msgspec.Struct, rename="camel"):
    """How the API says no."""

    error_code: str
    error_message: str


def read_reply(operation: Operation[T], request: WireRequest, reply: WireReply) -> Result[T]:
    """The result of `operation`; raises `Error` or `SDKError`."""
    if reply.status != operation.status:
        raise _status_error(operation.status, request, reply)
    return Result(_read_data(operation, request, reply), reply.status, reply.headers, reply.body)


def failure_error(request: WireRequest, failure: WireFailure, idempotency_key: str | None) -> ConnectionFailure:
    """What a caller is told when there was no reply; a write may have been carried out all the same."""
    limit = f" within {request.timeout_s:g} s" if failure.is_timeout and request.timeout_s is not None else ""
    text = f"{request.label}: {'no answer' if not failure.is_unsent else 'cannot connect'}{limit} ({failure.reason})"
    advice = ""
    if idempotency_key is not None and not failure.is_unsent:
        advice = (
            ". The server may have carried it out all the same: repeat the call with "
            f"idempotency_key={idempotency_key!r} and it happens once"
        )
    error = ConnectionFailure(text, advice=advice, is_timeout=failure.is_timeout, is_unsent=failure.is_unsent)
    error.idempotency_key = idempotency_key
    return error


def _read_data(operation: Operation[T], request: WireRequest, reply: WireReply) -> T:
    if operation.status == NO_CONTENT:
        return operation.read(None)
    if not _is_json(reply):
        found = reply.headers.get("content-type") or "none"
        raise _sdk_error(request, reply, f"expected application/json, the content type is {found}")
    try:
        return operation.read(_unwrapped(operation.wrapper, msgspec.json.decode(reply.body)))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _sdk_error(request, reply, f"the body does not fit {operation.name}: {error}") from error


def _unwrapped(wrapper: str | None, value: object) -> object:
    if wrapper is None:
        return value
    if not isinstance(value, dict) or wrapper not in value:
        raise msgspec.ValidationError(f"expected an object with the member {wrapper!r}")
    return cast("dict[str, object]", value)[wrapper]


def _is_json(reply: WireReply) -> bool:
    return reply.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"


def _status_error(expected: int, request: WireRequest, reply: WireReply) -> ClientError:
    if 200 <= reply.status <= 299:
        return _sdk_error(request, reply, f"expected HTTP {expected}, the server answered {reply.status}")
    envelope = _envelope(reply)
    if envelope is not None:
        return Error(envelope.error_code, envelope.error_message, reply.status, reply.headers, reply.body)
    return _sdk_error(request, reply, f"HTTP {reply.status}", _advice(reply))


def _envelope(reply: WireReply) -> Envelope | None:
    if not _is_json(reply):
        return None
    try:
        return msgspec.json.decode(reply.body, type=Envelope)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _advice(reply: WireReply) -> str:
    if 300 <= reply.status <= 399:
        return f". Redirects are not followed; is server_url right? It points to {reply.headers.get('location')}"
    if reply.status == 401:
        return ". No valid token; is security=Security(client_id, client_secret) right?"
    if reply.status == 404:
        return ". Not an answer of this API; is server_url right? It is the root, without /api/orchestration"
    return ""


def _sdk_error(request: WireRequest, reply: WireReply, message: str, advice: str = "") -> SDKError:
    preview = reply.body[:PREVIEW_CHARACTERS].decode("utf-8", "replace")
    text = f"{request.label}: {message}" + (f"; the body begins {preview!r}" if preview else "")
    return SDKError(text, reply.status, reply.headers, reply.body, advice=advice)
