"""History of a stage and its activities as text, from the documents of the history operations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from headrace.cli.display import moment
from headrace.cli.documents import inner
from headrace.workflows.activities import ACTIVITIES, metadata_lines, money_text
from headrace.workflows.stages import COMPUTED, RUN
from headrace.workflows.stages.stage import Display

Json = dict[str, Any]


def stage_lines(stage: Json, activities: list[Json]) -> list[str]:
    lines = [f"  Started at: {moment(stage['startedAt'])}"]
    if stage.get("terminatedAt"):
        lines.append(f"  Ended at: {moment(stage['terminatedAt'])}")
    lines += [f"  {text}" for text in _stage_sentences(stage)]
    if activities:
        lines.append("  History :")
        lines += [f"    {text}" for activity in activities for text in activity_lines(activity)]
    if stage.get("error"):
        lines.append(f"  Stage terminated with error: {stage['error']}")
    return lines


def skipped_lines(stage: Json) -> list[str]:
    """The history of a stage whose condition was false."""
    lines = [f"  Started at: {moment(stage['startedAt'])}", "  Skipped: its `when` was false."]
    if stage.get("error"):
        lines.append(f"  Stage terminated with error: {stage['error']}")
    return lines


def activity_lines(activity: Json) -> list[str]:
    """A sentence about an activity, and its details below."""
    name = activity["name"]
    body = inner(activity["input"], name)
    try:
        if name in ACTIVITIES:
            sentence = ACTIVITIES[name].summary(body)
        elif name in _ELSEWHERE:
            sentence = _ELSEWHERE[name](body)
        else:
            sentence = name
    except LookupError:  # other servers may omit members that the API does not require
        sentence = name
    lines = [f"- {sentence}"]
    lines += [f"  {detail}" for detail in _details(activity, body)]
    return lines


def stage_sentence(stage: Json) -> str:
    return _stage_sentences(stage)[0]


def _stage_sentences(stage: Json) -> list[str]:
    name = stage["name"]
    if name not in RUN:
        return [name]
    has_succeeded = stage["terminated"] and not stage.get("error")
    body: Json = stage["input"]
    if name in COMPUTED:  # the client has no class for it
        body = body.get("members") or body
    return RUN[name].describe(body, Display(has_succeeded, moment))


_ELSEWHERE: dict[str, Callable[[Json], str]] = {
    "StripeTransfer": lambda body: (
        f"Send {money_text(body)} to Stripe connected account: {body.get('destination', '')}"
    ),
    "ConfirmHold": lambda body: f"Confirm debit hold {body.get('id', '')}",
    "VoidHold": lambda body: f"Cancel debit hold {body.get('id', '')}",
}
"""Activities of other servers that no stage of Headrace uses."""


def _details(activity: Json, body: Json) -> list[str]:
    name = activity["name"]
    output = inner(inner(activity, "output"), name)
    result = ACTIVITIES[name].result(output) if name in ACTIVITIES else ""
    details = [result] if result else []
    data = body.get("data") or body
    if data.get("reference"):
        details.append(f"Reference: {data['reference']}")
    details += metadata_lines(data.get("metadata"))

    # Retries and failures.
    if activity.get("lastFailure"):
        details.append(f"Last failure: {activity['lastFailure']}")
    if activity.get("nextExecution"):
        details.append(f"Next try: {moment(activity['nextExecution'])}")
    if activity["attempt"] > 1 or not activity["terminated"]:
        details.append(f"Attempt: {activity['attempt']}")
    if activity.get("error"):
        details.append(f"Error: {activity['error']}")
    return details
