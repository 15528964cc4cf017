"""Validation of a bearer token. Pure: keys and time are parameters.

`read` checks what is cheap: the shape, the algorithm and the claims. Only a token that passes is worth the search for
its key, and only its signature makes a principal of it. Addresses, keys and certificates in a token are never used.
"""

from __future__ import annotations

import math
import re
from base64 import urlsafe_b64decode
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, cast

import msgspec
from joserfc import jws
from joserfc.errors import JoseError, UnsupportedAlgorithmError
from joserfc.jwa import JWSAlgModel

from headrace.auth.keys import MAX_KID_CHARACTERS, VerificationKey
from headrace.auth.principal import Principal
from headrace.certificates.envelope import KID_PREFIX
from headrace.errors import NotAuthenticated

MAX_TOKEN_BYTES = 16_384
LEEWAY_S = 30
"""Seconds that the issuer's clock may differ from the server's."""
MAX_NAME_CHARACTERS = 255
MAX_SCOPES = 1_000

_SHAPE = re.compile(rb"[A-Za-z0-9_-]{2,}\.[A-Za-z0-9_-]{2,}\.[A-Za-z0-9_-]{2,}")
_SCHEME = re.compile(rb"bearer[ ]+([!-~]+)[ ]*", re.IGNORECASE)
_BROUGHT = ("jku", "jwk", "x5u", "x5c", "crit", "b64", "zip", "enc")
_TYPES = ("jwt", "at+jwt", "application/jwt", "application/at+jwt")

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Expectations:
    """Required claims. `audience` None accepts any.

    `realm` identifies the issuer in the owner of an Idempotency-Key; empty means its URL. The local issuer needs a
    fixed name, because its URL may change with the port.
    """

    issuer: str
    audience: str | None
    algorithms: Collection[str]
    realm: str = ""


@dataclass(frozen=True, slots=True)
class UnprovenToken:
    """A token whose claims are valid and whose signature is not verified yet."""

    text: str
    kid: str | None
    algorithm: str
    principal: Principal
    expires_at_s: float


def bearer_token(credentials: Sequence[bytes]) -> bytes:
    """Extract the token. Raises NotAuthenticated unless there is exactly one Authorization header with one token."""
    if not credentials:
        raise NotAuthenticated("a token is required: Authorization: Bearer ...", has_token=False)
    if len(credentials) > 1:
        raise NotAuthenticated("more than one Authorization header")
    found = _SCHEME.fullmatch(credentials[0])
    if found is None:
        raise NotAuthenticated("Authorization must be Bearer and a token", has_token=False)
    if len(found[1]) > MAX_TOKEN_BYTES:
        raise NotAuthenticated(f"the token has more than {MAX_TOKEN_BYTES} bytes")
    return found[1]


class Verifier:
    """Validates tokens in two steps: `read` without a key, then `prove` with it."""

    def __init__(self, expectations: Expectations) -> None:
        self._expected = expectations

    def read(self, token: bytes, now_s: float) -> UnprovenToken:
        """Check a token before its signature. Raises NotAuthenticated if no signature could make it valid."""
        if not _SHAPE.fullmatch(token):
            raise NotAuthenticated("the token is not a signed JWT")
        header, claims = (_members(part) for part in token.split(b".")[:2])

        algorithm, kid, kind = header.get("alg"), header.get("kid"), header.get("typ", "JWT")
        if not isinstance(algorithm, str) or algorithm not in self._expected.algorithms:
            raise NotAuthenticated(f"the token's algorithm is not one of {', '.join(self._expected.algorithms)}")
        if any(name in header for name in _BROUGHT):
            raise NotAuthenticated(
                "the token's header has members that are not accepted, such as jwk, jku, x5u or crit"
            )
        if not isinstance(kind, str) or kind.lower() not in _TYPES:
            raise NotAuthenticated("the token is not an access token")
        if kid is not None and not (isinstance(kid, str) and 0 < len(kid) <= MAX_KID_CHARACTERS):
            raise NotAuthenticated("the token's key id is malformed")
        if kid is not None and kid.startswith(KID_PREFIX):
            raise NotAuthenticated("the token's key is one that signs certificates")

        if claims.get("iss") != self._expected.issuer:
            raise NotAuthenticated("the token is from another issuer")
        if self._expected.audience is not None and self._expected.audience not in _texts(claims.get("aud")):
            raise NotAuthenticated("the token is for another audience")
        if now_s >= _time(claims, "exp") + LEEWAY_S:
            raise NotAuthenticated("the token has expired")
        if "nbf" in claims and now_s < _time(claims, "nbf") - LEEWAY_S:
            raise NotAuthenticated("the token is not valid yet")

        realm = self._expected.realm or self._expected.issuer
        client_id = claims.get("client_id", claims.get("azp"))
        name: Any = claims.get("sub", client_id)
        if not _is_name(name):
            raise NotAuthenticated("the token has no valid subject (sub)")
        scopes = [*_scopes(claims.get("scope")), *_scopes(claims.get("scp"))]
        owner = msgspec.json.encode([realm, "sub" if "sub" in claims else "client", name]).decode()
        principal = Principal.of(name, client_id if _is_name(client_id) else None, scopes[:MAX_SCOPES], owner)
        return UnprovenToken(token.decode("ascii"), kid, algorithm, principal, claims["exp"] + LEEWAY_S)

    def prove(self, token: UnprovenToken, key: VerificationKey) -> Principal:
        """Verify the signature. Raises NotAuthenticated unless this key made it, with the algorithm of the token."""
        if token.algorithm not in key.algorithms or token.algorithm not in self._expected.algorithms:
            raise NotAuthenticated("the token's algorithm does not match its key")
        registry = _Registry(algorithms=[token.algorithm], strict_check_header=False)
        try:
            jws.deserialize_compact(token.text, key.jwk, registry=registry)
        except (JoseError, ValueError, TypeError, OverflowError):
            raise NotAuthenticated("the token's signature is invalid") from None
        return token.principal


class _Registry(jws.JWSRegistry):
    max_header_length = 4_096
    max_payload_length = MAX_TOKEN_BYTES

    def get_alg(self, name: str) -> JWSAlgModel:
        """Return an allowed algorithm without the library's warnings, because the operator has chosen it."""
        if name not in (self.allowed or ()):
            raise UnsupportedAlgorithmError(name)
        return self.algorithms[name]


def _members(part: bytes) -> Json:
    try:
        found: Any = msgspec.json.decode(urlsafe_b64decode(part + b"=" * (-len(part) % 4)))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise NotAuthenticated("the token is malformed")
    return cast("Json", found)


def _time(claims: Json, name: str) -> float:
    """Read a time claim: seconds since the epoch, with a fraction."""
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise NotAuthenticated(f"the token's {name} is not a time")
    if not 0 <= value < 1e12:
        raise NotAuthenticated(f"the token's {name} is not a time")
    return value


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_NAME_CHARACTERS and value.isprintable()


def _scopes(value: Any) -> list[str]:
    """Split scopes: text with spaces, as OAuth2 defines, or a list, as some issuers send."""
    return value.split(" ") if isinstance(value, str) else _texts(value)


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    items = cast("list[Any]", value) if isinstance(value, list) else []
    return [item for item in items if isinstance(item, str)]
