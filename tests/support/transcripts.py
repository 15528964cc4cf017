"""The recorded exchanges with two real ledgers (`tests/data/ledger`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from headrace.sandbox.releases import LedgerRelease

_FOLDER = Path(__file__).parents[1] / "data" / "ledger"
TRANSCRIPTS: dict[LedgerRelease, Path] = {
    "2.2": _FOLDER / "transcript-2.2.59.jsonl",
    "2.4": _FOLDER / "transcript-2.4.12.jsonl",
}
"""By release."""


def mended(body: Any) -> Any:
    """A recorded body. Three of them are text, because a mark broke their JSON: `"<time>"` took a backslash along."""
    if not isinstance(body, str) or not body.startswith("{"):
        return body
    return {**json.loads(body.replace('\\"<time>"', "<time>")), "errorMessage": "<text>"}
