"""Which members of a JWKS are keys that verify signatures, and for which algorithms."""

from __future__ import annotations

import json
from typing import Any

import pytest

from headrace.auth.keys import MAX_KEYS, BadKeys, VerificationKey, choose, keys_of
from tests.support.tokens import key_named, part, published


def read(*members: Any) -> tuple[VerificationKey, ...]:
    return keys_of(json.dumps({"keys": list(members)}).encode())


def _without(member: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in member.items() if name not in names}


RSA_ALGORITHMS = {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}


@pytest.mark.parametrize(
    ("member", "algorithms"),
    [
        (published("k"), {"ES256"}),
        (_without(published("k"), "alg", "use", "kid"), {"ES256"}),
        (published("k", "ES384"), {"ES384"}),
        (published("r", "RS256"), {"RS256"}),
        (_without(published("r", "RS256"), "alg"), RSA_ALGORITHMS),
        (_without(published("o", "EdDSA"), "alg"), {"EdDSA", "Ed25519"}),
        (published("k", key_ops=["verify"]), {"ES256"}),
    ],
)
def test_keys_for_signatures(member: dict[str, Any], algorithms: set[str]) -> None:
    (key,) = read(member)
    assert key.algorithms == algorithms


@pytest.mark.parametrize(
    "member",
    [
        {"kty": "oct", "k": "c2VjcmV0", "kid": "k", "alg": "HS256"},
        {"kty": "oct", "k": "c2VjcmV0", "kid": "k"},
        published("k", use="enc"),
        published("k", alg="RS256"),
        published("k", alg="HS256"),
        published("k", alg="none"),
        published("k", alg=5),
        *(published("o", "EdDSA", alg=value) for value in (5, [], {}, ["EdDSA"], "ES256")),
        published("k", key_ops=["sign"]),
        published("k", key_ops="verify"),
        published("k", crv="P-384"),
        published("k", crv="secp256k1"),
        published("k", x="AAAA"),
        published("k", x=5),
        published("k", kty="EC2"),
        published("", "ES256"),
        published("x" * 257),
        {**published("k"), "kid": 5},
        _without(published("k"), "y"),
        *({"kty": "RSA", "n": part(b"\xff" * size), "e": "AQAB", "kid": "r"} for size in (1, 128, 255, 1025, 10_000)),
        {"kty": "RSA", "n": part(b"\xff" * 256), "e": "", "kid": "r"},
        {"kty": "RSA", "n": 5, "e": "AQAB", "kid": "r"},
        {"kty": "RSA", "e": "AQAB", "kid": "r"},
        {},
        None,
        5,
        "key",
        [],
    ],
)
def test_the_rest_is_left_out(member: Any) -> None:
    assert [key.kid for key in read(member, published("good"))] == ["good"]


def test_a_private_key_published_by_mistake_is_a_public_one_here() -> None:
    private = {**key_named("k").as_dict(private=True), "kid": "k"}
    (key,) = read(private)
    assert not key.jwk.is_private


def test_certificates_are_not_looked_at() -> None:
    (key,) = read(published("k", x5u="https://evil.example", x5c=["nonsense"], x5t="x"))
    assert key.kid == "k"


@pytest.mark.parametrize("document", [b"", b"{", b"[]", b"{}", b'{"keys":{}}', b'{"keys":null}', b"[" * 9_000, b"\xff"])
def test_what_is_no_jwks(document: bytes) -> None:
    with pytest.raises(BadKeys):
        keys_of(document)


def test_there_is_an_end_to_keys() -> None:
    assert len(read(*(published("k") for _ in range(MAX_KEYS + 5)))) == MAX_KEYS


def test_choosing() -> None:
    keys = read(published("a"), published("b"), published("r", "RS256"))
    assert [choose(keys, kid, "ES256") for kid in ("r", "none")] == [None, None]
    chosen = choose(keys, "b", "ES256")
    assert chosen is not None and chosen.kid == "b"
    assert choose(keys, None, "ES256") is None, "two may be meant"
    only = choose(keys, None, "RS256")
    assert only is not None and only.kid == "r"
    assert choose(keys, None, "PS256") is None
