"""Public keys of an issuer, from its JWKS: those that verify signatures, each with its algorithms."""

from __future__ import annotations

from base64 import urlsafe_b64decode
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

import msgspec
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, Key

MAX_KEYS = 100
MAX_KID_CHARACTERS = 256
MIN_RSA_BITS = 2_048
MAX_RSA_BITS = 8_192
"""Maximum bits of a key: a longer one only costs the verifier time."""

_RSA = frozenset(f"{family}{bits}" for family in ("RS", "PS") for bits in (256, 384, 512))
_CURVES = {"P-256": frozenset({"ES256"}), "P-384": frozenset({"ES384"}), "P-521": frozenset({"ES512"})}
_NONE: frozenset[str] = frozenset()
_ED25519 = frozenset({"EdDSA", "Ed25519"})
_PRIVATE = ("d", "p", "q", "dp", "dq", "qi", "oth", "k")


class BadKeys(Exception):
    """A document that is not a JWKS."""


@dataclass(frozen=True, slots=True)
class VerificationKey:
    kid: str | None
    algorithms: frozenset[str]
    jwk: Key


def keys_of(document: bytes) -> tuple[VerificationKey, ...]:
    """Return the usable keys of a JWKS; keys of other uses or unknown kinds are skipped. Raises BadKeys."""
    try:
        found: Any = msgspec.json.decode(document)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise BadKeys("not JSON") from None
    members = cast("dict[str, Any]", found).get("keys") if isinstance(found, dict) else None
    if not isinstance(members, list):
        raise BadKeys("it has no list of keys")
    usable = (_key(member) for member in cast("list[Any]", members)[:MAX_KEYS])
    return tuple(key for key in usable if key is not None)


def choose(keys: Iterable[VerificationKey], kid: str | None, algorithm: str) -> VerificationKey | None:
    """Return the key of this id; for a token without a key id, the only key that fits."""
    fitting = [key for key in keys if algorithm in key.algorithms and (kid is None or key.kid == kid)]
    if kid is None and len(fitting) != 1:
        return None
    return fitting[0] if fitting else None


def _key(member: Any) -> VerificationKey | None:
    if not isinstance(member, dict):
        return None
    public = {name: value for name, value in cast("dict[str, Any]", member).items() if name not in _PRIVATE}
    algorithms = _algorithms(public)
    if not algorithms or not _is_for_signatures(public):
        return None
    kid = public.get("kid")
    if kid is not None and not (isinstance(kid, str) and 0 < len(kid) <= MAX_KID_CHARACTERS):
        return None
    try:
        if public["kty"] == "RSA" and not MIN_RSA_BITS <= _bits(public["n"]) <= MAX_RSA_BITS:
            return None
        jwk = JWKRegistry.import_key({name: value for name, value in public.items() if name in _MATERIAL})
    except (JoseError, KeyError, ValueError, TypeError, OverflowError):
        return None
    return VerificationKey(kid, algorithms, jwk)


_MATERIAL = ("kty", "n", "e", "crv", "x", "y")
"""Members of a key that are read: no certificate, no address of one."""


def _bits(modulus: str) -> int:
    return int.from_bytes(urlsafe_b64decode(modulus + "=" * (-len(modulus) % 4))).bit_length()


def _algorithms(public: dict[str, Any]) -> frozenset[str]:
    """Algorithms of the key's kind, reduced to the one that the key names."""
    kind, curve, only = public.get("kty"), public.get("crv"), public.get("alg")
    if kind == "RSA":
        fitting = _RSA
    elif kind == "EC" and isinstance(curve, str):
        fitting = _CURVES.get(curve, _NONE)
    elif kind == "OKP" and curve == "Ed25519":
        return _ED25519 if only is None or str(only) in _ED25519 else _NONE
    else:
        fitting = _NONE
    return fitting if only is None else fitting & {str(only)}


def _is_for_signatures(public: dict[str, Any]) -> bool:
    operations = public.get("key_ops", ["verify"])
    return public.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations
