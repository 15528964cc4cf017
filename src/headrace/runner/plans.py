"""Plans of workflows: what a start needs to know of a definition, which never changes and so is decoded once."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from headrace.errors import InvalidValue
from headrace.journal.records import Workflow
from headrace.runner.stored import stages_in
from headrace.workflows.activities import Json
from headrace.workflows.config import check_delays, open_delays
from headrace.workflows.variables import MAX_VARIABLES, missing, names_in, shown

MAX_PLANS = 1_000


@dataclass(frozen=True, slots=True)
class Plan:
    """A workflow, its stages, and the names they ask for."""

    workflow: Workflow
    stages: list[Json]
    names: frozenset[str]
    open_delays: tuple[int, ...]

    def check(self, variables: dict[str, str]) -> None:
        """Check the variables of a start. Raises InvalidValue, which names every missing variable."""
        if not self.names <= variables.keys():
            lacking = missing(self.stages, variables)
            if lacking:
                raise InvalidValue("variables", f"no value for {_named(lacking)}")
        check_delays(self.stages, self.open_delays, variables)


class Plans:
    """The plans of up to 1,000 workflows; the oldest is forgotten."""

    def __init__(self) -> None:
        self._plans: OrderedDict[str, Plan] = OrderedDict()

    def of(self, workflow: Workflow) -> Plan:
        plan = self._plans.get(workflow.id)
        if plan is None:
            stages = stages_in(workflow.config)
            plan = self._plans[workflow.id] = Plan(workflow, stages, frozenset(names_in(stages)), open_delays(stages))
            if len(self._plans) > MAX_PLANS:
                self._plans.popitem(last=False)
        return plan

    def workflow(self, workflow_id: str) -> Workflow | None:
        plan = self._plans.get(workflow_id)
        return None if plan is None else plan.workflow

    def forget(self, workflow_id: str) -> None:
        self._plans.pop(workflow_id, None)


def _named(names: list[str]) -> str:
    """The names as text: no more of them than a start may have variables."""
    listed = ", ".join(map(shown, names[:MAX_VARIABLES]))
    return listed if len(names) <= MAX_VARIABLES else f"{listed} and {len(names) - MAX_VARIABLES} more"
