"""JSON in: exact where it is JSON, refused with a reason where it is not or could not be kept."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace import json_text
from headrace.json_text import MAX_DEPTH, Malformed

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**999), 10**999) | FLOATS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_what_json_can_say_is_read_exactly(value: Any) -> None:
    text = json.dumps(value).encode()
    decoded = json_text.decode(text)
    assert decoded == value
    assert json.dumps(decoded) == json.dumps(value)  # 1 and 1.0 and true are equal, and not the same


@given(VALUES)
def test_what_is_written_reads_back(value: Any) -> None:
    assert json.loads(json_text.encode(value)) == value


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    with contextlib.suppress(Malformed):
        json_text.decode(body)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b'{"amount":1,"amount":2}', "has the key 'amount' twice in one object"),
        (b'{"a":{"b":1,"c":2,"b":3}}', "has the key 'b' twice"),
        (b"NaN", "NaN is not a number"),
        (b"[Infinity]", "Infinity is not a number"),
        (b"[-Infinity]", "-Infinity is not a number"),
        (b"1e999", "out of range: 1e999"),
        (b"-1e999", "out of range: -1e999"),
        (b'"\\u0000"', "NUL"),
        (b'{"a\\u0000":1}', "NUL"),
        (b'["\\ud800"]', "lone surrogate"),
        (b'{"\\udc00x":1}', "lone surrogate"),
        (b"1" * 1_001, "integer of more than 1000 digits"),
        (b"-" + b"1" * 1_001, "integer of more than 1000 digits"),
        (b"", "is not JSON: Expecting value (line 1, column 1)"),
        (b'{"a":1}\n}', "is not JSON: Extra data (line 2, column 1)"),
        (b'{"a":01}', "is not JSON"),
        (b"{'a':1}", "is not JSON"),
        (b'"\x01"', "is not JSON: Invalid control character"),
        (b"\xff", "is not UTF-8 (byte 0)"),
        (b'"\xed\xa0\x80"', "is not UTF-8"),
        (b"\xef\xbb\xbf\xef\xbb\xbf{}", "is not JSON"),
        (b"[" * 100_000, "nested more than 64 levels"),
        (b'{"a":' * 100_000, "nested more than 64 levels"),
    ],
)
def test_refused_with_a_reason(body: bytes, says: str) -> None:
    with pytest.raises(Malformed) as caught:
        json_text.decode(body)
    assert says in str(caught.value)


def nested(depth: int) -> bytes:
    return b'{"a":[' * (depth // 2) + b"[" * (depth % 2) + b"1" + b"]" * (depth % 2) + b"]}" * (depth // 2)


def test_depth_is_counted_in_containers_not_in_brackets() -> None:
    assert json_text.decode(nested(MAX_DEPTH))
    assert json_text.decode(b"[" + b",".join([b"[]"] * 1_000) + b"]")
    assert json_text.decode(json.dumps("[" * 1_000).encode()) == "[" * 1_000
    assert json_text.decode(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)
    with pytest.raises(Malformed, match="nested more than 64"):
        json_text.decode(b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1))
    for depth in (MAX_DEPTH + 1, MAX_DEPTH + 2):
        with pytest.raises(Malformed, match="nested more than 64"):
            json_text.decode(nested(depth))


def test_longest_integers_stay_exact() -> None:
    digits = "9" * 1_000
    assert json_text.decode(digits.encode()) == int(digits)
    assert json_text.decode(f"-{digits}".encode()) == -int(digits)
    assert json_text.encode({"amount": int(digits)}) == f'{{"amount":{digits}}}'.encode()


def test_surrogate_pairs_and_escapes_are_characters() -> None:
    assert json_text.decode(b'"\\ud83d\\ude00\\u00e9"') == "\U0001f600é"


def test_place_of_a_mistake() -> None:
    with pytest.raises(Malformed) as caught:
        json_text.decode(b'{\n  "stages": [,]\n}')
    assert (caught.value.line, caught.value.column) == (2, 14)


BACKSLASHES = st.lists(
    st.sampled_from(
        ["\\\\", "\\u0061", "\\u0000", "\\ud83d", "\\uDE00", "\\ude00", "u0000", "ud800", '\\"', "é", "[", "\\n"]
    ),
    max_size=12,
)


@given(BACKSLASHES, BACKSLASHES)
def test_every_escape_is_judged_by_the_character_it_stands_for(name: list[str], text: list[str]) -> None:
    body = f'{{"{"".join(name)}": ["{"".join(text)}"]}}'
    given_texts = "".join(("".join(json.loads(body)), *next(iter(json.loads(body).values()))))
    is_kept = "\0" not in given_texts and not any("\ud800" <= character <= "\udfff" for character in given_texts)
    try:
        decoded = json_text.decode(body.encode())
    except Malformed:
        assert not is_kept
    else:
        assert is_kept and decoded == json.loads(body)


@given(
    st.recursive(
        st.just("1") | st.sampled_from(['"["', '"\\\\"', '"]"']),
        lambda inner: st.lists(inner, max_size=3).map(lambda items: f"[{','.join(items)}]"),
    ),
    st.integers(0, MAX_DEPTH + 3),
)
def test_depth_is_that_of_the_value(inner: str, around: int) -> None:
    body = "[" * around + inner + "]" * around + " "

    def depth(value: Any) -> int:
        return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0

    is_deep = depth(json.loads(body)) > MAX_DEPTH
    if is_deep:
        with pytest.raises(Malformed, match="nested"):
            json_text.decode(body.encode())
    else:
        assert json_text.decode(body.encode()) == json.loads(body)
