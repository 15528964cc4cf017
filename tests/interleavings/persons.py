"""Persons, and others outside Headrace: they take the steps of a schedule, and remember what they were told.

A person that gets no answer, because the server died, asks again under the same key, as a careful client does.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

from headrace.effects.port import Request
from headrace.errors import HeadraceError
from headrace.usecases.approvals import decide
from headrace.usecases.batches import cancel_batch, make_batch, pause_batch, resume_batch, start_batch
from headrace.usecases.idempotency import Answer, Caller, CallerKey
from headrace.usecases.instances import abort_instance, send_event, start_instance
from headrace.usecases.plan_runs import run_plan
from headrace.usecases.plans import make_plan
from headrace.usecases.redrive import redrive_instance
from headrace.usecases.resolve import resolve_effect
from headrace.usecases.undo import undo_instance
from tests.interleavings.processes import Died, Servers
from tests.interleavings.schedule import ASSET, Schedule, Step
from tests.interleavings.world import Doom, World

Json = dict[str, Any]
WORKFLOW = "00000000-0000-7000-8000-000000000001"
REASON = "the step says so"
NO_HASH = f"sha256:{'0' * 64}"
Wanted = tuple[str, Any, tuple[Any, ...]]
"""An operation, its use case, and the arguments of that."""


@dataclass(slots=True)
class Told:
    """What a person was told: the target and result of a request, or why it was refused. `number`: when, see World."""

    step: Step
    number: int
    operation: str
    target: str = ""
    value: Any = None
    refusal: str | None = None
    asked: int = 0
    wanted: Any = None
    """The last argument of the request."""


@dataclass
class Persons:
    """See the module. `asked_for`: by instance or plan, the persons that asked for it, as far as any of them knows."""

    world: World
    servers: Servers
    schedule: Schedule
    told: list[Told] = field(default_factory=list[Told])
    plans: list[Json] = field(default_factory=list[Json])
    batches: list[str] = field(default_factory=list[str])
    reverted_by_hand: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    hands: int = 0

    async def take(self, number: int, step: Step) -> None:
        """Take one step."""
        world = self.world
        await asyncio.sleep(max(0.0, step.at_ms / 1000 - world.loop.now_s))
        name, _, kind = step.verb.partition(" ")
        match name:
            case "kill":
                living = [each for each in self.servers.living() if each.server == step.server % self.servers.count]
                for process in living:
                    down_s = (0.05, 1.0, 12.0, 70.0)[step.choice % 4]
                    process.doom = Doom(step.choice % 2 == 0, down_s)
                    world.loop.call_later(5.0, world.kill, process, down_s)
            case "clock":
                world.clock.step_us += (-120_000_000, -61_000_000, 30_000_000)[step.choice % 3]
            case "fund":
                self.book("world", ("a", "b", "wallets:w1:main", "t", "payment:p1")[step.choice % 5], 300)
            case "spend":
                account = ("b", "c", "a")[step.choice % 3]
                self.book(account, "world", 50)
            case "payee":
                metadata = {"formanceAccountID": f"acc_{step.choice % 3}"}
                self.post("ledger", "/v2/main/accounts/a/metadata", metadata)
            case "hand":
                self._revert_by_hand(step)
            case _:
                await self._ask(number, step, name, kind)

    # outside Headrace

    def post(self, service: Any, path: str, body: Json) -> int:
        return self.world.sandbox.handle(Request(service, "POST", path, json.dumps(body).encode())).status

    def book(self, source: str, destination: str, amount: int) -> None:
        """Another system moves money; it may be refused."""
        ledger = {"wallets:w1:main": "wallets-002", "t": "other"}.get(destination, "main")
        self.hands += 1
        posting = {"source": source, "destination": destination, "amount": amount, "asset": ASSET}
        body = {"metadata": {}, "postings": [posting], "reference": f"hand:{self.hands}"}
        self.post("ledger", f"/v2/{ledger}/transactions", body)

    def _revert_by_hand(self, step: Step) -> None:
        """A person reverts one of Headrace's transactions in the ledger."""
        ours = [
            (ledger, each)
            for ledger, each in self.world.sandbox.contents().transactions
            if each.get("reference", "").startswith("headrace:") and not each.get("reverted")
        ]
        if ours:
            ledger, chosen = ours[-1 - step.of % len(ours)]
            if self.post("ledger", f"/v2/{ledger}/transactions/{chosen['id']}/revert", {}) < 300:
                self.reverted_by_hand.add((ledger, str(chosen["id"])))

    # requests

    async def _ask(self, number: int, step: Step, name: str, kind: str) -> None:
        request = self._request(step, name, kind)
        if request is not None:
            await self.ask(number, step, *request)

    async def ask(self, number: int, step: Step, operation: str, use_case: Any, arguments: tuple[Any, ...]) -> None:
        """Ask for something until there is an answer, and remember that."""
        key = CallerKey(f"step {number}", repr(arguments).encode(), step.by)
        caller = Caller(step.by, operation, key=key)
        asked = self.world.note()
        for attempt in range(8):
            try:
                answer: Answer[Any] = await self.servers.call(
                    step.server + attempt, lambda ports: use_case(ports, caller, *arguments)
                )
            except Died:
                await asyncio.sleep(0.2)
                continue
            except HeadraceError as error:
                told = Told(step, self.world.note(), operation, refusal=f"{type(error).__name__}: {error}", asked=asked)
            else:
                told = Told(step, self.world.note(), operation, answer.target, answer.value, asked=asked)
                self._learn(operation, answer)
            told.wanted = arguments[-1]
            self.told.append(told)
            return

    def _learn(self, operation: str, answer: Answer[Any]) -> None:
        if operation == "createPlan":
            plan: Any = answer.value
            self.plans.append({"id": plan.id, "hash": plan.hash, "subject": json.loads(plan.subject)})
        elif operation == "createBatch":
            self.batches.append(answer.target)

    def _request(self, step: Step, name: str, kind: str) -> Wanted | None:
        """The operation, the use case and its arguments; None: there is nothing yet that it could be about."""
        if name == "start":
            return "runWorkflow", start_instance, (WORKFLOW, {})
        if name == "batch":
            return self._batch(step, kind)
        if name == "plan" and not kind:
            return "createPlan", make_plan, ({"workflowID": WORKFLOW, "expiresIn": "1m"},)
        if name in ("approve", "reject", "run"):
            return self._of_plan(step, name, is_stale=kind == "stale")
        if kind == "planned":
            return self._by_plan(step, name)
        instance_id = self._instance(step, name, kind)
        return None if instance_id is None else self._of_instance(step, name, kind, instance_id)

    def _of_plan(self, step: Step, name: str, *, is_stale: bool) -> Wanted | None:
        """A decision about a plan, or its run. `is_stale`: with the hash of another plan, or of none."""
        plan = _newest([each for each in self.plans if name != "run" or "instance" not in each["subject"]], step)
        if plan is None:
            return None
        if name == "run":
            wanted = {"hash": plan["hash"], "acceptFailure": step.choice % 2 == 0}
            return "runPlan", run_plan, (plan["id"], wanted)
        hashes = [each["hash"] for each in self.plans if each["hash"] != plan["hash"]]
        signed = (hashes or [NO_HASH])[-1] if is_stale else plan["hash"]
        return f"{name}Plan", decide, (plan["id"], name, {"hash": signed, "reason": REASON})

    def _by_plan(self, step: Step, name: str) -> Wanted | None:
        """A redrive or an undo with a plan of it."""
        plan = _newest([each for each in self.plans if name in each["subject"]], step)
        if plan is None:
            return None
        wanted = {"reason": REASON, "planID": plan["id"], "acceptFailure": True}
        if name == "redrive":
            return "redriveInstance", redrive_instance, (plan["subject"]["redrive"], wanted)
        return "undoInstance", undo_instance, (plan["subject"]["undo"], wanted)

    def _of_instance(self, step: Step, name: str, kind: str, instance_id: str) -> Wanted | None:
        body: Json = {"reason": REASON}
        match name, kind:
            case "plan", "rest":
                return "createPlan", make_plan, ({"instance": instance_id, "expiresIn": "1m"},)
            case "plan", "redrive":
                return "createPlan", make_plan, ({"redrive": instance_id, "expiresIn": "1m"},)
            case "plan", _:
                return "createPlan", make_plan, ({"undo": instance_id, "expiresIn": "1m"},)
            case "abort", _:
                return "abortInstance", abort_instance, (instance_id,)
            case "event", _:
                return "sendEvent", send_event, (instance_id, {"name": "go"})
            case "skip", _:
                return "redriveInstance", redrive_instance, (instance_id, {**body, "skip": True})
            case "redrive", _:
                return "redriveInstance", redrive_instance, (instance_id, body)
            case "undo", _:
                external = "reverse" if step.choice % 3 == 0 else "keep"
                return "undoInstance", undo_instance, (instance_id, {**body, "external": external})
            case "resolve", _:
                return self._resolve(step)
            case _:
                raise AssertionError(step.verb)

    def _rows(self, query: str, *values: Any) -> list[Any]:
        return self.world.journal.connection.execute(query, values).fetchall()

    def _instance(self, step: Step, name: str, kind: str) -> str | None:
        """Mostly one that the step can be about: that has ended for a redrive, that runs for an abort."""
        if step.choice % 10 == 0:
            where = ""
        elif name in ("abort", "event") or kind == "rest":
            where = "WHERE terminated_at IS NULL"
        elif name == "resolve":
            where = "WHERE id IN (SELECT instance_id FROM activities WHERE needs_attention AND terminated_at IS NULL)"
        else:
            where = "WHERE terminated_at IS NOT NULL AND id NOT IN (SELECT predecessor FROM successors)"
        rows = self._rows(f"SELECT id FROM instances {where} ORDER BY created_at DESC, id")
        found = _newest([row[0] for row in reversed(rows)], step)
        if found is None:
            rows = self._rows("SELECT id FROM instances ORDER BY created_at, id")
            found = _newest([row[0] for row in rows], step)
        return found

    def _resolve(self, step: Step) -> Wanted | None:
        """The truth about an effect that needs attention, with the booking as evidence if there is one."""
        rows = self._rows(
            "SELECT instance_id, stage, position, key, name, request_body, request_path FROM activities"
            " WHERE needs_attention AND terminated_at IS NULL ORDER BY instance_id, stage, position"
        )
        row = _newest(rows, step)
        if row is None:
            return None
        contents, (instance_id, stage, position, key, name, body, path) = self.world.sandbox.contents(), row
        reference = json.loads(body or "{}").get("reference", key)
        evidence: Json | None = None
        for ledger, each in contents.transactions:
            known_as = (each.get("reference"), each["metadata"].get("headrace_effect"))
            if key in known_as or (reference in known_as and f"/{ledger}/" in path):
                evidence = {"ledger": ledger, "transactionID": each["id"]}
        for each in contents.initiations:
            if each["reference"] == key:
                evidence = {"initiationID": each["id"]}
        outcome = "not_booked" if evidence is None else "booked"
        wanted: Json = {"outcome": outcome, "evidence": evidence or {"text": "not in the books"}, "reason": REASON}
        if name == "AddAccountMetadata":
            wanted["evidence"] = {"text": "seen"}
        return "resolveEffect", resolve_effect, (instance_id, stage, position, wanted)

    def _batch(self, step: Step, kind: str) -> Wanted | None:
        if kind in ("run", "redrive", "undo", "abort"):
            wanted: Json = {
                "kind": kind,
                "reason": REASON,
                "rate": (2, 100)[step.choice % 2],
                "maxOpen": 3,
                "stopAfter": 2,
            }
            if kind == "run":
                wanted["runs"] = [{"workflowID": WORKFLOW, "variables": {}}] * (1 + step.choice % 4)
            else:
                rows = self._rows("SELECT id FROM instances ORDER BY created_at, id LIMIT 4")
                if not rows:
                    return None
                wanted["instances"] = [row[0] for row in rows]
            return "createBatch", make_batch, (wanted,)
        batch_id = _newest(self.batches, step)
        if batch_id is None:
            return None
        match kind:
            case "start":
                ((hash_,),) = self._rows("SELECT hash FROM batches WHERE id = ?", batch_id)
                return "startBatch", start_batch, (batch_id, {"hash": hash_ or "sha256:0"})
            case "pause":
                return "pauseBatch", pause_batch, (batch_id,)
            case "resume":
                return "resumeBatch", resume_batch, (batch_id,)
            case _:
                return "cancelBatch", cancel_batch, (batch_id,)


def _newest(found: Any, step: Step) -> Any:
    """The one that a step names, of a list whose newest comes last."""
    return found[-1 - step.of % len(found)] if found else None
