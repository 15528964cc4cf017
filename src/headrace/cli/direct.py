"""Calls to paths that the client does not know yet: events, and trying a trigger out."""

from __future__ import annotations

import json
from typing import Any, cast

from headrace.cli.exits import REFUSED, UNREACHABLE, USAGE, Failure
from headrace.cli.session import Session

Json = dict[str, Any]


def post(session: Session, path: str, body: Any, *, idempotency_key: str | None = None) -> Json:
    """The answer's `data`. A call that was not answered is repeated with its key."""
    import httpx2

    headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
    content = json.dumps(body, ensure_ascii=False).encode()
    try:
        reply = httpx2.post(
            f"{session.server}/api/orchestration{path}",
            content=content,
            headers={"Content-Type": "application/json", **headers},
            timeout=30.0,
        )
    except httpx2.HTTPError as error:
        hint = f"It may have been carried out. Repeat it with --idempotency-key {idempotency_key}."
        raise Failure(
            f"no answer from {session.server}: {error}", code=UNREACHABLE, hint=hint if idempotency_key else ""
        ) from None
    answer = _object(reply.content)
    if reply.is_success and isinstance(answer.get("data"), dict):
        return answer["data"]
    raise Failure(str(answer.get("errorMessage") or f"the server answered {reply.status_code}"), code=REFUSED)


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
