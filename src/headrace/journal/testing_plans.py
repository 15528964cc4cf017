"""Checks of `headrace.journal.testing`: plans."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from headrace.journal.port import Journal, Unit
from headrace.journal.writes import AddPlan


async def a_plan_is_open_until_it_expires(make_journal: Callable[[], AbstractAsyncContextManager[Journal]]) -> None:
    """Store a plan; read it back."""
    async with make_journal() as journal:
        names = {name: name for name in ("plan_id", "hash", "document", "subject", "requester")}
        unit = Unit()
        unit.add(AddPlan(**names, created_at=1, expires_at=9))
        await journal.commit(unit)
        found = await journal.plan("plan_id")
        assert found is not None and (found.document, found.state, found.instance_id) == ("document", "open", None)
