"""What lives on a server while it is asked made-up things: ids that exist, cursors, and definitions it takes.

Without it nearly every made-up request would end at a 404.
"""

from __future__ import annotations

import json
import random
import time
from collections import defaultdict
from typing import Any
from urllib.parse import urlencode

import requests

Json = dict[str, Any]

PREFIX = "/api/orchestration"
PATIENCE_S = 20.0
KEPT = 40
"""Ids of one kind; the oldest are forgotten first."""

SEND: Json = {
    "send": {
        "source": {"account": {"id": "world", "ledger": "main"}},
        "destination": {"account": {"id": "users:${user}", "ledger": "main"}},
        "amount": {"amount": "${amount}", "asset": "USD/2"},
    }
}
WAITING: Json = {"name": "waiting", "stages": [{"wait_event": {"event": "go"}}]}
DEFINITIONS: tuple[Json, ...] = (
    {"name": "paid", "stages": [SEND, {"delay": {"duration": "1ms"}}]},
    {"name": "refused", "stages": [{"send": {**SEND["send"], "source": {"account": {"id": "nobody"}}}}]},
    {"stages": [{"update": {"account": {"id": "users:1", "ledger": "main", "metadata": {"k": "v"}}}}]},
    {"name": "late", "stages": [SEND, {"delay": {"until": "2090-01-01T00:00:00Z"}}]},
    WAITING,
)
VARIABLES: Json = {"user": "42", "amount": "2500"}
EVENT = "SAVED_PAYMENT"
PAY_IN: Json = {"id": "p1", "type": "PAY-IN", "status": "SUCCEEDED", "amount": 4199, "asset": "USD/2"}
FILTERS = ('event.type == "PAY-IN"', "event.amount > 10000", "event.missing.member == 1", "true", "event.amount")
SOURCES = ("event.id", "event.amount", '"x"', "event.missing", "event")
PLACES = {
    "workflowID": "workflow",
    "flowId": "workflow",
    "instanceID": "instance",
    "triggerID": "trigger",
    "planID": "plan",
    "certificateID": "certificate",
    "batchID": "batch",
    "name": "name",
}
ENDS_IT = {
    "deleteNamedWorkflow": "name",
    "deleteWorkflow": "workflow",
    "deleteTrigger": "trigger",
    "cancelEvent": "instance",
    "sendEvent": "instance",
}
"""What these are asked for is made for the occasion."""

LISTS = ("/v2/workflows", "/v2/instances", "/v2/triggers")


class ServerContents:
    """`headers` are those of somebody who may do everything."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        self.url = url
        self._session = requests.Session()
        self._session.headers.update(headers)
        self._ids: dict[str, list[str]] = defaultdict(list)
        self._cursors: dict[str, list[str]] = defaultdict(list)
        self._waiting_id = ""
        self.plan_hash = ""
        """Of the first plan."""
        self._names = 0
        self.fired_id = ""
        """A trigger with occurrences; cursors of theirs are good for no other."""
        self._settle()

    def close(self) -> None:
        self._session.close()

    # what there is

    def id_of(self, kind: str, chance: random.Random) -> str:
        return chance.choice(self._ids[kind])

    def fresh(self, kind: str) -> str:
        """One that nobody else is going to use."""
        if kind == "workflow":
            return self._made("/workflows", WAITING)
        if kind == "trigger":
            return self._made("/triggers", {"event": "NEVER", "workflowID": self._waiting_id})
        if kind == "name":
            self._names += 1
            return self._named(f"name-{self._names}")
        return self._made(f"/workflows/{self._waiting_id}/instances", {})

    def cursor_of(self, path: str, chance: random.Random) -> str | None:
        """One of the list at this path, where it has any."""
        known = self._cursors.get(path)
        return chance.choice(known) if known else None

    def learn(self, operation_id: str, body: Any) -> None:
        """What an answer to this operation has made."""
        name = operation_id.removeprefix("v2").lower()
        kinds = {
            "createworkflow": "workflow",
            "runworkflow": "instance",
            "createtrigger": "trigger",
            "createplan": "plan",
            "createcertificate": "certificate",
            "createbatch": "batch",
        }
        kind = kinds.get(name)
        if kind is not None:
            self._keep(kind, body["data"]["id"])

    def run_item(self) -> Json:
        """The start of an instance, as a batch has it."""
        return {"workflowID": self._ids["workflow"][0], "variables": VARIABLES}

    def status_of(self, path: str) -> int:
        """Of reading it."""
        return self._session.get(self.url + PREFIX + path).status_code

    # inside

    def _settle(self) -> None:
        """Workflows of every kind with instances that ended and that did not, and a trigger that has fired."""
        self._post("/api/ledger/v2/main", {}, prefix="")
        workflow_id = ""
        for definition in DEFINITIONS:
            workflow_id = self._made("/workflows", definition)
            self._keep("workflow", workflow_id)
            for _ in range(2):
                self._keep("instance", self._made(f"/workflows/{workflow_id}/instances?wait=true", VARIABLES))
        self._waiting_id = workflow_id
        self._keep("instance", self.fresh("instance"))
        rule = {"event": EVENT, "filter": FILTERS[0], "vars": {"user": "event.id"}, "workflowID": workflow_id}
        trigger_id = self._made("/triggers", rule)
        self._keep("trigger", trigger_id)
        plan = self._post("/ext/plans", {"workflowID": workflow_id})["data"]
        self.plan_hash = plan["hash"]
        self._keep("plan", plan["id"])
        self._keep("certificate", self._made("/ext/certificates", {"instance": self._ids["instance"][0]}))
        self._keep("batch", self._made("/ext/batches", {"kind": "run", "runs": [self.run_item()], "reason": "r"}))
        self._keep("name", self._named("named"))
        self._put("/ext/triggers/kept", {"event": "NEVER", "workflow": "named"})
        self._post("/ext/events", [{"type": EVENT, "payload": PAY_IN}] * 3)
        self._until_fired(trigger_id)
        for path in (*LISTS, f"/v2/triggers/{trigger_id}/occurrences"):
            self._walk(path)
        self._cursors["/v2/triggers/{triggerID}/occurrences"] = self._cursors.pop(
            f"/v2/triggers/{trigger_id}/occurrences"
        )
        self.fired_id = trigger_id

    def _until_fired(self, trigger_id: str) -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        while len(self._get(f"/triggers/{trigger_id}/occurrences")["data"]) < 3:
            assert time.monotonic() < deadline_s, "the trigger did not fire"
            time.sleep(0.02)

    def _walk(self, path: str) -> None:
        """Forwards a row at a time, so that there are cursors in both directions."""
        query: Json = {"pageSize": 1}
        for _ in range(3):
            page = self._get(f"{path}?{urlencode(query)}")["cursor"]
            self._cursors[path] += [page[name] for name in ("next", "previous") if name in page]
            if "next" not in page:
                return
            query = {"cursor": page["next"]}

    def _keep(self, kind: str, found_id: str) -> None:
        """The first ones, of every kind, are kept for ever."""
        ids = self._ids[kind]
        if len(ids) >= KEPT:
            del ids[KEPT // 2]
        ids.append(found_id)

    def _made(self, path: str, body: Any) -> str:
        return self._post(path, body)["data"]["id"]

    def _post(self, path: str, body: Any, *, prefix: str = PREFIX) -> Any:
        response = self._session.post(self.url + prefix + path, json=body)
        assert response.ok, f"{path}: {response.status_code} {response.text}"
        return json.loads(response.content) if response.content else None

    def _named(self, name: str) -> str:
        """A name with a version."""
        self._put(f"/ext/workflows/{name}", {"definition": {"stages": WAITING["stages"]}})
        return name

    def _put(self, path: str, body: Any) -> None:
        response = self._session.put(self.url + PREFIX + path, json=body)
        assert response.ok, f"{path}: {response.status_code} {response.text}"

    def _get(self, path: str) -> Any:
        response = self._session.get(self.url + PREFIX + path)
        assert response.ok, f"{path}: {response.status_code} {response.text}"
        return response.json()
