"""The example of each operation: one request, derived from the table, and the answer a server gave to it.

The words WORKFLOW, INSTANCE and TRIGGER stand for ids. `World` makes one of each on a running server, so that every
operation has something to work on; an answer is shown with the words in the places of the ids and with one date, so
that the same code writes the same page.
"""

from __future__ import annotations

import inspect
import itertools
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from docs.generator.markdown import pretty, snake
from docs.generator.names import base_id
from headrace.api.operations import Operation
from headrace.api.v1.workflows import EXAMPLE
from headrace_client.v1 import V1
from tests.support.server import Answer, Server

Json = dict[str, Any]

DEFAULT_SERVER = "http://127.0.0.1:8484"
PREFIX = "/api/orchestration"
A_DATE = "2024-05-01T10:00:00.123456Z"
PATIENCE_S = 20.0
WORDS = {
    "workflowID": "WORKFLOW",
    "flowId": "WORKFLOW",
    "instanceID": "INSTANCE",
    "triggerID": "TRIGGER",
    "planID": "PLAN",
    "batchID": "BATCH",
    "certificateID": "CERTIFICATE",
    "name": "NAME",
    "number": "0",
    "position": "0",
}
"""What stands for each path parameter."""
PLACES: dict[str, dict[str, str]] = {"resolveEffect": {"number": "1", "position": "2"}}
"""By operation, path parameters with another value."""
NEED_ATTENTION = ("listAttention", "resolveEffect")
"""Operations whose example is about an instance with an effect that needs attention."""
NEED_MORE = ("approvePlan", "rejectPlan", "approveBatch", "rejectBatch", "replayDeadLetters")
"""Operations without an example that runs beside `headrace dev`: it has neither persons nor a broker."""
NEED_AN_END = ("createCertificate", "getCertificate")
"""Operations whose example is about an instance that has ended."""
NEED_FAILURE = ("redriveInstance", "previewUndo", "undoInstance")
"""Operations whose example is about an instance that has failed."""
A_BALANCE = 5_000
"""Stands for a balance: it depends on what the examples before have done by then."""
RANDOM = ("access_token", "hash", "next", "previous", "certificate", "sha", "body", "x", "y", "journal")
"""Members whose text differs each time."""
NEED_BATCH = ("getBatch", "listBatches", "listBatchItems", "startBatch", "pauseBatch", "resumeBatch", "cancelBatch")
"""Operations whose example is about a batch, in a state that allows them."""
NEED_NAME = (
    *("getNamedWorkflow", "listNamedWorkflows", "deleteNamedWorkflow", "runNamedWorkflow"),
    *("putTrigger", "listKeptTriggers"),
)
"""Operations whose example is about a name with a version."""
QUERIES: dict[str, dict[str, str]] = {
    "listInstances": {"workflowID": "WORKFLOW", "running": "true"},
    "listTriggers": {"name": "top-up"},
}
PAY_IN: Json = {"id": "p1", "type": "PAY-IN", "status": "SUCCEEDED", "amount": 4199, "asset": "USD/2"}
TRIGGER: Json = {
    "event": "SAVED_PAYMENT",
    "workflowID": "WORKFLOW",
    "name": "top-up",
    "filter": 'event.type == "PAY-IN" and event.status == "SUCCEEDED"',
    "vars": {"userID": "event.id", "amount": "event.amount"},
}
KEPT: Json = {"event": "COMMITTED_TRANSACTIONS", "workflow": "NAME", "filter": "event.ledger == 'main'"}
NAMED: Json = {"stages": EXAMPLE["stages"]}
BODIES: dict[str, Any] = {
    "createTrigger": TRIGGER,
    "testTrigger": PAY_IN,
    "putTrigger": KEPT,
    "apply": {"workflows": {"NAME": NAMED}, "triggers": {"NAME": KEPT}, "dryRun": True},
}
_FLAGS: dict[str, bool] = {"true": True, "false": False}
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_OPAQUE = re.compile(r"\beyJ[A-Za-z0-9_-]{20,}")
"""An id of payments, which holds the ids that it was made from."""
_BOOKED = re.compile(r"Created transaction: \d+")
"""Its number depends on what the examples before have done by then."""
_DATE = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


def word(parameter: str) -> str:
    """Raises AssertionError for a path parameter that WORDS lacks."""
    assert parameter in WORDS, f"add the path parameter {parameter} to WORDS of docs/generator/examples.py"
    return WORDS[parameter]


@dataclass(frozen=True, slots=True)
class Example:
    """One request, its ids still words."""

    operation: Operation
    query: Mapping[str, str]
    body: Any

    @classmethod
    def of(cls, operation: Operation) -> Example:
        base = base_id(operation.operation_id)
        return cls(operation, QUERIES.get(base, {}), BODIES.get(base, operation.example))

    @property
    def path(self) -> str:
        places = PLACES.get(self.operation.operation_id, {})
        path = re.sub(r"{(\w+)}", lambda found: places.get(found[1]) or word(found[1]), self.operation.path)
        prefix = "" if path.startswith("/api/") else PREFIX
        return f"{prefix}{path}{'?' + urlencode(self.query) if self.query else ''}"

    @property
    def curl(self) -> str:
        method = "" if self.operation.method == "GET" else f"-X {self.operation.method} "
        url = f"{DEFAULT_SERVER}{self.path}"
        command = f"curl {method}{_quoted(url) if '?' in url else url}"
        if self.body is None:
            return command
        return f"{command} \\\n    -H 'Content-Type: application/json' -d {_quoted(pretty(self.body, 96))}"

    def python(self) -> str | None:
        """The call of headrace-client, where it has one for this operation."""
        version = "v2" if self.operation.path.startswith("/v2/") else "v1"
        method = getattr(client_class(version), snake(base_id(self.operation.operation_id)), None)
        if method is None:
            return None
        given = [(snake(name), word(name)) for name in re.findall(r"{(\w+)}", self.operation.path)]
        values: Json = {name: int(value) if value.isdigit() else value for name, value in given}
        values |= {snake(name): _FLAGS.get(value, value) for name, value in self.query.items()}
        values |= self._body_arguments(set(inspect.signature(method).parameters))
        return _call(f"{version}.{method.__name__}", values)

    def _body_arguments(self, known: set[str]) -> Json:
        if not isinstance(self.body, dict):
            return {}
        spread: Json = {snake(name): value for name, value in self.body.items()}
        return spread if spread.keys() <= known else {"request_body": self.body}


def client_class(version: str) -> Any:
    if version == "v1":
        return V1
    try:
        from importlib import import_module

        return import_module("headrace_client.v2").V2
    except ImportError:
        return None


def _call(function: str, arguments: Json) -> str:
    texts = [f"{name}={_literal(value, '    ')}" for name, value in arguments.items()]
    flat = f"{function}({', '.join(texts)})"
    if len(flat) <= 100 and "\n" not in flat:
        return flat
    return f"{function}(\n" + "".join(f"    {text},\n" for text in texts) + ")"


def _literal(value: Any, indent: str) -> str:
    text = pretty(value, 92)
    text = re.sub(r"\btrue\b", "True", text) if value is True or isinstance(value, dict | list) else text
    return text.replace("\n", f"\n{indent}")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


@dataclass(slots=True)
class World:
    """A workflow, an instance that waits, a plan, and a trigger that has fired, on a running server."""

    server: Server
    ids: dict[str, str] = field(default_factory=dict[str, str])

    @classmethod
    def made(cls, server: Server) -> World:
        world = cls(server)
        world._prepare_books()
        world.ids["WORKFLOW"] = world._created("/workflows", EXAMPLE)
        world.ids["INSTANCE"] = world._created(
            f"/workflows/{world.ids['WORKFLOW']}/instances", {"userID": "42", "amount": "2500"}
        )
        world.ids["NAME"] = f"payout-{world.ids['WORKFLOW'][-12:]}"
        world.ids["TRIGGER"] = world._created("/triggers", TRIGGER | {"workflowID": world.ids["WORKFLOW"]})
        world._plan()
        world._fire()
        world._until_waiting(world.ids["INSTANCE"])
        return world

    def close(self) -> None:
        """The next world's event must not find this one's trigger."""
        self.server.request("DELETE", f"{PREFIX}/triggers/{self.ids['TRIGGER']}")
        for each in self.server.get(f"{PREFIX}/ext/triggers?pageSize=1000").json["cursor"]["data"]:
            if each["name"] == self.ids["NAME"]:
                self.server.request("DELETE", f"{PREFIX}/triggers/{each['id']}")

    def filled(self, text: str) -> str:
        return re.sub(
            r"\b(WORKFLOW|INSTANCE|TRIGGER|PLAN|BATCH|CERTIFICATE|NAME|HASH)\b", lambda found: self.ids[found[0]], text
        )

    def ask(self, example: Example) -> Answer:
        self.prepare(example.operation)
        body = None if example.body is None else self.filled(json.dumps(example.body)).encode()
        return self.server.request(example.operation.method, self.filled(example.path), body)

    def shown(self, answer: Answer) -> Any:
        """The answer's JSON with words for this world's ids, one date, and what belongs to other worlds left out."""
        words = {identity: word for word, identity in self.ids.items()}
        others = itertools.count(1)

        def word(found: re.Match[str]) -> str:
            if found[0] not in words:
                words[found[0]] = f"0190b5c2-7d1e-7c3a-9f21-{next(others):012}"
            return words[found[0]]

        body = answer.body.replace(self.server.url.encode(), DEFAULT_SERVER.encode())
        body = body.replace(self.ids["NAME"].encode(), b"NAME")
        return _replaced(self._own(json.loads(body)), word)

    def _own(self, value: Any) -> Any:
        """Lists of things: only this world's."""
        rows = value.get("data") if isinstance(value, dict) else None
        if rows is None and isinstance(value, dict):
            rows = value.get("cursor", {}).get("data")
        if isinstance(rows, list) and rows and rows[0].keys() & {"versions", "revision"}:
            rows[:] = [row for row in rows if row["name"] == "NAME"]
        elif isinstance(rows, list) and rows and "id" in rows[0]:
            rows[:] = [row for row in rows if row["id"] in self.ids.values()]
        elif isinstance(rows, list) and rows and rows[0].keys() & {"key", "number"}:
            del rows[1:]  # of the inbox, the audit trail: the newest tells enough
        return value

    def prepare(self, operation: Operation) -> None:
        """What the example needs: INSTANCE has ended, failed or needs attention; PLAN is new."""
        if operation.operation_id in NEED_AN_END:
            abort = f"{PREFIX}/instances/{self.ids['INSTANCE']}/abort"
            assert self.server.request("PUT", abort).status == 204
            self.ids["CERTIFICATE"] = self._created("/ext/certificates", {"instance": self.ids["INSTANCE"]})
        if operation.operation_id == "runPlan":
            self._plan()
        if operation.operation_id in NEED_BATCH:
            self._batch(operation.operation_id)
        if operation.operation_id in NEED_NAME:
            self.server.request(
                "PUT", f"{PREFIX}/ext/workflows/{self.ids['NAME']}", json.dumps({"definition": NAMED}).encode()
            )
        if operation.operation_id == "listKeptTriggers":
            kept = self.filled(json.dumps(KEPT)).encode()
            self.server.request("PUT", f"{PREFIX}/ext/triggers/{self.ids['NAME']}", kept)
        if operation.operation_id in NEED_FAILURE:
            self._prepare_failure()
        if operation.operation_id not in NEED_ATTENTION:
            return
        send = {
            "source": {"account": {"id": "users:42", "ledger": "main"}},
            "destination": {"payment": {"psp": "dummy-pay", "type": "PAYOUT"}},
            "amount": {"asset": "USD/2", "amount": 900},
        }
        stages = [{"wait_event": {"event": "go"}}, {"send": send}]
        workflow_id = self._created("/workflows", {"name": "payout", "stages": stages})
        instance_id = self.ids["INSTANCE"] = self._created(f"/workflows/{workflow_id}/instances", {})
        self.ids["WORKFLOW"] = workflow_id
        self.server.post("/api/ledger/v2/main/accounts/users:42/metadata", {"formanceAccountID": "bank-7"})
        initiation = {
            "reference": f"headrace:{instance_id}:1:1",
            "scheduledAt": "2024-05-01T10:00:00Z",
            "description": "by hand",
            "sourceAccountID": "",
            "destinationAccountID": "bank-7",
            "type": "PAYOUT",
            "provider": "DUMMY-PAY",
            "amount": 1,
            "asset": "USD/2",
            "validated": True,
        }
        assert self.server.post("/api/payments/transfer-initiations", initiation).status == 200
        self.server.post(f"{PREFIX}/instances/{instance_id}/events", {"name": "go"})
        for _ in _patiently("the effect needs attention"):
            if self.server.get(f"{PREFIX}/ext/attention?instanceID={instance_id}").json["cursor"]["data"]:
                return

    def _plan(self) -> None:
        plan = {"workflowID": self.ids["WORKFLOW"], "variables": {"userID": "42", "amount": "2500"}}
        plan_id = self.ids["PLAN"] = self._created("/ext/plans", plan)
        stored = self.server.get(f"{PREFIX}/ext/plans/{plan_id}").json["data"]
        self.ids["HASH"] = stored["hash"].removeprefix("sha256:")

    def _batch(self, operation_id: str) -> None:
        """A batch that is ready; of pauses and resumptions one that runs, as its instance waits."""
        run = {"workflowID": self.ids["WORKFLOW"], "variables": {"userID": "42", "amount": "2500"}}
        made = {"kind": "run", "runs": [run], "reason": "the file of today"}
        batch_id = self.ids["BATCH"] = self._created("/ext/batches", made)
        path = f"{PREFIX}/ext/batches/{batch_id}"
        batch: Json = {}
        for _ in _patiently("the batch is previewed"):
            batch = self.server.get(path).json["data"]
            if batch["state"] == "ready":
                break
        self.ids["HASH"] = batch["hash"].removeprefix("sha256:")
        if operation_id in ("pauseBatch", "resumeBatch"):
            assert self.server.post(f"{path}/start", {"hash": batch["hash"]}).status == 200
        if operation_id == "resumeBatch":
            assert self.server.request("POST", f"{path}/pause").status == 200

    def _prepare_failure(self) -> None:
        """One stage is done, and the next one lacks funds."""
        to_shop = {
            "destination": {"account": {"id": "shop", "ledger": "main"}},
            "amount": {"asset": "USD/2", "amount": 900},
        }
        stages = [
            {"send": {"source": {"account": {"id": payer, "ledger": "main"}}, **to_shop}}
            for payer in ("users:42", "users:43")
        ]
        self.ids["WORKFLOW"] = self._created("/workflows", {"name": "payment", "stages": stages})
        self.ids["INSTANCE"] = self._created(f"/workflows/{self.ids['WORKFLOW']}/instances", {})
        for _ in _patiently("the instance fails"):
            if self.server.get(f"{PREFIX}/instances/{self.ids['INSTANCE']}").json["data"]["terminated"]:
                return

    def _created(self, path: str, body: Json) -> str:
        answer = self.server.post(PREFIX + path, body)
        assert answer.status == 201, answer
        return answer.json["data"]["id"]

    def _prepare_books(self) -> None:
        self.server.post("/api/ledger/v2/main")
        postings = [
            {"source": "world", "destination": account, "amount": 1_000_000, "asset": "USD/2"}
            for account in ("users:42", "users:p1")
        ]
        answer = self.server.post("/api/ledger/v2/main/transactions", {"postings": postings, "metadata": {}})
        assert answer.status == 200, answer

    def _fire(self) -> None:
        envelope = {"type": "SAVED_PAYMENT", "app": "payments", "version": "v2.0.0", "payload": PAY_IN}
        assert self.server.post(f"{PREFIX}/ext/events", envelope).status == 202
        path = f"{PREFIX}/triggers/{self.ids['TRIGGER']}/occurrences"
        occurrences: list[Json] = []
        for _ in _patiently("the trigger fires"):
            occurrences = self.server.get(path).json["data"]
            if occurrences:
                break
        self._until_waiting(occurrences[0]["workflowInstanceID"])

    def _until_waiting(self, instance_id: str) -> None:
        """Both stages have started: the money has moved, the approval is waited for."""
        for _ in _patiently("the instance waits"):
            if len(self.server.get(f"{PREFIX}/instances/{instance_id}").json["data"]["status"]) == 2:
                return


def _patiently(what: str) -> itertools.takewhile[int]:
    deadline_s = time.monotonic() + PATIENCE_S

    def goes_on(_: int) -> bool:
        time.sleep(0.01)
        assert time.monotonic() < deadline_s, f"not in time: {what}"
        return True

    return itertools.takewhile(goes_on, itertools.count())


def _replaced(value: Any, word: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        if isinstance(value.get("before"), int) and isinstance(value.get("after"), int):  # what else ran meanwhile
            value = {**value, "before": A_BALANCE, "after": A_BALANCE + value["after"] - value["before"]}
        return {key: _replaced(member, word, key) for key, member in value.items()}
    if isinstance(value, list):
        return [_replaced(item, word, name) for item in value]
    if isinstance(value, int) and not isinstance(value, bool) and name in ("id", "txid", "number", "transaction"):
        return 7
    if isinstance(value, str):
        if name in RANDOM:
            return "..."
        value = _BOOKED.sub("Created transaction: 12", value)
        return _OPAQUE.sub("...", _ID.sub(word, _DATE.sub(A_DATE, value)))
    return value
