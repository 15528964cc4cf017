"""The request for a batch: what it is to do, to which instances, how fast, and when it stops by itself."""

from __future__ import annotations

import json
import re
from typing import Any, Literal, cast, get_args

import msgspec

from headrace.errors import InvalidValue
from headrace.journal.lists import STATUSES, UNFINISHED, InstanceSearch
from headrace.journal.records import InstanceSummary
from headrace.usecases.reasons import check_reason, members_of
from headrace.workflows.activities import Json
from headrace.workflows.durations import moment_us
from headrace.workflows.failures import FAILURE_KINDS
from headrace.workflows.variables import check_variables

BatchKind = Literal["run", "redrive", "undo", "abort"]
KINDS: tuple[BatchKind, ...] = get_args(BatchKind)
MAX_ITEMS = 10_000
RATE, MAX_OPEN, STOP_AFTER = (20, 1_000), (100, MAX_ITEMS), (10, MAX_ITEMS)
"""By default, and at most."""
SELECTIONS = ("filter", "instances", "runs")
FILTERS = (
    "workflow",
    "stage",
    "failure",
    "code",
    "state",
    "startedAfter",
    "startedBefore",
    "endedAfter",
    "endedBefore",
)
MAX_CHARACTERS = 256
_ID = re.compile(r"[!-~]{1,256}")
_DEFAULT_STATES = {"redrive": "failed", "abort": UNFINISHED}
"""The state that a filter without one asks for."""


class Filter(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """Instances by workflow, number of the last stage that has begun, kind and code of failure, state, and times.

    `workflow`: an id, or a name, which stands for all of its versions.
    """

    workflow: str | None = None
    stage: int | None = None
    failure: str | None = None
    code: str | None = None
    state: str | None = None
    started_after: int | None = None
    started_before: int | None = None
    ended_after: int | None = None
    ended_before: int | None = None

    def search(self, workflow_id: str | None) -> InstanceSearch:
        """The part of the filter that an index of the journal answers; of one workflow, or of all."""
        return InstanceSearch(workflow_id=workflow_id, status=self.state, since_at=self.started_after)

    def fits(self, row: InstanceSummary) -> bool:
        """Whether the rest of the filter holds for an instance that the search has found."""
        ended_at = row.terminated_at
        return (
            (self.stage is None or row.stage_number == self.stage)
            and (self.failure is None or row.failure == self.failure)
            and (self.code is None or row.failure_code == self.code)
            and (self.started_before is None or row.created_at < self.started_before)
            and (self.ended_after is None or (ended_at is not None and ended_at >= self.ended_after))
            and (self.ended_before is None or (ended_at is not None and ended_at < self.ended_before))
        )


class RunItem(msgspec.Struct, frozen=True, rename="camel"):
    """The start of a new instance, as an item of a batch stores it."""

    workflow_id: str
    variables: dict[str, str]


class BatchRequest(msgspec.Struct, frozen=True):
    """A request for a batch. Exactly one of `filter`, `instances` and `runs` says what its items are."""

    kind: BatchKind
    reason: str
    rate: int
    max_open: int
    stop_after: int
    filter: Filter | None = None
    instances: tuple[str, ...] = ()
    runs: tuple[RunItem, ...] = ()


def parse_batch(value: object) -> BatchRequest:
    """Parse the body of a request for a batch. Raises InvalidValue, which names the member."""
    members = members_of(value, "kind", *SELECTIONS, "rate", "maxOpen", "stopAfter", "reason")
    kind = members.get("kind")
    if kind not in KINDS:
        raise InvalidValue("kind", f"must be one of {', '.join(KINDS)}")
    reason = check_reason(members.get("reason"))
    rate = _number(members, "rate", *RATE)
    max_open = _number(members, "maxOpen", *MAX_OPEN)
    stop_after = _number(members, "stopAfter", *STOP_AFTER)
    given = [name for name in SELECTIONS if name in members]
    if kind == "run" and given != ["runs"]:
        raise InvalidValue("runs", "is required with the kind run, and nothing else says what is started")
    if kind != "run" and (len(given) != 1 or given == ["runs"]):
        raise InvalidValue("filter", f"a batch of the kind {kind} has either filter or instances")
    request = BatchRequest(kind, reason, rate, max_open, stop_after)
    match given[0]:
        case "filter":
            return msgspec.structs.replace(request, filter=_filter(members["filter"], kind))
        case "instances":
            return msgspec.structs.replace(request, instances=_instances(members["instances"]))
        case _:
            return msgspec.structs.replace(request, runs=_runs(members["runs"]))


def _number(members: Json, name: str, default: int, most: int) -> int:
    value = members.get(name, default)
    if type(value) is not int or not 1 <= value <= most:
        raise InvalidValue(name, f"must be a whole number from 1 to {most:,}")
    return value


def _filter(value: object, kind: BatchKind) -> Filter:
    if not isinstance(value, dict):
        raise InvalidValue("filter", f"must be an object with some of {', '.join(FILTERS)}")
    try:
        members = members_of(cast("object", value), *FILTERS)
        found = _parsed(members)
    except InvalidValue as error:
        raise InvalidValue(f"filter.{error.field}", error.reason) from None
    if not members:
        raise InvalidValue("filter", f"is empty, so it would choose every instance: give some of {', '.join(FILTERS)}")
    if found.state is None and found.failure != "canceled" and kind in _DEFAULT_STATES:
        return msgspec.structs.replace(found, state=_DEFAULT_STATES[kind])
    return found


def _parsed(members: Json) -> Filter:
    for name in ("workflow", "code"):
        text: Any = members.get(name, "-")
        if not isinstance(text, str) or not 1 <= len(text) <= MAX_CHARACTERS:
            raise InvalidValue(name, f"must be text of 1 to {MAX_CHARACTERS} characters")
    stage = members.get("stage", 0)
    if type(stage) is not int or not 0 <= stage < 1 << 31:
        raise InvalidValue("stage", "must be the number of a stage, from 0")
    for name, known in (("failure", FAILURE_KINDS), ("state", (*STATUSES, UNFINISHED))):
        if name in members and members[name] not in known:
            raise InvalidValue(name, f"must be one of {', '.join(known)}")
    times = {name: moment_us(members[name], name) for name in FILTERS[5:] if name in members}
    return Filter(
        workflow=members.get("workflow"),
        stage=members.get("stage"),
        failure=members.get("failure"),
        code=members.get("code"),
        state=members.get("state"),
        started_after=times.get("startedAfter"),
        started_before=times.get("startedBefore"),
        ended_after=times.get("endedAfter"),
        ended_before=times.get("endedBefore"),
    )


def _instances(value: object) -> tuple[str, ...]:
    items = _list(value, "instances")
    seen: dict[str, int] = {}
    for place, item in enumerate(items):
        if not isinstance(item, str) or not _ID.fullmatch(item):
            raise InvalidValue(f"instances[{place}]", "must be the id of an instance, as text")
        if item in seen:
            raise InvalidValue(f"instances[{place}]", f"is instances[{seen[item]}] again")
        seen[item] = place
    return tuple(seen)


def _runs(value: object) -> tuple[RunItem, ...]:
    found: list[RunItem] = []
    for place, item in enumerate(_list(value, "runs")):
        where = f"runs[{place}]"
        if not isinstance(item, dict):
            raise InvalidValue(where, "must be an object with workflowID and variables")
        try:
            members = members_of(cast("object", item), "workflowID", "variables")
            workflow_id = members.get("workflowID")
            if not isinstance(workflow_id, str) or not _ID.fullmatch(workflow_id):
                raise InvalidValue("workflowID", "must be the id of a workflow, as text")
            found.append(RunItem(workflow_id, check_variables(members.get("variables") or {})))
        except InvalidValue as error:
            raise InvalidValue(f"{where}.{error.field}", error.reason) from None
    return tuple(found)


def _list(value: object, name: str) -> list[object]:
    if not isinstance(value, list) or not 1 <= len(cast("list[object]", value)) <= MAX_ITEMS:
        raise InvalidValue(name, f"must be a list of 1 to {MAX_ITEMS:,} items")
    return cast("list[object]", value)


def items_text(request: BatchRequest, instances: tuple[str, ...]) -> str:
    """The items of a batch as the journal stores them: `instances`, or those of the request."""
    ids = instances or request.instances
    items = [{"n": n, "instance": each, "run": None} for n, each in enumerate(ids, 1)] or [
        {"n": n, "instance": None, "run": msgspec.json.encode(run).decode()} for n, run in enumerate(request.runs, 1)
    ]
    return json.dumps(items)
