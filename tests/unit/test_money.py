"""The spellings that leave this process, held against what two real ledgers were recorded to accept."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import InvalidValue
from headrace.money import MAX_ADDRESS_BYTES, account_address, asset_name, ledger_name
from headrace.sandbox.bodies import is_address, is_asset, is_ledger_name

TRANSCRIPTS = Path(__file__).parents[1] / "data" / "ledger"
CURRENT = TRANSCRIPTS / "transcript-2.4.12.jsonl"
OLDER = TRANSCRIPTS / "transcript-2.2.59.jsonl"


def exchanges(transcript: Path) -> list[dict[str, Any]]:
    exact: dict[str, Any] = {"parse_int": str}  # amounts of 130,000 digits are only carried along
    return [json.loads(line, **exact) for line in transcript.read_text().splitlines()]


def booked(transcript: Path, step_note: str, member: str) -> list[tuple[str, bool]]:
    """(value, whether the ledger accepted it) of the recorded single postings whose note begins so."""
    found: list[tuple[str, bool]] = []
    for exchange in exchanges(transcript):
        if exchange["note"].startswith(step_note):
            value = exchange["request"]["body"]["postings"][0][member]
            found.append((value, exchange["response"]["status"] == "200"))
    assert found
    return found


def accepts(check: Callable[[object, str], str], value: str) -> bool:
    try:
        return check(value, "field") == value
    except InvalidValue:
        return False


@pytest.mark.parametrize(("value", "is_accepted"), booked(CURRENT, "asset ", "asset"))
def test_assets_are_those_of_a_current_ledger(value: str, is_accepted: bool) -> None:
    assert (accepts(asset_name, value), is_asset(value)) == (is_accepted, is_accepted)


def test_what_an_older_ledger_accepts_is_accepted() -> None:
    for value, is_accepted in booked(OLDER, "asset ", "asset"):
        assert accepts(asset_name, value) or not is_accepted, value


@pytest.mark.parametrize(("value", "is_accepted"), booked(CURRENT, "destination address", "destination"))
def test_addresses_are_those_of_a_current_ledger_up_to_our_limit(value: str, is_accepted: bool) -> None:
    assert is_address(value) == is_accepted
    assert accepts(account_address, value) == (is_accepted and len(value) <= MAX_ADDRESS_BYTES)


@pytest.mark.parametrize("transcript", [CURRENT, OLDER], ids=lambda path: path.stem)
def test_ledger_names_are_those_of_a_real_ledger(transcript: Path) -> None:
    created = [
        (exchange["request"]["path"].removeprefix("/v2/"), exchange["response"]["status"])
        for exchange in exchanges(transcript)
        if exchange["request"]["method"] == "POST" and exchange["request"]["path"].count("/") == 2
    ]
    assert {status for _, status in created} == {"204", "400"}
    for name, status in created:
        is_good = status == "204" or name == "ledgers"  # created a second time
        assert (accepts(ledger_name, name), is_ledger_name(name)) == (is_good, is_good), name


SUFFIXED = ["USDC_POLYGON/6", "USD_A", "A_B", "USDC_AAAAAAAAAAAAAAAA/123456", "A" + "1" * 16 + "_" + "Z" * 16]
NOT_SUFFIXED = [
    *("USD_", "USD_/2", "_A", "USD_a", "USD_1", "USD_A1", "USD_A_B", "USD__A", "USD_A/", "USD/2_A"),
    *("USD_" + "A" * 17, "USD_A/1234567", "USD_A\n", "USD_\uff21", "\uff35SD", "USD/\u0662", "A" * 18 + "_A"),
]


@pytest.mark.parametrize("value", SUFFIXED)
def test_one_suffix_of_capitals(value: str) -> None:
    assert accepts(asset_name, value)
    assert is_asset(value)


@pytest.mark.parametrize("value", NOT_SUFFIXED)
def test_what_is_no_suffix(value: str) -> None:
    assert not accepts(asset_name, value)
    assert not is_asset(value)


RULE = re.compile(r"[A-Z][A-Z0-9]{0,16}(_[A-Z]{1,16})?(/[0-9]{1,6})?", re.ASCII)
"""As the ledger has it, written down a second time."""


@given(st.text("AZ09_/a\n\uff21\u0662", max_size=24))
def test_the_rule_of_assets(value: str) -> None:
    assert accepts(asset_name, value) == (RULE.fullmatch(value) is not None)
