"""MS-10: what V1 answers about instances knows nothing of what V1 does not have.

Each answer has the members, words and rules of the public description (`tests/conformance/wire.py`), and says what the
rows say. What V1 has answered about the end of an instance stands, whatever a person does to its case afterwards.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from headrace.api.v1 import views
from headrace.testing.virtual import finished
from tests.conformance.wire import problems
from tests.interleavings.facts import Facts
from tests.interleavings.v1_answers import shown

Json = dict[str, Any]
_HEADERS = {"content-type": "application/json"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def v1_is_as_it_was(facts: Facts) -> Iterator[str]:
    """See the module."""
    journal = facts.world.journal
    for instance_id, row in facts.instances.items():
        body = shown(journal, instance_id)
        chain = facts.chain(instance_id)
        stages = _stages(facts, chain)
        yield from _wrong("getInstance", instance_id, body)
        if json.loads(body)["data"] != _instance(row, stages):
            yield f"MS-10 getInstance of {instance_id} does not say what its rows say: {body.decode()}"
        if (then := facts.world.ends.get(instance_id)) is not None and not _stands(then, body):
            yield f"MS-10 {instance_id} had ended as {then.decode()}, and is {body.decode()}"
        if facts.instances[chain[-1]]["kind"] == "undo":
            continue  # its stages are an extension: V1 has no such keywords and activities
        yield from _wrong("getInstanceHistory", instance_id, _history(facts, instance_id))
        for stage in stages:
            activities = finished(journal.activities(instance_id, stage["number"]))
            yield from _wrong("getInstanceStageHistory", instance_id, views.activity_history_response(activities))


def _stages(facts: Facts, chain: list[str]) -> list[Json]:
    """The stages of an instance: its own, and before those the ones that it has taken over."""
    found: dict[int, Json] = {}
    for each in chain:
        for row in facts.rows(f"SELECT * FROM stages WHERE instance_id = '{each}'"):
            found.setdefault(row["number"], row)
    return [found[number] for number in sorted(found)]


def _stands(then: bytes, now: bytes) -> bool:
    """The end is as it was told. A stage that an abort left open may have ended since, with what was settled late."""
    before, after = json.loads(then)["data"], json.loads(now)["data"]
    for old, new in zip(before["status"], after["status"], strict=True):
        if "terminatedAt" not in old:
            new.pop("terminatedAt", None)
            new.pop("error", None)
    return before == after


def _history(facts: Facts, instance_id: str) -> bytes:
    return views.history_response(finished(facts.world.journal.stages(instance_id)))


def _wrong(operation: str, instance_id: str, body: bytes) -> Iterator[str]:
    yield from (f"MS-10 {operation} of {instance_id}: {each}" for each in problems(operation, 200, _HEADERS, body))


def _instance(row: Json, stages: list[Json]) -> Json:
    """An instance as V1 describes it, from its rows."""
    status = [{"stage": each["number"], "instanceID": row["id"], **_ending(each, "startedAt")} for each in stages]
    ending = _ending({**row, "started_at": row["created_at"]}, "createdAt")
    return {
        "id": row["id"],
        "workflowID": row["workflow_id"],
        "updatedAt": _moment(row["updated_at"]),
        "terminated": row["terminated_at"] is not None,
        "status": status,
        **ending,
    }


def _ending(row: Json, started: str) -> Json:
    members = {started: _moment(row["started_at"])}
    if row["terminated_at"] is not None:
        members["terminatedAt"] = _moment(row["terminated_at"])
    return members if row["error"] is None else {**members, "error": row["error"]}


def _moment(at: int) -> str:
    return f"{_EPOCH + timedelta(microseconds=at):%Y-%m-%dT%H:%M:%S.%f}Z"
