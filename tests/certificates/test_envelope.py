"""The signed file: one changed byte fails, no key in it is trusted, and the script of the standard library agrees."""

from __future__ import annotations

import importlib.util
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import ECKey

from headrace.auth.certificate_keys import DAYS, FILE, CertificateKeys
from headrace.auth.keys import VerificationKey
from headrace.auth.verifier import Expectations, Verifier
from headrace.certificates.envelope import KID_PREFIX, TYPE, sign, verify
from headrace.certificates.statement import checked_text
from headrace.errors import InvalidValue, NotAuthenticated, Unavailable

Json = dict[str, Any]

DAY = 86_400_000_000
NOW_AT = 1_800_000_000_000_000
SCRIPT = Path(__file__).parents[2] / "tools" / "verify_certificate.py"
PAYLOAD: Json = {
    "format": "headrace-certificate/1",
    "kind": "case",
    "checkedAt": checked_text(NOW_AT),
    "case": "i1",
    "assets": {
        "USD/2": {
            "sent": 10**30,
            "takenBack": 0,
            "bridge": {"in": 10**30 + 7, "out": 10**30},
            "in": 0,
            "out": 0,
            "issued": 0,
            "retired": 0,
            "stranded": 7,
            "attested": 0,
        }
    },
    "exceptions": [{"kind": "stranded", "asset": "USD/2", "amount": 7, "account": "b\u00fcro\n\x7f\u20ac"}],
}
KEY = ECKey.generate_key("P-256")
KID = f"{KID_PREFIX}1"


def pinned(key: ECKey = KEY, kid: str = KID, **more: Any) -> Json:
    return {"keys": [{**key.as_dict(private=False), "kid": kid, "alg": "ES256", **more}]}


def _script() -> Any:
    spec = importlib.util.spec_from_file_location("verify_certificate", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


script = _script()


def by_script(content: bytes, keys: object) -> Json:
    try:
        return script.verify(content, keys)
    except script.NotGenuine as error:
        raise InvalidValue("certificate", str(error)) from None
    except script.BadKeys as error:
        raise InvalidValue("keys", str(error)) from None


CHECKERS: list[Callable[[bytes, object], Json]] = [verify, by_script]


def both(content: bytes, keys: object) -> str:
    """The field that both checkers refuse; "" where both accept."""
    found: list[str] = []
    for check in CHECKERS:
        try:
            assert check(content, keys) is not None
            found.append("")
        except InvalidValue as error:
            found.append(error.field)
    assert found[0] == found[1], found
    return found[0]


SIGNED = sign(PAYLOAD, KID, KEY).encode()


@pytest.mark.parametrize("check", CHECKERS)
def test_a_genuine_file_gives_its_payload(check: Callable[[bytes, object], Json]) -> None:
    assert check(SIGNED, pinned()) == PAYLOAD
    assert check(SIGNED + b"\n", pinned()) == PAYLOAD


def test_every_flipped_bit_is_refused() -> None:
    """Every bit of a byte in steps, and all of the signature, whose last character has bits that no value needs."""
    for place in [*range(0, len(SIGNED), 7), *range(len(SIGNED) - 86, len(SIGNED))]:
        for bit in range(8):
            changed = bytearray(SIGNED)
            changed[place] ^= 1 << bit
            with pytest.raises(InvalidValue):
                verify(bytes(changed), pinned())
    for bit in range(8):
        changed = bytearray(SIGNED + b"\n")
        changed[-1] ^= 1 << bit
        with pytest.raises(InvalidValue):
            verify(bytes(changed), pinned())


def test_the_script_agrees_on_changed_files() -> None:
    random = Random(4)
    for _ in range(60):
        changed = bytearray(SIGNED)
        changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
        assert both(bytes(changed), pinned()) == "certificate"
    for cut in (0, 1, 40, len(SIGNED) - 1):
        assert both(SIGNED[:cut], pinned()) == "certificate"
    for content in (b"", b"..", b"a.b.c", SIGNED + b"\n\n", SIGNED + b" ", b"\xff" + SIGNED, SIGNED + b"=", SIGNED * 2):
        assert both(content, pinned()) == "certificate"


def test_the_last_character_has_one_spelling() -> None:
    """Four bits of it belong to no byte: a lax decoder takes sixteen spellings for one signature."""
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    spellings = [SIGNED[:-1] + bytes([char]) for char in alphabet]
    lax = [
        each for each in spellings if urlsafe_b64decode(each[-86:] + b"==") == urlsafe_b64decode(SIGNED[-86:] + b"==")
    ]
    assert len(lax) == 16
    assert [each for each in lax if both(each, pinned()) == ""] == [SIGNED]


def forged(header: Json, payload: Json = PAYLOAD, key: Any = KEY, algorithm: str = "ES256") -> bytes:
    registry = jws.JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    return jws.serialize_compact(header, json.dumps(payload), key, registry=registry).encode()


HEADER = {"alg": "ES256", "kid": KID, "typ": TYPE}
THIEF = ECKey.generate_key("P-256")


def test_no_key_of_the_file_is_trusted() -> None:
    brought = {**HEADER, "jwk": THIEF.as_dict(private=False)}
    assert both(forged(brought, key=THIEF), pinned()) == "certificate"
    assert both(forged(HEADER, key=THIEF), pinned()) == "certificate"
    assert both(forged({**HEADER, "kid": "another"}, key=THIEF), pinned()) == "certificate"
    assert both(forged({**HEADER, "jku": "https://thief.example"}), pinned()) == "certificate"
    assert both(forged({**HEADER, "x5c": []}), pinned()) == "certificate"
    assert both(forged({name: HEADER[name] for name in ("alg", "typ")}), pinned()) == "certificate"


def test_another_algorithm_or_none_is_refused() -> None:
    part = urlsafe_b64encode(json.dumps({**HEADER, "alg": "none"}).encode()).rstrip(b"=")
    payload = SIGNED.split(b".")[1]
    for signature in (b"", b"A" * 86):
        assert both(b".".join((part, payload, signature)), pinned()) == "certificate"
    zero = SIGNED.rsplit(b".", 1)[0] + b"." + b"A" * 86  # r and s of 0
    assert both(zero, pinned()) == "certificate"


def test_pinned_keys_that_cannot_be_used_are_named() -> None:
    for keys in (None, [], {}, {"keys": 7}, {"keys": ["x"]}, {"keys": [*pinned()["keys"], *pinned()["keys"]]}):
        assert both(SIGNED, keys) == "keys"
    public = pinned()["keys"][0]
    for broken in (
        {**public, "x": public["y"]},
        {**public, "x": 7},
        {name: public[name] for name in public if name != "y"},
    ):
        assert both(SIGNED, {"keys": [broken]}) == "keys"
    assert both(SIGNED, {"keys": []}) == "certificate"
    assert both(SIGNED, {"keys": [{**public, "kty": "RSA"}]}) == "certificate"


def test_sums_that_do_not_hold_are_refused_though_they_are_signed() -> None:
    for asset, member, value in (("USD/2", "out", 1), ("USD/2", "stranded", 0)):
        payload = json.loads(json.dumps(PAYLOAD))
        payload["assets"][asset][member] = value
        assert both(forged(HEADER, payload), pinned()) == "certificate"
    payload = {**PAYLOAD, "exceptions": []}
    assert both(forged(HEADER, payload), pinned()) == "certificate"
    assert both(forged(HEADER, {**PAYLOAD, "format": "headrace-certificate/2"}), pinned()) == "certificate"


# keys


class Time:
    at = NOW_AT

    def now_at(self) -> int:
        return self.at


def keys_in(folder: Path, time: Time) -> CertificateKeys:
    numbers = iter(range(1_000))
    return CertificateKeys(folder / FILE, time.now_at, lambda: str(next(numbers)) + str(time.at))


def test_a_key_that_was_retired_400_days_ago_still_checks_what_it_signed(tmp_path: Path) -> None:
    time = Time()
    keys = keys_in(tmp_path, time)
    first = keys.signing_key()
    signed = sign(PAYLOAD, first.kid, first.jwk).encode()
    for _ in range(3):  # published, signing, and retired
        time.at += DAYS * DAY
        keys.signing_key()
    time.at += 400 * DAY
    published = keys.published()
    old = published[0]
    assert old["kid"] == first.kid and old["retiredAt"] < checked_text(time.at - 400 * DAY)
    assert both(signed, {"keys": published}) == ""
    assert keys.signing_key().kid != first.kid

    # What it would sign now is refused, and its private half is gone.
    late = {**PAYLOAD, "checkedAt": checked_text(time.at)}
    assert both(sign(late, first.kid, first.jwk).encode(), {"keys": published}) == "certificate"
    stored = json.loads((tmp_path / FILE).read_text("utf-8"))["keys"]
    assert ["d" in key["jwk"] for key in stored] == [key["retiredAt"] is None for key in stored]
    assert (tmp_path / FILE).stat().st_mode & 0o077 == 0
    again = keys_in(tmp_path, time)
    assert again.published() == published


def test_a_file_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="keys of certificates"):
        CertificateKeys(tmp_path / "missing" / FILE, lambda: NOW_AT, lambda: "x").published()


def test_a_certificate_is_no_token_whatever_its_type_says() -> None:
    claims = {"iss": "https://issuer", "sub": "alice", "scope": "orchestration:write", "exp": NOW_AT // 1_000_000 + 60}
    verifier = Verifier(Expectations("https://issuer", None, ("ES256",)))
    for header in (HEADER, {**HEADER, "typ": "JWT"}, {**HEADER, "typ": "at+jwt"}):
        with pytest.raises(NotAuthenticated):
            verifier.read(forged(header, claims), NOW_AT / 1e6)
    with pytest.raises(NotAuthenticated, match="not an access token"):
        verifier.read(forged({**HEADER, "kid": "k"}, claims), NOW_AT / 1e6)
    token = verifier.read(forged({"alg": "ES256", "kid": "k", "typ": "JWT"}, claims), NOW_AT / 1e6)
    assert verifier.prove(token, VerificationKey("k", frozenset({"ES256"}), KEY)).name == "alice"


def test_a_token_is_no_certificate() -> None:
    for kind in ("JWT", "at+jwt", "", "headrace-certificate"):
        assert both(forged({**HEADER, "typ": kind}), pinned()) == "certificate"
    assert both(forged({"alg": "ES256", "kid": KID}), pinned()) == "certificate"


def test_the_script_is_short_and_of_the_standard_library() -> None:
    import ast
    import sys

    text = SCRIPT.read_text("utf-8")
    assert len(text.splitlines()) <= 260
    names = [
        alias.name if isinstance(node, ast.Import) else str(node.module)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    ]
    assert {name.split(".")[0] for name in names} <= sys.stdlib_module_names


def test_the_script_as_a_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, keys = tmp_path / "c.jws", tmp_path / "pinned.json"
    file.write_bytes(SIGNED + b"\n")
    keys.write_text(json.dumps(pinned()), "utf-8")
    assert script.main([str(file), str(keys)]) == 0
    said = capsys.readouterr()
    assert (json.loads(said.out), said.err) == (PAYLOAD, "The signature is good.\n")
    file.write_bytes(b"\r\n" + SIGNED + b"\r\n \n")
    assert script.main([str(file), str(keys)]) == 0, "mail and editors add blank lines"
    assert json.loads(capsys.readouterr().out) == PAYLOAD
    for damaged in (SIGNED[:-1], b"{}", SIGNED[:-86] + b"A" * 86):
        file.write_bytes(damaged)
        assert script.main([str(file), str(keys)]) == 1
        said = capsys.readouterr()
        assert "not a genuine certificate" in said.err and not said.out
        assert said.err.endswith(". It was changed or damaged: get the original again.\n")
    file.write_bytes(SIGNED)
    keys.write_text('{"keys": []}', "utf-8")
    assert script.main([str(file), str(keys)]) == 1
    assert capsys.readouterr().err.endswith("is not among the pinned keys\n"), "the file may be whole"
    assert script.main([str(keys), str(file)]) == 2
    assert "the keys file comes second" in capsys.readouterr().err
    for arguments, name in (
        ((file.with_name("x"), keys), "FILE"),
        ((file, file.with_name("x")), "PINNED_KEYS"),
        ((file, keys, file.with_name("x")), "CASE_FILE or PREVIOUS_FILE"),
    ):
        assert script.main([str(each) for each in arguments]) == 2
        assert capsys.readouterr().err == f"{name}: {file.with_name('x')} does not exist\n"
    keys.write_text("7", "utf-8")
    assert script.main([str(file), str(keys)]) == 2
    assert script.main([]) == 2
