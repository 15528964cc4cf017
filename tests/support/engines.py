"""The engine suites are run for each journal: import `every_journal` into a module of tests."""

from __future__ import annotations

import pytest

from tests.support import rooms
from tests.support.journals import JOURNALS


@pytest.fixture(params=JOURNALS, autouse=True)
def every_journal(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """`life` opens this one. A name without an adapter fails the test."""
    monkeypatch.setattr(rooms, "journal_name", request.param)
