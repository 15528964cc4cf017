"""Amounts as a picture shows them: exact, cut from the digits by the asset's precision, never through a float.

Thousands are separated by narrow no-break spaces, the code follows a no-break space, and minus is the sign U+2212.
"""

from __future__ import annotations

NARROW, NO_BREAK, MINUS = "\u202f", "\u00a0", "\u2212"
MAX_DRAWN = 30


def amount_text(amount: int, asset: str) -> str:
    """`1 234.50 EUR` for 123450 EUR/2."""
    code, _, decimals = asset.partition("/")
    places = int(decimals or 0)
    digits = str(abs(amount)).rjust(places + 1, "0")
    whole, fraction = (digits[:-places], digits[-places:]) if places else (digits, "")
    first = len(whole) % 3 or 3
    grouped = NARROW.join([whole[:first], *(whole[start : start + 3] for start in range(first, len(whole), 3))])
    return f"{MINUS if amount < 0 else ''}{grouped}{'.' if places else ''}{fraction}{NO_BREAK}{code}"


def drawn(text: str, limit: int = MAX_DRAWN) -> str:
    """The text with its middle left out where it is too long to be drawn; a title beside it holds the whole."""
    half = limit // 2
    return text if len(text) <= limit else f"{text[: half - 1]}\u2026{text[-half:]}"


def signed_text(amount: int, asset: str) -> str:
    """An amount with its sign also where it is above zero: `+1 234.50 EUR`."""
    return ("+" if amount > 0 else "") + amount_text(amount, asset)
