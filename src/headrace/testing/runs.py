"""One run of a workflow in virtual time: its processes, one after the other, until it has ended or waits without end.

A process is driven by `headrace.engine.driver`, with a `Control` of its own; what it does with the instance, its
effects and their settlement is therefore what every engine does. Here is only what an engine schedules: when an
instance is driven, by what the journal says is due, and what reaches it meanwhile: events, an abort, the end of the
process.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headrace.composition.memory import MemoryJournal, memory_journal
from headrace.effects.port import Request, Response
from headrace.effects.settlement import Backoff
from headrace.engine.driver import Driver
from headrace.engine.limits import EngineLimits
from headrace.engine.meter import NoMeter
from headrace.engine.services import Services
from headrace.errors import AlreadyEnded, Conflict
from headrace.events.outbox import Outbox
from headrace.journal.port import Results, Unit
from headrace.journal.records import ActivityRow, Instance, ResolutionRow, Standing, Workflow
from headrace.journal.writes import AddAuditEntry
from headrace.runner.instance import InstanceRunner
from headrace.runner.policy import Policy
from headrace.runner.runners import Runners
from headrace.sandbox.faults import KINDS, NAMED_KINDS, Fault, parse_fault
from headrace.sandbox.memory import MemorySandbox
from headrace.sandbox.releases import Releases
from headrace.testing.interactions import (
    MAX_INTERACTIONS,
    Act,
    Endless,
    Interaction,
    Killed,
    Kind,
    Step,
    commit_of,
)
from headrace.testing.persons import REQUESTER, Approval, Persons
from headrace.testing.virtual import SeededIds, VirtualClock, finished, microseconds
from headrace.usecases.instances import event_unit
from headrace.workflows.activities import Service

_LAST_ROW = 2**63 - 1
_MAX_DUE = 10_000


@dataclass(frozen=True, slots=True)
class Plan:
    """A run: its variables, the events that are sent to it and when (microseconds after its start), and its faults.

    `faults`: the number of an effect, from 0 over the whole run, and a kind; the second of an effect hits its second
    attempt. `steps` are done at interactions: the schedule of a proof. `approvals`: what persons decide about it.
    """

    variables: Mapping[str, str]
    events: Sequence[tuple[int, str]] = ()
    faults: Sequence[tuple[int, str]] = ()
    steps: Sequence[Step] = ()
    by_trigger: bool = False
    approvals: Sequence[Approval] = ()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Everything around runs, which outlives their processes."""

    clock: VirtualClock
    ids: SeededIds
    journal: MemoryJournal
    sandbox: MemorySandbox

    @classmethod
    def new(cls, seed: int = 0, *, journal: bytes | None = None, services: bytes | None = None) -> Surroundings:
        """A journal and services that hold what these images do; without one they are empty."""
        clock, ids = VirtualClock(), SeededIds(seed)
        return cls(clock, ids, memory_journal(journal), MemorySandbox(clock, ids, Releases(), services))

    def close(self) -> None:
        finished(self.journal.close())
        self.sandbox.close()


@dataclass(frozen=True, slots=True)
class World:
    """Everything before a run: images of a journal that holds the workflow, and of the filled services."""

    workflow: Workflow
    journal: bytes
    services: bytes
    seed: int = 0

    @contextlib.contextmanager
    def run(self, plan: Plan) -> Generator[Run]:
        """A run in a world of its own, which has begun nothing yet."""
        around = Surroundings.new(self.seed, journal=self.journal, services=self.services)
        try:
            yield Run(self.workflow, plan, around)
        finally:
            around.close()


class Run:
    """See the module.

    `faults_met`: how many faults of the plan have hit an attempt. `lost`: why the run cannot go on though it has not
    ended and waits for nothing: a defect, or a bound. `violations`: attempts that a service may take for something new,
    whatever the sandbox made of them.
    """

    def __init__(self, workflow: Workflow, plan: Plan, around: Surroundings) -> None:
        self.clock, self.ids, self.journal, self.sandbox = around.clock, around.ids, around.journal, around.sandbox
        self.started_at = self.clock.now_at()
        self.interactions: list[Interaction] = []
        self.instance_id = ""
        self.lost: str | None = None
        self.violations: list[str] = []
        self.faults_met = 0
        self._workflow = workflow
        self._plan = plan
        self._steps = {step.number: step for step in plan.steps}
        self._events = sorted((self.started_at + at, name) for at, name in plan.events)
        self.runners = Runners(self.clock.now_at, self.ids.new, Outbox().announce, Policy())
        self.persons = Persons(self, plan.approvals)
        self._control: Control | None = None
        self._wants_abort = False
        self._attempts: dict[str, int] = {}
        self._unsettled: set[str] = set()
        """Keys of effects that were attempted and not looked up since."""

    def standing(self) -> Standing | None:
        """The instance where the journal says it stands; None: it is not stored."""
        return finished(self.journal.standing(self.instance_id)) if self.instance_id else None

    @property
    def undo_id(self) -> str | None:
        """The undo that the run has begun as it failed; None: there is none."""
        step = finished(self.journal.successor(self.instance_id)) if self.instance_id else None
        return None if step is None else step.successor

    # the processes

    def go_on(self, until_at: int | None = None) -> None:
        """Let processes live until the run has ended, or waits for something that does not come.

        `until_at`: stop where it would wait beyond this moment.
        """
        while True:
            try:
                self._live(until_at)
            except Killed as killed:
                self._control = None
                self.clock.advance_to(self.clock.now_at() + killed.down_us)
                continue
            except Endless:
                self.lost = f"it does not end: more than {MAX_INTERACTIONS} interactions"
            except Conflict:  # the instance is read again
                self._control = None
                continue
            except Exception as error:  # noqa: BLE001  # whatever it is, it is a finding about the run
                self.lost = f"{type(error).__name__}: {error}"
            return

    def _live(self, until_at: int | None) -> None:
        """One process, from its start. It begins with what the journal holds."""
        services = Services(_Downstream(self), self.clock, NoMeter(), ceiling=64, start=64)
        limits = EngineLimits()
        backoff = Backoff(limits.retry_base_s, limits.retry_cap_s, self.ids.jitter)
        journal: Any = _Journal(self)
        driver = Driver(journal, services, self.clock, self.runners, limits, NoMeter(), backoff, lambda _: None)
        runner = None
        if self.standing() is None:  # a caller repeats its request until it is answered
            runner = self.start()
        self.pass_time(self.clock.now_at())
        while True:
            runner = runner or self._due_runner()
            if runner is not None:
                self._control = Control(self, runner)
                self.abort_if_wanted()
                finished(driver.drive(self._control))
                runner = self._control = None
                self.abort_if_wanted()
            elif not self._wait(until_at):
                return

    def start(self) -> InstanceRunner:
        """Store a new instance. Raises InvalidValue, naming every missing variable."""
        runner, unit = self.runners.start(
            self._workflow, dict(self._plan.variables), sends=True, by_trigger=self._plan.by_trigger
        )
        self.instance_id = runner.id
        asked_at = self.clock.now_at()
        entry = AddAuditEntry(
            at=asked_at, principal=REQUESTER, client_id=None, operation="runWorkflow", target=runner.id
        )
        unit.add(entry)
        self.commit(unit)
        return runner

    def _due_runner(self) -> InstanceRunner | None:
        """The instance, or its undo, where the journal says it stands, if it says that there is something to do."""
        standing = self.standing()
        if standing is not None and standing.is_over and (undo_id := self.undo_id) is not None:
            standing = finished(self.journal.standing(undo_id))
        due = finished(self.journal.due(-1, _LAST_ROW, self.clock.now_at(), _MAX_DUE))
        if standing is None or standing.is_over or standing.instance.id not in [each.instance_id for each in due]:
            return None
        runner = self.runners.restore(standing)
        return None if runner.needs_attention and runner.ended_at is None else runner

    def next_moment(self) -> int | None:
        """When something happens next that does not come by itself: the end of a delay, an event, or a decision."""
        deadline_at = finished(self.journal.next_deadline(self.clock.now_at()))
        event_at = self._events[0][0] if self._events else None
        return min((at for at in (event_at, deadline_at, self.persons.next_at()) if at is not None), default=None)

    def _wait(self, until_at: int | None) -> bool:
        """Move on to the next moment at which something happens. False where there is none, or none before the stop."""
        moment_at = self.next_moment()
        if moment_at is None:
            self._require_reason_to_wait()
            return False
        if until_at is not None and moment_at > until_at:
            return False
        self.pass_time(moment_at)
        self.persons.decide_if_due()
        self.abort_if_wanted()
        return True

    def _require_reason_to_wait(self) -> None:
        """Nothing will ever drive the run again: it has ended, waits for an event or approvals, or needs attention."""
        standing = self.standing()
        assert standing is not None, "a run is stored before anything waits"
        if any(row.needs_attention for row in standing.activities):
            return
        if standing.instance.is_terminal:
            if standing.instance.stages[-1].terminated_at is None:
                self.lost = "it was aborted, and its last effect is never settled"
            elif (undo_id := self.undo_id) is not None:
                undo = finished(self.journal.standing(undo_id))
                if undo is None or not (undo.is_over or any(row.needs_attention for row in undo.activities)):
                    self.lost = "its undo has something to do, and nothing ever drives it"
        else:
            runner = self.runners.restore(standing)
            if runner.waits_for_event is None and not runner.waits_without_end:
                self.lost = "it has something to do, and nothing ever drives it"

    # what reaches the run from outside

    def pass_time(self, until_at: int) -> None:
        """Let time pass; events that come meanwhile reach the run at their moments."""
        while self._events and self._events[0][0] <= until_at:
            self.clock.advance_to(self._events[0][0])
            try:
                self.send_event(self._events[0][1])
            except Killed as killed:
                if killed.is_carried_out:  # else its sender, who got no answer, sends it again
                    del self._events[0]
                raise
            del self._events[0]
        self.clock.advance_to(until_at)

    def send_event(self, name: str) -> None:
        """Put an event into the mailbox; an instance that has ended takes none."""
        with contextlib.suppress(AlreadyEnded):
            self.commit(event_unit(self.instance_id, name, self.clock.now_at()))
            if self._control is not None:
                self._control.is_woken = True

    def abort_if_wanted(self) -> None:
        """Abort as an engine does: decide by the journal, and keep what this process knows of attempts."""
        standing = self.standing() if self._wants_abort else None
        if standing is None:
            return
        if standing.instance.is_terminal:
            self._wants_abort = False
            return
        runner = self.runners.restore(standing)
        known = None if self._control is None else self._control.runner.open
        if known is not None:
            runner.keep(known, known.begun)
        try:
            self.commit(runner.abort())
        except Killed as killed:
            self._wants_abort = not killed.is_carried_out  # else the caller repeats it
            raise
        self._wants_abort = False
        if self._control is not None:
            self._control.runner = runner

    # interactions

    def commit(self, unit: Unit) -> Results:
        """Commit a unit, unless the process is killed before."""
        step = self._begin(commit_of(unit, self.clock.now_at()))
        results = finished(self.journal.commit(unit))
        self._end(step)
        return results

    def send(self, request: Request) -> Response:
        """Send a request to its service, unless the process is killed before. Raises NoResponse."""
        control = self._control
        assert control is not None, "only what is driven sends requests"
        opened = control.runner.open
        assert opened is not None, "a request belongs to an activity"
        is_attempt = request == opened.request
        fault = None
        if not opened.activity.is_effect:
            interaction = Interaction(Kind.READ, opened.activity.name, request.service)
        else:
            number = list(self._attempts).index(opened.key) if opened.key in self._attempts else len(self._attempts)
            attempt = self._attempts.setdefault(opened.key, 0) + is_attempt
            self._attempts[opened.key] = attempt
            what = f"{number} ({opened.activity.name})"
            if is_attempt:
                about = f"{attempt} of effect {what}"
                interaction = Interaction(Kind.ATTEMPT, about, request.service, bool(request.key))
                fault = self._fault(number, attempt, request.service)
                if not request.key and opened.key in self._unsettled:
                    self.violations.append(f"attempt {about} is sent without a look-up; its service knows no keys")
                self._unsettled.add(opened.key)
            else:
                self._unsettled.discard(opened.key)
                if (request.method, request.path) == (opened.request.method, opened.request.path):
                    self.violations.append(f"an attempt of effect {what} sends other bytes than those that are stored")
                interaction = Interaction(Kind.LOOK_UP, f"for effect {what}", request.service)
        step = self._begin(interaction)
        if step is not None and step.act is Act.ABORT_BEFORE:
            self._wants_abort = True
            self.abort_if_wanted()
        fault = step.fault if step is not None and step.fault is not None else fault
        try:
            response = self.sandbox.attempt(request, fault)
        finally:
            self._end(step)
            if step is not None and step.act is Act.ABORT_AFTER:
                self._wants_abort = True
                self.abort_if_wanted()
        if fault is not None and fault.kind == "delay":
            self.pass_time(self.clock.now_at() + microseconds(fault.delay_s))
        return response

    def _fault(self, effect: int, attempt: int, service: Service) -> Fault | None:
        kinds = [kind for number, kind in self._plan.faults if number == effect]
        if attempt > len(kinds):
            return None
        self.faults_met += 1
        return fault_of(kinds[attempt - 1], service)

    def _begin(self, interaction: Interaction) -> Step | None:
        number = len(self.interactions)
        if number >= MAX_INTERACTIONS:
            raise Endless
        self.interactions.append(interaction)
        step = self._steps.get(number)
        if step is not None and step.act is Act.KILL_BEFORE:
            raise Killed(is_carried_out=False, down_us=step.down_us)
        return step

    def _end(self, step: Step | None) -> None:
        if step is None:
            return
        if step.event is not None:
            self._events.insert(0, (self.clock.now_at(), step.event))
        if step.act in (Act.ABORT_BEFORE, Act.ABORT_AFTER) and self.interactions[step.number].kind is Kind.COMMIT:
            self._wants_abort = True  # a decision and its commit exclude an abort: it comes right after
        if step.act is Act.KILL_AFTER:
            raise Killed(is_carried_out=True, down_us=step.down_us)


def fault_of(kind: str, service: Service) -> Fault:
    """The fault of this kind in a service; payments know no `overlap`, whose place a lost response takes there."""
    if service == "payments" and kind in NAMED_KINDS and KINDS[NAMED_KINDS[kind]].needs_key:
        kind = "drop"
    return parse_fault(f"{service}:{kind}:1")


class Control:
    """Implements `engine.control.Control` as an engine within one process does. It never stops or gives way."""

    is_stopping = False
    gives_way = False
    permit_s = None

    def __init__(self, run: Run, runner: InstanceRunner) -> None:
        self._run = run
        self.runner = runner
        self.is_woken = True

    @contextlib.asynccontextmanager
    async def exclusive(self) -> AsyncGenerator[None]:
        yield
        self._run.abort_if_wanted()

    async def may_begin(self) -> bool:
        self._run.abort_if_wanted()
        return True

    async def pause(self, seconds: float, *, is_settling: bool) -> bool:
        self._run.pass_time(self._run.clock.now_at() + microseconds(seconds))
        self._run.abort_if_wanted()
        return True


class _Journal:
    """The journal as a driver sees it: each commit is an interaction of the run."""

    def __init__(self, run: Run) -> None:
        self._run = run

    async def commit(self, unit: Unit) -> Results:
        return self._run.commit(unit)

    async def standing(self, instance_id: str) -> Standing | None:
        return await self._run.journal.standing(instance_id)

    async def instance(self, instance_id: str) -> Instance | None:
        return await self._run.journal.instance(instance_id)

    async def activities(self, instance_id: str, stage: int) -> list[ActivityRow]:
        return await self._run.journal.activities(instance_id, stage)

    async def resolutions(self, instance_id: str) -> list[ResolutionRow]:
        return await self._run.journal.resolutions(instance_id)


class _Downstream:
    """Implements `effects.port.Downstream`: each request is an interaction of the run."""

    def __init__(self, run: Run) -> None:
        self._run = run

    async def send(self, request: Request) -> Response:
        return self._run.send(request)

    async def close(self) -> None: ...
