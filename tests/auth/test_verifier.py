"""What makes a token good, and all that does not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joserfc import jws

from headrace.auth.keys import VerificationKey, keys_of
from headrace.auth.principal import Principal
from headrace.auth.verifier import LEEWAY_S, MAX_TOKEN_BYTES, Expectations, Verifier, bearer_token
from headrace.errors import NotAuthenticated
from headrace.settings import TOKEN_ALGORITHMS
from tests.auth.clocks import NOW_S
from tests.support.tokens import AUDIENCE, ISSUER, by_hand, claims_of, confused, key_named, part, published, signed

VERIFIER = Verifier(Expectations(ISSUER, AUDIENCE, ("RS256", "ES256")))


def _keys(*members: dict[str, Any]) -> tuple[VerificationKey, ...]:
    return keys_of(json.dumps({"keys": list(members)}).encode())


def good(**changes: Any) -> dict[str, Any]:
    return claims_of(NOW_S, **changes)


def verified(token: str, *, verifier: Verifier = VERIFIER, now_s: float = NOW_S, algorithm: str = "ES256") -> Principal:
    unproven = verifier.read(token.encode(), now_s)
    (key,) = _keys(published(unproven.kid or "k1", algorithm))
    return verifier.prove(unproven, key)


def refused(token: str, says: str | None = None, **options: Any) -> None:
    with pytest.raises(NotAuthenticated, match=says):
        verified(token, **options)


@pytest.mark.parametrize("algorithm", TOKEN_ALGORITHMS)
def test_every_algorithm_of_the_settings_works(algorithm: str) -> None:
    verifier = Verifier(Expectations(ISSUER, AUDIENCE, (algorithm,)))
    token = signed(good(), algorithm=algorithm)
    principal = verified(token, verifier=verifier, algorithm=algorithm)
    assert (principal.name, principal.client_id) == ("alice", "app")
    header, claims, signature = token.split(".")
    flipped = ("B" if signature[10] == "A" else "A").join((signature[:10], signature[11:]))
    refused(f"{header}.{claims}.{flipped}", "signature", verifier=verifier, algorithm=algorithm)
    others = [name for name in TOKEN_ALGORITHMS if name != algorithm and {name, algorithm} != {"EdDSA", "Ed25519"}]
    for other in others:
        refused(token, "algorithm", verifier=Verifier(Expectations(ISSUER, AUDIENCE, (other,))), algorithm=algorithm)


def test_no_symmetric_algorithm_can_be_chosen() -> None:
    assert not [name for name in TOKEN_ALGORITHMS if name.lower() == "none" or name.startswith("HS")]


@pytest.mark.parametrize(
    "algorithm", ["none", "None", "NONE", "nOnE", "HS256", "HS384", "RS1", "", None, 1, ["ES256"], {}]
)
def test_other_algorithms_are_refused_whatever_the_signature(algorithm: Any) -> None:
    refused(by_hand({"alg": algorithm, "kid": "k1"}, good()), "algorithm")


def test_a_public_key_is_no_secret() -> None:
    public = key_named("r1", "RS256").as_pem(private=False)
    for secret in (public, public.strip(), b"", json.dumps(published("r1", "RS256")).encode()):
        token = confused(good(), "r1", secret)
        refused(token, "algorithm")
        # Even a server that could be talked into it has no key for it.
        lenient = Verifier(Expectations(ISSUER, AUDIENCE, ("RS256", "HS256")))
        refused(token, "algorithm", verifier=lenient, algorithm="RS256")


@pytest.mark.parametrize("name", ["jku", "jwk", "x5u", "x5c", "crit", "b64", "zip", "enc"])
@pytest.mark.parametrize("value", ["https://evil.example", [], {}, None, False])
def test_what_a_header_brings_along_is_not_looked_at(name: str, value: Any) -> None:
    refused(by_hand({"alg": "ES256", "kid": "k1", name: value}, good()), "not accepted")


@pytest.mark.parametrize(
    ("kind", "is_good"),
    [
        *((kind, True) for kind in ("JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt", "application/jwt")),
        *((kind, False) for kind in ("logout+jwt", "dpop+jwt", "JOSE", "", None, 5)),
    ],
)
def test_types(kind: Any, is_good: bool) -> None:
    token = by_hand({"alg": "ES256", "kid": "k1", "typ": kind}, good())
    if is_good:
        assert VERIFIER.read(token.encode(), NOW_S).kid == "k1"
    else:
        refused(token, "access token")


def test_a_name_that_is_there_twice_means_its_last() -> None:
    """As RFC 7519 has it, for header and claims alike: no two readers of a token may differ."""
    text = json.dumps(good(scope="orchestration:write"))
    twice = '{"scope": "", "sub": "mallory", "exp": 1, '
    said = f'{twice}{text[1:-1]}, "sub": "carol", "exp": {NOW_S + 5}}}'
    token = jws.serialize_compact({"alg": "ES256", "kid": "k1"}, said, key_named("k1"), algorithms=["ES256"])
    principal = verified(token)
    assert (principal.name, principal.may("orchestration:write")) == ("carol", True)
    refused(token, "expired", now_s=NOW_S + 5 + LEEWAY_S)
    _, payload, signature = signed(good()).split(".")
    for header in (b'{"alg":"ES256","kid":"k1","alg":"none"}', b'{"alg":"none","kid":"k1","alg":"ES256"}'):
        refused(f"{part(header)}.{payload}.{signature}")


# times


def test_a_token_ends_a_little_after_its_end() -> None:
    token = signed(good(exp=NOW_S + 10))
    assert verified(token, now_s=NOW_S + 10 + LEEWAY_S - 0.001).name == "alice"
    refused(token, "expired", now_s=NOW_S + 10 + LEEWAY_S)


def test_a_token_begins_a_little_before_its_beginning() -> None:
    token = signed(good(nbf=NOW_S + 10, exp=NOW_S + 500))
    assert verified(token, now_s=NOW_S + 10 - LEEWAY_S).name == "alice"
    refused(token, "not valid yet", now_s=NOW_S + 9.9 - LEEWAY_S)


@pytest.mark.parametrize("value", [None, True, "1900000000", [], {}, -1, 1e13, [1900000000]])
def test_an_end_is_a_time(value: Any) -> None:
    refused(signed(good(exp=value)), "exp is not a time")


def test_an_end_that_no_number_holds() -> None:
    for text in ("1e999", "NaN", "-Infinity", "9" * 5_000, "9" * 300):
        claims = json.dumps(good()).replace(f'"exp": {NOW_S + 600}', f'"exp": {text}')
        assert text in claims
        refused(f"{part({'alg': 'ES256', 'kid': 'k1'})}.{part(claims.encode())}.{part(b'signature')}")


def test_a_beginning_is_a_time() -> None:
    refused(signed(good(nbf="soon")), "nbf is not a time")
    assert verified(signed(good(exp=NOW_S + 5.5, nbf=NOW_S - 5.5))).name == "alice"


# names


@pytest.mark.parametrize("issuer", [None, ISSUER + "/", ISSUER.upper(), "", 1, [ISSUER], {"a": ISSUER}])
def test_the_issuer_is_exact(issuer: Any) -> None:
    refused(signed(good(iss=issuer)), "another issuer")


@pytest.mark.parametrize(
    ("audience", "is_good"),
    [(AUDIENCE, True), ([AUDIENCE], True), (["a", AUDIENCE], True)]
    + [(value, False) for value in (None, "", "headrace2", ["a"], [], [[AUDIENCE]], {AUDIENCE: 1}, 5)],
)
def test_the_audience(audience: Any, is_good: bool) -> None:
    token = signed(good(aud=audience))
    if is_good:
        assert verified(token).name == "alice"
    else:
        refused(token, "another audience")
    assert verified(token, verifier=Verifier(Expectations(ISSUER, None, ("ES256",)))).name == "alice"


@pytest.mark.parametrize(
    ("claims", "name", "client_id"),
    [
        ({}, "alice", "app"),
        ({"client_id": None}, "alice", None),
        ({"client_id": None, "azp": "spa"}, "alice", "spa"),
        ({"sub": None}, "app", "app"),
        ({"client_id": 5}, "alice", None),
    ],
)
def test_who_it_is(claims: dict[str, Any], name: str, client_id: str | None) -> None:
    principal = verified(signed(good(**claims)))
    assert (principal.name, principal.client_id) == (name, client_id)


@pytest.mark.parametrize("name", ["", "x" * 256, "a\nb", "a\x1b[2J", "\u202egnp", 5, [], {}])
def test_a_name_that_nobody_can_read_in_a_log(name: Any) -> None:
    refused(signed(good(sub=name)), "no valid subject")


def test_a_token_of_nobody() -> None:
    refused(signed(good(sub=None, client_id=None)), "no valid subject")


@pytest.mark.parametrize(
    ("claims", "scopes"),
    [
        ({"scope": "a:read b"}, {"a:read", "b"}),
        ({"scope": ["a:read", "b"]}, {"a:read", "b"}),
        ({"scope": None, "scp": "a:read b"}, {"a:read", "b"}),
        ({"scope": "a:read", "scp": ["b", 5, None]}, {"a:read", "b"}),
        ({"scope": "orchestration:write"}, {"orchestration:write", "orchestration:read"}),
        ({"scope": ":write"}, {":write"}),
        ({"scope": "orchestration:approve"}, {"orchestration:approve"}),
        ({"scope": 5, "scp": {"a:read": True}}, set[str]()),
        ({"scope": None}, set[str]()),
    ],
)
def test_scopes(claims: dict[str, Any], scopes: set[str]) -> None:
    principal = verified(signed(good(**claims)))
    assert principal.scopes - {""} == scopes
    assert principal.may("orchestration:read") == ("orchestration:read" in scopes)


def test_neither_writing_nor_approving_includes_the_other() -> None:
    writer = verified(signed(good(scope="orchestration:write")))
    approver = verified(signed(good(scope="orchestration:approve")))
    assert (writer.may("orchestration:write"), writer.may("orchestration:approve")) == (True, False)
    assert [approver.may(f"orchestration:{access}") for access in ("approve", "write", "read")] == [True, False, False]


def test_reading_is_not_writing() -> None:
    principal = verified(signed(good(scope="orchestration:read")))
    assert principal.may("orchestration:read")
    assert not principal.may("orchestration:write")
    assert not principal.may("ledger:read")


# keys


def test_the_key_must_be_for_the_algorithm() -> None:
    unproven = VERIFIER.read(signed(good()).encode(), NOW_S)
    for member in (published("k1", "RS256"), published("k1", "ES384")):
        (key,) = _keys(member)
        with pytest.raises(NotAuthenticated, match="algorithm"):
            VERIFIER.prove(unproven, key)


def test_another_key_of_the_same_kind() -> None:
    unproven = VERIFIER.read(signed(good(), key=key_named("other")).encode(), NOW_S)
    (key,) = _keys(published("k1"))
    with pytest.raises(NotAuthenticated, match="signature"):
        VERIFIER.prove(unproven, key)


# headers


@pytest.mark.parametrize("header", [b"Bearer abc", b"bearer abc", b"BEARER   abc", b"bEaReR abc  "])
def test_the_scheme_is_read_in_any_case(header: bytes) -> None:
    assert bearer_token([header]) == b"abc"


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [b""],
        [b"Bearer"],
        [b"Bearer "],
        [b"abc"],
        [b"Basic abc"],
        [b"Bearer a b"],
        [b"Bearer\tabc"],
        [b"Bearer abc,Bearer def"[:0] + b"Bearer \xff"],
        [b"Bearer a\r\nX: y"],
        [b"Bearer abc", b"Bearer abc"],
        [b"Bearer " + b"x" * (MAX_TOKEN_BYTES + 1)],
    ],
)
def test_other_headers_hold_no_token(headers: list[bytes]) -> None:
    with pytest.raises(NotAuthenticated):
        bearer_token(headers)


@given(st.lists(st.binary(max_size=200), max_size=3))
def test_arbitrary_headers(headers: list[bytes]) -> None:
    try:
        VERIFIER.read(bearer_token(headers), NOW_S)
    except NotAuthenticated:
        return
    raise AssertionError("arbitrary bytes are no token")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_NAMES = st.sampled_from(["alg", "kid", "typ", "jku", "crit", "iss", "aud", "exp", "nbf", "sub", "scope", "scp", "azp"])
_MEMBERS = st.dictionaries(_NAMES, _JSON, max_size=8)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # drawing waits for a busy machine
@given(_MEMBERS, _MEMBERS, st.binary(min_size=2, max_size=80))
def test_arbitrary_tokens(header: dict[str, Any], claims: dict[str, Any], signature: bytes) -> None:
    """Whatever stands in a token that nobody has signed, it is refused, and nothing else happens."""
    token = by_hand({"alg": "ES256", "kid": "k1", **header}, {**good(), **claims}, signature)
    refused(token)


@given(st.binary(max_size=60), st.binary(max_size=60), st.binary(max_size=60))
def test_arbitrary_bytes(header: bytes, claims: bytes, signature: bytes) -> None:
    refused(f"{part(header)}.{part(claims)}.{part(signature)}")


@given(st.data())
def test_no_byte_of_a_token_can_be_changed(data: st.DataObject) -> None:
    token = signed(good())
    place = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."))
    changed = token[:place] + other + token[place + 1 :]
    # The last character of a part has bits that mean nothing; where only those change, it is the same signature.
    if changed == token or (place == len(token) - 1 and other != "."):
        return
    refused(changed)


def test_deep_nesting_is_refused() -> None:
    deep = b"[" * 9_000
    refused(f"{part(deep)}.{part(good())}.{part(b'xx')}", "malformed")
    refused(f"{part({'alg': 'ES256'})}.{part(deep)}.{part(b'xx')}", "malformed")
