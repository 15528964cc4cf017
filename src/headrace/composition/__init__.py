"""The composition root, which knows concrete adapters and settings, and the doctor that checks them."""

from __future__ import annotations

from headrace.composition.assembly import Composition, compose, temporary_fault

__all__ = ["Composition", "compose", "temporary_fault"]
