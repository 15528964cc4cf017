"""Which engine drives the instances of a journal: two of different kinds would both drive them."""

from __future__ import annotations

from functools import partial

from headrace.errors import Conflict, Unusable
from headrace.journal.port import Journal, Required, Unit
from headrace.journal.writes import SwitchEngine


async def claim_journal(journal: Journal, engine: str) -> None:
    """Note the engine of a journal that has none yet. Raises Unusable where it has another, Unavailable."""
    state = await journal.engine()
    if not state.engine:
        unit = Unit()
        unit.add(Required(SwitchEngine(engine=engine, before=""), partial(Conflict, "")))
        try:
            await journal.commit(unit)
        except Conflict:  # another process was faster
            state = await journal.engine()
        else:
            return
    if state.engine != engine:
        raise Unusable(
            f"the engine {state.engine} drives the instances of this journal, and HEADRACE_ENGINE is {engine}. "
            f"Use {state.engine}; or stop all its processes, then: headrace engine switch {engine}"
        )
