"""Builtins on texts. Positions count bytes of UTF-8, so a text may hold a part of a character (see `values`)."""

from __future__ import annotations

from headrace.expr.errors import BudgetFailure, Failure
from headrace.expr.limits import Meter
from headrace.expr.values import (
    NilList,
    Value,
    from_utf8,
    integer,
    is_list,
    is_whole,
    joined_text,
    repaired,
    text_of,
    type_name,
    utf8,
)

_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
_FEW_LETTERS = 32
_MOST_REPEATS = 1_000_000


def _text_pair(meter: Meter, value: Value, other: Value) -> tuple[str, str]:
    """Check that both values are texts and charge for a search of one in the other. Raises Failure for other types."""
    first, second = text_of(value), text_of(other)
    meter.read(len(first) + len(second))
    return first, second


def trim(meter: Meter, value: Value, cut: Value = _SPACE) -> str:
    """The builtin `trim`: the text without the characters of `cut` at either end; white space by default."""
    given, letters = _text_pair(meter, value, cut)
    meter.write(len(given))
    if len(letters) <= _FEW_LETTERS:
        return given.strip(letters)
    meter.step(len(given) // 16)
    unwanted = frozenset(letters)  # `str.strip` tries the letters one by one
    start, end = 0, len(given)
    while start < end and given[start] in unwanted:
        start += 1
    while end > start and given[end - 1] in unwanted:
        end -= 1
    return given[start:end]


def trim_prefix(meter: Meter, value: Value, prefix: Value = " ") -> str:
    given, start = _text_pair(meter, value, prefix)
    if not has_prefix(given, start):
        return given
    meter.write(len(given))
    return given[len(start) :] if start.isascii() else from_utf8(utf8(given)[len(utf8(start)) :])


def trim_suffix(meter: Meter, value: Value, suffix: Value = " ") -> str:
    given, end = _text_pair(meter, value, suffix)
    if not end or not has_suffix(given, end):
        return given
    meter.write(len(given))
    return given[: -len(end)] if end.isascii() else from_utf8(utf8(given)[: -len(utf8(end))])


def has_prefix(value: str, prefix: str) -> bool:
    return value.startswith(prefix) if prefix.isascii() else utf8(value).startswith(utf8(prefix))


def has_suffix(value: str, suffix: str) -> bool:
    return value.endswith(suffix) if suffix.isascii() else utf8(value).endswith(utf8(suffix))


def starts_with(meter: Meter, value: Value, prefix: Value) -> bool:
    return has_prefix(*_text_pair(meter, value, prefix))


def ends_with(meter: Meter, value: Value, suffix: Value) -> bool:
    return has_suffix(*_text_pair(meter, value, suffix))


def holds(meter: Meter, value: Value, part: Value) -> bool:
    given, wanted = _text_pair(meter, value, part)
    return wanted in given if wanted.isascii() else utf8(wanted) in utf8(given)


def upper(meter: Meter, value: Value) -> str:
    """The builtin `upper`. Each letter is mapped alone: one without a single capital, such as `ß`, stays."""
    given = repaired(text_of(value))
    meter.write(len(given))
    raised = given.upper()
    return raised if len(raised) == len(given) else "".join(map(_upper_letter, given))


def _upper_letter(letter: str) -> str:
    raised = letter.upper()
    if len(raised) > 1:
        raised = letter.title()
    return raised if len(raised) == 1 else letter


def lower(meter: Meter, value: Value) -> str:
    """The builtin `lower`. Each letter is mapped alone: a final sigma has no form of its own."""
    given = repaired(text_of(value))
    meter.write(len(given))
    if "İ" not in given and "Σ" not in given:
        return given.lower()
    return "".join("i" if letter == "İ" else letter.lower() for letter in given)


def split(meter: Meter, value: Value, separator: Value, count: Value = -1) -> list[Value]:
    return _split(meter, value, separator, count, is_kept=False)


def split_after(meter: Meter, value: Value, separator: Value, count: Value = -1) -> list[Value]:
    return _split(meter, value, separator, count, is_kept=True)


def _split(meter: Meter, value: Value, separator: Value, count: Value, *, is_kept: bool) -> list[Value]:
    """Split a text into at most `count` parts, all if it is negative; into letters if the separator is empty."""
    given, between = _text_pair(meter, value, separator)
    most = integer(count, rounds=meter.rounds)
    if not most:
        return NilList()
    meter.build(len(given))
    if not between:
        if most < 0 or most >= len(given):
            return list(given)
        return [*given[: most - 1], given[most - 1 :]]
    splits = most - 1 if most > 0 else -1
    if is_whole(given) and is_whole(between):
        parts = list(given.split(between, splits))
    else:
        parts = [from_utf8(part) for part in utf8(given).split(utf8(between), splits)]
    if is_kept:
        parts[:-1] = [joined_text(part + between) for part in parts[:-1]]
    return parts


def replace(meter: Meter, value: Value, old: Value, new: Value, count: Value = -1) -> str:
    given, before = _text_pair(meter, value, old)
    after = text_of(new)
    most = integer(count, rounds=meter.rounds)
    found = given.count(before)
    replaced = found if most < 0 else min(most, found)
    meter.build(max(0, len(given) + replaced * (len(after) - len(before))))
    if not before or (is_whole(given) and is_whole(before)):
        return joined_text(given.replace(before, after, most if most >= 0 else -1))
    return from_utf8(utf8(given).replace(utf8(before), utf8(after), most if most >= 0 else -1))


def repeat(meter: Meter, value: Value, count: Value) -> str:
    given, times = text_of(value), integer(count, rounds=meter.rounds)
    if times < 0:
        raise Failure(f"invalid argument for repeat (expected positive integer, got {times})")
    if times > _MOST_REPEATS:
        raise BudgetFailure("memory budget exceeded")
    meter.build((len(given) if given.isascii() else len(utf8(given))) * times)
    return joined_text(given * times)


def join(meter: Meter, values: Value, separator: Value = "") -> str:
    between = text_of(separator)
    if not is_list(values):
        raise Failure(f"invalid argument for join (type {type_name(values)})")
    meter.visit(len(values))
    parts = [text_of(value) for value in values]
    meter.build(sum(map(len, parts)) + len(between) * max(0, len(parts) - 1))
    return joined_text(between.join(parts))


def index_of(meter: Meter, value: Value, part: Value) -> int:
    given, wanted = _text_pair(meter, value, part)
    return given.find(wanted) if given.isascii() else utf8(given).find(utf8(wanted))


def last_index_of(meter: Meter, value: Value, part: Value) -> int:
    given, wanted = _text_pair(meter, value, part)
    # `rfind` may take the product of the lengths; `find` of both backwards does not.
    if given.isascii():
        position = given[::-1].find(wanted[::-1])
        return -1 if position < 0 else len(given) - position - len(wanted)
    data, part = utf8(given), utf8(wanted)
    position = data[::-1].find(part[::-1])
    return -1 if position < 0 else len(data) - position - len(part)
