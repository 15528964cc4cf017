"""Cells of a CSV for a spreadsheet: text stays text."""

from __future__ import annotations

from headrace.pictures.words import visible

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that a spreadsheet would calculate."""


def cell(text: str) -> str:
    """A cell as text: an apostrophe stands before one that a spreadsheet would calculate."""
    shown = visible(text)
    return f"'{shown}" if shown.startswith(_FORMULA) else shown
