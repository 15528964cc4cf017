"""The interface between the protocol, which decides, and the drivers, which only send and wait.

The protocol is a generator: it yields a `Step`, receives a `StepResult`, and returns its result. The sync and
the async driver run the same generators, so that both clients differ only in how they wait.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

from headrace_client.credentials import Security, Source, Token
from headrace_client.errors import ClientError

T = TypeVar("T")

Scope = Literal["orchestration:read", "orchestration:write", "orchestration:approve"]


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One HTTP request. `timeout_s` is the longest silence; None leaves it to the HTTP client."""

    method: str
    url: str
    headers: Mapping[str, str]
    content: bytes | None
    timeout_s: float | None

    def with_header(self, name: str, value: str) -> HttpRequest:
        return replace(self, headers={**self.headers, name: value})

    @property
    def label(self) -> str:
        return f"{self.method} {self.url}"


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """One HTTP response with its complete body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class HttpFailure:
    """A request without a response: the transport's message, and whether the request certainly never left."""

    reason: str
    is_timeout: bool
    is_unsent: bool


@dataclass(frozen=True, slots=True)
class Access:
    """The use of a token: one token per server and scope."""

    root: str
    scope: Scope


@dataclass(frozen=True, slots=True)
class NeedToken:
    """Get a token, one caller at a time. `rejected` is the one that the server just refused."""

    access: Access
    timeout_s: float | None
    rejected: str | None = None


@dataclass(frozen=True, slots=True)
class AskSource:
    """Call the caller's function, which may be async if the driver is."""

    source: Source


@dataclass(frozen=True, slots=True)
class Pause:
    seconds: float


Step = HttpRequest | NeedToken | AskSource | Pause
StepResult = HttpResponse | HttpFailure | Token | Security | str | ClientError | None
Steps = Generator[Step, StepResult, T]


def exchange(request: HttpRequest) -> Steps[HttpResponse | HttpFailure]:
    """Send one request; the driver returns its response or the failure."""
    result = yield request
    assert isinstance(result, HttpResponse | HttpFailure)
    return result


def token(need: NeedToken) -> Steps[str]:
    """Get a token. Raises the error that prevented it."""
    result = yield need
    if isinstance(result, ClientError):
        raise result
    assert isinstance(result, str)
    return result


def credentials(source: Source) -> Steps[Token | Security]:
    result = yield AskSource(source)
    assert isinstance(result, Token | Security)
    return result


def pause(seconds: float) -> Steps[None]:
    yield Pause(seconds)
