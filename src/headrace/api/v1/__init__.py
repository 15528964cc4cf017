"""The V1 operations of the orchestration API. `OPERATIONS` stands in the order in which paths are tried."""

from __future__ import annotations

from headrace.api.v1 import info, instances, triggers, workflows

OPERATIONS = (*instances.OPERATIONS, *workflows.OPERATIONS, *triggers.OPERATIONS, *info.OPERATIONS)
