"""Durations and moments, against exact arithmetic and against the standard library."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction
from math import ceil, floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import InvalidValue
from headrace.workflows.durations import (
    MAX_DURATION_US,
    booking_moment_of,
    duration_us,
    moment_of,
    moment_text,
    moment_us,
)

NANOSECONDS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9}
NANOSECONDS |= {"m": 60 * 10**9, "h": 3_600 * 10**9, "d": 86_400 * 10**9, "w": 604_800 * 10**9}
DIGITS = st.text("0123456789", max_size=6)


@st.composite
def parts(draw: st.DrawFn) -> tuple[str, Fraction]:
    whole, fraction = draw(DIGITS), draw(st.none() | DIGITS)
    if not whole and not fraction:
        whole = "0"
    unit = draw(st.sampled_from(sorted(NANOSECONDS)))
    number = Fraction(int(whole + (fraction or "")), 10 ** len(fraction or ""))
    return whole + ("" if fraction is None else "." + fraction) + unit, number * NANOSECONDS[unit]


@given(st.lists(parts(), min_size=1, max_size=6), st.sampled_from(["", "+"]))
def test_durations_are_exact_and_never_short(pieces: list[tuple[str, Fraction]], sign: str) -> None:
    text = sign + "".join(text for text, _ in pieces)
    expected = ceil(sum((length for _, length in pieces), Fraction(0)) / 1_000)
    if expected > MAX_DURATION_US:
        with pytest.raises(InvalidValue, match="100 years"):
            duration_us(text)
    else:
        assert duration_us(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5s", 5_000_000),
        ("1h30m", 5_400_000_000),
        ("1.5h", 5_400_000_000),
        ("500ms", 500_000),
        ("0", 0),
        (".5s", 500_000),
        ("1.s", 1_000_000),
        ("7d", 604_800_000_000),
        ("1w", 604_800_000_000),
        ("1ns", 1),
        ("36525d", MAX_DURATION_US),
    ],
)
def test_durations(text: str, expected: int) -> None:
    assert duration_us(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "5",
        "s",
        ".s",
        "5 s",
        "5S",
        "1h-5m",
        "-5s",
        "-0s",
        "--5s",
        "5s ",
        "5s\n",
        "1e3s",
        "\uff15s",
        "1,5h",
        "1y",
        "1M",
        "36525d1ns",
        "9" * 250 + "w",
        "1s" * 200,
        "+",
        "++1s",
        "5s\0",
        "\ud800",
    ],
)
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(InvalidValue):
        duration_us(text)


@given(st.text(max_size=20))
def test_any_text_is_a_duration_or_refused(text: str) -> None:
    with suppress(InvalidValue):
        assert 0 <= duration_us(text) <= MAX_DURATION_US


OFFSETS = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.integers(-60_000_000_000_000_000, 250_000_000_000_000_000), OFFSETS)
def test_moments_agree_with_the_standard_library(expected: int, offset: timezone) -> None:
    moment = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=expected)).astimezone(offset)
    assert moment_us(moment.isoformat()) == expected
    assert moment_us(moment_text(expected)) == expected
    assert datetime.fromisoformat(moment_text(expected)) == moment


@given(st.text("0123456789", min_size=1, max_size=12))
def test_fractions_round_to_the_nearest_microsecond(digits: str) -> None:
    expected = floor(Fraction(int(digits), 10 ** len(digits)) * 1_000_000 + Fraction(1, 2))
    assert moment_us(f"1970-01-01T00:00:00.{digits}Z") == expected


def test_moments_are_written_in_utc() -> None:
    assert moment_text(0) == "1970-01-01T00:00:00Z"
    assert moment_text(1) == "1970-01-01T00:00:00.000001Z"
    assert moment_text(-1) == "1969-12-31T23:59:59.999999Z"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2024-05-01",
        "2024-05-01T10:00:00",
        "2024-05-01 10:00:00Z",
        "2024-05-01t10:00:00Z",
        "2024-05-01T10:00:00z",
        "2024-05-01T10:00:00+0200",
        "2024-05-01T10:00:00+24:00",
        "2024-05-01T10:00:00+02:60",
        "2024-05-01T24:00:00Z",
        "2024-05-01T10:00:60Z",
        "2024-02-30T10:00:00Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59.9999999Z",
        "2024-05-01T10:00:00.Z",
        "2024-05-01T10:00:00Z\n",
        "\uff12024-05-01T10:00:00Z",
    ],
)
def test_what_is_no_moment(text: str) -> None:
    with pytest.raises(InvalidValue):
        moment_us(text)


@pytest.mark.parametrize(
    "text",
    [
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00.0000001Z",
        "0001-06-01T00:00:00Z",
        "0001-12-31T23:59:59.999999Z",
        "0002-01-01T00:30:00+01:00",
    ],
)
def test_a_ledger_reads_year_1_as_no_timestamp(text: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        booking_moment_of(text, "send.timestamp")
    assert refused.value.field == "send.timestamp"
    assert "year 1" in refused.value.reason
    assert moment_of(text)  # a date all the same, for a delay


@pytest.mark.parametrize("text", ["0001-12-31T23:59:59-01:00", "0002-01-01T00:00:00Z", "2020-01-02T03:04:05Z"])
def test_other_times_may_be_booked_at(text: str) -> None:
    assert booking_moment_of(text) == moment_of(text)
