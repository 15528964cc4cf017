"""Made-up requests are given something to work on: half of their ids exist, some of their bodies are ones to accept."""

from __future__ import annotations

import random
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jsonschema_rs
from schemathesis.core.parameters import ParameterLocation

from tests.api.server_contents import (
    DEFINITIONS,
    ENDS_IT,
    EVENT,
    FILTERS,
    PAY_IN,
    PLACES,
    SOURCES,
    VARIABLES,
    ServerContents,
)

Json = dict[str, Any]

KEYS = [f"again-{number}" for number in range(8)]
"""Idempotency-Keys that come again."""


def fill_in(case: Any, operation_id: str, contents: ServerContents, chance: random.Random) -> bool:
    """Changes the case in place. True: what its path names is there."""
    is_kept = case.meta.generation.mode.is_positive
    name = _base(operation_id)
    if is_kept:
        _query(case, contents, chance)
        _key(case, chance)
        _body(case, name, contents, chance)
    elif isinstance(case.body, dict) and case.body.get("workflowID") and isinstance(case.body["workflowID"], str):
        case.body = {**case.body, "workflowID": contents.id_of("workflow", chance)}
    return _path(case, name, contents, chance) and name != "resolveEffect"  # no effect there needs attention


def _key(case: Any, chance: random.Random) -> None:
    """Mostly one of its own: with one that was used before, nothing else about a request matters."""
    key = case.headers.get("Idempotency-Key")
    if key is not None and case.meta.phase.data.parameter != "Idempotency-Key":
        fresh = f"{key[:200]}{chance.getrandbits(64):x}"
        case.headers = {**case.headers, "Idempotency-Key": chance.choice(KEYS) if chance.random() < 0.1 else fresh}


def is_tolerated(case: Any, operation_id: str, body: Any, sent_url: str) -> bool:
    """What the description forbids and the server takes on purpose, because some clients send it.

    An empty query parameter is as good as none, and one that is not known is not looked at; `null` is as good as
    leaving a member out. Variables of a run may be numbers and booleans, an event's id a number: their texts are
    taken. A server without authentication gives a token whatever is asked.
    """
    sent = parse_qs(urlsplit(sent_url).query, keep_blank_values=True)
    about = case.meta.phase.data
    if about.parameter_location == ParameterLocation.QUERY and "unexpected properties" in about.description:
        return True
    if any("" in sent.get(parameter.name, []) for parameter in case.operation.query):
        return True
    if _base(operation_id) in ("getToken", "getGatewayToken"):
        return True
    if body is None or not isinstance(case.body, dict | list) or case.meta.generation.mode.is_positive:
        return False
    try:
        return jsonschema_rs.is_valid(body, _as_read(case.body, _base(operation_id)))
    except ValueError:
        return False


def _as_read(body: Any, name: str) -> Any:
    """As if the client had sent what is meant."""
    if isinstance(body, list):
        return [_as_read(item, name) for item in body]
    if not isinstance(body, dict):
        return body
    given = {key: value for key, value in body.items() if value is not None}
    if name in ("createWorkflow", "createPlan", "putWorkflow", "apply"):
        return _without_nulls(given)
    if name in ("runWorkflow", "runNamedWorkflow"):
        return {key: str(value) if isinstance(value, int | float) else value for key, value in given.items()}
    if name == "sendEvents" and isinstance(given.get("id"), int):
        given["id"] = str(given["id"])
    return given


def _without_nulls(value: Any) -> Any:
    """A definition in which members of stages that are null are left out."""
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {key: _without_nulls(member) for key, member in value.items() if member is not None}


def _base(operation_id: str) -> str:
    """V2 has V1's name behind a prefix."""
    name = operation_id.removeprefix("v2")
    return name[0].lower() + name[1:]


def _path(case: Any, name: str, contents: ServerContents, chance: random.Random) -> bool:
    parameters = dict(case.path_parameters or {})
    if not parameters or chance.random() < 0.3:
        return False
    for place, kind in PLACES.items():
        if place in parameters:
            is_ended = ENDS_IT.get(name) == kind
            parameters[place] = contents.fresh(kind) if is_ended else contents.id_of(kind, chance)
    if "triggerID" in parameters and case.query.get("cursor"):
        parameters["triggerID"] = contents.fired_id
    is_number_made = "number" in parameters
    if is_number_made and case.meta.generation.mode.is_positive and chance.random() < 0.7:
        parameters["number"], is_number_made = 0, False
    case.path_parameters = parameters
    return not is_number_made


def _query(case: Any, contents: ServerContents, chance: random.Random) -> None:
    known = {parameter.name for parameter in case.operation.query}
    query = dict(case.query or {})
    if "workflowID" in known and chance.random() < 0.4:
        query["workflowID"] = contents.id_of("workflow", chance)
    if "target" in known and chance.random() < 0.4:
        query["target"] = contents.id_of(chance.choice(["workflow", "instance"]), chance)
    if "name" in known and chance.random() < 0.3:
        query["name"] = ""
    if "cursor" in known and chance.random() < 0.7:
        query.pop("cursor", None)
        cursor = contents.cursor_of(case.operation.path, chance)
        if cursor and chance.random() < 0.5:
            query = {"cursor": cursor}
    if query != case.query:
        case.query = query


def _body(case: Any, name: str, contents: ServerContents, chance: random.Random) -> None:
    make = _BODIES.get(name)
    if make is not None and chance.random() < 0.6:
        case.body = make(case.body if isinstance(case.body, dict) else {}, contents, chance)


def _workflow(body: Json, contents: ServerContents, chance: random.Random) -> Json:
    return {**chance.choice(DEFINITIONS), **({"name": body["name"]} if "name" in body else {})}


def _trigger(body: Json, contents: ServerContents, chance: random.Random) -> Json:
    """Names and texts as they were made up; what must mean something is taken from here."""
    made = {**body, "workflowID": contents.id_of("workflow", chance)}
    if "event" not in made or chance.random() < 0.3:
        made["event"] = EVENT
    if "filter" in made:
        made["filter"] = chance.choice(FILTERS)
    if "vars" in made:
        made["vars"] = {key: chance.choice(SOURCES) for key in made["vars"]}
    return made


def _variables(body: Json, contents: ServerContents, chance: random.Random) -> Json:
    return {**body, **VARIABLES}


def _event(body: Json, contents: ServerContents, chance: random.Random) -> Json:
    return {"name": "go"} if chance.random() < 0.5 else body or {"name": "go"}


def _payload(body: Json, contents: ServerContents, chance: random.Random) -> Json:
    return {**PAY_IN, **body}


def _envelope(body: Json, contents: ServerContents, chance: random.Random) -> Any:
    envelope = {**body, "type": EVENT, "payload": {**PAY_IN, **body.get("payload", {})}}
    return envelope if chance.random() < 0.6 else [envelope, {**envelope, "id": chance.choice(KEYS)}]


def _plan(body: Json, contents: ServerContents, chance: random.Random) -> Json:
    """Of a stored workflow; every fifth of a definition."""
    if chance.random() < 0.2:
        return {"definition": chance.choice(DEFINITIONS), "variables": VARIABLES}
    return {"workflowID": contents.id_of("workflow", chance), "variables": VARIABLES}


def _decision(body: Json, contents: ServerContents, chance: random.Random) -> Json:
    """With the hash of a plan, which may be that of another one."""
    return {"hash": contents.plan_hash, "reason": "seen"}


def _certificate(body: Json, contents: ServerContents, chance: random.Random) -> Json:
    """Of a period, sometimes one that ends before it begins; every third of a case."""
    if chance.random() < 0.7:
        ends = ("2020-02-01T00:00:00Z", "2020-03-01T00:00:00Z", "2020-04-01T00:00:00Z", "2019-12-31T00:00:00Z")
        return {"from": "2020-01-01T00:00:00Z", "to": chance.choice(ends)}
    return {"instance": contents.id_of("instance", chance)}


def _batch(body: Json, contents: ServerContents, chance: random.Random) -> Json:
    """Of few items; every third by a filter."""
    limits = {name: value for name, value in body.items() if name in ("rate", "maxOpen", "stopAfter")}
    if chance.random() < 0.3:
        chosen = {"workflow": contents.id_of("workflow", chance)}
        return {"kind": chance.choice(("redrive", "undo", "abort")), "filter": chosen, "reason": "r", **limits}
    if chance.random() < 0.5:
        return {"kind": "undo", "instances": [contents.id_of("instance", chance)], "reason": "r", **limits}
    return {"kind": "run", "runs": [contents.run_item()], "reason": "r", **limits}


def _named(body: Json, contents: ServerContents, chance: random.Random) -> Json:
    definition = {name: value for name, value in chance.choice(DEFINITIONS).items() if name != "name"}
    return {**{name: body[name] for name in ("ifVersion", "set") if name in body}, "definition": definition}


def _kept(body: Json, contents: ServerContents, chance: random.Random) -> Json:
    return {"event": "NEVER", "workflow": contents.id_of("name", chance), "filter": chance.choice(FILTERS)}


def _applied(body: Json, contents: ServerContents, chance: random.Random) -> Json:
    """Of few documents, which it may prune the next time."""
    documents = {f"applied-{chance.randrange(4)}": _named({}, contents, chance)["definition"] for _ in range(2)}
    kept = {"applied": _kept({}, contents, chance)} if chance.random() < 0.5 else {}
    flags = {"prune": chance.random() < 0.3, "dryRun": chance.random() < 0.3}
    return {"workflows": documents, "triggers": kept, "set": "made-up", **flags}


_BODIES = {
    "putWorkflow": _named,
    "putTrigger": _kept,
    "apply": _applied,
    "runNamedWorkflow": _variables,
    "createBatch": _batch,
    "approveBatch": _decision,
    "rejectBatch": _decision,
    "approvePlan": _decision,
    "rejectPlan": _decision,
    "createCertificate": _certificate,
    "createPlan": _plan,
    "createWorkflow": _workflow,
    "createTrigger": _trigger,
    "runWorkflow": _variables,
    "sendEvent": _event,
    "sendEvents": _envelope,
    "testTrigger": _payload,
}
