"""Calls to paths that the client does not know: events and the audit trail. They fail as the client's calls do."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from headrace.cli.exits import USAGE, Failure
from headrace.cli.session import TIMEOUT_S, Session

if TYPE_CHECKING:
    from headrace_client.operations import Operation

Found = TypeVar("Found")


def post(session: Session, path: str, body: Any, kind: type[Found], *, status: int, idempotency_key: str) -> Found:
    """The answer's `data`. A call that was not answered is repeated with its key."""
    from headrace.events import texts
    from headrace_client.operations import WRITE, Operation
    from headrace_client.requests import EmptyRequest

    operation = Operation(path, "POST", path, WRITE, status, EmptyRequest, _reader(kind))
    return _data(session, operation, texts.stored(body).encode(), idempotency_key)


def get(session: Session, path: str, kind: type[Found]) -> Found:
    """The answer's `data`."""
    from headrace_client.operations import READ, Operation
    from headrace_client.requests import EmptyRequest

    return _data(session, Operation(path, "GET", path, READ, 200, EmptyRequest, _reader(kind)), None, None)


def _reader(kind: type[Found]) -> Callable[[object], Found]:
    """Gives the document as it is, whatever more it holds, once it fits `kind`."""
    import msgspec

    def read(value: object) -> Found:
        msgspec.convert(value, kind)
        return cast("Found", value)

    return read


def _data(session: Session, operation: Operation[Found], content: bytes | None, idempotency_key: str | None) -> Found:
    """Raises ClientError."""
    import httpx2

    from headrace_client import ClientError
    from headrace_client.operations import PREFIX
    from headrace_client.replies import failure_error, read_reply
    from headrace_client.transport import wire_failure, wire_reply
    from headrace_client.wire import WireRequest

    url = f"{session.server}{PREFIX}{operation.path}"
    authorization = session.client.authorization(operation.scope)
    given = {"Authorization": authorization, "Idempotency-Key": idempotency_key, "Content-Type": "application/json"}
    headers = {name: value for name, value in given.items() if value is not None}
    request = WireRequest(operation.method, url, headers, content, TIMEOUT_S)
    try:
        reply = session.http.request(request.method, url, content=content, headers=headers)
        return read_reply(operation, request, wire_reply(reply)).data
    except httpx2.RequestError as error:
        raise failure_error(request, wire_failure(error), idempotency_key) from None
    except ClientError as error:
        error.idempotency_key = idempotency_key
        raise


def json_argument(text: str, what: str, *, is_event: bool = False) -> Any:
    """JSON given on the command line, `@FILE`, or `-` for standard input; read as strictly as the server reads it.

    `is_event`: its integers may have any length, as the server accepts them in events.
    """
    from headrace.api import codec

    if text == "-":
        body = sys.stdin.buffer.read()
    elif text.startswith("@"):
        body = Path(text[1:]).read_bytes()
    else:
        body = text.encode(errors="surrogateescape")
    try:
        return codec.decode_event(body) if is_event else codec.decode(body)
    except codec.Malformed as malformed:
        raise Failure(f"{what} {malformed.reason}", code=USAGE) from None


def json_object(text: str, what: str) -> dict[str, Any]:
    """The same, where an object is wanted."""
    value = json_argument(text, what)
    if not isinstance(value, dict):
        raise Failure(f"{what} must be a JSON object", code=USAGE)
    return cast("dict[str, Any]", value)
