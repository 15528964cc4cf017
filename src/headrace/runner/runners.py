"""Makes runners: of new instances, and of those that the journal holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from headrace.journal.port import Unit
from headrace.journal.records import Standing, Workflow
from headrace.runner.announcements import Announcements
from headrace.runner.instance import InstanceRunner, RunnerContext
from headrace.runner.plans import Plans
from headrace.runner.policy import Policy


class Start(NamedTuple):
    """A new instance and the unit that stores it. It exists once the unit is committed."""

    runner: InstanceRunner
    unit: Unit


class Runners:
    """Shared by all that start instances and all that drive them."""

    def __init__(
        self, now: Callable[[], int], new_id: Callable[[], str], announcements: Announcements, policy: Policy
    ) -> None:
        self._new_id = new_id
        self._context = RunnerContext(now, policy, announcements)
        self._plans = Plans()

    def start(self, workflow: Workflow, variables: dict[str, str], *, sends: bool, by_trigger: bool = False) -> Start:
        """A new instance of a workflow. `sends`: the engine sends the first request itself, right after the commit.

        Raises InvalidValue, naming every missing variable. The unit raises NotFound where the workflow is deleted.
        """
        plan = self._plans.of(workflow)
        plan.check(variables)
        unit = Unit()
        runner = InstanceRunner.start(
            unit,
            self._new_id(),
            workflow,
            plan.stages,
            variables,
            self._context,
            by_trigger=by_trigger,
            sends=sends,
        )
        return Start(runner, unit)

    def workflow(self, workflow_id: str) -> Workflow | None:
        """A workflow of which an instance was started, unless it was forgotten since: reading one takes 4 % of a start.

        It may be deleted meanwhile: then the unit of a start raises NotFound.
        """
        return self._plans.workflow(workflow_id)

    def forget_workflow(self, workflow_id: str) -> None:
        """The workflow is deleted."""
        self._plans.forget(workflow_id)

    def restore(self, standing: Standing) -> InstanceRunner:
        """The instance where the journal says it stands. Raises JournalMismatch where the two contradict each other."""
        return InstanceRunner.restore(standing, self._context)
