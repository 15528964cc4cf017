"""What the orchestration API does not have: its own paths, below `/ext`."""

from __future__ import annotations

from headrace.api.ext import audit, events, instances

OPERATIONS = (*events.OPERATIONS, *audit.OPERATIONS, *instances.OPERATIONS)
