"""The tokens a client holds, one per server and scope, and how it gets them: client credentials, or a function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlencode

import msgspec

from headrace_client.credentials import ClientCredentials, Credentials, Security, Source, is_token
from headrace_client.errors import InvalidRequest, SDKError
from headrace_client.replies import failure_error
from headrace_client.wire import Access, NeedToken, Steps, WireFailure, WireReply, WireRequest, credentials, exchange

EXPIRY_MARGIN_S = 60.0


class TokenReply(msgspec.Struct):
    """What a token endpoint answers. Without `expires_in` a token lasts until it is refused."""

    access_token: str
    token_type: str
    expires_in: int | float | None = None


@dataclass(frozen=True, slots=True)
class _Token:
    value: str = field(repr=False)
    deadline_s: float | None


class TokenCache:
    """The tokens of one client. Drivers let one caller at a time through `obtain`."""

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
        """Forget a token the server refused, unless somebody has replaced it already."""
        token = self._tokens.get(access)
        if token is not None and token.value == rejected:
            self._tokens.pop(access, None)

    def obtain(self, need: NeedToken) -> Steps[str]:
        """The token for `need.access`: the kept one, or a fresh one."""
        if need.rejected is not None:
            self.drop(need.access, need.rejected)
        kept = self.kept(need.access)
        if kept is not None:
            return kept
        given = self._given if isinstance(self._given, Security) else (yield from credentials(self._given))
        if isinstance(given, Security):
            return (yield from self._fetch(need, given))
        return self._keep(need.access, given.value, self._monotonic_s(), given.expires_in_s or 0.0)

    def _keep(self, access: Access, value: str, asked_s: float, life_s: float | None) -> str:
        deadline_s = None if life_s is None else asked_s + life_s - EXPIRY_MARGIN_S
        self._tokens[access] = _Token(value, deadline_s)
        return value

    def _fetch(self, need: NeedToken, security: Security) -> Steps[str]:
        request = self._request(need, security)
        asked_s = self._monotonic_s()
        reply = yield from exchange(request)
        if isinstance(reply, WireFailure):
            error = failure_error(request, reply, None)
            error.is_unsent = True  # what the token is for has not left
            raise error
        answer = _read_token(request, reply)
        return self._keep(need.access, answer.access_token, asked_s, answer.expires_in)

    def _request(self, need: NeedToken, security: Security) -> WireRequest:
        form = {
            "grant_type": "client_credentials",
            "client_id": security.client_id,
            "client_secret": security.client_secret,
            "scope": need.access.scope,
        }
        headers = {
            "Accept": "application/json",
            "Content-Type": "application/x-www-form-urlencoded",
            "User-Agent": self._user_agent,
        }
        return WireRequest("POST", security.endpoint(need.access.root), headers, _encoded(form), need.timeout_s)


def token_cache(given: Credentials | None, user_agent: str, monotonic_s: Callable[[], float]) -> TokenCache | None:
    """None where calls go out without a token."""
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


def _read_token(request: WireRequest, reply: WireReply) -> TokenReply:
    if not 200 <= reply.status <= 299:
        raise _token_error(request, reply, f"no token: HTTP {reply.status}{_oauth_reason(reply.body)}")
    try:
        answer = msgspec.json.decode(reply.body, type=TokenReply)
    except msgspec.DecodeError as error:
        raise _token_error(request, reply, f"the token endpoint's answer cannot be read: {error}") from error
    if answer.token_type.lower() != "bearer":
        raise _token_error(request, reply, f"token_type must be bearer, not {answer.token_type!r}")
    if not is_token(answer.access_token):
        raise _token_error(request, reply, "access_token is empty or holds characters no header may carry")
    return answer


class _OAuthError(msgspec.Struct):
    error: str
    error_description: str = ""


def _oauth_reason(body: bytes) -> str:
    try:
        answer = msgspec.json.decode(body, type=_OAuthError)
    except msgspec.DecodeError:
        return ""
    return f" {answer.error} {answer.error_description}".rstrip()


def _token_error(request: WireRequest, reply: WireReply, message: str) -> SDKError:
    # A good-looking answer may hold a token: its body stays out of the error.
    body = b"" if 200 <= reply.status <= 299 else reply.body
    return SDKError(f"{request.label}: {message}", reply.status, reply.headers, body)
