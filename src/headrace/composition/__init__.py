"""The composition root, which knows concrete adapters and settings, and the doctor that checks them."""

from __future__ import annotations

from headrace.composition.assembly import Composition, compose

__all__ = ["Composition", "compose"]
