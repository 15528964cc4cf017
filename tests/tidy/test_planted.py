"""Every planted bug still applies to the product, and the kept table tells who catches it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.planted.__main__ import ROOT, TABLE
from tests.planted.bugs import Bug, Change
from tests.planted.every import EVERY_BUG
from tests.testing import planted_bugs as proofs


@pytest.mark.parametrize("bug", EVERY_BUG, ids=lambda bug: bug.name)
def test_a_planted_bug_applies(bug: Bug) -> None:
    """Where this fails, the product has moved on: change `tests/planted/bugs.py` with it, and plant the bug again."""
    assert [problem for change in bug.changes if (problem := change.problem(ROOT))] == []
    assert all(change.find != change.put for change in bug.changes)
    assert bug.suites and all((ROOT / suite).exists() for suite in bug.suites)


def test_the_table_is_of_these_bugs_and_each_is_caught() -> None:
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \| \d+ \|$", TABLE.read_text("utf-8"), re.MULTILINE)
    assert [name for name, _, _ in rows] == [bug.name for bug in EVERY_BUG], "python -m tests.planted"
    for (name, changed, caught), bug in zip(rows, EVERY_BUG, strict=True):
        assert set(re.findall(r"`([^`]+)`", changed)) == {Path(change.file).name for change in bug.changes}, name
        path, _, test = caught.strip("`").partition("::")
        assert (ROOT / "tests" / path).is_file(), f"{name}: {caught}"
        assert f"def {test.partition('[')[0]}(" in (ROOT / "tests" / path).read_text("utf-8"), f"{name}: {caught}"


def test_the_table_of_proofs_is_of_these_bugs_and_each_is_found_or_has_a_reason() -> None:
    rows = re.findall(r"^\| (.+?) \| (.+?) \| (.+) \| \d+ \|$", proofs.TABLE.read_text("utf-8"), re.MULTILINE)
    assert [name for name, _, _ in rows] == [bug.name for bug in proofs.BUGS], "python -m tests.testing.planted_bugs"
    assert set(proofs.UNSEEN) == {name for name, example, _ in rows if example == proofs.NOT_SEEN}
    for name, example, schedule in rows:
        assert schedule.strip() and example in (proofs.NOT_SEEN, *proofs.EXAMPLES), name
        assert example != proofs.NOT_SEEN or schedule == proofs.UNSEEN[name], name
    assert all((ROOT / file).is_file() for file in proofs.SHARED)


def test_a_change_that_does_not_apply_is_found() -> None:
    assert "0 times" in Change("src/headrace/money.py", "this stands nowhere in it", "").problem(ROOT)
    assert "does not exist" in Change("src/headrace/nowhere.py", "a", "b").problem(ROOT)
