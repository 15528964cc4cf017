"""Every example is cut at each of its effects and undone: the given balances are back, but for what is kept (MS-7)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from headrace.testing.cases import read_suite
from headrace.testing.checks import plan_of
from tests.undo.kills import Counts, cuts_undone

SAGA = "15-saga"
"""Undoes itself where it fails: `tests/contract/test_sagas.py` cuts and kills that."""
FOLDERS = sorted((Path(__file__).parents[2] / "examples").glob("*/workflow.test.yaml"))
FILES = [file for file in FOLDERS if file.parent.name != SAGA]
INGESTION, PAID_FROM_LEDGER = {"CreateTransaction"}, {"CreateTransaction", "CreateTransferInitiation"}
KEPT = {
    "06": INGESTION,
    "07": INGESTION,
    "08": PAID_FROM_LEDGER,
    "10": {"AddAccountMetadata"},
    "13": {"DebitWallet", "CreateTransferInitiation"},
    "14": INGESTION,
    "16": {*PAID_FROM_LEDGER, "AddAccountMetadata"},
    "18": {"AddAccountMetadata"},
}
"""Activities of which an undo keeps an effect, by example; all others are undone completely."""
PAYOUTS = ("08", "13")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.parent.name)
def test_an_example_is_undone_wherever_it_was_cut_and_killed(file: Path) -> None:
    number, counts = file.parent.name[:2], Counts()
    suite = read_suite(file)
    for case in suite.cases:
        plan = replace(plan_of(case), faults=())
        counts.violations += [f"{case.name}, {each}" for each in cuts_undone(suite.world, plan, "keep", counts)]
    assert counts.violations == [], counts.violations[0]
    assert set(counts.kept_activities) == KEPT.get(number, set())
    assert (counts.stopped, counts.blocked) == (0, 0)
    assert counts.undone >= 1 and counts.kills >= 4, counts


@pytest.mark.parametrize(
    "file", [file for file in FILES if file.parent.name.startswith(PAYOUTS)], ids=lambda file: file.parent.name
)
def test_a_payout_of_an_example_is_reversed_where_that_is_asked_for(file: Path) -> None:
    counts, suite = Counts(), read_suite(file)
    plan = plan_of(suite.cases[0])
    counts.violations += cuts_undone(suite.world, plan, "reverse", counts)
    assert counts.violations == [], counts.violations[0]
    assert (counts.kept, counts.nothing, counts.undone) == (0, 0, counts.cuts)
