"""Facts of a running server that its ports do not know."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from headrace.telemetry import Telemetry


@dataclass(frozen=True, slots=True)
class Facts:
    """Facts that the composition gives to the console; an empty text: not known.

    `journal`: its kind; `revision`: of its schema; `file`: where it is one. `owner`: the process, or processes, that
    drive its runs.
    """

    telemetry: Telemetry
    engine: str
    journal: str
    revision: str
    owner: str
    file: Path | None = None

    def journal_bytes(self) -> int | None:
        """The size of the journal's file with what is not merged into it yet; None: it is no file."""
        if self.file is None:
            return None
        parts = [self.file, self.file.with_name(f"{self.file.name}-wal")]
        return sum(part.stat().st_size for part in parts if part.exists())
