"""Persons of a run in virtual time: they read a plan of its rest, and approve or reject it as the use cases let them.

A decision comes at its moment, or as soon after it as the run waits for approvals; the decisions keep their order. The
persons of one wait decide about one plan: the first of them asks for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, cast

import msgspec

from headrace.composition.memory import MemoryJournal
from headrace.errors import HeadraceError
from headrace.journal.port import Results, Unit
from headrace.journal.records import Decision, Plan, Standing
from headrace.planning.canonical import canonical_json
from headrace.planning.planner import Subject, plan
from headrace.planning.questions import Answer
from headrace.runner.runners import Runners
from headrace.sandbox.memory import MemorySandbox
from headrace.testing.interactions import Killed
from headrace.testing.virtual import SeededIds, VirtualClock, finished
from headrace.usecases.approvals import Verdict, decide_rest, require_other_person, require_same
from headrace.usecases.continuations import open_gate, rest_of
from headrace.usecases.plans import APPROVE, MAX_LIFE_US, OPEN, PlanSubject, stored_plan, summarized, terms_of
from headrace.workflows.activities import Json

REQUESTER = "requester"
"""The principal that starts every run. It cannot approve what it has asked for."""
REASON = "as the test says"


@dataclass(frozen=True, slots=True)
class Approval:
    """A person's decision, `at_us` microseconds after the start or as soon after that as the run waits for it."""

    at_us: int
    by: str
    verdict: Verdict = "approve"
    reason: str = REASON


class PersonsRun(Protocol):
    """The run that persons decide about."""

    clock: VirtualClock
    ids: SeededIds
    journal: MemoryJournal
    sandbox: MemorySandbox
    runners: Runners
    instance_id: str
    started_at: int

    def standing(self) -> Standing | None: ...
    def commit(self, unit: Unit) -> Results: ...


class Persons:
    """See the module. `refused`: decisions that were not allowed, and why. `left`: those that nothing has asked for."""

    def __init__(self, run: PersonsRun, approvals: Sequence[Approval]) -> None:
        self._run = run
        self.left = sorted(approvals, key=lambda each: each.at_us)
        self.refused: list[tuple[Approval, str]] = []
        self._plan: tuple[int, Plan] | None = None
        """The stage that waits, and the plan that its persons decide about."""

    def next_at(self) -> int | None:
        """When the next person decides; None: the run waits for no approvals, or no person is left."""
        if not self.left:
            return None
        standing = self._run.standing()
        if standing is None or open_gate(standing.instance) is None:
            return None
        return max(self._run.started_at + self.left[0].at_us, self._run.clock.now_at())

    def decide_if_due(self) -> None:
        """Let the next person decide, where it is time and the run waits. A person without an answer does it again."""
        due_at = self.next_at()
        if due_at is None or due_at > self._run.clock.now_at():
            return
        approval = self.left[0]
        try:
            self.decide(approval.by, approval.verdict, approval.reason)
        except Killed:
            if self._has_decided(approval.by):
                del self.left[0]
            raise
        except HeadraceError as error:
            self.refused.append((approval, str(error)))
        del self.left[0]

    def decide(self, by: str, verdict: Verdict, reason: str) -> None:
        """Decide about the rest of the run. Raises NotInThisState, NotPermitted, NotRunnable."""
        run = self._run
        subject = finished(rest_of(run.journal, run.instance_id))
        decided = self._plan_of(subject)
        decisions = finished(run.journal.decisions(decided.id))
        own = next((each for each in decisions if each.principal == by), None)
        if own is not None:
            require_same(own, verdict, "plan")
            return
        if verdict == APPROVE:
            about = msgspec.json.decode(decided.subject, type=PlanSubject)
            finished(require_other_person(run.journal, decided, about, by))
        standing = run.standing()
        assert standing is not None, "its rest was read"
        runner = run.runners.restore(standing)
        decision = Decision(decided.id, by, verdict, decided.hash, reason, runner.now_at())
        unit, _ = decide_rest(runner, decided, decisions, decision)
        run.commit(unit)

    def _has_decided(self, by: str) -> bool:
        if self._plan is None:
            return False
        return any(each.principal == by for each in finished(self._run.journal.decisions(self._plan[1].id)))

    def _plan_of(self, subject: Subject) -> Plan:
        """The plan that is decided about: that of the persons before, while it can be used, else a new one."""
        run, beginning = self._run, subject.beginning
        assert beginning is not None, "a rest begins somewhere"
        now_at = run.clock.now_at()
        if self._plan is not None:
            stage, known = self._plan
            if stage == beginning.stage and known.expires_at > now_at:
                return known
            self._plan = None
        document = self._planned(subject)
        about = summarized(PlanSubject("", subject.definition.get("name"), instance=run.instance_id), document)
        made = Plan(
            id=run.ids.new(),
            hash=document["hash"],
            subject=msgspec.json.encode(about).decode(),
            requester=REQUESTER,
            created_at=now_at,
            expires_at=now_at + MAX_LIFE_US,
            state=OPEN,
            document=canonical_json(document).decode(),
        )
        unit = Unit()
        unit.add(stored_plan(made))
        run.commit(unit)
        self._plan = beginning.stage, made
        return made

    def _planned(self, subject: Subject) -> Json:
        """The plan of the rest over the books as they are; the services are only read."""
        clock, answer = self._run.clock, cast("Answer", None)
        asking = plan(subject, terms_of(self._run.runners.policy, subject, clock.now_at()))
        while True:
            try:
                question = asking.send(answer)
            except StopIteration as ended:
                return ended.value
            answer = Answer(self._run.sandbox.handle(question.request), clock.now_at())
