"""How the units of a batch become few statements: equal writes of several units are made by one.

A statement may hold writes of several units only where that gives the same rows as one unit after the other: units that
write to a common instance follow each other, and so does a unit with a write of another kind than those named here.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from headrace.journal import name_writes as names
from headrace.journal import writes as w
from headrace.journal.approval_writes import DecideStage
from headrace.journal.port import Later, Required, Unit, WhenWanted
from headrace.journal.writes import Write

INSERTS: frozenset[type[Write]] = frozenset(
    {
        *(w.AddWorkflow, w.AddInstance, w.AddVariables, w.AddLookups, w.OpenStage, w.AddClosedStage, w.OpenActivity),
        *(w.AddClosedActivity, w.AddEvent, w.AddNudge, w.AddAuditEntry, w.RememberKey, w.AddOccurrence, w.Publish),
        names.RequireVersion,
    }
)
"""Each adds a row of its own, in their order, or only reads one: also several of one unit may share a statement."""
UPDATES: frozenset[type[Write]] = frozenset(
    {
        *(w.MoveInstance, w.ScheduleInstance, w.ClaimVersion, w.EndInstance, w.MarkTrouble, w.AmendStage),
        *(w.CloseStage, w.BeginAttempt, w.FailAttempt, w.CloseActivity, w.WakeInstance, w.TakeEvent),
        *(w.WaitForEvent, w.DropNudges, DecideStage, w.NoteAmount),
    }
)
"""Each changes rows of one instance: one of each unit may share a statement."""
SHARED = INSERTS | UPDATES
ORDERED: frozenset[type[Write]] = frozenset((w.AcceptEvent, w.Publish, w.WantType, w.AddTrigger, *names.NAME_WRITES))
"""Units with these are written last in a commit, in the section in which commits are ordered: events are numbered in
it, and a unit that requires the current version of a name is committed before the name moves. A trigger is added in it,
as units require that there are no others of a set, or of a name.
"""

Made = tuple[Write, bool]
"""A write, and whether it must change something."""


@dataclass(slots=True)
class Step:
    """One statement. `units`: whose each write is, by position in the batch. `is_required`: it must change each row."""

    kind: type[Write]
    is_required: bool
    writes: list[Write] = field(default_factory=list[Write])
    units: list[int] = field(default_factory=list[int])

    def add(self, unit: int, made: Made) -> None:
        self.writes.append(made[0])
        self.units.append(unit)
        self.is_required = self.is_required or made[1]

    def sort(self) -> None:
        """By instance: two processes that change the same rows lock them in the same order."""
        order = sorted(range(len(self.writes)), key=lambda each: self.writes[each].instance_id)  # pyright: ignore[reportAttributeAccessIssue,reportUnknownMemberType,reportUnknownLambdaType]
        self.writes = [self.writes[each] for each in order]
        self.units = [self.units[each] for each in order]


@dataclass(slots=True)
class Plan:
    """`steps` come first, then `ordered`, then the units `late`, whose writes depend on results.

    `asked`: types of events that are not known as wanted; `wants`: those that become so.
    """

    steps: list[Step]
    ordered: list[Step]
    late: list[int]
    asked: set[str]
    wants: set[str]

    @property
    def is_ordered(self) -> bool:
        return bool(self.ordered or self.late)

    @property
    def publishes(self) -> bool:
        return any(step.kind is w.Publish for step in self.ordered)


def plan(units: Sequence[Unit], wanted: Iterable[str]) -> Plan:
    """The statements of these units, for a journal in which these types of events are wanted."""
    found = Plan([], [], [], set(), set())
    known = set(wanted)
    first, second = _Waves(), _Waves()
    for number, unit in enumerate(units):
        if any(isinstance(entry, Later) for entry in unit):
            found.late.append(number)
            continue
        entries = _resolved(unit, known, found)
        waves = second if any(type(write) in ORDERED for write, _ in entries) else first
        waves.add(number, entries)
    found.steps, found.ordered = first.steps(), second.steps()
    return found


def _resolved(unit: Unit, known: set[str], found: Plan) -> list[Made]:
    """The writes of a unit without late ones. `known` gains the types that it wants."""
    made: list[Made] = []
    for entry in unit:
        if isinstance(entry, WhenWanted):
            if entry.type not in known:
                found.asked.add(entry.type)
                continue
            made.append((entry.make(), False))
        elif isinstance(entry, Required):
            made.append((entry.write, True))
        else:
            assert isinstance(entry, Write)
            made.append((entry, False))
            if isinstance(entry, w.WantType):
                known.add(entry.type)
                found.wants.add(entry.type)
    return [each for place, each in enumerate(made) if not _is_overwritten(each, made[place + 1 :])]


def _is_overwritten(made: Made, later: list[Made]) -> bool:
    """A move of an instance that waits, or moves again, later in its unit would write a row for nothing."""
    write, is_required = made
    if not isinstance(write, w.MoveInstance) or is_required:
        return False
    return any(
        isinstance(each, w.MoveInstance | w.WaitForEvent) and each.instance_id == write.instance_id for each, _ in later
    )


class _Waves:
    """Units of one wave have no instance in common; a later wave is written after an earlier one."""

    def __init__(self) -> None:
        self._waves: list[list[tuple[int, list[Made]]]] = []
        self._last: dict[str, int] = {}
        self._barrier = -1
        """The last wave that every later unit must follow."""

    def add(self, number: int, entries: list[Made]) -> None:
        if not entries:
            return
        if not all(type(write) in SHARED for write, _ in entries):
            wave = self._barrier = len(self._waves)
        else:
            names: set[str] = {getattr(write, "instance_id", None) or "" for write, _ in entries} - {""}
            wave = 1 + max(self._barrier, *(self._last.get(name, -1) for name in names), -1)
            for name in names:
                self._last[name] = wave
        if wave == len(self._waves):
            self._waves.append([])
        self._waves[wave].append((number, entries))

    def steps(self) -> list[Step]:
        return [step for wave in self._waves for step in _merged(wave)]


def _merged(wave: list[tuple[int, list[Made]]]) -> list[Step]:
    """The writes of each unit in their order; those that stand first in several units are made together.

    The kind that is taken is one that few units have to make something else before: so most kinds need one statement.
    """
    waiting: list[tuple[int, deque[Made]]] = [(number, deque(entries)) for number, entries in wave]
    left = Counter(type(write) for _, entries in wave for write, _ in entries)
    steps: list[Step] = []
    while waiting:
        heads = Counter(type(entries[0][0]) for _, entries in waiting)
        kind = max(heads, key=lambda each: (heads[each] / left[each], heads[each]))
        step = Step(kind, kind is w.RememberKey)
        for number, entries in waiting:
            while entries and type(entries[0][0]) is kind:
                step.add(number, entries.popleft())
                if kind not in INSERTS:
                    break
        left[kind] -= len(step.writes)
        if kind in UPDATES:
            step.sort()
        steps.append(step)
        waiting = [each for each in waiting if each[1]]
    return steps
