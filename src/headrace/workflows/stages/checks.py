"""Checks of single values that stages share: the value as it may go on, or InvalidValue."""

from __future__ import annotations

import re
from collections.abc import Callable

from headrace.errors import InvalidValue
from headrace.money import opaque_id
from headrace.workflows.variables import MAX_VALUE_BYTES, check_text, shown

MAX_LABEL_BYTES = 1_024
MAX_FOREIGN_ID_BYTES = 1_024

MAX_APPROVALS = 5

_APPROVALS = re.compile(f"[1-{MAX_APPROVALS}]")
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_-]{0,254}", re.ASCII)
_BALANCE = re.compile(r"[a-zA-Z0-9_-]{1,255}", re.ASCII)
_ID = re.compile(r"[a-zA-Z0-9_=+/.:|~@-]{1,1024}", re.ASCII)


def metadata_text(value: object, path: str) -> str:
    text = check_text(value, path)
    if len(text.encode()) > MAX_VALUE_BYTES:
        raise InvalidValue(path, f"has at most {MAX_VALUE_BYTES} bytes")
    return text


def label(value: object, path: str) -> str:
    """A name people choose: any text without control characters."""
    return opaque_id(check_text(value, path), path, max_bytes=MAX_LABEL_BYTES)


def plain_name(value: object, path: str) -> str:
    """A name or id without punctuation, such as a UUID or a provider."""
    text = check_text(value, path)
    if not _NAME.fullmatch(text):
        raise InvalidValue(path, f"{shown(text)} is not a name of a-z, A-Z, 0-9, _ and -")
    return text


def balance_name(value: object, path: str) -> str:
    """A balance of a wallet. It is a part of an account address, so it may begin with `_` or `-`."""
    text = check_text(value, path)
    if not _BALANCE.fullmatch(text):
        raise InvalidValue(path, f"{shown(text)} is not a balance: 1 to 255 of a-z, A-Z, 0-9, _ and -")
    return text


def foreign_id(value: object, path: str) -> str:
    """An id of the payments service: often base64, so `/`, `+` and `=` occur. No part of it may be `.` or `..`."""
    text = check_text(value, path)
    if not _ID.fullmatch(text) or any(part in (".", "..") for part in text.split("/")):
        raise InvalidValue(path, f"{shown(text)} is not an id of at most 1024 letters, digits and _=+/.:|~@-")
    return text


def truth(value: object, path: str) -> bool:
    """A boolean, or the text of one: variables are texts."""
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return value == "true"
    raise InvalidValue(path, "must be true or false")


def approvals(value: object, path: str) -> int:
    """How many persons have to approve: an integer, or the text of one, as variables are texts."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not _APPROVALS.fullmatch(text):
        kind = ", not float" if isinstance(value, float) else ""
        raise InvalidValue(path, f"must be a whole number from 1 to {MAX_APPROVALS}{kind}")
    return int(text)


def choice(*choices: str) -> Callable[[object, str], str]:
    def check(value: object, path: str) -> str:
        text = check_text(value, path)
        if text not in choices:
            raise InvalidValue(path, f"{shown(text)} is not one of {', '.join(choices)}")
        return text

    return check
