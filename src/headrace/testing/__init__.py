"""Tests of workflows: no server, no network, no waiting. `headrace test` and `headrace prove` run them.

As a plug-in of pytest (`pytest_plugins = ["headrace.testing"]`) it offers the fixture `money`. A run is driven by the
driver that all engines share, over a journal and services in memory, on a clock that only the run moves.
"""

from __future__ import annotations

pytest_plugins = ("headrace.testing.plugin",)
