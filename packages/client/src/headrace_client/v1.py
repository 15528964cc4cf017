"""The type of `client.orchestration.v1`, sync and async."""

from __future__ import annotations

from headrace_client._async.v1 import AsyncV1
from headrace_client._sync.v1 import V1

__all__ = ["AsyncV1", "V1"]
