"""An issuer of the tests' own: keys, tokens good and bad, and the documents a verifier asks for."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
import warnings
from base64 import urlsafe_b64encode
from functools import cache
from typing import Any

from joserfc import jws
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

from headrace.auth.keyring import FetchFailed, RemoteKeyring
from headrace.auth.oauth import ElsewhereAuthority
from headrace.auth.tokens import TokenAuthenticator
from headrace.auth.verifier import Expectations, Verifier
from headrace.clock import Clock

ISSUER = "https://issuer.example/realm"
AUDIENCE = "headrace"
BOTH = "orchestration:read orchestration:write"
APPROVE = "orchestration:approve"
DISCOVERY = f"{ISSUER}/.well-known/openid-configuration"
JWKS = f"{ISSUER}/keys"

Json = dict[str, Any]


def key_named(kid: str, algorithm: str = "ES256") -> RSAKey | ECKey | OKPKey:
    """The same one all through a run: RSA keys take long to make."""
    return _key(kid, algorithm)


@cache
def _key(kid: str, algorithm: str) -> RSAKey | ECKey | OKPKey:
    if algorithm.startswith(("RS", "PS")):
        return RSAKey.generate_key(2048)
    if algorithm.startswith("Ed"):
        return OKPKey.generate_key("Ed25519")
    return ECKey.generate_key({"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}[algorithm])


def published(kid: str, algorithm: str = "ES256", **members: Any) -> Json:
    public = key_named(kid, algorithm).as_dict(private=False)
    return {**public, "kid": kid, "alg": algorithm, "use": "sig", **members}


def claims_of(now_s: float | None = None, **changes: Any) -> Json:
    """Those of a good token; one that is changed to None is left out."""
    now_s = time.time() if now_s is None else now_s
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "alice",
        "client_id": "app",
        "scope": BOTH,
        "iat": int(now_s),
        "exp": int(now_s) + 600,
        **changes,
    }
    return {name: value for name, value in claims.items() if value is not None}


def signed(
    claims: Json, *, kid: str | None = "k1", algorithm: str = "ES256", key: Key | None = None, **header: Any
) -> str:
    """By the key of this name, or by another one."""
    members = {"alg": algorithm, **({} if kid is None else {"kid": kid}), **header}
    registry = jws.JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    signer = key or key_named(kid or "k1", algorithm)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SecurityWarning)  # of EdDSA's name
        return jws.serialize_compact(members, json.dumps(claims), signer, registry=registry)


def part(value: Any) -> str:
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    return urlsafe_b64encode(content).decode().rstrip("=")


def by_hand(header: Json, claims: Json, signature: bytes = b"signature") -> str:
    return f"{part(header)}.{part(claims)}.{part(signature)}"


def confused(claims: Json, kid: str, secret: bytes) -> str:
    """HS256, with what everybody may read of the key as its secret."""
    signing_input = f"{part({'alg': 'HS256', 'kid': kid})}.{part(claims)}"
    return f"{signing_input}.{part(hmac.new(secret, signing_input.encode(), hashlib.sha256).digest())}"


class Documents:
    """What an issuer serves, and how often it was asked. `is_down`: it does not answer."""

    def __init__(self, *keys: Json) -> None:
        self.keys = list(keys)
        self.discovery: Json = {"issuer": ISSUER, "jwks_uri": JWKS}
        self.asked: list[str] = []
        self.is_down = False

    async def __call__(self, url: str) -> bytes:
        self.asked.append(url)
        if self.is_down:
            raise FetchFailed("nobody answers")
        return json.dumps({DISCOVERY: self.discovery, JWKS: {"keys": self.keys}}[url]).encode()


def authenticator_of(documents: Documents, clock: Clock, *, audience: str | None = AUDIENCE) -> TokenAuthenticator:
    verifier = Verifier(Expectations(ISSUER, audience, ("RS256", "ES256")))
    keyring = RemoteKeyring(ISSUER, documents, clock)
    return TokenAuthenticator(ElsewhereAuthority(ISSUER), verifier, keyring, clock)
