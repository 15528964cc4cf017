"""No two different events may share an identity; one event must have one, however it is spelt."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace import expr
from headrace.errors import InvalidValue
from headrace.events import event_json, identity
from headrace.events.cloudevents import attributes_of, binary, event_of, structured
from headrace.events.envelope import envelope_of
from headrace.events.inbox import Arrival
from headrace.json_text import LongInteger, decode_event

PIECE = st.text(st.sampled_from('a:[]",\\\u00e90'), max_size=4)
ENTRY = st.none() | st.integers(0, 3)
CALLER = st.tuples(st.none() | PIECE, PIECE)
IDENTITIES = st.one_of(
    st.tuples(st.just("envelope"), PIECE, PIECE, PIECE, PIECE),
    st.tuples(st.just("cloud"), PIECE, PIECE),
    st.tuples(st.just("request"), CALLER, PIECE, ENTRY),
    st.tuples(st.just("conflict"), PIECE, st.binary(max_size=2)),
)


def encoded(parts: tuple[Any, ...]) -> str:
    kind, *rest = parts
    if kind == "request":
        (client_id, subject), key, entry = rest
        return identity.of_request(client_id, subject, key, entry)
    made = {"envelope": identity.of_envelope, "cloud": identity.of_cloud_event, "conflict": identity.of_conflict}
    return made[kind](*rest)


def meant(parts: tuple[Any, ...]) -> tuple[Any, ...]:
    """The subject of a caller with a client id does not count."""
    if parts[0] == "request" and parts[1][0] is not None:
        return (parts[0], (parts[1][0], ""), *parts[2:])
    return parts


@given(IDENTITIES, IDENTITIES)
def test_two_identities_are_one_text_only_if_they_are_the_same(one: tuple[Any, ...], other: tuple[Any, ...]) -> None:
    assert (encoded(one) == encoded(other)) == (meant(one) == meant(other))
    assert encoded(one).startswith("["), "no broker's position looks like that"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (identity.of_request(None, "s", "K:0", None), identity.of_request(None, "s", "K", 0)),
        (identity.of_request("a", "s", "K", None), identity.of_request(None, "a", "K", None)),
        (identity.of_envelope("a", "b:c", "", "1"), identity.of_envelope("a:b", "c", "", "1")),
        (identity.of_envelope("a", "b", "v", "1"), identity.of_cloud_event("a", "1")),
    ],
)
def test_what_used_to_collide_does_not(one: str, other: str) -> None:
    assert one != other


def test_a_conflict_tells_the_identity_it_claims() -> None:
    claimed = identity.of_envelope("a", "b", "v", '"]')
    assert identity.conflicting(identity.of_conflict(claimed, b"\x00")) == claimed


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def turned(value: Any) -> Any:
    """The same JSON with the members in another order."""
    if isinstance(value, dict):
        return {name: turned(value[name]) for name in reversed(list(value))}
    return [turned(item) for item in value] if isinstance(value, list) else value


@given(st.dictionaries(st.text(max_size=3), JSON, max_size=4))
def test_order_blanks_and_escapes_do_not_change_a_fingerprint(payload: dict[str, Any]) -> None:
    escaped = json.loads(json.dumps(turned(payload), indent=1, ensure_ascii=True))
    assert identity.fingerprint(payload) == identity.fingerprint(escaped)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1}, {"a": 2}), ({"a": 1}, {"a": "1"}), ({"a": None}, {}), ({"a": [1, 2]}, {"a": [2, 1]}),
        ({"a": 1}, {"a": True}), ({"a": 2**63}, {"a": 2**63 + 1}), ({"a": 1}, {"a": 1.5}), ({"a": {}}, {"a": []}),
        ({"a": LongInteger("9" * 1_001)}, {"a": LongInteger("9" * 1_000 + "8")}),
    ],
)  # fmt: skip
def test_another_value_is_another_fingerprint(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert identity.fingerprint(one) != identity.fingerprint(other)


# envelopes


def known_by(**members: Any) -> str | None:
    return envelope_of({"type": "T", "app": "a", "version": "v3", "payload": {}, **members}).identity


@pytest.mark.parametrize(
    ("members", "own"),
    [
        ({"id": "1"}, "1"), ({"id": 1}, "1"), ({"idempotency_key": "k"}, "k"),
        ({"idempotency_key": "k", "id": "1"}, "k"),
        ({"idempotency_key": "", "id": "1"}, "1"), ({"idempotency_key": None, "id": "1"}, "1"),
        ({"id": "0"}, "0"), ({"id": 0}, "0"),
    ],
)  # fmt: skip
def test_an_envelopes_own_identity(members: dict[str, Any], own: str) -> None:
    assert known_by(**members) == f'["event","a","T","v3","{own}"]'


@pytest.mark.parametrize("members", [{}, {"id": ""}, {"id": None}, {"idempotency_key": "", "id": ""}])
def test_an_empty_text_is_no_identity(members: dict[str, Any]) -> None:
    assert known_by(**members) is None


def test_app_type_and_version_are_part_of_it() -> None:
    found = {known_by(id="1"), known_by(id="1", app="b"), known_by(id="1", type="U"), known_by(id="1", version="v2")}
    assert len(found) == 4


# integers of any length


@pytest.mark.parametrize("digits", ["9" * 1_001, "-" + "9" * 1_001, "7" * 200_000])
def test_an_integer_that_no_amount_can_be_is_kept_as_it_is(digits: str) -> None:
    body = b'{"type":"T","payload":{"amount":7,"volumes":{"input":%s}}}' % digits.encode()
    envelope = envelope_of(decode_event(body))
    assert envelope.text.encode() == body
    assert envelope_of(event_json.read(envelope.text)) == envelope
    assert json.loads(event_json.shown(envelope.payload)) == {"amount": 7, "volumes": {"input": digits}}
    assert Arrival.of("bus:1", envelope).fingerprint == identity.fingerprint(envelope.payload)


@pytest.mark.parametrize(
    ("source", "is_true"),
    [
        ("event.a == event.b", True),
        ("event.a != event.b", False),
        ("event.a == event.c", False),
        ("event.a == 1", False),
    ],
)
def test_long_integers_are_equal_if_their_digits_are(source: str, is_true: bool) -> None:
    event = {"a": LongInteger("9" * 1_001), "b": LongInteger("9" * 1_001), "c": LongInteger("8" * 1_001)}
    assert expr.compile(source, env={"event": {}}, wraps=False).run({"event": event}) is is_true


def test_texts_of_digits_are_read_in_linear_time() -> None:
    """Each of a million starts would look at a thousand digits otherwise: this takes milliseconds, not minutes."""
    text = '{"a":[' + ",".join(["1" * 1_000] * 4_000) + "]}"
    assert len(event_json.read(text)["a"]) == 4_000


# CloudEvents

CLOUD = {"specversion": "1.0", "id": "1", "source": "/bank", "type": "com.bank.paid", "data": {"amount": 7}}


def test_a_structured_cloud_event_is_an_envelope() -> None:
    given = {
        **CLOUD,
        "time": "2024-05-01T10:00:00Z",
        "subject": "p",
        "datacontenttype": "application/json; charset=utf-8",
    }
    found = structured(given)
    assert (found.app, found.type, found.version, found.payload) == ("/bank", "com.bank.paid", "", {"amount": 7})
    assert found.identity == '["cloudevents","/bank","1"]'
    assert json.loads(found.text) == {
        "app": "/bank",
        "type": "com.bank.paid",
        "id": "1",
        "date": "2024-05-01T10:00:00Z",
        "payload": {"amount": 7},
        "cloudevent": {"subject": "p", "datacontenttype": "application/json; charset=utf-8"},
    }
    assert event_of(given) == found


@pytest.mark.parametrize("prefix", ["ce-", "ce_"])
def test_a_binary_cloud_event_is_the_same_event(prefix: str) -> None:
    attributes = {name: value for name, value in CLOUD.items() if name != "data"}
    headers = [(f"{prefix}{name}".title(), str(value)) for name, value in attributes.items()]
    found = binary(attributes_of([*headers, ("Content-Type", "application/json")], prefix), {"amount": 7})
    assert found == structured(CLOUD)


def test_attributes_in_headers_are_percent_encoded() -> None:
    found = attributes_of([("ce-specversion", "1.0"), ("ce-source", "/caf%C3%A9%20%22")])
    assert found["source"] == '/caf\u00e9 "'
    with pytest.raises(InvalidValue, match="ce-source"):
        attributes_of([("ce-source", "%ff")])
    with pytest.raises(InvalidValue, match="twice"):
        attributes_of([("ce-id", "1"), ("CE-ID", "1")])
    assert attributes_of([("ce-id", "1")]) == {}, "without specversion it is none"
    for prefix in ("ce-", "ce_"):
        structured_mode = [(f"{prefix}specversion", "1.0"), ("Content-Type", "Application/CloudEvents+JSON; x=y")]
        assert attributes_of(structured_mode, prefix) == {}, "the body is the event"
        with pytest.raises(InvalidValue, match="NUL"):
            attributes_of(
                [(f"{prefix}specversion", "1.0"), (f"{prefix}id", "a\0" if prefix == "ce_" else "a%00")], prefix
            )


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"specversion": "0.3"}, "specversion"), ({"specversion": 1.0}, "specversion"), ({"id": ""}, "id"),
        ({"id": None}, "id"), ({"source": ""}, "source"), ({"source": 1}, "source"), ({"type": ""}, "type"),
        ({"type": None}, "type"), ({"data": []}, "data"), ({"data": "x"}, "data"), ({"data": None}, "data"),
        ({"data_base64": "e30="}, "data_base64"), ({"datacontenttype": "text/xml"}, "datacontenttype"),
        ({"datacontenttype": 1}, "datacontenttype"), ({"id": "x" * 513}, "id"), ({"source": "x" * 1_025}, "source"),
        ({"time": 5}, "date"),
    ],
)  # fmt: skip
def test_a_cloud_event_that_is_none_names_the_attribute(change: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        structured({**CLOUD, **change}, "body[3]")
    assert refused.value.field == f"body[3].{field}"
