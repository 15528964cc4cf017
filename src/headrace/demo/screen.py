"""The terminal as the demo uses it: `headrace demo` passes the command line's own output."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol


class Screen(Protocol):
    """Output of the demo."""

    def line(self, text: str = "", *, flush: bool = False) -> None:
        """Print one line."""

    def heading(self, text: str) -> None:
        """Print a line that stands out."""

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print rows below their column names."""

    def progress(self, text: str) -> AbstractContextManager[Callable[[str], None]]:
        """Show what is awaited; the function in the context replaces the text."""
        ...
