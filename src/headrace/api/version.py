"""The version of the package that is running."""

from __future__ import annotations

from importlib.metadata import version

VERSION = version("headrace")
