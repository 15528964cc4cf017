"""Operations that the Formance Orchestration API does not have, below `/ext`."""

from __future__ import annotations

from headrace.api.ext import attention, audit, batches, certificates, events, flows, instances, names, plans, successors

OPERATIONS = (
    *events.OPERATIONS,
    *audit.OPERATIONS,
    *instances.OPERATIONS,
    *attention.OPERATIONS,
    *flows.OPERATIONS,
    *successors.OPERATIONS,
    *plans.OPERATIONS,
    *batches.OPERATIONS,
    *names.OPERATIONS,
    *certificates.OPERATIONS,
)
