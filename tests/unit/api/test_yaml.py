"""YAML in: JSON's scalars only, and where everything stood (decision W5)."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.api import yaml
from headrace.json_text import Malformed


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0100", "0100"),
        ("1:30", "1:30"),
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("True", "True"),
        ("NULL", "NULL"),
        ("~", "~"),
        ("0x1F", "0x1F"),
        ("0o17", "0o17"),
        ("1_000", "1_000"),
        ("+1", "+1"),
        (".5", ".5"),
        (".inf", ".inf"),
        (".nan", ".nan"),
        ("2024-05-01", "2024-05-01"),
        ("2024-05-01T10:00:00Z", "2024-05-01T10:00:00Z"),
        ("${amount}", "${amount}"),
        ("USD/2", "USD/2"),
        ("'1'", "1"),
        ('"true"', "true"),
        ("''", ""),
        ("|\n  1\n", "1\n"),
        ("null", None),
        ("", None),
        ("true", True),
        ("false", False),
        ("0", 0),
        ("-12", -12),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("9" * 1_000, int("9" * 1_000)),
    ],
)
def test_scalars(text: str, value: Any) -> None:
    read = yaml.decode(f"key: {text}".encode()).value["key"]
    assert (read, type(read)) == (value, type(value))


def test_an_empty_document_is_nothing() -> None:
    assert yaml.decode(b"").value is None
    assert yaml.decode(b"# only a comment\n").value is None
    assert yaml.decode(b"---\n").value is None


def test_keys_are_text_as_written() -> None:
    assert yaml.decode(b"1: a\ntrue: b\nnull: c\n<<: d").value == {"1": "a", "true": "b", "null": "c", "<<": "d"}


@pytest.mark.parametrize(
    ("text", "says", "place"),
    [
        ("a: &x 1", "an anchor (&x)", (1, 4)),
        ("&x a: 1", "an anchor", (1, 1)),
        ("a: *x", "an alias (*x)", (1, 4)),
        ("a: !!int 1", "a tag", (1, 4)),
        ("a: !x 1", "a tag (!x)", (1, 4)),
        ("a: !!python/object:os.system x", "a tag", (1, 4)),
        ("- a\n- b: 1\n  b: 2", "has the key 'b' twice in one mapping", (3, 3)),
        ("a: 1\n---\nb: 2", "a second document", (2, 1)),
        ("%TAG ! tag:x,2000:\n---\na: 1", "a %TAG directive", (1, 1)),
        ("? [a]\n: 1", "a key that is not plain text", (1, 3)),
        ("a: " + "1" * 1_001, "integer of more than 1000 digits", (1, 4)),
        ("a: 1e999", "out of range", (1, 4)),
        ('a: "\\0"', "NUL", (1, 4)),
        ("a: [1", "is not YAML", (1, 7)),
        ("a: b: c", "is not YAML", (1, 5)),
        ("a:\n\t- 1", "is not YAML", (2, 1)),
        ("a: " + "[" * 64 + "]" * 64, "nested more than 64 levels", (1, 67)),
    ],
)
def test_refused_with_a_place(text: str, says: str, place: tuple[int, int]) -> None:
    with pytest.raises(Malformed) as caught:
        yaml.decode(text.encode())
    assert says in str(caught.value)
    if "is not YAML" not in says:  # where those are noticed is the parser's matter
        assert (caught.value.line, caught.value.column) == place
    assert f"(line {caught.value.line}, column {caught.value.column})" in str(caught.value)


def test_depth_is_bounded_before_anything_recurses() -> None:
    for text in ("[" * 200_000, "- " * 100_000, "{a: " * 60_000):
        with pytest.raises(Malformed, match="nest"):
            yaml.decode(text.encode())


def test_depth_that_is_allowed() -> None:
    assert yaml.decode(b"a: " + b"[" * 63 + b"]" * 63).value


def test_text_no_yaml_may_hold() -> None:
    for body in (b"\xff", b"a: \x00", b"a: \x07", b'"\\ud800"'):
        with pytest.raises(Malformed):
            yaml.decode(body)


def test_marks_find_every_path_and_what_is_around_it() -> None:
    document = yaml.decode(
        b"name: n\nstages:\n  - send:\n      amount: {asset: USD/2,\n               amount: x}\n  - delay:\n"
    )
    assert document.locate("stages") == (2, 1)
    assert document.locate("stages[0]") == (3, 5)
    assert document.locate("stages[0].send.amount.asset") == (4, 16)
    assert document.locate("stages[0].send.amount.amount") == (5, 16)
    assert document.locate("stages[0].send.amount.missing") == (4, 7)
    assert document.locate("stages[0].send.source.account.id") == (3, 5)
    assert document.locate("stages[1].delay") == (6, 5)
    assert document.locate("stages[9]") == (2, 1)
    assert document.locate("") == document.locate("nothing") == (1, 1)
    assert yaml.Document({"stages": []}).locate("stages") is None


def test_values_are_counted() -> None:
    most = yaml.MAX_VALUES - 1
    assert yaml.decode(b"[" + b"a," * most + b"]").value == ["a"] * most
    for body in (b"[" + b"a," * (most + 1) + b"]", b"- \n" * (most + 1), b"{" + b"? [a, b, c]" * 20_000):
        with pytest.raises(Malformed, match="line"):
            yaml.decode(body)


def test_marks_of_long_paths_fill_no_memory() -> None:
    """Each value's path would be written out in full: half a gigabyte for a document of 256 KiB."""
    nested = b"{" + b"k" * 64 + b": "
    document = yaml.decode(nested * 60 + b"[" + b"a," * 39_000 + b"]" + b"}" * 60)
    assert sum(map(len, document.marks)) < 1 << 20
    assert document.locate(".".join(["k" * 64] * 60) + "[7]") == document.locate(".".join(["k" * 64] * 4))


WORDS = st.text("abc01.-:${}#[]&*! \n\"'|>?%@`,", max_size=30)


@given(WORDS)
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(Malformed):
        json.dumps(yaml.decode(text.encode()).value, allow_nan=False)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    with contextlib.suppress(Malformed):
        yaml.decode(body)


PLAIN = st.text("abcdefghij0123456789_", min_size=1, max_size=8)
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | PLAIN,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(PLAIN, inner, max_size=4),
    max_leaves=20,
)


@given(DOCUMENTS)
def test_json_is_yaml(value: Any) -> None:
    assert yaml.decode(json.dumps(value).encode()).value == value
