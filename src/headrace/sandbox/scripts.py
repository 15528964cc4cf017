"""The one Numscript the sandbox understands: one constant template, with and without the overdraft.

It is no Numscript engine. Whatever else comes is COMPILATION_FAILED.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from headrace.money import Posting, posting
from headrace.sandbox.bodies import MAX_DIGITS, is_address, is_asset
from headrace.sandbox.releases import Releases
from headrace.sandbox.responses import refusal

_TEMPLATE = """vars {
  monetary $amount
  account $src
  account $dst
}
send $amount (
  source = $src%s
  destination = $dst
)
"""
PLAIN = _TEMPLATE % ""
OVERDRAFT = _TEMPLATE % " allowing unbounded overdraft"
_VARIABLES = {"amount", "src", "dst"}
_AMOUNT = re.compile(r"\+?[0-9]+")


def posting_of(plain: str, variables: Mapping[str, object], releases: Releases) -> tuple[Posting, bool]:
    """The posting the script makes, and whether its source may go below zero."""
    if plain not in (PLAIN, OVERDRAFT):
        raise _failed("the sandbox compiles one template only, `send $amount` from `$src` to `$dst`")
    if set(variables) != _VARIABLES:
        raise _failed("the variables must be amount, src and dst")
    source, destination = variables["src"], variables["dst"]
    if not is_address(source) or not is_address(destination):
        raise _failed("src and dst must be account addresses")
    value = variables["amount"]
    asset, _, digits = str(value).partition(" ")
    if not isinstance(value, str) or not is_asset(asset) or not _AMOUNT.fullmatch(digits):
        raise _failed("amount must be like `USD/2 100`")
    if len(digits) > MAX_DIGITS:
        raise _failed(f"amount has more than {MAX_DIGITS} digits")
    if not releases.takes_asset(asset):
        raise _failed("amount must be like `USD/2 100`")
    return posting(str(source), str(destination), int(digits), asset), plain == OVERDRAFT


def _failed(reason: str) -> Exception:
    return refusal(400, "COMPILATION_FAILED", reason)
