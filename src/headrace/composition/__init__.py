"""Everything that knows concrete adapters and settings: the composition root, and the doctor that checks its parts."""

from __future__ import annotations

from headrace.composition.assembly import Composition, compose, temporary_fault

__all__ = ["Composition", "compose", "temporary_fault"]
