"""Money as exact integers, and the only valid spellings of accounts, assets and ledgers in requests to services.

Every check is a full match on ASCII. A name that a ledger would refuse, or answer with a permanent 500, is refused
here first (a real ledger does not check addresses on its metadata routes, so this is the only guard).
"""

from __future__ import annotations

import re
from typing import Any

from headrace.errors import InvalidValue

MAX_DIGITS = 1_000
MAX_ADDRESS_BYTES = 256
MAX_KEY_BYTES = 255
WORLD = "world"
_TOO_LARGE = 10**MAX_DIGITS
_ORDINARY = 1 << 63
"""Below this an amount needs no closer look; comparing with 10^1000 costs more than everything else about it."""

ADDRESS_PATTERN = "[a-zA-Z0-9_-]+(?::[a-zA-Z0-9_-]+)*"
ASSET_PATTERN = "[A-Z][A-Z0-9]{0,16}(?:_[A-Z]{1,16})?(?:/[0-9]{1,6})?"
LEDGER_PATTERN = "[0-9a-zA-Z_-]{1,63}"
"""The rules of a ledger 2.4, for a full match. `_` alone is reserved by the ledger. Older ledgers accept no suffix
(`_POLYGON`) and refuse it themselves."""

_ADDRESS = re.compile(ADDRESS_PATTERN, re.ASCII)
_ASSET = re.compile(ASSET_PATTERN, re.ASCII)
_LEDGER = re.compile(LEDGER_PATTERN, re.ASCII)
_AMOUNT = re.compile(r"0|[1-9][0-9]*", re.ASCII)

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

Posting = dict[str, Any]
"""`{"source": address, "destination": address, "amount": int, "asset": asset}`."""


def posting(source: str, destination: str, amount: int, asset: str) -> Posting:
    return {"source": source, "destination": destination, "amount": amount, "asset": asset}


def amount_of(value: object, field: str) -> int:
    """An amount in the asset's smallest unit, from a JSON integer or its decimal text.

    Raises InvalidValue for floats, booleans, signs, exponents, leading zeros and more than 1,000 digits.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 0:
            raise InvalidValue(field, "an amount cannot be negative")
        if value >= _TOO_LARGE:
            raise InvalidValue(field, f"an amount has at most {MAX_DIGITS} digits")
        return value
    if isinstance(value, str):
        if len(value) > MAX_DIGITS:
            raise InvalidValue(field, f"an amount has at most {MAX_DIGITS} digits")
        if _AMOUNT.fullmatch(value):
            return int(value)
        raise InvalidValue(field, f"{_shown(value)} is not an amount: digits only, without sign, point or leading zero")
    raise InvalidValue(field, f"an amount is an integer, not {type(value).__name__}")


def exact_amount(value: object, field: str = "amount") -> int:
    """An amount as a stage has it by now: an integer, never text. Raises InvalidValue."""
    if type(value) is not int:
        raise InvalidValue(field, f"an amount is an integer, not {type(value).__name__}")
    return value if 0 <= value < _ORDINARY else amount_of(value, field)


def readable_money(amount: int, asset: str) -> str:
    """`40.00 USD` for 4000 USD/2: exact, with all decimals of the asset."""
    currency, _, decimals = asset.partition("/")
    places = int(decimals or 0)
    sign, digits = ("-" if amount < 0 else ""), str(abs(amount)).rjust(places + 1, "0")
    whole, fraction = (digits[:-places], digits[-places:]) if places else (digits, "")
    grouped = f"{int(whole):,}" if len(whole) <= 1_000 else whole
    return f"{sign}{grouped}{'.' if places else ''}{fraction} {currency}"


def account_address(value: object, field: str) -> str:
    if isinstance(value, str) and len(value) <= MAX_ADDRESS_BYTES and _ADDRESS.fullmatch(value):
        return value
    raise InvalidValue(
        field,
        f"{_shown(_text(value, field))} is not an account address: segments of a-z, A-Z, 0-9, _ and -, joined by ':', "
        f"at most {MAX_ADDRESS_BYTES} bytes",
    )


def asset_name(value: object, field: str) -> str:
    if isinstance(value, str) and _ASSET.fullmatch(value):
        return value
    raise InvalidValue(field, f"{_shown(_text(value, field))} is not an asset such as USD/2, JPY or USDC_POLYGON/6")


def ledger_name(value: object, field: str) -> str:
    if isinstance(value, str) and value != "_" and _LEDGER.fullmatch(value):
        return value
    raise InvalidValue(field, f"{_shown(_text(value, field))} is not a ledger name: 1 to 63 of a-z, A-Z, 0-9, _ and -")


def opaque_id(value: object, field: str, *, max_bytes: int = 1_024) -> str:
    """Validate an id of another service, which is percent-encoded in paths. Control characters are refused."""
    text = _text(value, field)
    if not text:
        raise InvalidValue(field, "must not be empty")
    if len(text.encode("utf-8", "surrogatepass")) > max_bytes:
        raise InvalidValue(field, f"has at most {max_bytes} bytes")
    if _CONTROL.search(text):
        raise InvalidValue(field, f"{_shown(text)} holds a control character")
    if text in (".", ".."):
        raise InvalidValue(field, f"{_shown(text)} is not an id")
    return text


def _text(value: object, field: str) -> str:
    if not isinstance(value, str):
        raise InvalidValue(field, f"must be text, not {type(value).__name__}")
    return value


def _shown(value: str) -> str:
    return repr(value if len(value) <= 80 else value[:77] + "...")
