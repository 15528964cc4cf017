"""Kinds of values: the name of the rule, the check that decides, and the same for an editor, as JSON Schema.

The check is the law. A schema says what JSON Schema can say of it; what it cannot say is listed in
`headrace.workflows.schema`, and the tests hold the two together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from headrace.errors import InvalidValue
from headrace.money import (
    ADDRESS_PATTERN,
    ASSET_PATTERN,
    LEDGER_PATTERN,
    MAX_ADDRESS_BYTES,
    MAX_DIGITS,
    WORLD,
    account_address,
    amount_of,
    asset_name,
    ledger_name,
)
from headrace.workflows.activities import Json
from headrace.workflows.durations import MAX_DURATION_CHARACTERS, booking_moment_of, duration_us, moment_of
from headrace.workflows.stages import checks
from headrace.workflows.variables import PLACEHOLDER

Check = Callable[[object, str], Any]
"""A value and its path; returns the typed value, raises InvalidValue."""

_NUMBER = r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)"
_DAY = r"(?!0000)[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]"


@dataclass(frozen=True, slots=True)
class Kind:
    """`form` is the type that `check` leaves, as clients see it in history."""

    rule: str
    check: Check
    schema: Json
    form: Literal["text", "integer", "boolean", "moment"] = "text"


def text_schema(pattern: str, says: str, *, max_characters: int | None = None) -> Json:
    """Text that fits the pattern as a whole, or holds a placeholder: then it is checked after expansion."""
    limit = "" if max_characters is None else rf"(?![\s\S]{{{max_characters + 1}}})"
    return {
        "type": "string",
        "pattern": f"^{limit}(?:{pattern})$|{PLACEHOLDER.pattern}",
        "patternErrorMessage": f"{says} (or text with a ${{variable}} in it)",
    }


def _duration_text(value: object, path: str) -> object:
    duration_us(value, path)
    return value


def _holding_account(value: object, path: str) -> str:
    if value == WORLD:
        raise InvalidValue(path, f"`{WORLD}` cannot hold a payment: it can be overdrawn without limit")
    return account_address(value, path)


def _wallet_id(value: object, path: str) -> str:
    return "" if value == "" else checks.plain_name(value, path)


def choice(*choices: str) -> Kind:
    """One of these words."""
    either: list[Json] = [{"enum": list(choices)}, {"pattern": PLACEHOLDER.pattern}]
    return Kind("choice", checks.choice(*choices), {"type": "string", "anyOf": either})


_ADDRESS_SCHEMA = text_schema(
    ADDRESS_PATTERN,
    "An account address: letters, digits, _ and -, in parts joined by ':'",
    max_characters=MAX_ADDRESS_BYTES,
)
_NAME_SCHEMA = text_schema("[a-zA-Z0-9][a-zA-Z0-9_-]{0,254}", "A name of letters, digits, _ and -")

ACCOUNT_ADDRESS = Kind("account-address", account_address, _ADDRESS_SCHEMA)
HOLDING_ACCOUNT = Kind(
    "holding-account",
    _holding_account,
    text_schema(
        f"(?!world$){ADDRESS_PATTERN}", "An account address, but not `world`", max_characters=MAX_ADDRESS_BYTES
    ),
)
LEDGER_NAME = Kind(
    "ledger-name",
    ledger_name,
    text_schema(f"(?!_$){LEDGER_PATTERN}", "A ledger's name: 1 to 63 letters, digits, _ and -"),
)
ASSET = Kind(
    "asset", asset_name, text_schema(ASSET_PATTERN, "An asset and its decimals, such as USD/2 or USDC_POLYGON/6")
)
AMOUNT = Kind(
    "amount",
    amount_of,
    {
        **text_schema("0|[1-9][0-9]*", "An integer: digits only", max_characters=MAX_DIGITS),
        "type": ["integer", "string"],
        "minimum": 0,
    },
    "integer",
)
BOOLEAN = Kind(
    "boolean",
    checks.truth,
    {**text_schema("true|false", "`true` or `false`"), "type": ["boolean", "string"]},
    "boolean",
)
BALANCE_NAME = Kind(
    "balance-name",
    checks.balance_name,
    text_schema("[a-zA-Z0-9_-]{1,255}", "A balance of a wallet: letters, digits, _ and -"),
)
PLAIN_NAME = Kind("plain-name", checks.plain_name, _NAME_SCHEMA)
WALLET_ID = Kind("plain-name", _wallet_id, text_schema("(?:[a-zA-Z0-9][a-zA-Z0-9_-]{0,254})?", "A wallet's id"))
PAYMENTS_ID = Kind(
    "payments-id",
    checks.foreign_id,
    text_schema(
        r"(?!(?:[^/]*/)*\.{1,2}(?:/|$))[a-zA-Z0-9_=+/.:|~@-]+",
        "An id of the payments service: letters, digits and _=+/.:|~@-",
        max_characters=checks.MAX_FOREIGN_ID_BYTES,
    ),
)
LABEL = Kind(
    "label",
    checks.label,
    text_schema(
        r"(?!\.{1,2}$)[^\x00-\x1f\x7f]+",
        "Text without control characters, not empty",
        max_characters=checks.MAX_LABEL_BYTES,
    ),
)
APPROVALS = Kind(
    "approvals",
    checks.approvals,
    {
        **text_schema(f"[1-{checks.MAX_APPROVALS}]", f"A whole number from 1 to {checks.MAX_APPROVALS}"),
        "type": ["integer", "string"],
        "minimum": 1,
        "maximum": checks.MAX_APPROVALS,
    },
    "integer",
)
DURATION = Kind(
    "duration",
    _duration_text,
    text_schema(
        rf"\+?(?:0|(?:{_NUMBER}(?:ns|us|µs|μs|ms|s|m|h|d|w))+)",
        "A length of time such as 5s, 1h30m or 7d",
        max_characters=MAX_DURATION_CHARACTERS,
    ),
)
_MOMENT = rf"{_DAY}T{_TIME}:[0-5][0-9](?:\.[0-9]{{1,30}})?(?:Z|[+-]{_TIME})"
_MOMENT_SAYS = "A date and time with its offset, such as 2030-01-01T00:00:00Z"
MOMENT = Kind("date", moment_of, text_schema(_MOMENT, _MOMENT_SAYS), "moment")
BOOKING_MOMENT = Kind(
    "booking-date",
    booking_moment_of,
    text_schema(rf"(?!0001-[^Z]*Z$){_MOMENT}", f"{_MOMENT_SAYS}, and not in year 1"),
    "moment",
)
METADATA_VALUE = Kind(
    "metadata-value",
    checks.metadata_text,
    text_schema(r"[^\x00]*", "Text without NUL"),
)
