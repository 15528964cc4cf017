"""What V1 answers about an instance as the journal of a life has it now."""

from __future__ import annotations

from headrace.api.v1 import views
from headrace.testing.virtual import finished
from tests.interleavings.stores import LifeJournal


def shown(journal: LifeJournal, instance_id: str) -> bytes:
    """The answer of `getInstance`."""
    row = finished(journal.instance(instance_id))
    assert row is not None
    return views.instance_response(row)
