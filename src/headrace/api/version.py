"""The version of the running package."""

from __future__ import annotations

from importlib.metadata import version

VERSION = version("headrace")
