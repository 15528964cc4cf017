#!/usr/bin/env python3
"""Check a certificate of Headrace with nothing but Python's standard library.

    python3 verify_certificate.py FILE PINNED_KEYS [CASE_FILE | PREVIOUS_FILE ...]

FILE is what `headrace certificate create --out` wrote; PINNED_KEYS what `headrace certificate keys --out` wrote once,
over a connection that you trusted. Exit code 0: genuine, and the payload is printed as JSON; 1: not genuine; 2: the
keys or the arguments cannot be used. No key in FILE is trusted, and nothing is read that is not signed. Of a period,
each CASE_FILE must have a line, and each PREVIOUS_FILE be the period before the last one.
"""

import base64
import hashlib
import json
import re
import sys
from pathlib import Path

TYPE = "headrace-certificate+jws"
FORMAT = "headrace-certificate/1"
KINDS = ("case", "period")
SUMS = ("sent", "takenBack", "in", "out", "issued", "retired", "stranded", "attested")
ZERO = [0] * (len(SUMS) + 2)
MAX_BYTES = 32 << 20
DAMAGED = ". It was changed or damaged: get the original again."
SHAPE = re.compile(rb"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{86})")

# The curve P-256 (FIPS 186-5): y^2 = x^3 - 3x + B over the field of P; G generates a group of N points.
P = 2**256 - 2**224 + 2**192 + 2**96 - 1
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
G = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)


class NotGenuine(Exception):
    """The certificate is not one that a pinned key has signed."""


class BadKeys(Exception):
    """The pinned keys cannot be used."""


# the curve; a point is a pair, None the neutral one


def add(one, other):
    if one is None or other is None:
        return one or other
    if one[0] == other[0]:
        if (one[1] + other[1]) % P == 0:
            return None
        slope = (3 * one[0] * one[0] - 3) * pow(2 * one[1], -1, P) % P
    else:
        slope = (other[1] - one[1]) * pow(other[0] - one[0], -1, P) % P
    x = (slope * slope - one[0] - other[0]) % P
    return x, (slope * (one[0] - x) - one[1]) % P


def multiply(factor, point):
    total = None
    while factor:
        if factor & 1:
            total = add(total, point)
        point, factor = add(point, point), factor >> 1
    return total


def is_signed(point, message, signature):
    """Whether this public key has signed the message: ECDSA with SHA-256, the signature as r and s of 32 bytes."""
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    if len(signature) != 64 or not 0 < r < N or not 0 < s < N:
        return False
    digest = int.from_bytes(hashlib.sha256(message).digest(), "big")
    inverse = pow(s, -1, N)
    found = add(multiply(digest * inverse % N, G), multiply(r * inverse % N, point))
    return found is not None and found[0] % N == r


# the file


def decoded(part, error=NotGenuine):
    """The bytes of base64url. One value has one spelling."""
    try:
        content = base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))
    except ValueError:
        content = b""
    if not content or base64.urlsafe_b64encode(content).rstrip(b"=") != part:
        raise error("a part of it is not base64url" + DAMAGED)
    return content


def json_object(content):
    try:
        found = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise NotGenuine("a part of it is not a JSON object" + DAMAGED)
    return found


def pinned_keys(document):
    members = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(members, list):
        raise BadKeys("is not a document of keys: an object with the member keys")
    found = {}
    for key in members:
        if not isinstance(key, dict):
            raise BadKeys("holds something that is not a key")
        fits = (key.get("kty"), key.get("crv"), key.get("alg", "ES256")) == ("EC", "P-256", "ES256")
        if not isinstance(key.get("kid"), str) or not fits:
            continue
        if key["kid"] in found:
            raise BadKeys(f"holds key {key['kid']} twice")
        found[key["kid"]] = key
    return found


def point_of(key):
    """The point of a public key, which must lie on the curve."""
    try:
        x, y = (int.from_bytes(decoded(key[name].encode("ascii"), BadKeys), "big") for name in ("x", "y"))
    except (KeyError, AttributeError, ValueError, BadKeys):
        x, y = P, P
    if not (0 <= x < P and 0 <= y < P and (y * y - x * x * x + 3 * x - B) % P == 0):
        raise BadKeys(f"key {key['kid']} is not a public key of the curve P-256")
    return x, y


def verify(content, document):
    """The payload of a genuine certificate. Raises NotGenuine and BadKeys."""
    keys = pinned_keys(document)
    if len(content) > MAX_BYTES:
        raise NotGenuine("it is too large")
    content = content.removesuffix(b"\n")
    parts = SHAPE.fullmatch(content)
    if parts is None:
        raise NotGenuine("it is not a signed certificate" + DAMAGED)
    header = json_object(decoded(parts[1]))
    if header.get("typ") != TYPE:
        raise NotGenuine("its type is not that of a certificate" + DAMAGED)
    if set(header) != {"alg", "kid", "typ"} or header["alg"] != "ES256" or not isinstance(header["kid"], str):
        raise NotGenuine("its header is not that of a certificate" + DAMAGED)
    signature = decoded(parts[3])
    key = keys.get(header["kid"])
    if key is None:
        raise NotGenuine(f"its key {header['kid']} is not among the pinned keys")
    if not is_signed(point_of(key), content.rpartition(b".")[0], signature):
        raise NotGenuine("its signature is wrong: the file is not what was signed" + DAMAGED)
    payload = json_object(decoded(parts[2]))
    check_payload(payload, key)
    return payload


def check_payload(payload, key):
    """Check the sums that a reader relies on, and that the key had not been retired."""
    if payload.get("format") != FORMAT or payload.get("kind") not in KINDS:
        raise NotGenuine("it has a format that this script does not know")
    if key.get("retiredAt") is not None and str(payload["checkedAt"]) > str(key["retiredAt"]):
        raise NotGenuine("it was made after its key was retired")
    return (
        check_period(payload) if payload["kind"] == "period" else check_sums(payload["assets"], payload["exceptions"])
    )


def check_sums(assets, exceptions):
    stranded = [(each["asset"], each["amount"]) for each in exceptions if each["kind"] == "stranded"]
    for asset, sums in assets.items():
        on_bridges = sums["bridge"]["in"] - sums["bridge"]["out"]
        if on_bridges != sums["out"] - sums["in"] + sums["stranded"] + sums["attested"]:
            raise NotGenuine(f"its sums of {asset} do not balance")
        if sums["stranded"] != sum(amount for declared, amount in stranded if declared == asset):
            raise NotGenuine(f"what it declares as stranded of {asset} is not its sum")


def check_period(payload):
    """Check the lines of a period against its header: their hash, their order, their times and their sums."""
    lines, total = payload["lines"], {}
    if payload["cases"] != len(lines) or payload["linesSha"] != sha(lines):
        raise NotGenuine("its lines are not those of its header")
    before = (payload["previous"] or {"to": payload["from"]})["to"]
    if not before <= payload["from"] < payload["to"] <= payload["checkedAt"]:
        raise NotGenuine("its times do not follow each other")
    places = [(line["endedAt"], line["case"]) for line in lines]
    if places != sorted(places) or len({line["case"] for line in lines}) != len(lines):
        raise NotGenuine("its lines are not in order, or name a case twice")
    for line in lines:
        exceptions = line.get("exceptions", [])
        is_late = payload["previous"] is not None and "late" in [each["kind"] for each in exceptions]
        if line["endedAt"] >= payload["to"] or is_late is not (line["endedAt"] < payload["from"]):
            raise NotGenuine(f"case {line['case']} did not end in its period")
        check_sums(line["totals"], exceptions)
        for totals, sign in ((line["totals"], 1), (line.get("counted", {"totals": {}})["totals"], -1)):
            for asset, sums in totals.items():
                total[asset] = [a + sign * b for a, b in zip(total.get(asset, ZERO), in_row(sums), strict=True)]
    if {asset: in_row(sums) for asset, sums in payload["assets"].items()} != total:
        raise NotGenuine("its sums are not those of its lines")


def in_row(sums):
    return [sums[name] for name in SUMS] + [sums["bridge"]["in"], sums["bridge"]["out"]]


def sha(value):
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def check_line(period, case):
    stated = sha({name: value for name, value in case.items() if name not in ("checkedAt", "release", "names")})
    if (case["case"], stated) not in [(line["case"], line["sha"]) for line in period.get("lines", [])]:
        raise NotGenuine(f"case {case['case']} is not among its lines, or its line states something else")


def check_previous(period, content, previous):
    found = "sha256:" + hashlib.sha256(content.removesuffix(b"\n")).hexdigest()
    if (period.get("previous") or {}).get("sha") != found:
        raise NotGenuine("it is not the file that the period after it names as previous")
    return previous


def main(arguments):
    if len(arguments) < 2:
        return sys.stderr.write("usage: verify_certificate.py FILE PINNED_KEYS [CASE_FILE | PREVIOUS_FILE ...]\n") and 2
    file, keys, *others = arguments
    names = ["FILE", "PINNED_KEYS"] + ["CASE_FILE or PREVIOUS_FILE"] * len(others)
    for name, path in zip(names, arguments, strict=True):
        if not Path(path).exists():
            return sys.stderr.write(f"{name}: {path} does not exist\n") and 2
    try:
        pinned = Path(keys).read_bytes()
        if SHAPE.fullmatch(pinned.strip()):
            raise BadKeys("is a certificate, not a file of keys: the keys file comes second")
        document = json.loads(pinned.decode("utf-8"))
        payload = newest = verify(Path(file).read_bytes().strip(), document)
        for file in others:
            content = Path(file).read_bytes().strip()
            other = verify(content, document)
            if other["kind"] == "case":
                check_line(payload, other)
            else:
                newest = check_previous(newest, content, other)
    except NotGenuine as error:
        sys.stderr.write(f"{file} is not a genuine certificate: {error}\n")
        return 1
    except (BadKeys, OSError, ValueError) as error:
        sys.stderr.write(f"{keys}: {error}\n")
        return 2
    sys.stdout.write(json.dumps(payload, indent=1, ensure_ascii=False) + "\n")
    sys.stderr.write("The signature is good.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
