"""The signed file of a certificate: compact JWS with ES256, and its check without a server.

The type of the header is not that of a token, and its keys sign nothing else. A check trusts no key but those that the
reader has pinned, and reads nothing that is not signed.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from typing import Any, cast

import msgspec
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key

from headrace.certificates.period import LATE, sums_of
from headrace.certificates.statement import FORMAT, statement_sha
from headrace.errors import InvalidValue
from headrace.planning.canonical import canonical_json, sha
from headrace.workflows.activities import Json

TYPE = "headrace-certificate+jws"
ALGORITHM = "ES256"
KID_PREFIX = "headrace-certificate-"
"""Start of the id of every key that signs certificates: a token with such a key is refused."""
MAX_BYTES = 32 << 20

NEWLINE = b"\n"
_SHAPE = re.compile(rb"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{86})")
_KINDS = ("case", "period")
_COORDINATES = ("x", "y")


class _Registry(jws.JWSRegistry):
    max_header_length = 4_096
    max_payload_length = MAX_BYTES


def sign(payload: Json, kid: str, key: Key) -> str:
    """The file of a certificate: compact JWS."""
    header = {"alg": ALGORITHM, "kid": kid, "typ": TYPE}
    registry = _Registry(algorithms=[ALGORITHM])
    return jws.serialize_compact(header, canonical_json(payload), key, registry=registry)


def verify(content: bytes, pinned: object) -> Json:
    """Check a file against pinned keys (a JWKS, decoded), and return its payload.

    Raises InvalidValue: field `certificate` where the file is not one that a pinned key has signed, `keys` where the
    document of keys cannot be used.
    """
    keys = _keys_of(pinned)
    if len(content) > MAX_BYTES:
        raise _bad(f"it has more than {MAX_BYTES:,} bytes")
    content = content.removesuffix(NEWLINE)
    parts = _SHAPE.fullmatch(content)
    if parts is None:
        raise _bad("it is not a signed certificate: three parts of base64url with points between them")
    kid = _kid_of(_decoded(parts[1]))
    _decoded(parts[3])
    key = keys.get(kid)
    if key is None:
        raise _bad(f"its key {kid} is not among the pinned keys")
    try:
        public = ECKey.import_key({"kty": "EC", "crv": "P-256", **{name: key[name] for name in _COORDINATES}})
    except (JoseError, ValueError, TypeError, KeyError):
        raise InvalidValue("keys", f"key {kid} is not a public key of the curve P-256") from None
    try:
        jws.deserialize_compact(content.decode("ascii"), public, registry=_Registry(algorithms=[ALGORITHM]))
    except (JoseError, ValueError, TypeError):
        raise _bad("its signature is wrong: the file is not what was signed") from None
    payload = _object(_decoded(parts[2]))
    _check_payload(payload, key)
    return payload


def payload_of(content: str) -> bytes:
    """The signed bytes of a file that this server has made: JSON text, which is not checked again."""
    return _decoded(content.split(".")[1].encode())


def _keys_of(pinned: object) -> dict[str, Json]:
    """The pinned keys by id."""
    members = cast("Json", pinned).get("keys") if isinstance(pinned, dict) else None
    if not isinstance(members, list):
        raise InvalidValue("keys", "is not a document of keys: an object with the member keys")
    found: dict[str, Json] = {}
    for member in cast("list[object]", members):
        if not isinstance(member, dict):
            raise InvalidValue("keys", "holds something that is not a key")
        key = cast("Json", member)
        kid = key.get("kid")
        fits = (key.get("kty"), key.get("crv"), key.get("alg", ALGORITHM)) == ("EC", "P-256", ALGORITHM)
        if not isinstance(kid, str) or not fits:
            continue  # a key of something else
        if kid in found:
            raise InvalidValue("keys", f"holds key {kid} twice")
        found[kid] = key
    return found


def _kid_of(content: bytes) -> str:
    """The id of the key, from a header that has nothing but the three members that every certificate has."""
    header = _object(content)
    if header.get("typ") != TYPE:
        raise _bad(f"its type is {str(header.get('typ'))[:40]!r}, not that of a certificate")
    if header.keys() != {"alg", "kid", "typ"} or header["alg"] != ALGORITHM or not isinstance(header["kid"], str):
        raise _bad("its header is not that of a certificate: alg ES256, kid and typ, and nothing else")
    return header["kid"]


def _decoded(part: bytes) -> bytes:
    """The bytes of a part. One value has one spelling: padding bits that are set are refused."""
    try:
        content = urlsafe_b64decode(part + b"=" * (-len(part) % 4))
    except ValueError:
        content = b""
    if not content or urlsafe_b64encode(content).rstrip(b"=") != part:
        raise _bad("a part of it is not base64url")
    return content


def _object(content: bytes) -> Json:
    try:
        found: Any = msgspec.json.decode(content)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise _bad("a part of it is not a JSON object")
    return cast("Json", found)


def _check_payload(payload: Json, key: Json) -> None:
    """Check the sums that a reader relies on, and that the key had not been retired."""
    if payload.get("format") != FORMAT or payload.get("kind") not in _KINDS:
        raise _bad("it has a format that this release does not know")
    retired_at = key.get("retiredAt")
    if retired_at is not None and str(payload["checkedAt"]) > str(retired_at):
        raise _bad(f"it was made after its key was retired at {retired_at}")
    if payload["kind"] == "case":
        _check_sums(payload["assets"], payload["exceptions"])
    else:
        _check_period(payload)


def _check_sums(assets: Json, exceptions: list[Json]) -> None:
    """Check that what left somewhere arrived elsewhere, or is declared."""
    stranded: dict[str, int] = {}
    for each in exceptions:
        if each["kind"] == "stranded":
            stranded[each["asset"]] = stranded.get(each["asset"], 0) + each["amount"]
    for asset, sums in assets.items():
        on_bridges = sums["bridge"]["in"] - sums["bridge"]["out"]
        if on_bridges != sums["out"] - sums["in"] + sums["stranded"] + sums["attested"]:
            raise _bad(f"its sums of {asset} do not balance")
        if sums["stranded"] != stranded.get(asset, 0):
            raise _bad(f"what it declares as stranded of {asset} is not its sum")


def _check_period(payload: Json) -> None:
    """Check the lines of a period against its header: their hash, their order, their times and their sums."""
    lines, previous = payload["lines"], payload["previous"]
    if payload["cases"] != len(lines) or payload["linesSha"] != sha(lines):
        raise _bad("its lines are not those of its header")
    before = payload["from"] if previous is None else previous["to"]
    if not before <= payload["from"] < payload["to"] <= payload["checkedAt"]:
        raise _bad("its times do not follow each other: the period before it, its own, and its check")
    places = [(line["endedAt"], line["case"]) for line in lines]
    if places != sorted(places) or len({line["case"] for line in lines}) != len(lines):
        raise _bad("its lines are not in order, or name a case twice")
    for line in lines:
        exceptions = line.get("exceptions", [])
        is_late = previous is not None and LATE in [each["kind"] for each in exceptions]
        if line["endedAt"] >= payload["to"] or is_late is not (line["endedAt"] < payload["from"]):
            raise _bad(f"case {line['case']} did not end in its period")
        _check_sums(line["totals"], exceptions)
    if payload["assets"] != sums_of(lines):
        raise _bad("its sums are not those of its lines")


def require_line(period: Json, case: Json) -> None:
    """Check that the certificate of a period has a line for this certificate of a case. Both have been verified.

    Raises InvalidValue: field `case`.
    """
    if period["kind"] != "period" or case["kind"] != "case":
        raise InvalidValue("case", "a line is of a case, in the certificate of a period")
    found = [line for line in period["lines"] if line["case"] == case["case"]]
    if not found:
        raise InvalidValue("case", f"case {case['case']} is not among its lines")
    if found[0]["sha"] != statement_sha(case):
        raise InvalidValue("case", f"its line of case {case['case']} has another sha: it states something else")


def require_previous(period: Json, content: bytes, previous: Json) -> None:
    """Check that a certificate of a period follows this one, whose file is `content`. Both have been verified.

    Raises InvalidValue: field `previous`.
    """
    file_sha = f"sha256:{sha256(content.removesuffix(NEWLINE)).hexdigest()}"
    if previous["kind"] != "period" or cast("Json", period.get("previous") or {}).get("sha") != file_sha:
        raise InvalidValue("previous", "is not the certificate that it names as the one of the period before")


def _bad(reason: str) -> InvalidValue:
    return InvalidValue("certificate", reason)
