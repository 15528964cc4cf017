"""A checker of what goes over the wire: every response of the V1 and the V2 operations.

The official clients forgive much, each in its own way, so passing with one of them proves little. This walks the
bytes: exact status and content type, exact fields, nothing null, no list missing, integers exact, dates in UTC with
`Z`, and what the official command line needs beyond the schemas. It knows the public description, not our code.

    check("getInstance", status, headers, body)             # raises WireError with everything that is wrong
    check(operation_of("GET", "/instances/x"), ...)
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn

from tests.conformance.shapes import (
    Anything,
    Boolean,
    DateTime,
    Integer,
    ListOf,
    MapOf,
    Nullable,
    Object,
    Report,
    Shape,
    Text,
)


class WireError(AssertionError):
    """A response that some client would stumble over."""


# rules between fields


def _ended_has_a_time(value: dict[str, Any], report: Report) -> None:
    if value["terminated"] != ("terminatedAt" in value):
        report("terminated and terminatedAt disagree")


def _times_run_forwards(value: dict[str, Any], report: Report) -> None:
    times = [value[name] for name in ("createdAt", "startedAt", "updatedAt", "terminatedAt") if name in value]
    if [_moment(time) for time in times] != sorted(_moment(time) for time in times):
        report(f"times run backwards: {times}")


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _stages_in_order(value: dict[str, Any], report: Report) -> None:
    status = value.get("status", [])
    if [stage["stage"] for stage in status] != list(range(len(status))):
        report("status is not one entry per started stage, in order")
    if any(stage["instanceID"] != value["id"] for stage in status):
        report("a stage of another instance")


def _error_ends(value: dict[str, Any], report: Report) -> None:
    if "error" in value and not value["terminated"]:
        report("an error, yet not terminated")


def _input_fits_name(value: dict[str, Any], report: Report) -> None:
    shape = STAGE_INPUTS.get(value["name"])
    if shape is None:
        report(f"{value['name']!r} is no stage")
        return
    if "error" in value:
        return  # a stage that was refused shows what it was given
    found: list[str] = []
    shape.check(value["input"], "input", found)
    for what in found:
        report(what)


def _retries_only_while_open(value: dict[str, Any], report: Report) -> None:
    for name in ("lastFailure", "nextExecution"):
        if value["terminated"] and name in value:
            report(f"{name} on an activity that has ended")


def _keys_fit_name(value: dict[str, Any], report: Report) -> None:
    for side in ("input", "output"):
        if side in value and list(value[side]) != [value["name"]]:
            report(f"{side} is not under {value['name']}")


def _output_when_done(value: dict[str, Any], report: Report) -> None:
    is_done = value["terminated"] and "error" not in value
    if is_done and value["name"] in MUST_HAVE_OUTPUT and "output" not in value:
        report("ended without error and without output")
    if not is_done and "output" in value:
        report("an output, yet not ended without error")


def _references_agree(value: dict[str, Any], report: Report) -> None:
    if value["name"] != "CreateTransaction" or "output" not in value:
        return
    sent = value["input"]["CreateTransaction"]["data"].get("reference")
    data = value["output"]["CreateTransaction"]["data"]
    for transaction in data if isinstance(data, list) else [data]:
        booked = transaction.get("reference")
        if sent is not None and booked != sent:
            report(f"input has reference {sent!r}, output {booked!r}")


def _more_is_next(value: dict[str, Any], report: Report) -> None:
    if value["hasMore"] != ("next" in value):
        report("hasMore and next disagree")
    if len(value["data"]) > value["pageSize"]:
        report(f"{len(value['data'])} rows on a page of {value['pageSize']}")


def _wallet_has_balance(value: dict[str, Any], report: Report) -> None:
    if value["type"] == "WALLET" and "balance" not in value:
        report("a WALLET subject without balance")


# contract 3: stages

NAME = Text(minimum=1)
MONETARY = Object({"asset": NAME, "amount": Integer(0)})
STRINGS = MapOf(Text())
ACCOUNT = Object({"id": NAME, "ledger": NAME}, {"throughAccount": NAME, "allowOverdraft": Boolean()})
WALLET = Object({"id": Text(), "balance": NAME}, {"name": NAME})
SOURCE_PAYMENT = Object(
    {"id": NAME},
    {"ledger": NAME, "holdingAccount": NAME, "throughAccount": NAME, "allowOverdraft": Boolean()},
)
DESTINATION_PAYMENT = Object(
    {"psp": NAME},
    {
        "type": Text(("TRANSFER", "PAYOUT")),
        "sourceAccount": Text(),
        "metadata": Text(),
        "connectorID": Text(),
        "waitingValidation": Boolean(),
    },
)
STAGE_INPUTS: dict[str, Shape] = {
    "send": Object(
        {
            "source": Object(
                optional={"account": ACCOUNT, "wallet": WALLET, "payment": SOURCE_PAYMENT}, exactly_one=True
            ),
            "destination": Object(
                optional={"account": ACCOUNT, "wallet": WALLET, "payment": DESTINATION_PAYMENT}, exactly_one=True
            ),
            "amount": MONETARY,
        },
        {"metadata": STRINGS, "timestamp": DateTime(is_ours=False)},
    ),
    "delay": Object(optional={"duration": NAME, "until": DateTime(is_ours=False)}, exactly_one=True),
    "wait_event": Object({"event": NAME}, {"timeout": NAME, "on_timeout": NAME}),
    "approve": Object(optional={"title": NAME, "approvals": Integer(1), "timeout": NAME}),
    "update": Object({"account": Object({"id": NAME, "ledger": NAME, "metadata": STRINGS})}),
}

# contract 3: activities

POSTING = Object({"amount": Integer(0), "asset": NAME, "source": NAME, "destination": NAME})
SUBJECT = Object(
    {"type": Text(("ACCOUNT", "WALLET")), "identifier": NAME}, {"balance": NAME}, rules=(_wallet_has_balance,)
)
TRANSACTION_INPUT = Object(
    {"metadata": STRINGS, "postings": ListOf(POSTING, 1)},
    {
        "script": Object({"plain": NAME}, {"vars": Anything()}),
        "reference": NAME,
        "timestamp": DateTime(is_ours=False),
    },
)
TRANSFER = Object(
    {"amount": Integer(0), "asset": NAME, "destination": NAME},
    {
        "connectorID": Text(),
        "provider": Text(),
        "source": Text(),
        "type": Text(("TRANSFER", "PAYOUT")),
        "description": Text(),
        "waitingValidation": Boolean(),
        "metadata": Anything(),
    },
)
BY_ID = Object({"id": NAME})
ACTIVITY_INPUTS: dict[str, Shape] = {
    "GetAccount": Object({"id": NAME, "ledger": NAME}),
    "AddAccountMetadata": Object({"id": NAME, "ledger": NAME, "metadata": STRINGS}),
    "CreateTransaction": Object({"ledger": NAME, "data": TRANSACTION_INPUT}),
    "CreateTransferInitiation": TRANSFER,
    "RevertTransaction": Object({"id": NAME, "ledger": NAME}),
    "GetPayment": BY_ID,
    "GetWallet": BY_ID,
    "ListWallets": Object(optional={"name": NAME}),
    "CreditWallet": Object(
        {
            "id": NAME,
            "data": Object(
                {"amount": MONETARY, "sources": ListOf(SUBJECT, 1), "metadata": STRINGS, "balance": NAME},
                {"reference": NAME, "timestamp": DateTime(is_ours=False)},
            ),
        }
    ),
    "DebitWallet": Object(
        {
            "id": NAME,
            "data": Object(
                {"amount": MONETARY, "metadata": STRINGS, "balances": ListOf(NAME, 1)},
                {
                    "pending": Boolean(),
                    "description": Text(),
                    "destination": SUBJECT,
                    "timestamp": DateTime(is_ours=False),
                },
            ),
        }
    ),
}

VOLUME = Object({"input": Integer(), "output": Integer()}, {"balance": Integer()})
WALLET_FIELDS: dict[str, Shape] = {
    "id": NAME,
    "name": Text(),
    "metadata": STRINGS,
    "createdAt": DateTime(is_ours=False),
    "ledger": NAME,
}
PROVIDERS = ("STRIPE", "DUMMY-PAY", "WISE", "MODULR", "CURRENCY-CLOUD", "BANKING-CIRCLE", "MANGOPAY", "MONEYCORP")
STATUSES = ("PENDING", "ACTIVE", "TERMINATED", "FAILED", "SUCCEEDED", "CANCELLED")
SCHEMES = (
    *("visa", "mastercard", "amex", "diners", "discover", "jcb", "unionpay", "sepa debit", "sepa credit", "sepa"),
    *("apple pay", "google pay", "a2a", "ach debit", "ach", "rtp", "unknown", "other"),
)
ADJUSTMENT = Object(
    {
        "status": Text(STATUSES),
        "amount": Integer(),
        "date": DateTime(is_ours=False),
        "raw": Anything(allows_null=True),
        "absolute": Boolean(),
    }
)
PAYMENT = Object(
    {
        **{name: Text() for name in ("id", "reference", "connectorID", "sourceAccountID", "destinationAccountID")},
        "asset": NAME,
        "type": Text(("PAY-IN", "PAYOUT", "TRANSFER", "OTHER")),
        "status": Text(STATUSES),
        "initialAmount": Integer(0),
        "scheme": Text(SCHEMES),
        "createdAt": DateTime(is_ours=False),
        "raw": Nullable(Anything(allows_null=True)),
        "adjustments": ListOf(ADJUSTMENT),
        "metadata": Nullable(Anything()),
    },
    {"provider": Text(PROVIDERS)},
    is_open=True,
)
ACTIVITY_OUTPUTS: dict[str, Shape] = {
    "GetAccount": Object(
        {
            "data": Object(
                {"address": NAME, "metadata": STRINGS},
                {"volumes": MapOf(VOLUME), "effectiveVolumes": MapOf(VOLUME)},
                is_open=True,
            )
        }
    ),
    "CreateTransaction": Object(
        {
            "data": Object(
                {
                    "id": Integer(0),
                    "postings": ListOf(POSTING, 1),
                    "timestamp": DateTime(is_ours=False),
                    "metadata": STRINGS,
                    "reverted": Boolean(),
                },
                {"reference": NAME},
                is_open=True,
            )
        }
    ),
    "GetPayment": Object({"data": PAYMENT}),
    "DebitWallet": Object(
        {
            "data": Object(
                {"id": NAME, "walletID": NAME, "metadata": STRINGS, "description": Text()}, {"destination": SUBJECT}
            )
        }
    ),
    "GetWallet": Object(
        {
            "data": Object(
                {**WALLET_FIELDS, "balances": Object({"main": Object({"assets": MapOf(Integer())})}, is_open=True)},
                is_open=True,
            )
        }
    ),
    "ListWallets": Object(
        {
            "cursor": Object(
                {"pageSize": Integer(0), "data": ListOf(Object(WALLET_FIELDS, is_open=True))},
                {"hasMore": Boolean(), "next": Text(), "previous": Text()},
            )
        }
    ),
}
ACTIVITY_OUTPUTS["RevertTransaction"] = ACTIVITY_OUTPUTS["CreateTransaction"]
V2_ACTIVITY_INPUTS = {name: shape for name, shape in ACTIVITY_INPUTS.items() if name != "RevertTransaction"}
V2_ACTIVITY_OUTPUTS: dict[str, Shape] = {
    **{name: shape for name, shape in ACTIVITY_OUTPUTS.items() if name != "RevertTransaction"},
    "CreateTransaction": Object(
        {
            "data": ListOf(
                Object(
                    {
                        "txid": Integer(0),
                        "postings": ListOf(POSTING, 1),
                        "timestamp": DateTime(is_ours=False),
                        "metadata": STRINGS,
                    },
                    {"reference": NAME},
                ),
                1,
            )
        }
    ),
}
MUST_HAVE_OUTPUT = ("GetAccount", "CreateTransaction", "GetPayment", "GetWallet", "ListWallets")

# contract 3: responses

CONFIG = Object({"stages": ListOf(Object(is_open=True, exactly_one=True), 1)}, {"name": Text(), "on_failure": Text()})
WORKFLOW = Object(
    {"id": NAME, "config": CONFIG, "createdAt": DateTime(), "updatedAt": DateTime()}, rules=(_times_run_forwards,)
)
STAGE_STATUS = Object(
    {"stage": Integer(0), "instanceID": NAME, "startedAt": DateTime()},
    {"terminatedAt": DateTime(), "error": NAME},
    rules=(_times_run_forwards,),
)
INSTANCE = Object(
    {"id": NAME, "workflowID": NAME, "createdAt": DateTime(), "updatedAt": DateTime(), "terminated": Boolean()},
    {"terminatedAt": DateTime(), "error": NAME, "status": ListOf(STAGE_STATUS), "workflow": WORKFLOW},
    rules=(_ended_has_a_time, _times_run_forwards, _stages_in_order, _error_ends),
)
STAGE_HISTORY = Object(
    {"name": NAME, "input": Object(is_open=True), "terminated": Boolean(), "startedAt": DateTime()},
    {"terminatedAt": DateTime(), "error": NAME},
    rules=(_ended_has_a_time, _times_run_forwards, _error_ends, _input_fits_name),
)
ACTIVITY_HISTORY = Object(
    {
        "name": Text(tuple(ACTIVITY_INPUTS)),
        "input": Object(optional=ACTIVITY_INPUTS, exactly_one=True),
        "terminated": Boolean(),
        "startedAt": DateTime(),
        "attempt": Integer(1),
    },
    {
        "output": Object(optional=ACTIVITY_OUTPUTS, exactly_one=True),
        "error": NAME,
        "terminatedAt": DateTime(),
        "lastFailure": NAME,
        "nextExecution": DateTime(),
    },
    rules=(
        _ended_has_a_time,
        _times_run_forwards,
        _error_ends,
        _retries_only_while_open,
        _keys_fit_name,
        _output_when_done,
        _references_agree,
    ),
)
V2_ACTIVITY_HISTORY = Object(
    {**ACTIVITY_HISTORY.required, "input": Object(optional=V2_ACTIVITY_INPUTS, exactly_one=True)},
    {**ACTIVITY_HISTORY.optional, "output": Object(optional=V2_ACTIVITY_OUTPUTS, exactly_one=True)},
    rules=ACTIVITY_HISTORY.rules,
)
TRIGGER = Object(
    {"id": NAME, "createdAt": DateTime(), "name": Text(), "event": NAME, "workflowID": NAME},
    {"filter": NAME, "vars": Object(is_open=True), "version": NAME},
)


def _instance_or_error(value: dict[str, Any], report: Report) -> None:
    """F2: the CLI reads id and instance together; and a match leads to one of the two."""
    if ("workflowInstanceID" in value) != ("workflowInstance" in value):
        report("workflowInstanceID and workflowInstance come together")
    elif "workflowInstance" in value and value["workflowInstance"]["id"] != value["workflowInstanceID"]:
        report("another instance than workflowInstanceID says")
    if ("workflowInstanceID" in value) == ("error" in value):
        report("either an instance or an error")


OCCURRENCE = Object(
    {"date": DateTime(), "triggerID": NAME, "event": Object(is_open=True)},
    {"workflowInstanceID": NAME, "workflowInstance": INSTANCE, "error": NAME},
    rules=(_instance_or_error,),
)
TRIGGER_TEST = Object(
    optional={
        "filter": Object(optional={"match": Boolean(), "error": NAME}),
        "variables": MapOf(Object(optional={"value": Text(), "error": NAME}, exactly_one=True)),
    }
)
PROBLEM = Object({"path": Text(), "reason": NAME}, {"rule": NAME, "line": Integer(1), "column": Integer(1)})
ERROR = Object(
    {"errorCode": Text(("VALIDATION", "NOT_FOUND", "INTERNAL")), "errorMessage": NAME}, {"details": ListOf(PROBLEM)}
)

ERROR_CODES = {
    400: "VALIDATION",
    401: "VALIDATION",
    403: "VALIDATION",
    404: "NOT_FOUND",
    405: "VALIDATION",
    413: "VALIDATION",
    415: "VALIDATION",
    500: "INTERNAL",
    503: "INTERNAL",
}


@dataclass(frozen=True)
class Operation:
    method: str
    path: re.Pattern[str]
    status: int
    response: Shape | None = None


def _operation(method: str, path: str, status: int, response: Shape | None = None) -> Operation:
    pattern = re.sub(r"{\w+}", "[^/]+", path)
    return Operation(method, re.compile(f"(/api/orchestration)?{pattern}"), status, response)


OPERATIONS: dict[str, Operation] = {  # of V1
    "getServerInfo": _operation("GET", "/_info", 200, Object({"version": NAME})),
    "listWorkflows": _operation("GET", "/workflows", 200, Object({"data": ListOf(WORKFLOW)})),
    "createWorkflow": _operation("POST", "/workflows", 201, Object({"data": WORKFLOW})),
    "getWorkflow": _operation("GET", "/workflows/{id}", 200, Object({"data": WORKFLOW})),
    "deleteWorkflow": _operation("DELETE", "/workflows/{id}", 204),
    "runWorkflow": _operation("POST", "/workflows/{id}/instances", 201, Object({"data": INSTANCE})),
    "listInstances": _operation("GET", "/instances", 200, Object({"data": ListOf(INSTANCE)})),
    "getInstance": _operation("GET", "/instances/{id}", 200, Object({"data": INSTANCE})),
    "sendEvent": _operation("POST", "/instances/{id}/events", 204),
    "cancelEvent": _operation("PUT", "/instances/{id}/abort", 204),
    "getInstanceHistory": _operation("GET", "/instances/{id}/history", 200, Object({"data": ListOf(STAGE_HISTORY)})),
    "getInstanceStageHistory": _operation(
        "GET", "/instances/{id}/stages/{number}/history", 200, Object({"data": ListOf(ACTIVITY_HISTORY)})
    ),
    "listTriggers": _operation("GET", "/triggers", 200, Object({"data": ListOf(TRIGGER)})),
    "createTrigger": _operation("POST", "/triggers", 201, Object({"data": TRIGGER})),
    "readTrigger": _operation("GET", "/triggers/{id}", 200, Object({"data": TRIGGER})),
    "deleteTrigger": _operation("DELETE", "/triggers/{id}", 204),
    "listTriggersOccurrences": _operation(
        "GET", "/triggers/{id}/occurrences", 200, Object({"data": ListOf(OCCURRENCE)})
    ),
}


def _page(row: Shape) -> Shape:
    """A V2 list."""
    cursor = Object(
        {"pageSize": Integer(1), "hasMore": Boolean(), "data": ListOf(row)},
        {"next": NAME, "previous": NAME},
        rules=(_more_is_next,),
    )
    return Object({"cursor": cursor})


def _v2_name(name: str) -> str:
    return f"v2{name[0].upper()}{name[1:]}"


def _v2_operation(name: str, operation: Operation) -> Operation:
    path = operation.path.pattern.removeprefix("(/api/orchestration)?")
    response = _V2_RESPONSES.get(name, operation.response)
    return Operation(operation.method, re.compile(f"(/api/orchestration)?/v2{path}"), operation.status, response)


_V2_RESPONSES: dict[str, Shape] = {
    "listWorkflows": _page(WORKFLOW),
    "listInstances": _page(INSTANCE),
    "listTriggers": _page(TRIGGER),
    "listTriggersOccurrences": _page(OCCURRENCE),
    "getInstanceStageHistory": Object({"data": ListOf(V2_ACTIVITY_HISTORY)}),
}
V2_OPERATIONS: dict[str, Operation] = {
    **{_v2_name(name): _v2_operation(name, operation) for name, operation in OPERATIONS.items()},
    "testTrigger": _operation("POST", "/v2/triggers/{id}/test", 200, Object({"data": TRIGGER_TEST})),
}
ALL_OPERATIONS = {**OPERATIONS, **V2_OPERATIONS}


def operation_of(method: str, path: str) -> str:
    """The operation a request was for. Raises KeyError for a request that is none of them."""
    bare = path.partition("?")[0]
    for operation_id, operation in ALL_OPERATIONS.items():
        if operation.method == method and operation.path.fullmatch(bare):
            return operation_id
    raise KeyError(f"{method} {path}")


def check(operation_id: str, status: int, headers: Mapping[str, str], body: bytes) -> Any:
    """The decoded body. Raises WireError naming everything that is wrong with this response."""
    found = problems(operation_id, status, headers, body)
    if found:
        raise WireError(f"{operation_id} answered {status}: " + "; ".join(found) + f"\n{body[:2_000]!r}")
    return json.loads(body) if body else None


def problems(operation_id: str, status: int, headers: Mapping[str, str], body: bytes) -> list[str]:
    operation = ALL_OPERATIONS[operation_id]
    if status == operation.status and operation.response is None:
        return [f"a body of {len(body)} bytes where there is none"] if body else []
    if status == operation.status:
        return _body_problems(operation.response or Anything(), headers, body)
    if status not in ERROR_CODES:
        return [f"status {status} is neither {operation.status} nor that of a refusal"]
    return _body_problems(_error_shape(status), headers, body)


def _error_shape(status: int) -> Shape:
    def code_fits(value: dict[str, Any], report: Report) -> None:
        if value["errorCode"] != ERROR_CODES[status]:
            report(f"errorCode {value['errorCode']} with status {status}")

    return Object(ERROR.required, ERROR.optional, rules=(code_fits,))


def _body_problems(shape: Shape, headers: Mapping[str, str], body: bytes) -> list[str]:
    found: list[str] = []
    names = {name.lower(): value for name, value in headers.items()}
    if names.get("content-type") not in ("application/json", "application/json; charset=utf-8"):
        found.append(f"content type {names.get('content-type')!r}")
    try:
        value = json.loads(body.decode(), object_pairs_hook=_unique, parse_float=_no_float, parse_constant=_no_float)
    except ValueError as error:
        return [*found, f"not the JSON wanted: {error}"]
    shape.check(value, "body", found)
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError(f"a key twice among {[key for key, _ in pairs]}")
    return members


def _no_float(literal: str) -> NoReturn:
    raise ValueError(f"{literal} where only integers are numbers")
