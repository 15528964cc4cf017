"""A packed text comes back byte for byte, with its own base only."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.journal.sqlite.packing import MAX_CHARACTERS, packed, unpacked

BODY = b'{"metadata":{"a":"' + b"0123456789" * 30 + b'"},"reference":"headrace:i:0:0"}'
INPUT = '{"ledger":"main","data":' + BODY.decode() + "}"
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=400)


@given(TEXTS, TEXTS, st.booleans())
def test_any_text_comes_back_with_any_base(text: str, base: str, is_text: bool) -> None:
    whole = base + text + base
    given_base = base if is_text else base.encode()
    assert unpacked(packed(whole, given_base), given_base) == whole
    assert unpacked(packed(text, given_base), given_base) == text


def test_what_repeats_its_base_is_small() -> None:
    stored = packed(INPUT, BODY)
    assert isinstance(stored, bytes) and len(stored) < 60 < len(INPUT) / 5


@pytest.mark.parametrize("text", [None, "", "{}", "x" * (MAX_CHARACTERS + 1)])
def test_what_is_not_worth_it_or_too_long_stays_as_it_is(text: str | None) -> None:
    assert packed(text, BODY) == text
    assert packed(INPUT, None) == INPUT and packed(INPUT, b"") == INPUT
    assert unpacked(text, None) == text


@pytest.mark.parametrize(
    ("change", "base"),
    [
        (lambda stored: stored, BODY[:-1]),
        (lambda stored: stored, b""),
        (lambda stored: stored, None),
        (lambda stored: stored[:-1], BODY),
        (lambda stored: stored[:-3] + b"\0\0\0", BODY),
        (lambda stored: b"\x01" + stored, BODY),
    ],
    ids=["other base", "empty base", "no base", "cut off", "changed", "no header"],
)
def test_another_base_or_a_damaged_text_is_never_read_as_something_else(
    change: Callable[[bytes], bytes], base: bytes | None
) -> None:
    stored = packed(INPUT, BODY)
    assert isinstance(stored, bytes)
    with pytest.raises(zlib.error):
        unpacked(change(stored), base)
