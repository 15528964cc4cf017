"""The vocabulary between the protocol, which decides, and the drivers, which only send and wait.

The protocol is a generator: it yields a `Step`, is sent an `Answer`, and returns its result. The sync and
the async driver run the same generators, so that both clients differ only in who awaits.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

from headrace_client.credentials import Security, Source, Token
from headrace_client.errors import ClientError

T = TypeVar("T")

Scope = Literal["orchestration:read", "orchestration:write"]


@dataclass(frozen=True, slots=True)
class WireRequest:
    """One HTTP request. `timeout_s` is the longest silence; None leaves it to the HTTP client."""

    method: str
    url: str
    headers: Mapping[str, str]
    content: bytes | None
    timeout_s: float | None

    def with_header(self, name: str, value: str) -> WireRequest:
        return replace(self, headers={**self.headers, name: value})

    @property
    def label(self) -> str:
        return f"{self.method} {self.url}"


@dataclass(frozen=True, slots=True)
class WireReply:
    """One HTTP reply, its body read to the end."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class WireFailure:
    """No reply: the transport's own words, and what is known about the request's fate."""

    reason: str
    is_timeout: bool
    is_unsent: bool


@dataclass(frozen=True, slots=True)
class Access:
    """What a token is for: one token per server and scope."""

    root: str
    scope: Scope


@dataclass(frozen=True, slots=True)
class NeedToken:
    """Get a token, one caller at a time. `rejected` is the one the server just refused."""

    access: Access
    timeout_s: float | None
    rejected: str | None = None


@dataclass(frozen=True, slots=True)
class AskSource:
    """Call the caller's function; it may be async where the driver is."""

    source: Source


@dataclass(frozen=True, slots=True)
class Pause:
    seconds: float


Step = WireRequest | NeedToken | AskSource | Pause
Answer = WireReply | WireFailure | Token | Security | str | ClientError | None
Steps = Generator[Step, Answer, T]


def exchange(request: WireRequest) -> Steps[WireReply | WireFailure]:
    """Send one request; the driver answers with its reply or the failure."""
    answer = yield request
    assert isinstance(answer, WireReply | WireFailure)
    return answer


def token(need: NeedToken) -> Steps[str]:
    """Raises what kept the token from being had."""
    answer = yield need
    if isinstance(answer, ClientError):
        raise answer
    assert isinstance(answer, str)
    return answer


def credentials(source: Source) -> Steps[Token | Security]:
    answer = yield AskSource(source)
    assert isinstance(answer, Token | Security)
    return answer


def pause(seconds: float) -> Steps[None]:
    yield Pause(seconds)
