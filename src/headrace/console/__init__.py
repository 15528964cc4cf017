"""The console: server-rendered pages over the use cases, on the port of the API, readable without scripts."""

from __future__ import annotations

from headrace.console.facts import Facts
from headrace.console.site import Console

__all__ = ["Console", "Facts"]
