"""What a life left behind, put in order: the rows of the journal by plain SQL, the notes of commits, and the books."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from headrace.effects.port import Request
from headrace.sandbox.memory import Contents
from tests.interleavings.persons import Persons
from tests.interleavings.processes import Servers
from tests.interleavings.world import Attempt, Commit, World

Json = dict[str, Any]
KEY = re.compile(r"headrace:[0-9a-f-]{36}:\d+:\d+")
INGESTION = "headrace:ingest:"
REVERTS = "com.formance.spec/state/reverts"


@dataclass(frozen=True)
class Written:
    """A write of a commit: its name, its values, and the commit."""

    name: str
    write: Any
    commit: Commit


@dataclass(frozen=True)
class Booking:
    """A transaction or a transfer initiation, and where it is."""

    place: str
    document: Json

    @property
    def number(self) -> str:
        return str(self.document["id"])


@dataclass
class Facts:
    """See the module."""

    world: World
    persons: Persons
    servers: Servers
    contents: Contents
    writes: list[Written] = field(default_factory=list[Written])

    @classmethod
    def of(cls, world: World, persons: Persons, servers: Servers) -> Facts:
        facts = cls(world, persons, servers, world.sandbox.contents())
        facts.writes = [
            Written(type(each).__name__, each, commit) for commit in world.commits for each in commit.writes
        ]
        return facts

    def rows(self, query: str) -> list[Json]:
        cursor = self.world.journal.connection.execute(query)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def named(self, *names: str) -> Iterator[Written]:
        return (each for each in self.writes if each.name in names)

    @cached_property
    def instances(self) -> dict[str, Json]:
        """In the order in which they began. `definition`: of the workflow, which is never changed."""
        query = "SELECT i.*, w.config AS definition FROM instances i JOIN workflows w ON w.id = i.workflow_id"
        return {row["id"]: row for row in self.rows(f"{query} ORDER BY i.created_at, i.rowid")}

    @cached_property
    def effects(self) -> list[Json]:
        return self.rows("SELECT * FROM activities WHERE key <> '' ORDER BY instance_id, stage, position")

    def booked_as(self, row: Json) -> str:
        """The key of an effect among `bookings`. What came in is booked once for all that send from it, on a ledger."""
        reference: str = json.loads(row["request_body"] or "{}").get("reference", "")
        return f"{reference} {row['request_path'].split('/')[2]}" if reference.startswith(INGESTION) else row["key"]

    @cached_property
    def stage_rows(self) -> dict[tuple[str, int], Json]:
        return {(row["instance_id"], row["number"]): row for row in self.rows("SELECT * FROM stages")}

    def stage_of(self, instance_id: str, number: int) -> Json | None:
        """The stage as the instance sees it: its own, or the one that it has taken over."""
        rows = (self.stage_rows.get((link, number)) for link in self.chain(instance_id))
        return next((row for row in rows if row is not None), None)

    @cached_property
    def plans(self) -> dict[str, Json]:
        """With the decoded document and subject, and the numbers of the commits that matter."""
        found = {row["id"]: row for row in self.rows("SELECT * FROM plans")}
        for row in found.values():
            row |= {"document": json.loads(row["document"]), "subject": json.loads(row["subject"])}
        return found

    @cached_property
    def before(self) -> dict[str, Json]:
        """The successor row of each instance that came after another one."""
        return {row["successor"]: row for row in self.rows("SELECT * FROM successors")}

    @cached_property
    def after(self) -> dict[str, Json]:
        return {row["predecessor"]: row for row in self.before.values()}

    def chain(self, instance_id: str) -> list[str]:
        """The instance, the one that it continues, and so on; an undo begins a chain of its own."""
        found = [instance_id]
        while (row := self.before.get(found[-1])) is not None and self.instances[found[-1]]["kind"] == "continuation":
            found.append(row["predecessor"])
        return found

    def stages(self, instance_id: str) -> list[Json]:
        return json.loads(self.instances[instance_id]["definition"])["stages"]

    # persons

    @cached_property
    def _starters(self) -> dict[str, set[str]]:
        """By instance, the principals whose request made it: those of its commit, of its batch, and of its plan."""
        makers = {each.write.batch_id: each.write.principal for each in self.named("AddBatch")}
        starters = {each.write.batch_id: each.write.principal for each in self.named("StartBatch")}
        found: dict[str, set[str]] = {}
        for commit in self.world.commits:
            names = [type(each).__name__ for each in commit.writes]
            made = [*_of(commit, "AddInstance"), *_of(commit, "AddContinuation")]
            if not made or "AddResolution" in names:
                continue
            persons = {each.principal for each in _of(commit, "AddAuditEntry")}
            for item in _of(commit, "StartItem"):
                persons |= {makers[item.batch_id], starters[item.batch_id]}
            for each in made:
                own = set(persons) if getattr(each, "kind", "") != "undo" or len(made) == 1 else set[str]()
                if (plan := self.plans.get(each.plan_id or "")) is not None and plan["state"] == "used":
                    own.add(plan["requester"])
                found[each.instance_id] = own
        return found

    def requesters(self, instance_id: str, plan_id: str | None = None) -> set[str]:
        """The persons that asked for an instance, or for one that it continues or undoes.

        `plan_id`: a plan that has started it. Who did so by that plan has not asked for it before persons decided.
        """
        found: set[str] = set() if plan_id is None else {self.plans[plan_id]["requester"]}
        at: str | None = instance_id
        while at is not None:
            if at != instance_id or plan_id is None:
                found |= self._starters.get(at, set())
            at = self.before[at]["predecessor"] if at in self.before else None
        return found

    # effects

    @cached_property
    def bookings(self) -> dict[str, list[Booking]]:
        """By key, without those that were there before and those that others made."""
        found: defaultdict[str, list[Booking]] = defaultdict(list)
        for ledger, document in self.contents.transactions:
            key = document.get("reference") or document["metadata"].get("headrace_effect") or ""
            if key.startswith("headrace:"):
                found[f"{key} {ledger}" if key.startswith(INGESTION) else key].append(Booking(ledger, document))
        for document in self.contents.initiations:
            found[document["reference"]].append(Booking("payments", document))
        return found

    @cached_property
    def reverts(self) -> dict[tuple[str, str], list[Json]]:
        """By ledger and transaction, those that revert it."""
        found: defaultdict[tuple[str, str], list[Json]] = defaultdict(list)
        for ledger, document in self.contents.transactions:
            if (number := document["metadata"].get(REVERTS)) is not None:
                found[ledger, str(number)].append(document)
        return found

    @cached_property
    def attempts(self) -> dict[str, list[Attempt]]:
        found: defaultdict[str, list[Attempt]] = defaultdict(list)
        for attempt in self.world.attempts:
            if (key := key_of(attempt.request)) is not None:
                found[key].append(attempt)
        return found


def _of(commit: Commit, name: str) -> list[Any]:
    return [each for each in commit.writes if type(each).__name__ == name]


def key_of(request: Request) -> str | None:
    """The key of the effect that a request carries; None: it carries none."""
    if KEY.fullmatch(request.key):
        return request.key
    found = KEY.search((request.body or b"").decode())
    return None if found is None else found.group()


def content(method: str, path: str, body: bytes | str | None) -> Json:
    """What a request says, without its key and its time."""
    text = body.decode() if isinstance(body, bytes) else body or "{}"
    members: Json = json.loads(KEY.sub("KEY", text))
    members.pop("scheduledAt", None)
    return {"method": method, "path": path, "body": members}
