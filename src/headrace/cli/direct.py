"""Calls to paths that the client does not know: events, trying a trigger out, the audit trail."""

from __future__ import annotations

import json
from typing import Any, cast

from headrace.cli.exits import REFUSED, UNREACHABLE, USAGE, Failure, about_status
from headrace.cli.session import Session

Json = dict[str, Any]


def post(session: Session, path: str, body: Any, *, idempotency_key: str | None = None) -> Json:
    """The answer's `data`. A call that was not answered is repeated with its key."""
    headers = {"Content-Type": "application/json"} | ({"Idempotency-Key": idempotency_key} if idempotency_key else {})
    hint = f"It may have been carried out. Repeat it with --idempotency-key {idempotency_key}."
    content = json.dumps(body, ensure_ascii=False).encode()
    data = _data(session, "POST", path, content, headers, hint if idempotency_key else "")
    return cast("Json", data) if isinstance(data, dict) else {}


def get(session: Session, path: str) -> list[Json]:
    """The answer's `data`, a list."""
    data = _data(session, "GET", path, None, {}, "")
    return cast("list[Json]", data) if isinstance(data, list) else []


def _data(session: Session, method: str, path: str, content: bytes | None, headers: dict[str, str], hint: str) -> Any:
    import httpx2

    authorization = session.client.authorization("orchestration:read" if method == "GET" else "orchestration:write")
    if authorization is not None:
        headers = headers | {"Authorization": authorization}
    try:
        reply = session.http.request(
            method, f"{session.server}/api/orchestration{path}", content=content, headers=headers
        )
    except httpx2.HTTPError as error:
        raise Failure(f"no answer from {session.server}: {error}", code=UNREACHABLE, hint=hint) from None
    answer = _object(reply.content)
    if reply.is_success and "data" in answer:
        return answer["data"]
    message = str(answer.get("errorMessage") or f"the server answered {reply.status_code}")
    raise Failure(message, code=REFUSED, hint=about_status(reply.status_code))


def _object(content: bytes) -> Json:
    try:
        answer = json.loads(content)
    except ValueError:
        return {}
    return cast("Json", answer) if isinstance(answer, dict) else {}


def json_argument(text: str, what: str) -> Any:
    """JSON given on the command line, `@FILE`, or `-` for standard input."""
    import sys
    from pathlib import Path

    if text == "-":
        text = sys.stdin.read()
    elif text.startswith("@"):
        text = Path(text[1:]).read_text("utf-8")
    try:
        return json.loads(text)
    except ValueError as error:
        raise Failure(f"{what} is not JSON: {error}", code=USAGE) from None
