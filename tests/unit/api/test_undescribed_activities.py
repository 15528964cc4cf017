"""History shows an activity that a version of the API does not describe by its name only."""

from __future__ import annotations

import msgspec
import pytest

from headrace.api.v1 import views as v1
from headrace.api.v2 import views as v2
from headrace.journal.records import ActivityRow

INPUT, OUTPUT = '{"id":"7","ledger":"main"}', '{"data":{"id":9}}'


def row(name: str) -> ActivityRow:
    return ActivityRow("i", 0, 0, name, INPUT, 1, attempt=1, output=OUTPUT, terminated_at=2)


@pytest.mark.parametrize(
    ("name", "in_v1", "in_v2"),
    [
        ("RevertTransaction", True, False),
        ("GetTransaction", False, False),
        ("ReverseTransferInitiation", False, False),
        ("GetAccount", True, True),
        ("OfAnotherRelease", True, True),
    ],
)
def test_only_what_is_described_is_shown(name: str, in_v1: bool, in_v2: bool) -> None:
    for activity, is_shown in ((v1.activity(row(name)), in_v1), (v2.activity(row(name)), in_v2)):
        shown = msgspec.json.decode(msgspec.json.encode(activity))
        assert shown["name"] == name
        assert shown["input"] == ({name: {"id": "7", "ledger": "main"}} if is_shown else {})
        assert shown.get("output") == ({name: {"data": {"id": 9}}} if is_shown else None)
