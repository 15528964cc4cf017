"""The preview of a batch: its items are planned in order over one shadow, so that each sees the ones before it.

An item that cannot start is excluded, with the code by which the single operation would be refused, or `fails:CODE`
where its plan fails; later items are planned as if it were not there, since it will not be. Only the last preview that
was begun writes, so two drivers make no mixture.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, Literal

import msgspec
import structlog

from headrace.errors import (
    AlreadyEnded,
    HeadraceError,
    InvalidValue,
    NotFound,
    NotInThisState,
    Silent,
    TooLarge,
    Unavailable,
)
from headrace.journal import batch_writes as writes
from headrace.journal.port import Required, Unit
from headrace.journal.records import Batch, BatchItem, Workflow
from headrace.planning.canonical import canonical_json, sha
from headrace.planning.planner import Subject, plan
from headrace.planning.shadow import Shadow
from headrace.usecases.asking import answered
from headrace.usecases.batch_requests import RunItem
from headrace.usecases.continuations import belongs_to_undo, continuing, redrivable
from headrace.usecases.plans import check_variables_of, terms_for
from headrace.usecases.ports import Ports
from headrace.usecases.undoing import computed_undo, planned_undo, undone_sums
from headrace.workflows.activities import Json
from headrace.workflows.approval_rules import ApprovalRule, ApprovalRules, stricter

FORMAT = "headrace-batch/1"
PAGE = 100
SILENT_S = 5.0
"""Pause where a service does not answer."""
STORE_EVERY = 50
STORE_BYTES = 1 << 20
"""Found items are stored when there are so many of them, or so many bytes of plans."""


log = structlog.get_logger("headrace")


class Replaced(HeadraceError):
    """Another preview of the batch has begun, or the batch was canceled. Nothing was written."""


@dataclass(slots=True)
class UnderRules:
    """Amounts and rules of items, as the operator's rules count them.

    `sums`: amounts that they move, by name of the workflow and asset. `strictest`: of the rules that one item asks for
    by itself; a send of it would wait for approvals without those of the batch.
    """

    sums: Counter[tuple[str | None, str]] = field(default_factory=Counter[tuple[str | None, str]])
    strictest: ApprovalRule | None = None

    def add(self, item: UnderRules) -> None:
        self.sums.update(item.sums)
        self.strictest = stricter(self.strictest, item.strictest)

    def asked(self, rules: ApprovalRules) -> RulesAsk:
        """The approvals of all items together. A rule counts those that it is about."""
        rule = stricter(rules.asking_for(self.sums), self.strictest)
        return RulesAsk(rules=rules.hash) if rule is None else RulesAsk(rule.approvals, rule.id, rules.hash)


@dataclass(frozen=True, slots=True)
class Found:
    """The result of the preview of an item. `document`: the plan as JSON, where there is one to pin."""

    state: Literal["pending", "excluded"]
    hash: str | None = None
    document: str | None = None
    code: str | None = None
    message: str | None = None
    totals: dict[str, dict[str, int]] = field(default_factory=dict[str, dict[str, int]])
    under_rules: UnderRules = field(default_factory=UnderRules)


class RulesAsk(msgspec.Struct, frozen=True, omit_defaults=True):
    """The approvals that the operator's rules ask for before a batch may start; 0: none.

    `rule`: the id of the one that asks for the most. `rules`: the hash of the file; empty: there were no rules.
    """

    approvals: int = 0
    rule: str | None = None
    rules: str = ""


class Summary(msgspec.Struct, rename="camel", omit_defaults=True):
    """The result of a preview, as the row of the batch stores it.

    `totals`: by asset, of the items that start. `excluded`: by code. `first_failing`: the first item whose plan fails.
    """

    included: int
    totals: dict[str, dict[str, int]]
    excluded: dict[str, int]
    first_failing: Json | None = None
    asked: RulesAsk = RulesAsk()


async def preview(ports: Ports, batch: Batch) -> None:
    """Make the preview of a batch, from its first item; it is ready then.

    Where a service does not answer, it waits. Raises Replaced and Unavailable.
    """
    claim = ports.ids.new()
    await _commit(ports, Required(writes.ClaimPreview(batch_id=batch.id, claim=claim), Replaced))
    planner = ItemPlanner(ports)
    find = {"run": planner.run, "redrive": planner.redrive, "undo": planner.undo, "abort": planner.abort}[batch.kind]
    signed: list[Json] = []
    totals: dict[str, Counter[str]] = {}
    excluded: Counter[str] = Counter()
    first_failing: Json | None = None
    under_rules = UnderRules()
    waiting: list[writes.PreviewItem] = []
    last = 0
    while page := await ports.journal.batch_items(batch.id, last, PAGE):
        for item in page:
            while (found := await planner.found(find, item)) is None:
                await _store(ports, batch, claim, last, waiting)
                await ports.clock.sleep(SILENT_S)
            last = item.n
            if found.state == "pending":
                signed.append({"n": item.n, "hash": found.hash})
                under_rules.add(found.under_rules)
                for asset, sums in found.totals.items():
                    totals.setdefault(asset, Counter()).update(sums)
            else:
                assert found.code is not None
                excluded[found.code] += 1
                if found.code.startswith("fails:") and first_failing is None:
                    first_failing = {"n": item.n, "instance": item.instance_id, "code": found.code}
                    first_failing["message"] = found.message
            waiting.append(
                writes.PreviewItem(
                    batch_id=batch.id,
                    number=item.n,
                    state=found.state,
                    hash=found.hash,
                    document=found.document,
                    code=found.code,
                    message=found.message,
                )
            )
            if len(waiting) >= STORE_EVERY or sum(len(row.document or "") for row in waiting) > STORE_BYTES:
                await _store(ports, batch, claim, last, waiting)
    await _store(ports, batch, claim, last, waiting)
    sums = {asset: {name: value for name, value in totals[asset].items() if value} for asset in sorted(totals)}
    asked = under_rules.asked(ports.runners.policy.approval_rules)
    summary = Summary(len(signed), sums, dict(sorted(excluded.items())), first_failing, asked)
    finished = writes.FinishPreview(
        batch_id=batch.id,
        claim=claim,
        hash=sha({"format": FORMAT, "kind": batch.kind, "items": signed}),
        summary=msgspec.json.encode(summary).decode(),
    )
    await _commit(ports, Required(finished, Replaced))


async def _store(ports: Ports, batch: Batch, claim: str, planned: int, rows: list[writes.PreviewItem]) -> None:
    """Store what was found, and forget it here."""
    moved = writes.MovePreview(batch_id=batch.id, claim=claim, planned=planned)
    await _commit(ports, Required(moved, Replaced), *rows)
    rows.clear()


async def _commit(ports: Ports, *entries: Any) -> None:
    unit = Unit()
    unit.extend(entries)
    await ports.journal.commit(unit)


class ItemPlanner:
    """Plans items, each after the ones before it. Errors of a method say why the item cannot start."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._shadow = Shadow()
        self._workflows: dict[str, Workflow | None] = {}
        self._rules = ports.runners.policy.approval_rules

    async def found(self, find: Callable[[BatchItem], Awaitable[Found]], item: BatchItem) -> Found | None:
        """Find out about an item; None: a service does not answer. Raises Unavailable.

        Where it excludes the item, the shadow forgets what was planned for it.
        """
        try:
            found = await find(item)
        except Unavailable:
            raise
        except Silent as error:
            log.warning("the preview of a batch waits for a service", item=item.n, reason=str(error))
            self._shadow.drop()
            return None
        except HeadraceError as error:
            found = _excluded(code_of(error), str(error))
        if found.state == "pending":
            self._shadow.keep()
        else:
            self._shadow.drop()
        return found

    async def run(self, item: BatchItem) -> Found:
        assert item.run is not None
        run = msgspec.json.decode(item.run, type=RunItem)
        if run.workflow_id not in self._workflows:
            self._workflows[run.workflow_id] = await self._ports.journal.workflow(run.workflow_id)
        workflow = self._workflows[run.workflow_id]
        if workflow is None or workflow.deleted_at is not None:
            raise NotFound("workflow", run.workflow_id)
        definition = msgspec.json.decode(workflow.config)
        check_variables_of(definition["stages"], run.variables)
        return await self._planned(Subject(definition, run.variables))

    async def redrive(self, item: BatchItem) -> Found:
        assert item.instance_id is not None
        standing = await redrivable(self._ports, item.instance_id, is_planned=False)
        if await belongs_to_undo(self._ports.journal, standing.instance):
            return Found("pending", sha({"redrive": item.instance_id}))  # its stages say what they revert
        return await self._planned(continuing(standing))

    async def undo(self, item: BatchItem) -> Found:
        assert item.instance_id is not None
        standing, undo = await computed_undo(self._ports, item.instance_id, "keep")
        found = await self._planned(planned_undo(standing, undo))
        if self._rules.rules:
            found.under_rules.sums.update(undone_sums(standing.instance, undo.stages))
        return found

    async def abort(self, item: BatchItem) -> Found:
        assert item.instance_id is not None
        instance = await self._ports.journal.instance(item.instance_id)
        if instance is None:
            raise NotFound("instance", item.instance_id)
        if instance.is_terminal:
            raise NotInThisState("ended", f"instance {instance.id} has ended already")
        return Found("pending", abort_hash(instance.id, instance.stages[-1].number))

    async def _planned(self, subject: Subject) -> Found:
        ports = self._ports
        async with ports.plans:
            asking = plan(subject, terms_for(ports, subject), self._shadow)
            document = await answered(asking, ports.downstream, ports.clock)
        fails: Json | None = document.get("fails")
        if fails is not None:
            return _excluded(f"fails:{fails.get('code') or fails['kind']}", fails["error"])
        text = canonical_json(document).decode()
        if subject.undone is not None:
            return Found("pending", document["hash"], text, totals=_reverted(document))
        under_rules = self._under_rules(subject, document) if self._rules.rules else UnderRules()
        return Found("pending", document["hash"], text, totals=document["totals"], under_rules=under_rules)

    def _under_rules(self, subject: Subject, document: Json) -> UnderRules:
        name, stages = subject.definition.get("name"), subject.definition["stages"]
        totals: dict[str, dict[str, int]] = document["totals"]
        sums = Counter({(name, asset): each["sent"] for asset, each in totals.items() if each.get("sent")})
        begins = 0 if subject.beginning is None else subject.beginning.stage
        asking = (
            self._rules.asking(name, stages, subject.variables, number, document["skipped"])
            for number in range(begins, len(stages))
        )
        return UnderRules(sums, reduce(stricter, asking, None))


def _reverted(document: Json) -> dict[str, dict[str, int]]:
    """The amounts that a plan of an undo moves back, by asset."""
    totals: dict[str, dict[str, int]] = {}
    for effect in document["effects"]:
        for each in effect["postings"]:
            sums = totals.setdefault(each["asset"], {"reverted": 0})
            sums["reverted"] += each["amount"]
    return totals


def code_of(error: HeadraceError) -> str:
    """The code of an item that cannot start because of this error."""
    match error:
        case NotInThisState() | TooLarge():
            return error.code
        case NotFound():
            return "not_found"
        case AlreadyEnded():
            return "ended"
        case InvalidValue():
            return "invalid"
        case _:
            return "error"


def _excluded(code: str, message: str) -> Found:
    return Found("excluded", code=code, message=message)


def abort_hash(instance_id: str, stage: int) -> str:
    """The hash of an abort as a preview shows it: of the instance, in the stage in which it was."""
    return sha({"format": "headrace-abort/1", "abort": instance_id, "stage": stage})
