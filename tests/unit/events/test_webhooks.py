"""The file of endpoints, read strictly and told about without its secrets; and the signature, by a known answer."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest

from headrace import json_text
from headrace.api import yaml
from headrace.buses.event_types import TYPES
from headrace.buses.port import Publication
from headrace.buses.webhooks.endpoints import MAX_ENDPOINTS, MAX_FILE_BYTES, Endpoint, key_of, read_endpoints
from headrace.buses.webhooks.publisher import Webhook, headers_of, signature
from headrace.clock import SystemClock
from headrace.errors import InvalidValue

URL = "https://hooks.example.com/T0K3N-in-the-path?code=C0DE"
SECRET = "correct horse battery staple"
ENVIRON = {"HOOK_SECRET": SECRET, "SHORT": "hush-hush", "EMPTY": "", "RAGGED": f"{SECRET}\n"}


def decoded(body: bytes) -> object:
    return json_text.decode(body) if body.startswith(b"{") else yaml.decode(body).value


def read(path: Path, content: str | bytes) -> tuple[Endpoint, ...]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_endpoints(path, ENVIRON, decoded)


def read_one(tmp_path: Path, **entry: Any) -> Endpoint:
    given = {"url": URL, "secret": SECRET, **entry}
    kept = {name: value for name, value in given.items() if value is not ...}
    (endpoint,) = read(tmp_path / "hooks.json", json.dumps({"endpoints": [kept]}))
    return endpoint


def refusal(tmp_path: Path, content: str | bytes) -> str:
    file = tmp_path / "hooks.yaml"
    with pytest.raises(InvalidValue) as caught:
        read(file, content)
    text = str(caught.value)
    assert text.startswith(f"HEADRACE_WEBHOOKS: {file}: ")
    assert caught.value.__cause__ is None
    return text.removeprefix(f"HEADRACE_WEBHOOKS: {file}: ")


def refused_entry(tmp_path: Path, **entry: Any) -> str:
    given = {"url": URL, "secret": SECRET, **entry}
    kept = {name: value for name, value in given.items() if value is not ...}
    return refusal(tmp_path, json.dumps({"endpoints": [kept]}))


# the file


def test_yaml_and_json_say_the_same(tmp_path: Path) -> None:
    text = f"""
    endpoints:
      - url: {URL}
        secret: {SECRET}
        name: shop
        events: [orchestration.succeeded_workflow, FAILED_WORKFLOW]
      - {{url: "http://127.0.0.1:8080/", secret_env: HOOK_SECRET}}
    """
    found = read(tmp_path / "hooks.yaml", text)
    assert found == read(tmp_path / "hooks.json", json.dumps(yaml.decode(text.encode()).value))
    shop, other = found
    assert (shop.url, shop.key, shop.label) == (URL, SECRET.encode(), "shop (https://hooks.example.com)")
    assert shop.types == {"SUCCEEDED_WORKFLOW", "FAILED_WORKFLOW"}
    assert (other.key, other.label, other.types) == (SECRET.encode(), "http://127.0.0.1:8080", frozenset(TYPES))


@pytest.mark.parametrize("kind", TYPES)
def test_an_event_is_named_bare_or_with_its_app_in_any_case(tmp_path: Path, kind: str) -> None:
    for name in (kind, kind.lower(), f"orchestration.{kind.lower()}", f"Orchestration.{kind}"):
        assert read_one(tmp_path, events=[name]).types == {kind}


def test_a_publisher_keeps_its_name_as_long_as_url_and_name_stay(tmp_path: Path) -> None:
    first = read_one(tmp_path, name="shop")
    # Frozen: the position of every endpoint in use is kept under such a name.
    assert first.publisher == "webhook:shop:74303aa5f3bab72f"
    assert read_one(tmp_path, name="shop", secret="another secret of 16", events=["FAILED_TRIGGER"]) != first
    assert read_one(tmp_path, name="shop", secret="another secret of 16").publisher == first.publisher
    others = {read_one(tmp_path).publisher, read_one(tmp_path, name="shop", url=URL + "x").publisher}
    assert len(others | {first.publisher}) == 3
    assert Webhook(first, SystemClock()).name == first.publisher


def test_nothing_secret_shows_in_what_is_printed_or_stored(tmp_path: Path) -> None:
    endpoint = read_one(tmp_path)
    for text in (repr(endpoint), endpoint.publisher, endpoint.label):
        assert "T0K3N" not in text
        assert "C0DE" not in text
        assert "horse" not in text


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "expected `object`, got `null`"),
        ("[]", "expected `object`, got `array`"),
        ("endpoints: []", "endpoints: has 1 to 100 entries, not 0"),
        ("endpoints:", "endpoints: expected `array`, got `null`"),
        ("endpoints: [{}]", "endpoints[0]: object missing required field `url`"),
        ("endpoints: [x]", "endpoints[0]: expected `object`, got `str`"),
        ("endpoints: [{url: http://a}]\nretries: 3", "object contains unknown field `retries`"),
        (b"endpoints: \xff", "is not plain YAML or JSON; text"),
    ],
)
def test_a_file_of_another_shape_is_refused(tmp_path: Path, content: str | bytes, says: str) -> None:
    assert refusal(tmp_path, content).startswith(says)


def test_a_file_that_is_not_there_or_too_large_is_refused(tmp_path: Path) -> None:
    assert "has more than" in refusal(tmp_path, "#" * (MAX_FILE_BYTES + 1))
    with pytest.raises(InvalidValue, match=r"cannot be read \(No such file or directory\)"):
        read_endpoints(tmp_path / "missing.yaml", {}, decoded)
    with pytest.raises(InvalidValue, match=r"cannot be read \(Is a directory\)"):
        read_endpoints(tmp_path, {}, decoded)
    entry = {"url": URL, "secret": SECRET}
    many = [{**entry, "name": f"n{number}"} for number in range(MAX_ENDPOINTS + 1)]
    assert "not 101" in refusal(tmp_path, json.dumps({"endpoints": many}))
    assert len(read(tmp_path / "hooks.json", json.dumps({"endpoints": many[1:]}))) == MAX_ENDPOINTS


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"token": "x"}, "endpoints[0]: object contains unknown field `token`"),
        ({"secret": ...}, "endpoints[0]: must have either `secret` or `secret_env`"),
        ({"secret_env": "HOOK_SECRET"}, "endpoints[0]: must have either `secret` or `secret_env`"),
        ({"secret": 1234567890123456}, "endpoints[0].secret: expected `str`, got `int`"),
        ({"secret": None}, "endpoints[0].secret: expected `str`, got `null`"),
        ({"secret": ..., "secret_env": "NOT_SET"}, "endpoints[0].secret_env: the environment variable of this name"),
        ({"secret": ..., "secret_env": "EMPTY"}, "endpoints[0].secret_env: the environment variable of this name"),
        ({"secret": ..., "secret_env": "SHORT"}, "endpoints[0].secret_env: the key must have at least 16 bytes"),
        ({"secret": ..., "secret_env": "RAGGED"}, "endpoints[0].secret_env: must not hold control characters"),
        ({"secret": ..., "secret_env": "${HOOK_SECRET}"}, "endpoints[0].secret_env: must be the name of an env"),
        ({"events": []}, "endpoints[0].events: must name at least one event"),
        ({"events": None}, "endpoints[0].events: expected `array`, got `null`"),
        ({"events": ["FAILED_WORKFLOW", "SAVED_PAYMENT"]}, "endpoints[0].events[1]: unknown event"),
        ({"events": ["payments.failed_workflow"]}, "endpoints[0].events[0]: unknown event"),
        ({"events": "FAILED_WORKFLOW"}, "endpoints[0].events: expected `array`, got `str`"),
        ({"name": ""}, "endpoints[0].name: must be 1 to 64"),
        ({"name": "a" * 65}, "endpoints[0].name: must be 1 to 64"),
        ({"name": "a\n"}, "endpoints[0].name: must be 1 to 64"),
        ({"name": "über"}, "endpoints[0].name: must be 1 to 64"),
    ],
)
def test_an_entry_that_is_wrong_is_refused_at_its_place(tmp_path: Path, entry: dict[str, Any], says: str) -> None:
    assert refused_entry(tmp_path, **entry).startswith(says)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hooks.example.com/x",
        "ftp://hooks.example.com/x",
        "https://",
        "https:///x",
        "https://user:pass-word@hooks.example.com/x",
        "https://@hooks.example.com/x",
        "https://hooks.example.com/x#part",
        "https://hooks.example.com:0/x",
        "https://hooks.example.com:99999/x",
        "https://hooks.example.com:port/x",
        "https://hooks.example.com/a b",
        "https://hooks.example.com/a\r\nX: y",
        "https://hooks.example.com\\@other.example.com/",
        "https://bücher.example.com/",
        "https://[::1/x",
        "https://hooks.example.com/" + "a" * 2_048,
    ],
)
def test_an_address_that_is_none_is_refused(tmp_path: Path, url: str) -> None:
    text = refused_entry(tmp_path, url=url)
    assert text.startswith("endpoints[0].url: must be an http or https URL")
    assert "pass-word" not in text


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080", "https://[::1]:8443/x", "HTTPS://Hooks.example.com/x?y=%2F"])
def test_an_address_is_used_as_it_is_written(tmp_path: Path, url: str) -> None:
    assert read_one(tmp_path, url=url).url == url


def test_the_same_endpoint_twice_needs_two_names(tmp_path: Path) -> None:
    entry = {"url": URL, "secret": SECRET}
    text = refusal(tmp_path, json.dumps({"endpoints": [entry, {**entry, "name": "a"}, entry]}))
    assert text == "endpoints[2]: has the URL and name of endpoints[0]: give one of them another name"


@pytest.mark.parametrize(
    "entry",
    [
        "{url: http://a, secret: &hush-hush}",
        "{url: http://a, secret: *hush-hush}",
        "{url: http://a, secret: !hush-hush x}",
        "{url: http://a, secret: 'hush-hush}",
        "{url: http://a, secret: hush-hush}",
        "{url: http://a, secret: whsec_hush-hush}",
        "{url: http://a, secret: [hush-hush]}",
        "{url: http://a, secret_env: hush-hush}",
        "{url: http://a, secret_env: hushhush}",
        "{url: http://a, secret_env: SHORT}",
        "{url: http://hush-hush@a, secret: hush-hush-hush-hush}",
        "{url: http://a, secret: hush-hush-hush-hush, secret_env: hush-hush}",
    ],
)
def test_a_secret_never_shows_in_a_refusal(tmp_path: Path, entry: str) -> None:
    text = refusal(tmp_path, f"endpoints:\n  - {entry}\n")
    assert "hush" not in text
    assert re.search(r"endpoints\[0\]|line [23], column \d", text)


# keys and signatures


def test_a_secret_is_base64_after_its_prefix_and_plain_text_without_it() -> None:
    assert key_of("whsec_" + base64.b64encode(bytes(range(24))).decode(), "f") == bytes(range(24))
    assert key_of("s" * 16, "f") == b"s" * 16
    assert key_of("ü" * 8, "f") == "ü".encode() * 8
    short = base64.b64encode(bytes(15)).decode()
    for bad in ("s" * 15, "whsec_", f"whsec_{short}", f"whsec_{'A' * 28}-_", f"whsec_{'A' * 31}", f"whsec_{'A' * 28}ü"):
        with pytest.raises(InvalidValue):
            key_of(bad, "f")


def test_the_signature_is_that_of_standard_webhooks() -> None:
    """The scheme's own published example."""
    key = key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "f")
    body = b'{"test": 2432232314}'
    assert signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body) == (
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    )


def test_the_headers_carry_the_three_values_twice_and_the_event_twice() -> None:
    publication = Publication("0a1b:17", "FAILED_TRIGGER", 3, b"{}")
    headers = headers_of(publication, b"k" * 16, 1_700_000_000_999_999)
    signed = signature(b"k" * 16, "0a1b:17", "1700000000", b"{}")
    assert headers == {
        "Content-Type": "application/json",
        "Idempotency-Key": "0a1b:17",
        "webhook-id": "0a1b:17",
        "webhook-timestamp": "1700000000",
        "webhook-signature": signed,
        "formance-webhook-id": "0a1b:17",
        "formance-webhook-timestamp": "1700000000",
        "formance-webhook-signature": signed,
        "Headrace-Event": "0a1b:17",
        "Headrace-Depth": "3",
    }
