"""How the sandbox answers: JSON replies, and the one exception that undoes what a request had written."""

from __future__ import annotations

import json
from typing import Any

from headrace.effects.port import Reply

Json = dict[str, Any]


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


class Rollback(Exception):
    """Answer with this reply, and undo whatever the request had written.

    `burns` names a ledger whose next transaction id is used up all the same: as on a real ledger,
    a conflict and a dry run leave a gap.
    """

    def __init__(self, reply: Reply, *, burns: str | None = None) -> None:
        super().__init__(f"{reply.status}: {reply.body[:200]!r}")
        self.reply = reply
        self.burns = burns


def encoded(value: object) -> bytes:
    return _ENCODER.encode(value).encode()


def answer(status: int, value: object) -> Reply:
    return Reply(status, encoded(value), {"content-type": "application/json"})


def data(value: object, status: int = 200) -> Reply:
    return answer(status, {"data": value})


def no_content() -> Reply:
    return Reply(204, b"", {"content-type": "application/json"})


def bare(status: int, message: str = "") -> Reply:
    """An answer that is not the service's own JSON: what a router or a proxy would say."""
    return Reply(status, message.encode(), {"content-type": "text/plain"})


def error(status: int, code: str, message: str) -> Reply:
    return answer(status, {"errorCode": code, "errorMessage": message})


def refusal(status: int, code: str, message: str) -> Rollback:
    return Rollback(error(status, code, message))


def invalid(message: str) -> Rollback:
    return refusal(400, "VALIDATION", message)


def not_found(message: str) -> Rollback:
    return refusal(404, "NOT_FOUND", message)


def is_done(reply: Reply) -> bool:
    return 200 <= reply.status < 300
