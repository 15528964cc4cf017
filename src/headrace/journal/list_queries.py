"""Which query reads a list, and the SQL of each kind of search of instances.

Every search is answered by one index whose order is that of the list, so that a page costs the same however many
instances there are. Filters that no single index answers together are refused by the API.
"""

from __future__ import annotations

from typing import Any

from headrace.journal.lists import (
    STATUSES,
    UNFINISHED,
    AnyList,
    AttentionList,
    BatchList,
    HandleList,
    InstanceList,
    InstanceSearch,
    KeptTriggerList,
    OccurrenceList,
    Place,
    PlanList,
    TriggerList,
    WorkflowList,
)
from headrace.journal.records import InstanceSummary

EARLIEST_AT = -(2**63)

_BY_INSTANCE = """\
SELECT {columns} FROM instances AS i {joined}
WHERE {condition}{since} AND (i.created_at, i.id) {side} (?, ?)
ORDER BY i.created_at {order}, i.id {order} LIMIT ?"""
_BY_VARIABLE = """\
SELECT {columns} FROM instance_variables AS v {first_join} instances AS i ON i.id = v.instance_id {joined}
WHERE {condition}{since} AND (v.created_at, v.instance_id) {side} (?, ?)
ORDER BY v.created_at {order}, v.instance_id {order} LIMIT ?"""
_MATCHING = "SELECT {columns} FROM instances AS i WHERE {condition}{since} LIMIT ?"
_MATCHING_VARIABLE = """\
SELECT {columns} FROM instance_variables AS v {first_join} instances AS i ON i.id = v.instance_id
WHERE {condition}{since} LIMIT ?"""

_SUMMARY = """\
i.id, i.workflow_id, (SELECT name FROM workflows WHERE id = i.workflow_id), i.status, i.created_at, i.updated_at,
    i.terminated_at, i.error, i.error_code, s.number, s.keyword, i.failure, i.failure_code, i.amount"""
_LAST_STAGE = """\
LEFT JOIN stages AS s
    ON s.instance_id = i.id AND s.number = (SELECT max(number) FROM stages WHERE instance_id = i.id)"""

_CONDITIONS = {
    "search": "true",
    "search_workflow": "i.workflow_id = ?",
    "search_unfinished": "i.terminated_at IS NULL",
    "search_workflow_unfinished": "i.workflow_id = ? AND i.terminated_at IS NULL",
    "search_status": "i.status = ?",
    "search_workflow_status": "i.workflow_id = ? AND i.status = ?",
    "search_error": "i.error_code = ?",
    "search_workflow_error": "i.workflow_id = ? AND i.error_code = ?",
    "search_variable": "v.fingerprint = ?",
}


def search_texts(first_join: str, ids: str) -> dict[str, str]:
    """By name: the filters in use, and the direction, or what is read of all that match. Parameters are `?`.

    `first_join` joins two tables; where the database allows it, the first one is read first. `ids`: a query for the ids
    in a JSON list.
    """
    found: dict[str, str] = {}
    for name, condition in _CONDITIONS.items():
        text = _BY_VARIABLE if name == "search_variable" else _BY_INSTANCE
        since = f" AND {'v' if name == 'search_variable' else 'i'}.created_at >= ?"
        older = {"condition": condition, "since": since, "side": "<", "order": "DESC", "first_join": first_join}
        newer = {"condition": condition, "since": "", "side": ">", "order": "ASC", "first_join": first_join}
        found[f"{name}_page"] = text.format(columns=_SUMMARY, joined=_LAST_STAGE, **older)
        found[f"{name}_before"] = text.format(columns="i.created_at, i.id", joined="", **newer)
        matching = _MATCHING_VARIABLE if name == "search_variable" else _MATCHING
        found[f"{name}_count"] = f"SELECT count(*) FROM ({matching.format(columns='1', **older)}) AS matching"
        found[f"{name}_amounts"] = matching.format(columns="i.amount", **older)
    found["summaries"] = f"SELECT {_SUMMARY} FROM instances AS i {_LAST_STAGE} WHERE i.id IN ({ids})"
    return found


def summary_of(row: tuple[Any, ...]) -> InstanceSummary:
    """An instance of a list, from its row."""
    values: list[Any] = list(row)
    values[3] = STATUSES[values[3]]
    return InstanceSummary(*values)


_PLAIN: dict[type, str] = {BatchList: "batches", HandleList: "handles", KeptTriggerList: "kept_triggers"}


def list_query(rows: AnyList) -> tuple[str, tuple[Any, ...]]:
    """Name of the queries that read this list, without `_page` or `_before`, and the values of its filters."""
    match rows:
        case WorkflowList():
            return "workflows", ()
        case InstanceList(workflow_id=None):
            return ("running_instances" if rows.running else "instances"), ()
        case InstanceList():
            name = "running_instances_of_workflow" if rows.running else "instances_of_workflow"
            return name, (rows.workflow_id,)
        case TriggerList(name=None):
            return "triggers", ()
        case TriggerList(name=name):
            return "named_triggers", (str(name).casefold(),)
        case OccurrenceList():
            return "occurrences", (rows.trigger_id,)
        case AttentionList():
            return "attention", (rows.instance_id or "",)
        case PlanList(state=None):
            return "plans", ()
        case PlanList(state=state, at=at):
            return "plans_in_state", (at, state)
        case BatchList() | HandleList() | KeptTriggerList():
            return _PLAIN[type(rows)], ()
        case InstanceSearch():
            return _search(rows)


def _search(rows: InstanceSearch) -> tuple[str, tuple[Any, ...]]:
    filters: list[tuple[str, Any]] = []
    if rows.workflow_id is not None:
        filters.append(("workflow", rows.workflow_id))
    if rows.status is not None and rows.status != UNFINISHED:
        filters.append(("status", STATUSES.index(rows.status)))
    if rows.error_code is not None:
        filters.append(("error", rows.error_code))
    if rows.fingerprint is not None:
        filters.append(("variable", rows.fingerprint))
    names = [name for name, _ in filters] + (["unfinished"] if rows.status == UNFINISHED else [])
    return "_".join(["search", *names]), tuple(value for _, value in filters)


def since(rows: InstanceSearch) -> int:
    """The one parameter that stands between the filters and the place, in the direction `page` only."""
    return EARLIEST_AT if rows.since_at is None else rows.since_at


def no_earlier(rows: InstanceSearch, place: Place) -> Place:
    """The start of the direction `before`: a database would scan from the beginning for two lower bounds."""
    return place if rows.since_at is None else max(place, Place(rows.since_at, ""))
