"""Makes runners: of new instances, and of those that the journal holds.

A definition never changes, so what a start needs to know of it is decoded once, and kept as its *plan*.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import NamedTuple

from msgspec import structs

from headrace.errors import InvalidValue, NotFound
from headrace.journal import records, writes
from headrace.journal.approval_writes import DecideStage
from headrace.journal.port import Required, Unit
from headrace.journal.records import Instance, Stage, Standing, Workflow
from headrace.journal.successor_writes import AddContinuation, CarryEvents
from headrace.runner.context import Announce, Definition, RunnerContext
from headrace.runner.inheritance import earlier_effects, left_by
from headrace.runner.instance import InstanceRunner, decode, encode
from headrace.runner.pin import pin_of
from headrace.runner.policy import Policy
from headrace.runner.recovery import before_of, restored
from headrace.workflows.activities import Json
from headrace.workflows.config import check_delays, open_delays
from headrace.workflows.variables import MAX_VARIABLES, missing, names_in, shown

MAX_PLANS = 1_000
"""Plans that are kept; beyond them the oldest is forgotten."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A workflow, its definition, and the names that its stages ask for."""

    workflow: Workflow
    definition: Definition
    names: frozenset[str]
    open_delays: tuple[int, ...]

    def check(self, variables: dict[str, str]) -> None:
        """Check the variables of a start. Raises InvalidValue, which names every missing variable."""
        if not self.names <= variables.keys():
            lacking = missing(self.definition.stages, variables)
            if lacking:
                raise InvalidValue("variables", f"no value for {_named(lacking)}")
        if self.open_delays:
            check_delays(self.definition.stages, self.open_delays, variables)


@lru_cache(maxsize=256)
def definition_in(config: str) -> Definition:
    """The definition in its text."""
    return decode(config, type=Definition)


class Start(NamedTuple):
    """A new instance and the unit that stores it. It exists once the unit is committed."""

    runner: InstanceRunner
    unit: Unit


class Runners:
    """Shared by all that start instances and all that drive them."""

    def __init__(self, now: Callable[[], int], new_id: Callable[[], str], announce: Announce, policy: Policy) -> None:
        self._new_id = new_id
        self._context = RunnerContext(now, policy, announce)
        self._plans: OrderedDict[str, Plan] = OrderedDict()

    def start(
        self,
        workflow: Workflow,
        variables: dict[str, str],
        *,
        sends: bool,
        by_trigger: bool = False,
        signed: records.Plan | None = None,
        approvals: int = 0,
    ) -> Start:
        """A new instance of a workflow. `sends`: the engine sends the first request itself, right after the commit.

        `signed`: a plan of this workflow and these variables; the instance has no effect but those of the plan, which
        has so many `approvals`.

        Raises InvalidValue, naming every missing variable. The unit raises NotFound where the workflow is deleted.
        """
        plan = self._plans.get(workflow.id)
        if plan is None:
            definition = definition_in(workflow.config)
            stages = definition.stages
            plan = Plan(workflow, definition, frozenset(names_in(stages)), open_delays(stages))
            self._plans[workflow.id] = plan
            if len(self._plans) > MAX_PLANS:
                self._plans.popitem(last=False)
        plan.check(variables)
        instance_id, created_at = self._new_id(), self._context.now()
        unit = Unit()
        runner = InstanceRunner.start(
            unit,
            instance_id,
            created_at,
            workflow,
            plan.definition,
            variables,
            self._context,
            by_trigger=by_trigger,
            sends=sends,
            plan=signed,
            approvals=approvals,
        )
        return Start(runner, unit)

    def redrive(
        self,
        standing: Standing,
        *,
        sends: bool,
        signed: records.Plan | None = None,
        approvals: int = 0,
        skips: bool = False,
    ) -> Start:
        """The continuation of an instance that has failed, which `standing` shows as it ended. `sends`: as in `start`.

        `signed`: a plan of this redrive, which it may not leave and which has so many `approvals`; None: it keeps the
        plan of that instance, if any. The unit does not store that it is the successor: the caller adds that, as what
        decides a race. `skips`: it leaves out the stage that has failed, and goes on with the next one.
        """
        before = standing.instance
        root_id, stage = before.root_id or before.id, before.stages[-1].number
        runner = InstanceRunner(
            self._new_id(),
            before.workflow_id,
            definition_in(before.config),
            decode(before.variables),
            self._context.now(),
            self._context,
            by_trigger=before.started_by_trigger,
            root_id=root_id,
            earlier=earlier_effects(left_by(standing)),
        )
        runner.before = before_of(standing, runner.definition)
        if signed is not None:
            runner.pin, runner.approvals = pin_of(signed.document), approvals
        elif standing.plan is not None:
            runner.pin, runner.approvals = pin_of(standing.plan), standing.approvals
        added = AddContinuation(
            instance_id=runner.id,
            predecessor=before.id,
            created_at=runner.created_at,
            root_id=root_id,
            from_stage=stage,
            plan_id=None if signed is None else signed.id,
        )
        unit = Unit()
        unit.add(CarryEvents(predecessor=before.id, instance_id=runner.id))
        runner.begin(
            unit,
            Required(added, partial(NotFound, "instance", before.id)),
            stage,
            sends=sends,
            skips=skips,
            decided=before.stages[-1].skipped,
        )
        return Start(runner, unit)

    def undo(self, undone_id: str, stages: list[Json], *, sends: bool, signed: records.Plan | None = None) -> Start:
        """The instance that undoes the case of another one, by these stages. `sends`, `signed`: as in `start`.

        Its workflow is stored as deleted: it can be read, and no list shows it. The unit does not store that the
        instance is the successor: the caller adds that, as what decides a race.
        """
        workflow_id, created_at = self._new_id(), self._context.now()
        document = undo_config(undone_id, stages)
        name, config = document["name"], encode(document).decode()
        definition = Definition(stages, name)
        runner = InstanceRunner(
            self._new_id(), workflow_id, definition, {}, created_at, self._context, by_trigger=False
        )
        runner.pin = None if signed is None else pin_of(signed.document)
        unit = Unit()
        unit.add(
            writes.AddWorkflow(
                workflow_id=workflow_id, name=name, config=config, created_at=created_at, updated_at=created_at
            )
        )
        added = writes.AddInstance(
            instance_id=runner.id,
            workflow_id=workflow_id,
            config=config,
            variables="{}",
            created_at=created_at,
            by_trigger=False,
            kind="undo",
            plan_id=None if signed is None else signed.id,
        )
        runner.begin(unit, Required(added, partial(NotFound, "workflow", workflow_id)), 0, sends=sends)
        unit.add(writes.DeleteWorkflow(at=created_at, workflow_id=workflow_id))
        return Start(runner, unit)

    @property
    def policy(self) -> Policy:
        return self._context.policy

    def workflow(self, workflow_id: str) -> Workflow | None:
        """A workflow of which an instance was started, unless it was forgotten since: reading one takes 4 % of a start.

        It may be deleted meanwhile: then the unit of a start raises NotFound.
        """
        plan = self._plans.get(workflow_id)
        return None if plan is None else plan.workflow

    def forget_workflow(self, workflow_id: str) -> None:
        """The workflow is deleted."""
        self._plans.pop(workflow_id, None)

    def restore(self, standing: Standing) -> InstanceRunner:
        """The instance where the journal says it stands. Raises JournalMismatch where the two contradict each other."""
        return restored(standing, definition_in(standing.instance.config), self._context)


def undo_config(undone_id: str, stages: list[Json]) -> Json:
    """The definition of the workflow that undoes the case of an instance."""
    return {"name": f"undo of {undone_id}", "stages": stages}


def started_instance(start: Unit) -> Instance:
    """The instance that the unit of a start makes, so that nothing is read back to answer the caller."""
    added: writes.AddInstance | None = None
    updated_at, terminated_at, error = 0, None, None
    stages: list[Stage] = []
    for entry in start:
        match entry.write if isinstance(entry, Required) else entry:
            case writes.AddInstance() as write:
                added, updated_at = write, write.created_at
            case writes.OpenStage() as write:
                stages.append(Stage(write.instance_id, write.number, write.keyword, write.input, write.started_at))
            case writes.AddClosedStage() as write:
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
            case writes.AmendStage() as write:
                stages[-1] = structs.replace(stages[-1], input=write.input)
            case DecideStage() as write:
                stages[-1] = structs.replace(stages[-1], skipped=write.is_skipped)
            case writes.CloseStage() as write:
                stages[-1] = structs.replace(stages[-1], terminated_at=write.terminated_at, error=write.error)
            case (writes.MoveInstance() | writes.WaitForEvent()) as write:
                updated_at = write.at
            case writes.EndInstance() as write:
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
        plan_id=added.plan_id,
    )


def _named(names: list[str]) -> str:
    """The names as text: no more of them than a start may have variables."""
    listed = ", ".join(map(shown, names[:MAX_VARIABLES]))
    return listed if len(names) <= MAX_VARIABLES else f"{listed} and {len(names) - MAX_VARIABLES} more"
