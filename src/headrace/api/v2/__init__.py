"""The V2 operations of the orchestration API, as far as there are any."""

from __future__ import annotations

from headrace.api.v2 import triggers

OPERATIONS = triggers.OPERATIONS
