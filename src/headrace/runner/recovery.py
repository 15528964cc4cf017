"""Recovery: an instance where the journal says it stands, its last stage replayed up to the open activity."""

from __future__ import annotations

from typing import Any

import msgspec

from headrace.effects.port import Request
from headrace.journal.records import ActivityRow, Standing
from headrace.runner.activities import CurrentActivity
from headrace.runner.context import Definition, RunnerContext
from headrace.runner.gate import read_gate
from headrace.runner.inheritance import NOTHING, earlier_effects
from headrace.runner.instance import InstanceRunner
from headrace.runner.pin import pin_of
from headrace.workflows.activities import ACTIVITIES, Activity
from headrace.workflows.conditions import DONE, SKIPPED
from headrace.workflows.decisions import Passed, Verdict, add_read
from headrace.workflows.interpreter import JournalMismatch, result_of

decode = msgspec.json.decode


def restored(standing: Standing, definition: Definition, context: RunnerContext) -> InstanceRunner:
    """The instance of a standing, with this definition. Raises JournalMismatch where they contradict."""
    instance, activities = standing.instance, standing.activities
    runner = InstanceRunner(
        instance.id,
        instance.workflow_id,
        definition,
        decode(instance.variables),
        instance.created_at,
        context,
        by_trigger=instance.started_by_trigger,
        root_id=instance.root_id,
        earlier=earlier_effects(standing.inherited) if standing.inherited else NOTHING,
    )
    runner.ended_at, runner.error, runner.version = instance.terminated_at, instance.error, standing.version
    if instance.plan_id is not None:
        if standing.plan is None:
            raise JournalMismatch(f"instance {instance.id} may not leave plan {instance.plan_id}, which is not there")
        runner.pin, runner.approvals = pin_of(standing.plan), standing.approvals
    stage = instance.stages[-1]
    runner.last_at = max(
        instance.updated_at, stage.started_at, *(row.terminated_at or row.started_at for row in activities), 0
    )
    runner.before = before_of(standing, definition)
    # The checks ran when the stage began: a replay must not refuse what they allowed, nor ask its condition again.
    runner.run_stage(stage.number, stage.started_at, may_name_world=True, verdict=Verdict(stage.skipped))
    runner.stage_is_stored = True
    if stage.gate is not None and stage.gate_passed_at is None and stage.terminated_at is None:
        runner.gate, runner.deadline_at = read_gate(stage.gate), stage.deadline_at
    for row in activities:
        _repeat_earlier(runner, row.position)
        if row.terminated_at is None:
            _reopen(runner, row)
        else:
            runner.stage.replay(row.name, None if row.output is None else decode(row.output))
    runner.stage.skip_amendments()
    return runner


def before_of(standing: Standing, definition: Definition) -> list[Passed]:
    """The stages before the last one, as conditions see them; none where the definition has no condition."""
    if not definition.has_conditions:
        return []
    reads: dict[int, dict[str, Any]] = {}
    for row in standing.reads:
        if row.output is not None:
            add_read(reads.setdefault(row.stage, {}), row.name, result_of(decode(row.output)))
    return [
        Passed(SKIPPED if stage.skipped else stage.outcome or DONE, reads.get(stage.number, {}))
        for stage in standing.instance.stages[:-1]
    ]


def _repeat_earlier(runner: InstanceRunner, position: int) -> None:
    """Feed what earlier instances have done up to this position, where the journal holds no row of this one."""
    stage = runner.stage
    while stage.position < position:
        stage.skip_amendments()
        earlier = runner.earlier.get(stage.ordinal)
        if earlier is None or not earlier.is_done:
            raise JournalMismatch(f"stage {stage.number}, activity {stage.position}: the journal does not hold it")
        stage.replay(earlier.activity, earlier.output)


def _reopen(runner: InstanceRunner, row: ActivityRow) -> None:
    """An activity without outcome. Its stored request is what will be sent, whatever this release would build."""
    runner.stage.skip_amendments()
    command = runner.stage.command
    if not isinstance(command, Activity) or command.name != row.name:
        raise JournalMismatch(f"stage {row.stage}, activity {row.position}: the journal holds {row.name}")
    earlier = runner.earlier.get(runner.stage.ordinal)
    was_sent_before = earlier is not None and earlier.settled_by_look_up(command)
    service = ACTIVITIES[row.name].service
    key = row.key if service != "payments" else ""
    runner.open = CurrentActivity(
        command,
        row.stage,
        row.position,
        row.key,
        command.input(row.key),
        Request(service, row.request_method, row.request_path, row.request_body, key),
        row.started_at,
        attempt=row.attempt,
        begun=row.attempt,
        is_stored=True,
        was_sent=command.is_effect and (row.attempt > 0 or was_sent_before),
        last_failure=row.last_failure,
        needs_attention=row.needs_attention,
    )
