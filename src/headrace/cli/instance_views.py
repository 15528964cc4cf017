"""What is to be seen of instances, at one look or at many: a list, one with its stages, one with all it did."""

from __future__ import annotations

from typing import Any

from headrace.cli import display
from headrace.cli.display import Heading
from headrace.cli.sentences import stage_lines as history_lines
from headrace.cli.session import Session
from headrace.cli.stages import stage_lines
from headrace.cli.watch import View
from headrace.cli.wire import document, documents, members

Json = dict[str, Any]

_COLUMNS = ["ID", "Workflow ID", "Created at", "Updated at", "Terminated at", "Error"]


class InstancesLook:
    """The list. Looked at again, it tells of those that are new or have changed since."""

    def __init__(self, session: Session, workflow_id: str | None, *, is_running_only: bool) -> None:
        self._session = session
        self._workflow_id = workflow_id
        self._is_running_only = is_running_only
        self._seen: dict[str, Json] | None = None

    def instances(self) -> list[Json]:
        running = self._is_running_only or None
        return documents(self._session.v1.list_instances(workflow_id=self._workflow_id, running=running).data)

    def __call__(self) -> View:
        found = {instance["id"]: listed(instance) for instance in self.instances()}
        before = self._seen or {}
        changed = [instance for instance_id, instance in found.items() if before.get(instance_id) != instance]
        changed += [self._ended(instance_id) for instance_id in before if instance_id not in found]
        is_first, self._seen = self._seen is None, found
        lines = _rows(changed)
        return View(
            value={"workflowInstances": changed},
            picture=_rows(list(found.values())) if found else ["No instances."],
            news=lines if is_first else lines[1:],
            has_changed=is_first or bool(changed),
        )

    def _ended(self, instance_id: str) -> Json:
        """One that has left the list of those that run."""
        return listed(document(self._session.v1.get_instance(instance_id=instance_id).data))


class ShowLook:
    """One instance and its stages. The definition never changes: it is read once."""

    def __init__(self, session: Session, instance_id: str) -> None:
        self._session = session
        self._instance_id = instance_id
        self._workflow: Json | None = None
        self.instance: Json = {}

    def __call__(self) -> View:
        before = self.instance
        self.instance = document(self._session.v1.get_instance(instance_id=self._instance_id).data)
        if self._workflow is None:
            self._workflow = document(self._session.v1.get_workflow(flow_id=self.instance["workflowID"]).data)
        texts = [
            *display.fact_lines(_facts(self.instance, self._workflow)),
            "",
            *stage_lines(self.instance, self._workflow),
        ]
        return View(
            value={"workflowInstance": self.instance, "workflow": self._workflow},
            picture=texts,
            news=[*([""] if before else []), *texts],
            has_changed=before != self.instance,
            is_over=self.instance["terminated"],
        )


class DescribeLook:
    """One instance's history. A stage that is closed in all its parts stays so: it is read once."""

    def __init__(self, session: Session, instance_id: str, *, is_watching: bool) -> None:
        self._session = session
        self._instance_id = instance_id
        self._is_watching = is_watching
        self._closed: dict[int, list[Json]] = {}
        self._told: Json = {}
        self.instance: Json = {}

    def __call__(self) -> View:
        v1 = self._session.v1
        if self._is_watching:  # before the history: that of one that has ended is whole
            self.instance = document(v1.get_instance(instance_id=self._instance_id).data)
        stages = documents(v1.get_instance_history(instance_id=self._instance_id).data)
        activities = [self._activities(number, stage) for number, stage in enumerate(stages)]
        before = self._told
        self._told = {"workflowInstanceHistory": stages, "workflowInstanceStageHistories": activities}
        texts = _history(stages, activities)
        return View(
            value=self._told,
            picture=texts,
            news=[*([""] if before else []), *texts],
            has_changed=before != self._told,
            is_over=bool(self.instance.get("terminated")),
            is_newest_last=True,
        )

    def _activities(self, number: int, stage: Json) -> list[Json]:
        if number in self._closed:
            return self._closed[number]
        v1 = self._session.v1
        found = documents(v1.get_instance_stage_history(instance_id=self._instance_id, number=number).data)
        if stage["terminated"] and all(activity["terminated"] for activity in found):
            self._closed[number] = found
        return found


def listed(instance: Json) -> Json:
    return {
        "instanceId": instance["id"],
        "workflowId": instance["workflowID"],
        **members(instance, "createdAt", "updatedAt", "terminatedAt", "error"),
    }


def list_lines(instances: list[Json]) -> list[str]:
    if not instances:
        return ["No instances. Start one: headrace workflows run WORKFLOW"]
    return _rows([listed(instance) for instance in instances])


def _rows(instances: list[Json]) -> list[str]:
    return display.table_lines(_COLUMNS, [_row(instance) for instance in instances], spare="Updated at")


def _row(instance: Json) -> list[str]:
    times = [display.moment(instance.get(name)) for name in ("createdAt", "updatedAt", "terminatedAt")]
    return [instance["instanceId"], instance["workflowId"], *times, instance.get("error", "")]


def _facts(instance: Json, workflow: Json) -> list[tuple[str, str]]:
    facts = [("ID", instance["id"]), ("Workflow", f"{workflow['config'].get('name') or ''} {workflow['id']}".strip())]
    facts.append(("Created at", display.moment(instance["createdAt"])))
    facts.append(("Updated at", display.moment(instance["updatedAt"])))
    if instance["terminated"]:
        facts.append(("Terminated at", display.moment(instance.get("terminatedAt"))))
    if instance.get("error"):
        facts.append(("Error", instance["error"]))
    return facts


def _history(stages: list[Json], activities: list[list[Json]]) -> list[str]:
    texts: list[str] = [] if stages else ["No stage has started yet."]
    for number, stage in enumerate(stages):
        texts += [""] if number else []
        texts += [Heading(f"Stage {number} : {stage['name']}"), *history_lines(stage, activities[number])]
    return texts
