"""Views of instances, read once or repeatedly: the list, one with its stages, one with its history."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from heapq import merge
from itertools import islice
from typing import Any

from headrace.cli import display
from headrace.cli.display import Heading
from headrace.cli.documents import document, documents, members
from headrace.cli.history_text import skipped_lines
from headrace.cli.history_text import stage_lines as history_lines
from headrace.cli.instance_table import table_lines
from headrace.cli.session import Session
from headrace.cli.stages import stage_lines, status_text
from headrace.cli.watch import View
from headrace.clock import SystemClock

Json = dict[str, Any]

MAX_PAGE = 1_000
OFF_PLAN = (
    "it stopped before it did something else than was signed; what is booked stays: "
    "headrace instances undo {} --preview"
)


@dataclass(frozen=True, slots=True)
class Search:
    """Filters of a list of instances. `workflow_ids`: none for instances of all workflows. `limit` None: no bound."""

    workflow_ids: tuple[str, ...] = ()
    status: str | None = None
    since: datetime | None = None
    variable: str | None = None
    error_code: str | None = None
    find: str | None = None
    limit: int | None = None


class Found:
    """Instances of a search, page by page. `has_more` is known after the pages are read."""

    def __init__(self, session: Session, search: Search) -> None:
        self._session = session
        self._search = search
        self.has_more = False

    def pages(self) -> Iterator[list[Json]]:
        """Rows to display, page by page, up to the limit of the search."""
        limit = self._search.limit
        each_workflow = (self._rows_of(workflow_id) for workflow_id in self._search.workflow_ids or (None,))
        rows = merge(*each_workflow, key=lambda row: row["instanceId"], reverse=True)  # ids grow with time
        if limit is not None:
            yield list(islice(rows, limit))
            self.has_more = next(rows, None) is not None
            return
        while page := list(islice(rows, MAX_PAGE)):
            yield page

    def _rows_of(self, workflow_id: str | None) -> Iterator[Json]:
        search = self._search
        found = self._session.client.orchestration.ext.iterate_instances(
            workflow_id=workflow_id,
            status=search.status,
            since=search.since,
            variable=search.variable,
            error_code=search.error_code,
            q=search.find,
            page_size=MAX_PAGE if search.limit is None else min(search.limit + 1, MAX_PAGE),
        )
        for page in found.pages():
            yield from (listed(each) for each in documents(page.data.data))

    def rows(self) -> list[Json]:
        return [row for page in self.pages() for row in page]


class InstancesLook:
    """The list of instances. A repeated look returns those that are new or have changed."""

    def __init__(self, session: Session, search: Search) -> None:
        self._session = session
        self._search = search
        self._seen: dict[str, Json] | None = None

    def __call__(self) -> View:
        found = {instance["instanceId"]: instance for instance in Found(self._session, self._search).rows()}
        before = self._seen or {}
        changed = [instance for instance_id, instance in found.items() if before.get(instance_id) != instance]
        changed += [self._left(instance) for instance_id, instance in before.items() if instance_id not in found]
        is_first, self._seen = self._seen is None, found
        lines = list_lines([changed])
        return View(
            value={"workflowInstances": changed},
            picture=list_lines([list(found.values())]) if found else ["No instances."],
            news=lines if is_first else lines[1:],
            has_changed=is_first or bool(changed),
        )

    def _left(self, before: Json) -> Json:
        """Read an instance that no longer matches the search, usually because it has ended."""
        instance = document(self._session.v1.get_instance(instance_id=before["instanceId"]).data)
        now = members(instance, "updatedAt", "terminatedAt", "error")
        if not instance["terminated"]:
            status = before["status"] if before["status"] in ("running", "waiting") else "running"
        elif not instance.get("error"):
            status = "succeeded"
        else:
            status = "aborted" if instance["error"] == "canceled" else "failed"
        return before | {"status": status} | now


class ShowLook:
    """One instance and its stages. The definition never changes, so it is read once."""

    def __init__(self, session: Session, instance_id: str) -> None:
        self._session = session
        self._instance_id = instance_id
        self._workflow: Json | None = None
        self._description: Json = {}
        self._decisions: list[Json] | None = None
        self.instance: Json = {}

    def __call__(self) -> View:
        before = self.instance
        self.instance = document(self._session.v1.get_instance(instance_id=self._instance_id).data)
        if self._workflow is None:
            self._workflow = document(self._session.v1.get_workflow(flow_id=self.instance["workflowID"]).data)
        if not self._description or before.get("updatedAt") != self.instance["updatedAt"]:
            self._description = described(self._session, self._instance_id)
        description = self._description
        if self._decisions is None and "planID" in description:
            self._decisions = decisions(self._session, description["planID"])
        stages = self._workflow["config"]["stages"]
        facts = [
            ("ID", self.instance["id"]),
            ("Workflow", f"{self._workflow['config'].get('name') or ''} {self._workflow['id']}".strip()),
            ("Status", status_text(self.instance, description, stages)),
        ]
        facts += _beyond_v1(description, self.instance["id"], stages)
        for each in self._decisions or []:
            by = display.person(each["principal"], each.get("name"))
            done = "Approved by" if each["verdict"] == "approve" else "Rejected by"
            facts.append((done, f"{by}, {display.moment(each['decidedAt'])}: {each['reason']}"))
        facts.append(("Created at", display.moment(self.instance["createdAt"])))
        facts.append(("Updated at", display.moment(self.instance["updatedAt"])))
        if self.instance["terminated"]:
            facts.append(("Ended at", display.moment(self.instance.get("terminatedAt"))))
        if self.instance.get("error"):
            facts.append(("Error", self.instance["error"]))
        if "abortReason" in description:
            facts.append(("Aborted", description["abortReason"]))
        if failure := description.get("failure"):
            facts.append(("Failure", " ".join(failure[member] for member in ("kind", "code") if member in failure)))
            if failure["kind"] == "plan":
                facts.append(("Meaning", OFF_PLAN.format(self.instance["id"])))
        texts = [
            *display.fact_lines(facts),
            "",
            *stage_lines(self.instance, self._workflow, shown_error=self.instance.get("error", "")),
        ]
        return View(
            value={
                "workflowInstance": self.instance,
                "workflow": self._workflow,
                **members(description, "approval", "skipped", "failure", "abortReason"),
            },
            picture=texts,
            news=[*([""] if before else []), *texts],
            has_changed=before != self.instance,
            is_over=self.instance["terminated"],
        )


def _beyond_v1(description: Json, instance_id: str, stages: list[Json]) -> list[tuple[str, str]]:
    """The place of an instance in its case, what it waits for, and what it has skipped. `stages`: of its definition."""
    facts: list[tuple[str, str]] = []
    if description.get("kind", "run") != "run":
        predecessor = description.get("predecessor") or {"instanceID": description["rootID"]}
        facts.append(("Kind", f"{description['kind']} of {predecessor['instanceID']}"))
    if after := description.get("successor"):
        facts.append(("Successor", f"{after['instanceID']} ({after['kind']})"))
    if undo := description.get("undo"):
        facts.append(("Undo", undo["state"]))
    if "planID" in description:
        facts.append(("Plan", description["planID"]))
    if waits := description.get("approval"):
        facts += _approval(waits, instance_id)
    skipped: list[int] = description.get("skipped", [])
    for number in skipped:
        facts.append(("Skipped", f"stage {number}: {stages[number].get('when', '')} is false"))
    return facts


def described(session: Session, instance_id: str) -> Json:
    """Read what the server knows of an instance beyond V1. Other servers know nothing."""
    from headrace_client import Error, SDKError

    try:
        return document(session.client.orchestration.ext.describe_instance(instance_id=instance_id).data)
    except (Error, SDKError) as error:
        if error.status not in (404, 405):
            raise
        return {}


def decisions(session: Session, plan_id: str) -> list[Json]:
    """Read who has approved a plan; none where the plan is no longer stored."""
    from headrace_client import Error, SDKError

    try:
        return document(session.ext.get_plan(plan_id=plan_id).data).get("approvals", {}).get("given", [])
    except (Error, SDKError) as error:
        if error.status not in (404, 405):
            raise
        return []


def _approval(waits: Json, instance_id: str) -> list[tuple[str, str]]:
    """The approvals that an instance waits for, and how to see what they are for."""
    needed = f"{waits['needed']} approval{'' if waits['needed'] == 1 else 's'}"
    title = f' of "{waits["title"]}"' if waits.get("title") else ""
    rule = f", by rule {waits['rule']}" if waits.get("rule") else ""
    until = f", until {display.moment(waits['deadline'])}" if waits.get("deadline") else ""
    return [("Waits for", f"{needed}{title}{rule}{until}"), ("See", f"headrace plan --instance {instance_id}")]


class DescribeLook:
    """The history of one instance. A stage whose activities have all ended does not change, so it is read once."""

    def __init__(self, session: Session, instance_id: str, *, is_watching: bool) -> None:
        self._session = session
        self._instance_id = instance_id
        self._is_watching = is_watching
        self._closed: dict[int, list[Json]] = {}
        self._empty: list[int] = []
        self._skipped: list[int] = []
        self._shown: Json = {}
        self.instance: Json = {}

    def __call__(self) -> View:
        v1 = self._session.v1
        if self._is_watching:  # first, so that the history of an ended instance is complete
            self.instance = document(v1.get_instance(instance_id=self._instance_id).data)
        stages = documents(v1.get_instance_history(instance_id=self._instance_id).data)
        activities = [self._activities(number, stage) for number, stage in enumerate(stages)]
        before = self._shown
        empty = [number for number, stage in enumerate(stages) if stage["terminated"] and not activities[number]]
        if empty != self._empty:  # V1 does not say which of them were skipped
            self._empty = empty
            self._skipped = described(self._session, self._instance_id).get("skipped", [])
        self._shown = {"workflowInstanceHistory": stages, "workflowInstanceStageHistories": activities}
        texts: list[str] = [] if stages else ["No stage has started yet."]
        for number, stage in enumerate(stages):
            texts += [""] if number else []
            texts += [Heading(f"Stage {number} : {stage['name']}")]
            texts += skipped_lines(stage) if number in self._skipped else history_lines(stage, activities[number])
        return View(
            value=self._shown,
            picture=texts,
            news=[*([""] if before else []), *texts],
            has_changed=before != self._shown,
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


def listed(summary: Json) -> Json:
    return {
        "instanceId": summary["id"],
        "workflowId": summary["workflowID"],
        **members(summary, "workflowName", "status", "stage", "createdAt", "updatedAt", "terminatedAt"),
        **members(summary, "error", "errorCode"),
    }


def list_lines(pages: Iterable[list[Json]]) -> list[str]:
    return list(table_lines(pages, SystemClock().now_at()))
