"""The journal that tests of workflows use: in memory, on the caller's thread, and gone with its process."""

from __future__ import annotations

from headrace.journal.sqlite.memory import MemoryJournal


def memory_journal(image: bytes | None = None) -> MemoryJournal:
    """A journal that holds what an image does, as another one's `image` returned it; without one it is empty."""
    return MemoryJournal(image)


__all__ = ["MemoryJournal", "memory_journal"]
