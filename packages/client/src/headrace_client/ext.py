"""The type of `client.orchestration.ext`, sync and async."""

from __future__ import annotations

from headrace_client._async.ext import AsyncExt
from headrace_client._sync.ext import Ext

__all__ = ["AsyncExt", "Ext"]
