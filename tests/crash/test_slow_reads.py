"""Starts, events and aborts at once, on a journal whose reads suspend; `slow_reads.py` has the full size."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash.slow_reads import Findings, examine
from tests.support.journals import adapter


async def test_no_second_run_no_false_answer_no_double_send(tmp_path: Path) -> None:
    findings = await examine(tmp_path, range(120))
    assert findings.problems == []
    assert findings.seen["aborted"] > 20 and findings.seen["succeeded"] > 20, findings.seen


async def test_a_life_on_a_journal_that_does_not_exist_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.support import in_process

    monkeypatch.setattr(in_process, "journal_name", "no-such-database")
    with pytest.raises(LookupError):
        async with in_process.running(tmp_path / "j.db", in_process.new_sandbox()):
            raise AssertionError("unreachable")
    assert adapter("sqlite") and Findings().problems == []
