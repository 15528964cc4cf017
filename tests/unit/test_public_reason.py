"""The reason of a 503 during the start shows no path of the machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.errors import Unavailable
from headrace.journal.sqlite.faults import fault_of
from headrace.server import public_reason


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (OSError(28, "No space left on device", "{data}/journal.db"), "journal.db: No space left on device"),
        (OSError(30, "Read-only file system", "{data}"), "the data folder: Read-only file system"),
        (
            OSError(24, "Too many open files", "/etc/ssl/ca.pem"),
            "the journal cannot be opened; the log of the server says why",
        ),
        (Unavailable("the disk of the journal is full: 5 bytes are left"), None),
    ],
)
def test_a_reason_names_no_path(tmp_path: Path, error: Exception, shown: str | None) -> None:
    data = tmp_path / "data"
    data.mkdir()
    link = tmp_path / "link"
    link.symlink_to(data)
    for folder in (data, link):
        given = error
        if isinstance(error, OSError):
            given = OSError(error.errno, error.strerror, error.filename.format(data=data.resolve()))
        fault = fault_of(given)
        assert isinstance(fault, Unavailable)
        reason = public_reason(str(fault), folder)
        assert reason == (shown or str(error)) and "/" not in reason
