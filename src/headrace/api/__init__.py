"""The API: the only room that knows HTTP statuses."""

from __future__ import annotations

from headrace.api.app import create_api

__all__ = ["create_api"]
