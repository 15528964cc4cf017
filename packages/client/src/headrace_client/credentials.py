"""What a caller may give a client as its credentials, and what may be given instead: a function that has them.

A function is asked when a token is needed. It gives a token that it has, as text or as a `Token` with its life, or the
client's credentials of the moment. One that is async needs `AsyncClient`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from headrace_client.errors import InvalidRequest
from headrace_client.servers import checked_root, host_root

TOKEN_PATH = "/api/auth/oauth/token"  # noqa: S105 - an address


@dataclass(frozen=True, slots=True)
class Security:
    """Client id and secret. A relative `token_url` starts at the server's host, whatever prefix its API has."""

    client_id: str
    client_secret: str = field(repr=False)
    token_url: str = TOKEN_PATH

    @property
    def is_complete(self) -> bool:
        """With one of the two missing, calls go out without a token, as official clients have it."""
        return bool(self.client_id and self.client_secret)

    def __post_init__(self) -> None:
        for name, value in (("client_id", self.client_id), ("client_secret", self.client_secret)):
            if value and (value != value.strip() or not value.isprintable()):
                raise InvalidRequest(f"security: {name} is one line without blanks around it; strip its line end")

    def endpoint(self, server_root: str) -> str:
        if "://" in self.token_url:
            return checked_root(self.token_url, "token_url")
        return checked_root(f"{host_root(server_root)}/{self.token_url.lstrip('/')}", "token_url")


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """The same, named as OAuth2 names it; without `token_url` the server's own token endpoint is asked."""

    client_id: str
    client_secret: str = field(repr=False)
    token_url: str | None = None

    def as_security(self) -> Security:
        return Security(self.client_id, self.client_secret, self.token_url or TOKEN_PATH)


@dataclass(frozen=True, slots=True)
class Token:
    """A token that somebody has. Without `expires_in_s` its source is asked again before the next call."""

    value: str = field(repr=False)
    expires_in_s: float | None = None


Given: TypeAlias = str | Token | Security | ClientCredentials
Source: TypeAlias = Callable[[], Given | Awaitable[Given]]
Credentials: TypeAlias = Security | ClientCredentials | Source


def checked_given(given: object) -> Token | Security:
    """What a source gave, in one of two shapes. Raises InvalidRequest for anything else."""
    if isinstance(given, ClientCredentials):
        given = given.as_security()
    if isinstance(given, str):
        given = Token(given)
    if isinstance(given, Token):
        if not is_token(given.value):
            raise InvalidRequest("security: the function gave a token that is empty, or that no header may carry")
        return given
    if isinstance(given, Security) and given.is_complete:
        return given
    raise InvalidRequest("security: the function must give a token, a Token, or a client id and secret")


def is_token(value: object) -> bool:
    return isinstance(value, str) and bool(value) and all("!" <= character <= "~" for character in value)
