"""Times, durations, zones and layouts, against `datetime` where it reaches."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace import expr
from headrace.expr import Duration, Failure, Time
from headrace.expr.times import calendar, zones
from headrace.expr.times.durations import parse_duration
from headrace.expr.times.layouts import RFC3339_NANO, formatted
from headrace.expr.times.reading import LAYOUTS, read_date, read_with_layout

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MOMENTS = st.datetimes(min_value=datetime(1, 1, 3), max_value=datetime(9999, 12, 29), timezones=st.just(UTC))  # noqa: DTZ001


def ours(moment: datetime, nanosecond: int = 0) -> Time:
    return Time((moment - EPOCH) // timedelta(microseconds=1) * 1_000 + nanosecond)


@given(MOMENTS)
def test_the_calendar_is_that_of_datetime(moment: datetime) -> None:
    time = ours(moment)
    assert time.date == (moment.year, moment.month, moment.day)
    assert time.clock == (moment.hour, moment.minute, moment.second)
    assert calendar.weekday(time.local_days) == moment.isoweekday() % 7
    assert calendar.day_of_year(*time.date) == moment.timetuple().tm_yday
    assert calendar.iso_week(time.local_days) == moment.isocalendar()[:2]


@given(st.integers(-4_000_000, 4_000_000))
def test_dates_and_days_are_two_ways_to_say_it(days: int) -> None:
    assert calendar.days_from(*calendar.date_of(days)) == days


@given(MOMENTS, st.sampled_from(["Europe/Paris", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"]))
def test_zones_are_those_of_the_database(moment: datetime, name: str) -> None:
    local = moment.astimezone(ZoneInfo(name))
    time = ours(moment).in_zone(zones.named(name))
    assert time.date == (local.year, local.month, local.day)
    assert time.clock == (local.hour, local.minute, local.second)
    assert time.abbreviation == local.tzname()


@given(MOMENTS, st.integers(0, 999))
def test_rfc_3339_reads_back_to_the_nanosecond(moment: datetime, nanosecond: int) -> None:
    time = ours(moment, nanosecond)
    again = read_date(time.to_rfc3339())
    assert again == time
    assert formatted(again, RFC3339_NANO) == time.to_rfc3339()


@given(MOMENTS.map(lambda moment: moment.replace(microsecond=0)))
def test_layouts_read_what_they_write(moment: datetime) -> None:
    time = ours(moment)
    for layout in (
        "2006-01-02T15:04:05Z07:00",
        "Monday, January 2 2006 3:04:05 PM -0700",
        "2/1/2006 03.04.05pm",
        "2006 002 15:04:05",
        "2006 __2 15:04:05",
        "Mon Jan _2 15:04:05 2006",
        "20060102150405.000",
        "15:04:05.999999999 2006-01-02 MST",
    ):
        text = formatted(time, layout)
        assert read_with_layout(text, layout, zones.UTC) == time, (layout, text)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2024-05-17", "2024-05-17 00:00:00 +0000 UTC"),
        ("5:06:07", "0000-01-01 05:06:07 +0000 UTC"),
        ("2024-05-17 10:20:30.5", "2024-05-17 10:20:30.5 +0000 UTC"),
        ("2024-05-17T10:20:30+02:00", "2024-05-17 10:20:30 +0200 +0200"),
        ("2024-05-17T10:20:30+00:00", "2024-05-17 10:20:30 +0000 UTC"),
        ("17 May 24 10:20 MST", "2024-05-17 10:20:00 +0000 MST"),
        ("17 May 69 10:20 UTC", "1969-05-17 10:20:00 +0000 UTC"),
        ("17 May 24 10:20 GMT+2", "2024-05-17 12:20:00 +0200 GMT+2"),
        ("FRIDAY, 17-may-24 10:20:30 UTC", "2024-05-17 10:20:30 +0000 UTC"),
        ("Fri, 17 May 2024 10:20:30 CEST", "2024-05-17 10:20:30 +0000 CEST"),
    ],
)
def test_usual_dates(text: str, wanted: str) -> None:
    assert str(read_date(text)) == wanted


@pytest.mark.parametrize(
    "text",
    ["", "x", "2024-02-30", "2024-13-01", "2024-5-17", "2024-05-17T10:20:30", "24:00:00", "2024-05-17\n", "10:20",
     "2024-05-17T10:20:30+25:00", "Fryday, 17-May-24 10:20:30 UTC", "17 May 24 10:20 cest", "٢٠٢٤-05-17"],
)  # fmt: skip
def test_no_dates(text: str) -> None:
    with pytest.raises(Failure, match="invalid date"):
        read_date(text)


def test_local_times_in_gaps_and_overlaps_are_one_of_the_two() -> None:
    paris = zones.named("Europe/Paris")
    layout = "2006-01-02 15:04"
    assert str(read_with_layout("2024-03-31 02:30", layout, paris).in_zone(zones.UTC))[11:16] == "01:30"
    assert str(read_with_layout("2024-10-27 02:30", layout, paris).in_zone(zones.UTC))[11:16] in ("00:30", "01:30")


def test_an_abbreviation_counts_where_its_zone_uses_it() -> None:
    paris = zones.named("Europe/Paris")
    read = read_with_layout("2024-05-17 10:00 CEST", "2006-01-02 15:04 MST", paris)
    assert read.to_rfc3339() == "2024-05-17T10:00:00+02:00"
    assert read_with_layout("2024-05-17 10:00 +0200", "2006-01-02 15:04 -0700", paris).abbreviation == "CEST"


@pytest.mark.parametrize(
    "name", ["Nope", "../../etc/passwd", "/etc/localtime", "Europe", "europe/paris ", "a" * 100, "."]
)
def test_no_zones(name: str) -> None:
    with pytest.raises(Failure, match="unknown time zone"):
        zones.named(name)


@given(st.integers(-(2**63), 2**63 - 1))
def test_durations_read_back(nanoseconds: int) -> None:
    assert parse_duration(str(Duration(nanoseconds))).nanoseconds == nanoseconds


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("1h30m", "1h30m0s"),
        ("90s", "1m30s"),
        ("1.5h", "1h30m0s"),
        (".5s", "500ms"),
        ("1.s", "1s"),
        ("-2s", "-2s"),
        ("+100ms", "100ms"),
        ("1us", "1µs"),
        ("1μs", "1µs"),
        ("1500ns", "1.5µs"),
        ("0", "0s"),
        ("1h1ns", "1h0m0.000000001s"),
    ],
)
def test_durations(text: str, wanted: str) -> None:
    assert str(parse_duration(text)) == wanted


@pytest.mark.parametrize(
    "text", ["", "1", "1d", "h", "-", ".s", "1h -2m", "1H", "9223372037s", "1e3s", "٣s", "1s" * 600, "1..5s", "--1s"]
)
def test_no_durations(text: str) -> None:
    with pytest.raises(Failure, match="time: "):
        parse_duration(text)


ENV = {"d": "2024-01-31T10:20:30.123456789Z", "t": "2024-02-29T00:00:00Z"}


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("date(d).AddDate(0, 1, 0).String()", "2024-03-02 10:20:30.123456789 +0000 UTC"),
        ("date(d).AddDate(-1, -2, -31).String()", "2022-10-31 10:20:30.123456789 +0000 UTC"),
        ("date(d).Format('Jan _2 06 at 3:04pm .000 (MST)')", "Jan 31 24 at 10:20am .123 (UTC)"),
        ("date(d).Format('_2006 January Jan1 Mond 00')", "_2024 January Jan1 Mond 00"),
        ("date(d).Truncate(duration('1h')).Format('15:04:05')", "10:00:00"),
        ("date(d).Round(duration('1h')).Format('15:04:05')", "10:00:00"),
        ("date(t) - date(d) > duration('28h')", True),
        ("(date(t) - date(d)).Hours() > 600", True),
        ("date(t).Sub(date(d)).String()", "685h39m29.876543211s"),
        ("date(d).Before(date(t)) and date(t).After(date(d)) and not date(d).Equal(date(t))", True),
        ("date(d).Compare(date(t))", -1),
        ("date(t).YearDay()", 60),
        ("date(d).UnixMilli() == date(d).Unix() * 1000 + 123", True),
        ("string(date(d).In(timezone('Asia/Kolkata')).Location())", "Asia/Kolkata"),
        ("date(d).In(timezone('Asia/Kolkata')) == date(d)", True),
        ("duration('1h') + duration('30m') == duration('90m')", True),
        ("duration('1m') * 3 == duration('3m') and 3 * duration('1m') == duration('3m')", True),
        ("duration('7s').Round(duration('5s')).String() + duration('-7s').Truncate(duration('5s')).String()", "5s-5s"),
        ("duration('90m').Hours()", 1.5),
        ("duration('1500ms').Milliseconds() + duration('-1500us').Milliseconds()", 1499),
        ("[date(t), date(d)] | sort() | map(.Day())", [31, 29]),
        ("groupBy([date(d), date(d)], #) | len()", 1),
        ("max(duration('1s'), duration('2s')) == duration('2s')", True),
    ],
)
def test_methods_and_operators(source: str, wanted: Any) -> None:
    assert expr.evaluate(source, ENV) == wanted


@pytest.mark.parametrize(
    "source",
    [
        "date(d).Add(1)",
        "date(d) + 1",
        "date(d) + date(d)",
        "duration('1h') / 2",
        "-duration('1h')",
        "date(d) < d",
        "date(d).In('UTC')",
        "date(d).Nope()",
        "date(d).Year(1)",
        "date(d).Format(1)",
        "date(d).AddDate(9000000000000, 0, 0)",
        "[date(d), 1][0].Year(1)",
        "[date(d), 1][0].Add('1h')",
        "[date(d), 1][0] + 1",
        "date(1)",
        "date(timezone('UTC'))",
        "date(d, 1)",
        "date(d, 'x', 'Nope/Nope')",
        "now(1)",
    ],
)
def test_wrong_uses_are_errors(source: str) -> None:
    with pytest.raises(expr.ExpressionError):
        expr.evaluate(source, ENV)


def test_a_time_is_never_out_of_reach() -> None:
    """Adding without a limit ends in a Failure, not in an error of Python."""
    source = "reduce(1..200, #acc.AddDate(100000000000, 0, 0), date(d)).Year()"
    with pytest.raises(expr.EvaluationFailed, match="time is out of range"):
        expr.evaluate(source, ENV)
    assert expr.evaluate("date(d).AddDate(100000, 0, 0).In(timezone('Europe/Paris')).Year()", ENV) == 102_024
    assert expr.evaluate("date('00:00:00').In(timezone('America/New_York')).Year()", ENV) == -1


def test_every_usual_layout_is_tried() -> None:
    moment = ours(datetime(2024, 5, 17, 10, 20, 0, tzinfo=UTC))
    for start, layout in LAYOUTS:
        text = formatted(moment, layout)
        assert start.match(text), layout
        assert formatted(read_date(text), layout) == text
