"""Operations that the Formance Orchestration API does not have, below `/ext`."""

from __future__ import annotations

from headrace.api.ext import audit, events, instances, plans

OPERATIONS = (*events.OPERATIONS, *audit.OPERATIONS, *instances.OPERATIONS, *plans.OPERATIONS)
