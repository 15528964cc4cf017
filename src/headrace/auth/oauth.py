"""Token requests and responses (RFC 6749, client credentials), without HTTP, and the token authorities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from headrace.clock import Ids
from headrace.errors import HeadraceError

GRANT = "client_credentials"
TOKEN_PATH = "/oauth/token"  # noqa: S105 (an address)
KEYS_PATH = "/.well-known/jwks.json"
OPEN_LIFE_S = 3_600

Json = dict[str, Any]
Form = Mapping[str, Sequence[str]]


class Refused(HeadraceError):
    """A refused token request. `code` is OAuth2's error code."""

    def __init__(self, code: str, description: str) -> None:
        super().__init__(description)
        self.code = code


class TooManyFailures(Refused):
    def __init__(self, wait_s: float) -> None:
        super().__init__("slow_down", "too many failures; try again later")
        self.wait_s = wait_s


@dataclass(frozen=True, slots=True)
class Asked:
    """A token request: its form, its Authorization headers, and the caller's address."""

    form: Form
    authorization: Sequence[bytes]
    address: str


@dataclass(frozen=True, slots=True)
class Granted:
    token: str = field(repr=False)
    life_s: int
    scope: str | None = None


class Authority(Protocol):
    """Issues tokens, and describes itself."""

    async def grant(self, asked: Asked) -> Granted:
        """Issue a token. Raises Refused."""
        ...

    def metadata(self) -> Json | None:
        """OpenID Connect's discovery document; None if a remote issuer has it."""
        ...

    def jwks(self) -> Json: ...


class OpenAuthority:
    """Without authentication: any request gets a token, which nothing checks. Official clients require one."""

    def __init__(self, issuer: str, ids: Ids) -> None:
        self._issuer = issuer
        self._ids = ids

    async def grant(self, asked: Asked) -> Granted:
        return Granted(self._ids.new(), OPEN_LIFE_S)

    def metadata(self) -> Json:
        return metadata(self._issuer, ())

    def jwks(self) -> Json:
        return {"keys": []}


class ElsewhereAuthority:
    """Refuses token requests, because a remote issuer issues the tokens."""

    def __init__(self, issuer: str) -> None:
        self._issuer = issuer

    async def grant(self, asked: Asked) -> Granted:
        raise Refused("invalid_request", f"this server issues no tokens; it accepts tokens from {self._issuer}")

    def metadata(self) -> None:
        return None

    def jwks(self) -> Json:
        return {"keys": []}


def metadata(issuer: str, scopes: Sequence[str]) -> Json:
    return {
        "issuer": issuer,
        "token_endpoint": f"{issuer.rstrip('/')}{TOKEN_PATH}",
        "jwks_uri": f"{issuer.rstrip('/')}{KEYS_PATH}",
        "grant_types_supported": [GRANT],
        "response_types_supported": [],
        "scopes_supported": list(scopes),
        "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
    }
