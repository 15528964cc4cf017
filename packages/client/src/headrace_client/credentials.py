"""Credentials that a client accepts: a client id and secret, or a function that returns them or a token.

The function is called when a token is needed. It returns a token, as text or as a `Token` with its lifetime, or the
current client id and secret. An async function requires `AsyncClient`.
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
    """Client id and secret. A relative `token_url` starts at the server's host, without the prefix of its API."""

    client_id: str
    client_secret: str = field(repr=False)
    token_url: str = TOKEN_PATH

    @property
    def is_complete(self) -> bool:
        """False if one of the two is missing: requests then carry no token, as in official clients."""
        return bool(self.client_id and self.client_secret)

    def __post_init__(self) -> None:
        for name, value in (("client_id", self.client_id), ("client_secret", self.client_secret)):
            if value and (value != value.strip() or not value.isprintable()):
                raise InvalidRequest(f"security: {name} must be one line without blanks around it; strip its line end")

    def endpoint(self, server_root: str) -> str:
        if "://" in self.token_url:
            return checked_root(self.token_url, "token_url")
        return checked_root(f"{host_root(server_root)}/{self.token_url.lstrip('/')}", "token_url")


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """Client id and secret under OAuth2's names. Without `token_url` the server's own token endpoint is used."""

    client_id: str
    client_secret: str = field(repr=False)
    token_url: str | None = None

    def as_security(self) -> Security:
        return Security(self.client_id, self.client_secret, self.token_url or TOKEN_PATH)


@dataclass(frozen=True, slots=True)
class Token:
    """A token. Without `expires_in_s` its source is asked again before the next request."""

    value: str = field(repr=False)
    expires_in_s: float | None = None


Given: TypeAlias = str | Token | Security | ClientCredentials
Source: TypeAlias = Callable[[], Given | Awaitable[Given]]
Credentials: TypeAlias = Security | ClientCredentials | Source


def checked_given(given: object) -> Token | Security:
    """Validate the result of a source. Raises InvalidRequest unless it has one of the two shapes."""
    if isinstance(given, ClientCredentials):
        given = given.as_security()
    if isinstance(given, str):
        given = Token(given)
    if isinstance(given, Token):
        if not is_token(given.value):
            raise InvalidRequest("security: the function returned a token that is empty or not valid in a header")
        return given
    if isinstance(given, Security) and given.is_complete:
        return given
    raise InvalidRequest("security: the function must return a token, a Token, or a client id and secret")


def is_token(value: object) -> bool:
    return isinstance(value, str) and bool(value) and all("!" <= character <= "~" for character in value)
