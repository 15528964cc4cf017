"""How the sandbox answers: JSON responses, and the one exception that undoes what a request had written."""

from __future__ import annotations

import json
from typing import Any

from headrace.effects.port import Response

Json = dict[str, Any]


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


class Rollback(Exception):
    """Answer with this response, and undo whatever the request had written.

    `burns` names a ledger whose next transaction id is used up all the same: as on a real ledger,
    a conflict and a dry run leave a gap.
    """

    def __init__(self, response: Response, *, burns: str | None = None) -> None:
        super().__init__(f"{response.status}: {response.body[:200]!r}")
        self.response = response
        self.burns = burns


def encoded(value: object) -> bytes:
    return _ENCODER.encode(value).encode()


def answer(status: int, value: object) -> Response:
    return Response(status, encoded(value), {"content-type": "application/json"})


def data(value: object, status: int = 200) -> Response:
    return answer(status, {"data": value})


def no_content() -> Response:
    return Response(204, b"", {"content-type": "application/json"})


def bare(status: int, message: str = "") -> Response:
    """An answer that is not the service's own JSON: what a router or a proxy would say."""
    return Response(status, message.encode(), {"content-type": "text/plain"})


def error(status: int, code: str, message: str) -> Response:
    return answer(status, {"errorCode": code, "errorMessage": message})


def refusal(status: int, code: str, message: str) -> Rollback:
    return Rollback(error(status, code, message))


def invalid(message: str) -> Rollback:
    return refusal(400, "VALIDATION", message)


def not_found(message: str) -> Rollback:
    return refusal(404, "NOT_FOUND", message)


def is_done(response: Response) -> bool:
    return 200 <= response.status < 300
