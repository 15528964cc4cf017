"""Rules about waits, about the order of stages, and about what only Headrace knows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from headrace.linting.rule import Level, Remark, rule
from headrace.linting.workflow import Workflow, is_literal
from headrace.workflows.conditions import WHEN
from headrace.workflows.schema import workflow_schema
from headrace.workflows.stages import STAGES

_OWN_UNITS = re.compile(r"[0-9.](?:d|w)")
_OWN_MEMBERS = {"wait_event": ("timeout", "on_timeout")}
_OWN_STAGES = ("approve",)
_HAS_TIMEOUT = "timeout" in STAGES["wait_event"].shape.members
_HAS_UNDO = "on_failure" in workflow_schema()["properties"]


@rule("same-event-twice", Level.WARNING)
def same_event_twice(workflow: Workflow) -> Iterator[Remark]:
    """Two waits have the same event name. A repeated event, sent to be safe, then releases both.

    Give each wait a name of its own, such as `approved-by-finance`.
    """
    first: dict[str, int] = {}
    for index, body in workflow.bodies("wait_event"):
        earlier = first.setdefault(body["event"], index)
        conditions = {workflow.stages[each].get(WHEN) for each in (earlier, index)}
        are_alternatives = None not in conditions and len(conditions) == 2
        if earlier != index and not are_alternatives:
            yield Remark(
                f"stages[{index}].wait_event.event",
                f"stage {earlier} waits for `{body['event']}`, too: one event sent twice releases both",
            )


@rule("wait-without-timeout", Level.WARNING, applies=_HAS_TIMEOUT)
def wait_without_timeout(workflow: Workflow) -> Iterator[Remark]:
    """A wait or an `approve` has no `timeout`: without an answer the run and its money wait without a limit.

    Add a `timeout`, and `on_timeout` to a wait if the run goes on without the event.
    """
    for index, stage in enumerate(workflow.stages):
        for keyword in ("wait_event", "approve"):
            body = stage.get(keyword)
            if body is not None and body.get("timeout") is None:
                awaited = f"the wait for `{body['event']}`" if keyword == "wait_event" else "the wait for approvals"
                yield Remark(f"stages[{index}].{keyword}", f"{awaited} has no end")


@rule("irreversible-not-last", Level.WARNING, applies=_HAS_UNDO)
def irreversible_not_last(workflow: Workflow) -> Iterator[Remark]:
    """A payout comes before a stage that can fail, under `on_failure: undo`: an undo cannot bring the payout back.

    Move the payout behind every stage that can fail.
    """
    if workflow.document.get("on_failure") != "undo":
        return
    risky = max((index for index, stage in enumerate(workflow.stages) if _can_fail(stage)), default=-1)
    for send in workflow.sends:
        if send.destination.kind == "payment" and send.index < risky:
            yield Remark(send.path, f"stage {risky} can fail after the payout of stage {send.index}")


def _can_fail(stage: dict[str, Any]) -> bool:
    if WHEN in stage:  # it fails where its condition cannot be evaluated
        return True
    if "wait_event" in stage:
        return "timeout" in stage["wait_event"] and stage["wait_event"].get("on_timeout") != "continue"
    return "delay" not in stage


@rule("not-portable", Level.NOTE)
def not_portable(workflow: Workflow) -> Iterator[Remark]:
    """The definition uses what Headrace adds to the language; other servers of the API refuse it or ignore it.

    Keep it if the workflow stays on Headrace. Else write it without: days as hours, for example.
    """
    for index, stage in enumerate(workflow.stages):
        path = f"stages[{index}]"
        if WHEN in stage:
            yield Remark(f"{path}.{WHEN}", "`when` exists in Headrace only")
        for keyword in _OWN_STAGES:
            if keyword in stage:
                yield Remark(f"{path}.{keyword}", f"the stage `{keyword}` exists in Headrace only")
        for keyword, members in _OWN_MEMBERS.items():
            for member in members:
                if member in stage.get(keyword, {}):
                    yield Remark(f"{path}.{keyword}.{member}", f"`{member}` exists in Headrace only")
        duration = stage.get("delay", {}).get("duration")
        if is_literal(duration) and _OWN_UNITS.search(duration):
            yield Remark(f"{path}.delay.duration", f"`{duration}` has a unit, `d` or `w`, of Headrace only")
    if "on_failure" in workflow.document:
        yield Remark("on_failure", "`on_failure` exists in Headrace only")
