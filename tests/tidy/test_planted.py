"""Every planted bug still applies to the product, and the kept table tells who catches it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.planted.__main__ import ROOT, TABLE
from tests.planted.bugs import BUGS, Bug, Change


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_planted_bug_applies(bug: Bug) -> None:
    """Where this fails, the product has moved on: change `tests/planted/bugs.py` with it, and plant the bug again."""
    assert [problem for change in bug.changes if (problem := change.problem(ROOT))] == []
    assert all(change.find != change.put for change in bug.changes)
    assert bug.suites and all((ROOT / suite).exists() for suite in bug.suites)


def test_the_table_is_of_these_bugs_and_each_is_caught() -> None:
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \| \d+ \|$", TABLE.read_text("utf-8"), re.MULTILINE)
    assert [name for name, _, _ in rows] == [bug.name for bug in BUGS], "python -m tests.planted"
    for (name, changed, caught), bug in zip(rows, BUGS, strict=True):
        assert set(re.findall(r"`([^`]+)`", changed)) == {Path(change.file).name for change in bug.changes}, name
        path, _, test = caught.strip("`").partition("::")
        assert (ROOT / "tests" / path).is_file(), f"{name}: {caught}"
        assert f"def {test.partition('[')[0]}(" in (ROOT / "tests" / path).read_text("utf-8"), f"{name}: {caught}"


def test_a_change_that_does_not_apply_is_found() -> None:
    assert "0 times" in Change("src/headrace/money.py", "this stands nowhere in it", "").problem(ROOT)
    assert "does not exist" in Change("src/headrace/nowhere.py", "a", "b").problem(ROOT)
