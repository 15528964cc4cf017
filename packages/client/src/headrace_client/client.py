"""The two clients: `Client` blocks, `AsyncClient` awaits. They share everything else."""

from __future__ import annotations

from headrace_client._async.client import AsyncClient, AsyncOrchestration
from headrace_client._sync.client import Client, Orchestration

__all__ = ["AsyncClient", "AsyncOrchestration", "Client", "Orchestration"]
