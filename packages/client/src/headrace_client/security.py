"""Tokens of a client, one per server and scope, and their sources: client credentials, or a function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlencode

import msgspec

from headrace_client.credentials import ClientCredentials, Credentials, Security, Source, is_token
from headrace_client.errors import InvalidRequest, SDKError
from headrace_client.responses import failure_error
from headrace_client.steps import (
    Access,
    HttpFailure,
    HttpRequest,
    HttpResponse,
    NeedToken,
    Steps,
    credentials,
    exchange,
)

EXPIRY_MARGIN_S = 60.0


class TokenResponse(msgspec.Struct):
    """Response of a token endpoint. Without `expires_in` a token is used until it is refused."""

    access_token: str
    token_type: str
    expires_in: int | float | None = None


@dataclass(frozen=True, slots=True)
class _Token:
    value: str = field(repr=False)
    deadline_s: float | None


class TokenCache:
    """The tokens of one client. Drivers call `obtain` one caller at a time."""

    def __init__(self, given: Security | Source, user_agent: str, monotonic_s: Callable[[], float]) -> None:
        self._given = given
        self._user_agent = user_agent
        self._monotonic_s = monotonic_s
        self._tokens: dict[Access, _Token] = {}

    def kept(self, access: Access) -> str | None:
        token = self._tokens.get(access)
        if token is None or (token.deadline_s is not None and self._monotonic_s() >= token.deadline_s):
            return None
        return token.value

    def drop(self, access: Access, rejected: str) -> None:
        """Forget a token that the server refused, unless it was replaced meanwhile."""
        token = self._tokens.get(access)
        if token is not None and token.value == rejected:
            self._tokens.pop(access, None)

    def obtain(self, need: NeedToken) -> Steps[str]:
        """Return the token for `need.access`: the stored one, or a fresh one."""
        if need.rejected is not None:
            self.drop(need.access, need.rejected)
        kept = self.kept(need.access)
        if kept is not None:
            return kept
        given = self._given if isinstance(self._given, Security) else (yield from credentials(self._given))
        if isinstance(given, Security):
            form = {
                "grant_type": "client_credentials",
                "client_id": given.client_id,
                "client_secret": given.client_secret,
                "scope": need.access.scope,
            }
            headers = {
                "Accept": "application/json",
                "Content-Type": "application/x-www-form-urlencoded",
                "User-Agent": self._user_agent,
            }
            request = HttpRequest("POST", given.endpoint(need.access.root), headers, _encoded(form), need.timeout_s)
            asked_s = self._monotonic_s()
            response = yield from exchange(request)
            if isinstance(response, HttpFailure):
                error = failure_error(request, response, None)
                error.is_unsent = True  # the request that needs the token has not left
                raise error
            if not 200 <= response.status <= 299:
                raise _token_error(request, response, f"no token: HTTP {response.status}{_oauth_reason(response.body)}")
            try:
                answer = msgspec.json.decode(response.body, type=TokenResponse)
            except msgspec.DecodeError as error:
                raise _token_error(
                    request, response, f"the token endpoint's response cannot be read: {error}"
                ) from error
            if answer.token_type.lower() != "bearer":
                raise _token_error(request, response, f"token_type must be bearer, not {answer.token_type!r}")
            if not is_token(answer.access_token):
                raise _token_error(request, response, "access_token is empty or not valid in a header")
            return self._keep(need.access, answer.access_token, asked_s, answer.expires_in)
        return self._keep(need.access, given.value, self._monotonic_s(), given.expires_in_s or 0.0)

    def _keep(self, access: Access, value: str, asked_s: float, life_s: float | None) -> str:
        deadline_s = None if life_s is None else asked_s + life_s - EXPIRY_MARGIN_S
        self._tokens[access] = _Token(value, deadline_s)
        return value


def token_cache(given: Credentials | None, user_agent: str, monotonic_s: Callable[[], float]) -> TokenCache | None:
    """Create the cache; None if requests go out without a token."""
    if isinstance(given, ClientCredentials):
        given = given.as_security()
    if given is None or (isinstance(given, Security) and not given.is_complete):
        return None
    return TokenCache(given, user_agent, monotonic_s)


def _encoded(form: dict[str, str]) -> bytes:
    try:
        return urlencode(form).encode()
    except UnicodeEncodeError as error:
        raise InvalidRequest("client_id and client_secret must be text that can be encoded") from error


class _OAuthError(msgspec.Struct):
    error: str
    error_description: str = ""


def _oauth_reason(body: bytes) -> str:
    try:
        answer = msgspec.json.decode(body, type=_OAuthError)
    except msgspec.DecodeError:
        return ""
    return f" {answer.error} {answer.error_description}".rstrip()


def _token_error(request: HttpRequest, response: HttpResponse, message: str) -> SDKError:
    # A response that looks right may hold a token, so its body stays out of the error.
    body = b"" if 200 <= response.status <= 299 else response.body
    return SDKError(f"{request.label}: {message}", response.status, response.headers, body)
