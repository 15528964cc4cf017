"""An instance's record as its start leaves it in the journal."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import structs

from headrace.journal import writes
from headrace.journal.records import Instance, Stage
from headrace.journal.writes import Write


def started_instance(start: Iterable[Write]) -> Instance:
    """The instance that the writes of a start make, so that nothing is read back to answer the caller."""
    added: writes.AddInstance | None = None
    updated_at, terminated_at, error = 0, None, None
    stages: list[Stage] = []
    for write in start:
        match write:
            case writes.AddInstance():
                added, updated_at = write, write.created_at
            case writes.OpenStage():
                stages.append(Stage(write.instance_id, write.number, write.keyword, write.input, write.started_at))
            case writes.AddClosedStage():
                stages.append(
                    Stage(
                        write.instance_id,
                        write.number,
                        write.keyword,
                        write.input,
                        write.started_at,
                        write.terminated_at,
                        write.error,
                    )
                )
            case writes.AmendStage():
                stages[-1] = structs.replace(stages[-1], input=write.input)
            case writes.CloseStage():
                stages[-1] = structs.replace(stages[-1], terminated_at=write.terminated_at, error=write.error)
            case writes.MoveInstance() | writes.WaitForEvent():
                updated_at = write.at
            case writes.EndInstance():
                updated_at, terminated_at, error = write.at, write.at, write.error
            case _:
                pass
    assert added is not None, "a start adds an instance"
    return Instance(
        added.instance_id,
        added.workflow_id,
        added.config,
        added.variables,
        added.created_at,
        updated_at,
        terminated_at,
        error,
        added.by_trigger,
        tuple(stages),
    )
