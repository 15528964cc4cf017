"""The type of `client.orchestration.v2`, sync and async."""

from __future__ import annotations

from headrace_client._async.v2 import AsyncV2
from headrace_client._sync.v2 import V2

__all__ = ["AsyncV2", "V2"]
