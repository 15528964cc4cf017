"""Numbers of the language: 64-bit integers that wrap around, IEEE doubles, and their texts.

Python differs: its integers are unbounded, its division by zero raises, its comparisons of integers with floats are
exact. These functions give the results of the reference instead. Every operation reads an integer of the environment
that does not fit 64 bits as a float, unless the meter says that it must not round.
"""

from __future__ import annotations

import math
import re

MAX_INT = (1 << 63) - 1
MIN_INT = -(1 << 63)
_SPAN = 1 << 64
_MOST_TWOS = 1 << 12
"""The binary exponent beyond which a power is zero or infinite."""

_INTEGER = re.compile(r"[+-]?[0-9]+", re.ASCII)
_DECIMAL = re.compile(r"[+-]?(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)(?:[eE][+-]?[0-9][0-9_]*)?", re.ASCII)
_HEXADECIMAL = re.compile(r"[+-]?0[xX]_?(?=\.?[0-9a-fA-F])[0-9a-fA-F_]*\.?[0-9a-fA-F_]*[pP][+-]?[0-9][0-9_]*", re.ASCII)
_SPECIAL = re.compile(r"([+-]?)(?:inf|infinity)|nan", re.ASCII | re.IGNORECASE)
_BASE_PREFIX = re.compile(r"[+-]?0[xX]", re.ASCII)


def wrapped(value: int) -> int:
    """The integer wrapped around to 64 bits."""
    return (value - MIN_INT) % _SPAN + MIN_INT


def fits(value: int) -> bool:
    return MIN_INT <= value <= MAX_INT


def to_float(value: float) -> float:
    """The nearest double, or an infinity beyond its range."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def truncated(value: float) -> int:
    """The float truncated towards zero. A value that does not fit 64 bits, or NaN, gives the smallest integer."""
    if not -9.3e18 < value < 9.3e18:
        return MIN_INT
    whole = int(value)
    return whole if fits(whole) else MIN_INT


def divided(left: float, right: float) -> float:
    if right:
        return left / right
    if not left or math.isnan(left):
        return math.nan
    return math.copysign(math.inf, left) * math.copysign(1.0, right)


def remainder(left: int, right: int) -> int:
    """The remainder of a division, with the sign of the dividend. `right` must not be zero."""
    rest = abs(left) % abs(right)
    return -rest if left < 0 else rest


def power(base: float, exponent: float) -> float:
    """The power as the reference computes it. The C library rounds differently, and `string` shows the last digit."""
    fraction, whole = math.modf(abs(exponent))
    is_special = not base or base == 1 or not exponent or not math.isfinite(base) or not math.isfinite(exponent)
    if is_special or whole >= _SPAN >> 1 or (fraction and base < 0):
        # One of the two is no ordinary number: here all libraries agree.
        try:
            return math.pow(base, exponent)
        except OverflowError:
            return math.copysign(math.inf, base) if _is_odd(exponent) else math.inf
        except ValueError:
            if base:
                return math.nan
            return math.copysign(math.inf, base) if _is_odd(exponent) else math.inf
    if fraction == 0.5 and not whole:
        return math.sqrt(base) if exponent > 0 else 1 / math.sqrt(base)
    result = 1.0
    if fraction:
        is_nearer_above = fraction > 0.5
        whole += is_nearer_above
        result = math.exp((fraction - is_nearer_above) * math.log(base))

    # `result` times `base` to the power of `count`; powers of two are counted apart.
    count = int(whole)
    mantissa, twos = math.frexp(base)
    shift = 0
    while count:
        if abs(twos) > _MOST_TWOS:
            shift += twos
            break
        if count & 1:
            result *= mantissa
            shift += twos
        mantissa, more = math.frexp(mantissa * mantissa)
        twos = 2 * twos + more
        count >>= 1
    if exponent < 0:
        result, shift = 1 / result, -shift
    try:
        return math.ldexp(result, shift)
    except OverflowError:
        return math.copysign(math.inf, result)


def _is_odd(value: float) -> bool:
    return math.fmod(value, 2.0) in (1.0, -1.0)


def rounded(value: float) -> float:
    """The float rounded to a whole number, halves away from zero."""
    if not math.isfinite(value):
        return value
    whole = math.trunc(value)
    if abs(value - whole) >= 0.5:
        whole += 1 if value > 0 else -1
    return math.copysign(float(whole), value)


def parsed_integer(text: str) -> int | None:
    """The value of decimal digits with an optional sign; None for any other text or beyond 64 bits."""
    if not _INTEGER.fullmatch(text):
        return None
    digits = text.lstrip("+-").lstrip("0")
    if len(digits) > 19:
        return None
    value = -int(digits or "0") if text[0] == "-" else int(digits or "0")
    return value if fits(value) else None


def parsed_float(text: str) -> float | None:
    """The value of a decimal or hexadecimal float, `inf` or `nan`; None for any other text.

    Underscores are allowed between digits.
    """
    special = _SPECIAL.fullmatch(text)
    if special:
        return math.nan if special[1] is None else math.copysign(math.inf, -1.0 if special[1] == "-" else 1.0)
    if "_" in text and not _has_sound_underscores(text):
        return None
    digits = text.replace("_", "")
    try:
        if _HEXADECIMAL.fullmatch(digits):
            return float.fromhex(digits)
        value = float(digits) if _DECIMAL.fullmatch(digits) else None
    except (OverflowError, ValueError):
        return None
    return None if value is not None and math.isinf(value) else value


def _has_sound_underscores(text: str) -> bool:
    """True where each underscore is between two digits, or between the prefix of a base and a digit."""
    prefix = _BASE_PREFIX.match(text)
    digits = "0123456789abcdefABCDEF" if prefix else "0123456789"
    start = prefix.end() if prefix else 0
    return all(
        (text[at - 1 : at] in digits or at == start) and text[at + 1 : at + 2] in digits and 0 < at < len(text) - 1
        for at, letter in enumerate(text)
        if letter == "_"
    )


def float_text(value: float, point_from: int = -4, point_below: int = 6) -> str:
    """The shortest text that reads back as `value`.

    The text has an exponent unless the decimal exponent is from `point_from` to below `point_below`.
    """
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("+Inf" if value > 0 else "-Inf")
    sign, digits, exponent = _shortest(value)
    if point_from <= exponent < 0:
        return f"{sign}0.{'0' * (-exponent - 1)}{digits}"
    if point_from <= exponent < point_below:
        whole = digits[: exponent + 1].ljust(exponent + 1, "0")
        fraction = digits[exponent + 1 :]
        return f"{sign}{whole}.{fraction}" if fraction else sign + whole
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{fraction}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"


def json_float_text(value: float) -> str:
    """The float as JSON of the reference: with an exponent below 1e-6 and from 1e21, such as `1e-7`."""
    text = float_text(value, -6, 21)
    return text.replace("e-0", "e-")


def _shortest(value: float) -> tuple[str, str, int]:
    """The sign, the significant digits without trailing zeros, and the decimal exponent of the first digit."""
    text = repr(value)
    sign = "-" if text[0] == "-" else ""
    mantissa, _, exponent = text.lstrip("-").partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    if not digits:
        return sign, "0", 0
    shift = len(whole) - 1 - (len(whole + fraction) - len(digits))
    return sign, digits.rstrip("0") or "0", shift + int(exponent or "0")
