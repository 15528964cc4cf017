"""Operations that the Formance Orchestration API does not have, below `/ext`."""

from __future__ import annotations

from headrace.api.ext import attention, audit, certificates, events, instances, plans

OPERATIONS = (
    *events.OPERATIONS,
    *audit.OPERATIONS,
    *instances.OPERATIONS,
    *attention.OPERATIONS,
    *plans.OPERATIONS,
    *certificates.OPERATIONS,
)
