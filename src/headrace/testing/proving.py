"""Proves a case: the same run again and again, each time with something else done to it at one of its interactions.

A plain run lists the interactions. A *schedule* is what is done in one other run: a kill before or after an
interaction, a fault of an attempt, an event at another moment, an abort, or a pair of a kill and a fault. Whatever is
done, the run must end as the plain one did: the same effects, each booked once, the same books and the same history. An
aborted run must have booked a prefix. Where a wait has a time, an event that is moved may come too late: then the run
must end as it does without that event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from typing import Any

import msgspec

from headrace.sandbox.faults import Fault
from headrace.testing.cases import Suite
from headrace.testing.checks import plan_of, unmet_by
from headrace.testing.interactions import Act, Interaction, Kind, Step
from headrace.testing.report import history_lines, wrapped
from headrace.testing.results import Result, result_of
from headrace.testing.runs import Plan, fault_of
from headrace.testing.virtual import START_AT
from headrace.workflows.activities import ACTIVITIES, Service
from headrace.workflows.conditions import TIMEOUT
from headrace.workflows.durations import duration_us
from headrace.workflows.failures import EXPIRED_TEXT, TIMEOUT_TEXT

Json = dict[str, Any]

KINDS = ("drop", "500", "429", "delay", "overlap")
READ_KINDS = ("500", "429", "delay")
HOUR_US = 3_600 * 1_000_000
DEFAULT_RUNS = 20_000


@dataclass(frozen=True, slots=True)
class Schedule:
    """One run of a proof: the plan, and in words what is done in it.

    `may_expire`: persons may decide, or an event may come, too late: later, asked for earlier, or meeting an outage.
    `as_one_of`: plans of undisturbed runs, one of which it must end like; none: like the plain run.
    """

    about: tuple[str, ...]
    plan: Plan
    aborts: bool = False
    may_expire: bool = False
    moves_decisions: bool = False
    as_one_of: tuple[Plan, ...] = ()


@dataclass(frozen=True, slots=True)
class Refutation:
    """A schedule under which the run came to something else."""

    case: str
    schedule: Schedule
    problems: list[str]
    result: Result


@dataclass(slots=True)
class Proof:
    """Counts of a proof, and the shortest schedule that refutes it, if there is one.

    `undecided`: aborted or faulty runs that rightly ended in need of attention. `left`: schedules beyond the bound.
    """

    runs: int = 0
    interactions: int = 0
    effects: int = 0
    kills: int = 0
    faults: int = 0
    aborts: int = 0
    events: int = 0
    decisions: int = 0
    undecided: int = 0
    left: int = 0
    refutation: Refutation | None = None
    cases: list[str] = field(default_factory=list[str])


def prove(
    suite: Suite,
    *,
    pairs: bool = False,
    max_runs: int = DEFAULT_RUNS,
    on_run: Callable[[int], None] = lambda _: None,
) -> Proof:
    """Prove every case of a suite; its own faults are left out. Ends at the first schedule that refutes it.

    Schedules of one step come before pairs. `max_runs` bounds the runs of all cases together. Raises NotStarted for a
    case whose trigger does not match.
    """
    proof = Proof()
    for case in suite.cases:
        proof.cases.append(case.name)
        plan = replace(plan_of(case), faults=())
        plain, interactions = _run(suite, plan)
        proof.interactions += len(interactions)
        proof.effects += len(plain.effects)
        unmet = unmet_by(case, plain)
        if unmet:
            proof.refutation = Refutation(case.name, Schedule(("nothing is done to it",), plan), unmet, plain)
            return proof
        schedules = list(_singles(plan, interactions, plain))
        if pairs:
            paired = list(_pairs(plan, interactions))
            paired.sort(key=partial(_drawn, suite.world.seed))  # a bound then leaves out some of each kind
            schedules += paired
        undisturbed = _Undisturbed(suite, plan, plain)
        for number, schedule in enumerate(schedules):
            if proof.runs >= max_runs:
                proof.left += len(schedules) - number
                break
            result, _ = _run(suite, schedule.plan)
            proof.runs += 1
            _count(proof, schedule, result)
            on_run(proof.runs)
            problems = undisturbed.problems(result, schedule)
            if problems:
                proof.refutation = Refutation(case.name, schedule, problems, result)
                return proof
    return proof


class _Undisturbed:
    """The plain run, and those that schedules name in its place: without an event, or with it in time."""

    def __init__(self, suite: Suite, plan: Plan, plain: Result) -> None:
        self._suite = suite
        self._plain = plain
        self._known = {tuple(plan.events): plain}

    def problems(self, result: Result, schedule: Schedule) -> list[str]:
        """Differences of a run from the first run that it may be like; empty where it is like one of them."""
        first: list[str] = []
        for plan in schedule.as_one_of or (None,):
            wanted = self._plain
            if plan is not None:
                events = tuple(plan.events)
                if events not in self._known:
                    self._known[events], _ = _run(self._suite, plan)
                wanted = self._known[events]
            found = [*(f"undisturbed: {each}" for each in wanted.problems), *_problems(wanted, result, schedule)]
            if not found:
                return []
            first = first or found
        return first


def _drawn(seed: int, schedule: Schedule) -> bytes:
    """Orders schedules as if by chance; the same seed gives the same order."""
    return sha256(f"{seed}: {schedule.about}".encode()).digest()


def _run(suite: Suite, plan: Plan) -> tuple[Result, list[Interaction]]:
    with suite.world.run(plan) as run:
        run.go_on()
        return result_of(run), run.interactions


def _count(proof: Proof, schedule: Schedule, result: Result) -> None:
    acts = [step.act for step in schedule.plan.steps]
    proof.kills += any(act in (Act.KILL_BEFORE, Act.KILL_AFTER) for act in acts)
    proof.aborts += schedule.aborts
    proof.faults += any(step.fault is not None for step in schedule.plan.steps)
    proof.decisions += schedule.moves_decisions
    is_moved = not acts and not schedule.moves_decisions
    proof.events += is_moved or any(step.event is not None for step in schedule.plan.steps)
    proof.undecided += result.outcome == "needs_attention"


# Schedules


def _singles(plan: Plan, interactions: Sequence[Interaction], plain: Result) -> Iterator[Schedule]:
    for number, interaction in enumerate(interactions):
        for step, about in (*_kills(number, interaction), *_faults(number, interaction)):
            may_expire = (interaction.opens_gate or interaction.opens_wait) and step.down_us > 0
            yield Schedule((about,), replace(plan, steps=(step,)), may_expire=may_expire)
        for act in (Act.ABORT_BEFORE, Act.ABORT_AFTER) if interaction.kind is not Kind.COMMIT else (Act.ABORT_AFTER,):
            yield Schedule((f"{act.value} {_shown(number, interaction)}",), _with(plan, Step(number, act)), aborts=True)
    yield from _events(plan, interactions, _bounded_waits(plain))
    yield from _at_deadlines(plan, plain)
    yield from _decisions(plan, _bounded_waits(plain))


def _pairs(plan: Plan, interactions: Sequence[Interaction]) -> Iterator[Schedule]:
    """A fault, and a kill at an interaction after it: up to four more than the plain run has may follow a fault."""
    for number, interaction in enumerate(interactions):
        for faulty, fault_about in _faults(number, interaction):
            for later in range(number + 1, len(interactions) + 4):
                for act in (Act.KILL_BEFORE, Act.KILL_AFTER):
                    about = (fault_about, f"then {act.value} interaction {later}")
                    yield Schedule(about, _with(plan, faulty, Step(later, act)))


def _with(plan: Plan, *steps: Step) -> Plan:
    return replace(plan, steps=steps)


def _kills(number: int, interaction: Interaction) -> Iterator[tuple[Step, str]]:
    for act in (Act.KILL_BEFORE, Act.KILL_AFTER):
        yield Step(number, act), f"{act.value} {_shown(number, interaction)}"
    delay_us = interaction.delay_us
    for down_us in (delay_us // 2, delay_us, delay_us + HOUR_US) if delay_us else ():
        about = f"{Act.KILL_AFTER.value} {_shown(number, interaction)}, down for {down_us / 1e6:g} s"
        yield Step(number, Act.KILL_AFTER, down_us=down_us), about


def _faults(number: int, interaction: Interaction) -> Iterator[tuple[Step, str]]:
    for kind, fault in _faults_of(interaction.kind, interaction.service, has_key=interaction.has_key):
        yield Step(number, fault=fault), f"{kind} at {_shown(number, interaction)}"


def _faults_of(kind: Kind, service: Service | None, *, has_key: bool) -> Iterator[tuple[str, Fault]]:
    if service is None:
        return
    for name in KINDS if kind is Kind.ATTEMPT else READ_KINDS:
        if name != "overlap" or has_key:
            yield name, fault_of(name, service)


def _events(plan: Plan, interactions: Sequence[Interaction], bounded: Sequence[_BoundedWait]) -> Iterator[Schedule]:
    """Each event at the start, when each wait begins, and an hour late: a wait that has a time may miss it then."""
    waits = [number for number, interaction in enumerate(interactions) if interaction.opens_wait]
    stored = [number for number, interaction in enumerate(interactions) if interaction.stores_event]
    for index, (at, name) in enumerate(plan.events):
        others = tuple(event for other, event in enumerate(plan.events) if other != index)
        ends = [0, *(wait.deadline_us + 1 for wait in bounded if wait.event == name)]
        elsewhere = [replace(plan, events=others), *(replace(plan, events=(*others, (end, name))) for end in ends)]
        allowed = (plan, *elsewhere) if bounded else ()
        for moved_at, when in ((0, "at the start"), (at + HOUR_US, "an hour later")):
            moved = replace(plan, events=(*others, (moved_at, name)))
            yield Schedule((f"event {name} {when}",), moved, may_expire=True, as_one_of=allowed)
        for number in waits if index < len(stored) else ():
            if number > stored[index]:
                break
            about = f"event {name} after {_shown(number, interactions[number])}"
            moved = replace(plan, events=others, steps=(Step(number, event=name),))
            yield Schedule((about,), moved, may_expire=True, as_one_of=allowed)


def _at_deadlines(plan: Plan, plain: Result) -> Iterator[Schedule]:
    """The event of each wait that has a time, around its end: to the microsecond it is used, and after it is not.

    The run is driven at that very moment, after the events of the moment. Left out is what does not follow from the
    plain run: a name that is sent or awaited twice, and what comes later and would find another wait open, or none.
    """
    if (plain.error or "").startswith(EXPIRED_TEXT):
        return
    bounded, names = _bounded_waits(plain), [name for _, name in plan.events]
    stages = [each.stage for each in plain.stages if each.stage.keyword == "wait_event" and not each.stage.skipped]
    awaited = [msgspec.json.decode(stage.input)["event"] for stage in stages]
    for index, wait in enumerate(bounded):
        others = tuple(event for event in plan.events if event[1] != wait.event)
        is_late_later = any(each.has_timed_out and each.event in names for each in bounded[index + 1 :])
        is_early = wait.has_timed_out and (others or plan.approvals)
        if names.count(wait.event) != 1 or awaited.count(wait.event) != 1 or is_late_later or is_early:
            continue
        never, first = replace(plan, events=others), replace(plan, events=((0, wait.event), *others))
        in_time, late = (first, plan) if wait.has_timed_out else (plan, never)
        for us, when, wanted in (
            (-1, "1 us before the deadline", in_time),
            (0, "at the deadline", in_time),
            (1, "1 us after the deadline", late),
        ):
            about = f"event {wait.event} {when} of stage {wait.stage}"
            moved = replace(plan, events=(*others, (wait.deadline_us + us, wait.event)))
            yield Schedule((about,), moved, as_one_of=(wanted,))


@dataclass(frozen=True, slots=True)
class _BoundedWait:
    """A wait that has a time, in a run. `deadline_us`: its end by the definition, from the start of the run."""

    stage: int
    event: str
    deadline_us: int
    has_timed_out: bool


def _bounded_waits(plain: Result) -> list[_BoundedWait]:
    found: list[_BoundedWait] = []
    for stage in (each.stage for each in plain.stages if each.stage.keyword == "wait_event" and not each.stage.skipped):
        body = msgspec.json.decode(stage.input)
        if "timeout" in body and stage.terminated_at is not None:
            deadline_us = stage.started_at - START_AT + duration_us(body["timeout"], "timeout")
            found.append(_BoundedWait(stage.number, body["event"], deadline_us, stage.outcome == TIMEOUT))
    return found


def _decisions(plan: Plan, bounded: Sequence[_BoundedWait]) -> Iterator[Schedule]:
    """All decisions of persons as soon as they are asked, and an hour late. A wait behind them begins as they do."""
    if not plan.approvals:
        return
    allowed = (plan, replace(plan, events=())) if bounded else ()
    for approvals, when in (
        ([replace(each, at_us=0) for each in plan.approvals], "as soon as they are asked for"),
        ([replace(each, at_us=each.at_us + HOUR_US) for each in plan.approvals], "an hour later"),
    ):
        about, moved = (f"approvals {when}",), replace(plan, approvals=approvals)
        yield Schedule(about, moved, may_expire=True, moves_decisions=True, as_one_of=allowed)


def _shown(number: int, interaction: Interaction) -> str:
    return f"interaction {number}: {interaction}"


# Comparing


def _problems(plain: Result, result: Result, schedule: Schedule) -> Iterator[str]:
    yield from result.problems
    if result.outcome == "lost":
        return
    is_aborted = result.outcome in ("aborted", "needs_attention") and plain.outcome != "needs_attention"
    has_expired = schedule.may_expire and (result.error or "").startswith((EXPIRED_TEXT, TIMEOUT_TEXT))
    if (schedule.aborts and is_aborted) or has_expired:
        done, wanted = _effects(result), _effects(plain)
        if done != wanted[: len(done)]:
            yield f"effects {done} are no prefix of {wanted}"
        return
    # A refusal after an unknown attempt proves nothing of a wallet (decision M6b): a person decides; nothing is booked.
    is_undecided = result.outcome == "needs_attention" and plain.outcome == "failed" and _has_refused_wallet(plain)
    if not is_undecided and result.outcome != plain.outcome:
        yield f"it {_ended(result)}; the plain run {_ended(plain)}"
    yield from _differing("effects", _effects(plain), _effects(result))
    yield from _differing("initiations", _initiation_lines(plain), _initiation_lines(result))
    yield from _differing("balances", _balance_lines(plain), _balance_lines(result))
    yield from _differing("metadata", _metadata_lines(plain), _metadata_lines(result))
    if not is_undecided:
        yield from _differing("history", _history(plain), _history(result))


def _differing(about: str, wanted: list[str], found: list[str]) -> Iterator[str]:
    """The lines that only one of the two has; all of them where only their order or number differs."""
    if found == wanted:
        return
    lacking = [line for line in wanted if line not in found]
    extra = [line for line in found if line not in wanted]
    if not lacking and not extra:
        lacking, extra = wanted, found
    yield from (f"{about}: - {line}" for line in lacking)
    yield from (f"{about}: + {line}" for line in extra)


def _effects(result: Result) -> list[str]:
    """The effects, with transfer initiations by their references: their ids hold that of the instance."""
    references = {each["id"]: _reference(each, result) for each in result.contents.initiations}
    return [" ".join(references.get(word, word) for word in line.split(" ")) for line in result.effects]


def _initiation_lines(result: Result) -> list[str]:
    return [f"{_reference(each, result)} {each['status']}" for each in result.contents.initiations]


def _reference(initiation: Json, result: Result) -> str:
    return initiation["reference"].replace(result.instance_id, "INSTANCE")


def _balance_lines(result: Result) -> list[str]:
    balances = result.contents.balances.items()
    return [f"{ledger} {account} {amount} {asset}" for (ledger, account, asset), amount in balances]


def _metadata_lines(result: Result) -> list[str]:
    metadata = result.contents.metadata.items()
    return [f"{ledger} {account} {values}" for (ledger, account), values in metadata if values]


def _ended(result: Result) -> str:
    return f"ended as {result.outcome}" + (f" ({result.error})" if result.error else "")


def _has_refused_wallet(result: Result) -> bool:
    rows = [row for stage in result.stages for row in stage.activities]
    return any(row.error is not None and ACTIVITIES[row.name].service == "wallets" for row in rows)


def _history(result: Result) -> list[str]:
    """The history without what differs between two runs of the same: ids, times and numbers of attempts."""
    lines: list[str] = []
    for each in result.stages:
        state = "open" if each.stage.terminated_at is None else each.stage.error or each.stage.outcome or "done"
        lines.append(f"stage {each.stage.number} {each.stage.keyword}: {state}")
        for row in each.activities:
            values = row.input.replace(result.instance_id, "INSTANCE")
            lines.append(f"{row.name} {values}: {row.error or 'done'}")
    return lines


def text_lines(workflow: str, proof: Proof) -> Iterator[str]:
    """A proof for people, in lines of at most 80 columns."""
    if (refuted := proof.refutation) is None:
        yield f"{workflow}: proved for {_counted(len(proof.cases), 'case')} in {_counted(proof.runs, 'run')}"
        yield f"  {_counted(proof.interactions, 'interaction')}, {_counted(proof.effects, 'effect')}"
        done = (_counted(proof.kills, "kill"), _counted(proof.faults, "fault"), _counted(proof.aborts, "abort"))
        moved = [_counted(proof.events, "moved event")]
        moved += [_counted(proof.decisions, "moved decision")] if proof.decisions else []
        yield f"  {', '.join((*done, *moved))}"
        if proof.undecided:
            yield f"  {_counted(proof.undecided, 'run')} ended in need of attention, rightly: nothing was booked twice"
        if proof.left:
            yield f"  {_counted(proof.left, 'schedule')} left out: the bound of --max-runs is reached"
        return
    yield f"{workflow}: REFUTED in run {proof.runs}, case: {refuted.case}"
    for about, lines in (
        ("schedule", refuted.schedule.about),
        ("what is wrong (- plain run, + this run)", refuted.problems),
        ("what happened", list(history_lines(refuted.result))),
    ):
        yield f"  {about}"
        for line in lines:
            yield from wrapped(f"    {line}", " " * 8)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def document(proof: Proof) -> Json:
    """A proof for programs."""
    names = ("runs", "interactions", "effects", "kills", "faults", "aborts", "events", "decisions", "undecided", "left")
    found: Json = {"holds": proof.refutation is None, "cases": proof.cases}
    found |= {name: getattr(proof, name) for name in names}
    if (refuted := proof.refutation) is not None:
        schedule = {"case": refuted.case, "schedule": list(refuted.schedule.about), "problems": refuted.problems}
        found["refutation"] = schedule
    return found
