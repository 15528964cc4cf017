"""How activities reach the services behind them.

A `Request` is what is stored before the first byte is sent and sent unchanged on every attempt.
Its path is relative to the root of its service (`/v2/main/transactions` on the ledger), so the same
row works against one stack URL, one URL per service, and the in-process sandbox.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from headrace.workflows.activities import Service


@dataclass(frozen=True, slots=True)
class Request:
    service: Service
    method: str
    path: str
    """Percent-encoded, with its query string if there is one."""
    body: bytes | None = None
    """Canonical JSON, or None."""
    key: str = ""
    """Sent as `Idempotency-Key` to ledger and wallets when not empty; never to payments."""


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict[str, str])
    """Names in lower case."""


class NoResponse(Exception):
    """The request may or may not have been carried out: no connection, a time-out, a broken answer.

    `kind`: the connection failed, no response came in time, the response was unusable, or nothing was sent because an
    address or access token is missing.
    """

    def __init__(
        self,
        message: str,
        *,
        kind: Literal["connection", "time-out", "response", "unsent"] = "connection",
    ) -> None:
        super().__init__(message)
        self.kind = kind


class Downstream(Protocol):
    async def send(self, request: Request) -> Response:
        """One attempt. Never retries, never follows a redirect. Raises NoResponse."""
        ...

    async def close(self) -> None: ...


# What one attempt proved.


@dataclass(frozen=True, slots=True)
class Done:
    """Carried out, or proven a duplicate. `output` is the history output under the activity's name, or None."""

    output: Any = None


@dataclass(frozen=True, slots=True)
class Refused:
    """The service said no, and documents that answer as a refusal (decision M4).

    `is_conflict`: the effect's own reference stands in the books, with other content (decision M6).
    """

    code: str
    message: str
    is_conflict: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Unknown:
    """Anything else: it may have happened."""

    message: str
    retry_after_s: float | None = None
    status: int | None = field(default=None, compare=False)
    """The answer's HTTP status, if there was an answer."""
    is_pending: bool = False
    """The service works, and has not come to the end that is waited for: it is asked again, and nothing failed."""

    @property
    def reason(self) -> str:
        """For a log line: `message` may quote the answer's body, this does not."""
        return self.message if self.status is None else f"HTTP {self.status}"


Outcome = Done | Refused | Unknown


# What a look-up found.


@dataclass(frozen=True, slots=True)
class Found:
    """Our effect stands in the service's books with our values."""

    output: Any = None


@dataclass(frozen=True, slots=True)
class FoundOther:
    """Something stands under our reference, with other values."""

    message: str


@dataclass(frozen=True, slots=True)
class Absent:
    """The service was asked and has no such thing. `ledger_is_missing`: nor the ledger it would stand in."""

    ledger_is_missing: bool = False


@dataclass(frozen=True, slots=True)
class Undecided:
    """The service was asked for all that a look-up may ask for, and neither shows the effect nor excludes it."""

    message: str


LookUp = Found | FoundOther | Absent | Undecided | Unknown
Search = Generator[Request, Response, LookUp]
"""The questions of one look-up, one after the other: each is answered with the service's response."""
