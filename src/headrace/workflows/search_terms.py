"""How instances are found: fingerprints of their variables, and terms of what they move.

A term is a kind and a value. The value stands before what qualifies it, so that what begins alike is stored side by
side: an account before its ledger, an amount after its asset and with its length in front.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from itertools import islice

MAX_SEARCHED_VARIABLES = 50
"""The first variables of an instance, in the order given, are searched."""
MAX_SEARCHED_CHARACTERS = 256
"""A longer value is not found."""
MAX_TERM_CHARACTERS = 300
"""A longer term is not stored, and is not found."""
MAX_VALUE_CHARACTERS = 64
"""A longer value is not found without the name of its variable."""


def account_term(address: str, ledger: str) -> str:
    """`account users:42 main`. An address has no space."""
    return f"account {address} {ledger}"


def wallet_term(wallet_id: str) -> str:
    return f"wallet {wallet_id}"


def payment_term(payment_id: str) -> str:
    return f"payment {payment_id}"


def transaction_term(transaction_id: object, ledger: str) -> str:
    """`transaction 17 main`."""
    return f"transaction {transaction_id} {ledger}"


def initiation_term(initiation_id: str) -> str:
    return f"initiation {initiation_id}"


def value_term(value: str) -> str:
    """The value of a variable, whatever its name is."""
    return f"value {value}"


def value_terms(variables: Mapping[str, str], known: Sequence[str]) -> list[str]:
    """The terms of these variables' values, but those that find the instance as accounts: `known` are its terms."""
    accounts = {term.split(" ", 2)[1] for term in known if term.startswith("account ")}
    values = islice(variables.values(), MAX_SEARCHED_VARIABLES)
    return [
        value_term(value) for value in values if value and len(value) <= MAX_VALUE_CHARACTERS and value not in accounts
    ]


def sortable_amount(amount: int, asset: str) -> str:
    """`EUR/2 0004 2500`: amounts of one asset sort as texts as they do as numbers."""
    digits = str(amount)
    return f"{asset} {len(digits):04} {digits}"


def amount_term(amount: int, asset: str) -> str:
    """`amount EUR/2 0004 2500`."""
    return f"amount {sortable_amount(amount, asset)}"


def amount_in(terms: Iterable[str]) -> str:
    """The `sortable_amount` of the first amount among terms; empty where there is none."""
    return next((term[7:] for term in terms if term.startswith("amount ")), "")


def parse_amount(text: str) -> tuple[int, str]:
    """The amount and the asset of a `sortable_amount`."""
    asset, _, digits = text.split(" ")
    return int(digits), asset


def fingerprints(variables: Mapping[str, str]) -> list[int]:
    """The fingerprints of the variables by which a search finds the instance."""
    searched = islice(variables.items(), MAX_SEARCHED_VARIABLES)
    return [fingerprint(name, value) for name, value in searched if len(value) <= MAX_SEARCHED_CHARACTERS]


def fingerprint(name: str, value: str) -> int:
    """64 bits of a hash, as SQLite has integers. No name and no value holds a NUL character."""
    digest = blake2b(f"{name}\0{value}".encode(errors="replace"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
