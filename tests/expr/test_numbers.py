"""Numbers and their texts, against Python where Python agrees."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.expr import numbers

INT64 = st.integers(numbers.MIN_INT, numbers.MAX_INT)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)


@given(INT64, INT64)
def test_wrapping_is_arithmetic_modulo_2_to_the_64(a: int, b: int) -> None:
    for result in (a + b, a - b, a * b):
        wrapped = numbers.wrapped(result)
        assert numbers.fits(wrapped)
        assert (wrapped - result) % (1 << 64) == 0


@given(INT64, INT64.filter(bool))
def test_remainder_has_the_sign_of_the_dividend(a: int, b: int) -> None:
    rest = numbers.remainder(a, b)
    assert abs(rest) < abs(b)
    assert (a - rest) % b == 0
    assert rest == 0 or (rest < 0) == (a < 0)


@given(FLOATS)
def test_float_texts_read_back(value: float) -> None:
    assert float(numbers.float_text(value)) == value
    assert float(json.loads(numbers.json_float_text(value))) == value


@pytest.mark.parametrize(
    ("value", "text", "json_text"),
    [
        (0.0, "0", "0"),
        (-0.0, "-0", "-0"),
        (1.0, "1", "1"),
        (-1.5, "-1.5", "-1.5"),
        (123456.0, "123456", "123456"),
        (1234567.0, "1.234567e+06", "1234567"),
        (1e20, "1e+20", "100000000000000000000"),
        (1e21, "1e+21", "1e+21"),
        (1.5e300, "1.5e+300", "1.5e+300"),
        (0.0001, "0.0001", "0.0001"),
        (0.00001, "1e-05", "0.00001"),
        (0.000001, "1e-06", "0.000001"),
        (0.0000001, "1e-07", "1e-7"),
        (1.25e-10, "1.25e-10", "1.25e-10"),
        (5e-324, "5e-324", "5e-324"),
        (math.pi, "3.141592653589793", "3.141592653589793"),
    ],
)
def test_float_texts(value: float, text: str, json_text: str) -> None:
    assert numbers.float_text(value) == text
    assert numbers.json_float_text(value) == json_text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("42", 42),
        ("+42", 42),
        ("-042", -42),
        ("9223372036854775807", numbers.MAX_INT),
        ("-9223372036854775808", numbers.MIN_INT),
        ("9223372036854775808", None),
        ("0" * 5_000 + "1", 1),
        ("9" * 5_000, None),
        ("", None),
        ("-", None),
        ("1_0", None),
        (" 1", None),
        ("1\n", None),
        ("\u0661", None),
        ("0x1", None),
        ("1.0", None),
    ],
)
def test_integers_are_decimal_digits(text: str, value: int | None) -> None:
    assert numbers.parsed_integer(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1.0),
        ("+.5", 0.5),
        ("5.", 5.0),
        ("-1e3", -1000.0),
        ("1_000.5_5", 1000.55),
        ("0x1p-2", 0.25),
        ("0x_1.8p1", 3.0),
        ("Inf", math.inf),
        ("-infinity", -math.inf),
        ("1e400", None),
        ("1_", None),
        ("_1", None),
        ("1__0", None),
        ("1_.5", None),
        ("0x1", None),
        ("+nan", None),
        (" 1", None),
        ("1 ", None),
        ("1e", None),
        (".", None),
        ("", None),
        ("\u0661", None),
    ],
)
def test_floats(text: str, value: float | None) -> None:
    assert numbers.parsed_float(text) == value


def test_nan_is_read() -> None:
    found = numbers.parsed_float("NaN")
    assert found is not None
    assert math.isnan(found)


@given(st.text(alphabet="0123456789+-._eExXpPinfaINFAny \n", max_size=12))
def test_any_text_is_a_float_or_not(text: str) -> None:
    assert isinstance(numbers.parsed_float(text), float | None)


@pytest.mark.parametrize(
    ("base", "exponent", "wanted"),
    [
        (0.0, -1.0, math.inf),
        (-0.0, -1.0, -math.inf),
        (-0.0, -2.0, math.inf),
        (-8.0, 1 / 3, math.nan),
        (-10.0, 309.0, -math.inf),
        (-10.0, 310.0, math.inf),
        (10.0, -400.0, 0.0),
        (math.nan, 0.0, 1.0),
        (2.0, 10.0, 1024.0),
    ],
)
def test_powers_never_fail(base: float, exponent: float, wanted: float) -> None:
    assert repr(numbers.power(base, exponent)) == repr(wanted)


@given(st.floats(), st.floats())
def test_division_and_powers_have_an_answer(a: float, b: float) -> None:
    for answer in (numbers.divided(a, b), numbers.power(a, b)):
        assert isinstance(answer, float)


@given(st.floats() | INT64)
def test_truncation_stays_in_64_bits(value: Any) -> None:
    assert numbers.fits(numbers.truncated(value))


@given(FLOATS)
def test_halves_are_rounded_away_from_zero(value: float) -> None:
    found = numbers.rounded(value)
    assert found == math.trunc(found)
    assert abs(found - value) <= 0.5
    if abs(value - math.trunc(value)) == 0.5:
        assert abs(found) > abs(value)
