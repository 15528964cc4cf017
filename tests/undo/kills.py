"""Cases, cut after each effect, undone by the product's own runner, and killed at each point of the undo.

The generated ones are those of plan-equals-run (`tests/planning/generated.py`). A case runs in virtual time up to its
cut, an abort; then a person undoes it. Meanwhile a bank reports something else of a payout, a receiver spends what it
got, or somebody reverts an effect by hand. A plain undo lists its interactions, and one more undo follows for a kill
before and after each of them. Whatever is done, the balances differ from those before the case by the legs that are
listed as kept, and by nothing else (MS-7). What a leg has moved is read from the books.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import msgspec

from headrace.effects.port import Request
from headrace.engine.cases import case_of, kept_effects
from headrace.errors import InvalidDefinition
from headrace.journal.port import Required
from headrace.journal.records import Instance
from headrace.journal.successor_writes import AddSuccessor
from headrace.runner.instance import InstanceRunner
from headrace.sandbox.memory import Contents
from headrace.testing.interactions import Act, Kind, Step
from headrace.testing.runs import Plan, Run, Surroundings, World
from headrace.testing.virtual import finished
from headrace.usecases.undo import report_of
from headrace.workflows.config import parse_config
from headrace.workflows.undo import Case, External, Undo, reverted_key, undo_of
from tests.certificates.cases import PER_BOOKS, _events, _filled, _world  # pyright: ignore[reportPrivateUsage]
from tests.planning.generated import Maker

Json = dict[str, Any]
Balances = Counter[tuple[str, str, str]]
SETTLED = ("REJECTED", "REVERSED")
"""A bank reports nothing else after these."""
REVERTS = "com.formance.spec/state/reverts"


@dataclass
class Counts:
    """What the cases were. `stopped`: undos that a refusal has ended, `lives`: undos in all.

    `spent`, `by_hand`, `reported`: what was done before the undo. `kept_activities`: effects that no undo begins with.
    """

    cases: int = 0
    cuts: int = 0
    lives: int = 0
    kills: int = 0
    undone: int = 0
    kept: int = 0
    stopped: int = 0
    nothing: int = 0
    blocked: int = 0
    spent: int = 0
    by_hand: int = 0
    reported: int = 0
    kept_activities: Counter[str] = field(default_factory=Counter[str])
    violations: list[str] = field(default_factory=list[str])


class UndoRun(Run):
    """The undo of a case that has ended. Its caller repeats the request until it is stored."""

    def __init__(self, run: Run, undo: Undo, case_id: str, plan: Plan, around: Surroundings) -> None:
        super().__init__(run._workflow, plan, around)  # pyright: ignore[reportPrivateUsage]
        self._undo = undo
        self._case_id = case_id

    def start(self) -> InstanceRunner:
        step = finished(self.journal.successor(self._case_id))
        assert step is None, "it was stored, and is not found"
        runner, unit = self.runners.undo(self._case_id, self._undo.stages, sends=True)
        kept = msgspec.json.encode(kept_effects(self._undo.kept)).decode()
        decided = AddSuccessor(
            predecessor=self._case_id,
            kind="undo",
            successor=runner.id,
            reason="a test",
            principal="ann",
            at=runner.created_at,
            kept=kept,
        )
        unit.insert(0, Required(decided, lambda: AssertionError("two successors")))
        self.instance_id = runner.id
        self.commit(unit)
        return runner


def check_case_with_kills(seed: int, counts: Counts, *, kills: bool = True) -> None:
    """Cut a case after each of its effects, undo it, and undo it again with each kill. Adds what is wrong."""
    random = Random(f"undo:{seed}")
    filled = _filled(seed // PER_BOOKS)
    definition, variables = Maker(random, filled.books).workflow()
    try:
        config = parse_config(definition)
    except InvalidDefinition:
        return
    stored = msgspec.json.encode({"name": "generated", "stages": config.stages}).decode()
    world = _world(stored, filled.image, seed)
    counts.cases += 1
    external: External = random.choice(("keep", "keep", "reverse"))
    for problem in cuts_undone(world, Plan(variables, _events()), external, counts, random, kills=kills):
        counts.violations.append(f"seed {seed}, {problem}")


def cuts_undone(
    world: World, plan: Plan, external: External, counts: Counts, random: Random | None = None, *, kills: bool = True
) -> Iterator[str]:
    """Cut a run after each of its effects, and undo it. Tells what is wrong.

    `random` draws what is done before the undo; without it that is nothing.
    """
    with world.run(plan) as whole:
        whole.go_on()
        ends = [
            number
            for number, each in enumerate(whole.interactions)
            if each.kind is Kind.COMMIT and "record an outcome" in each.about
        ]
    for cut in (*ends, None):
        steps = () if cut is None else (Step(cut, Act.ABORT_AFTER),)
        with world.run(replace(plan, steps=steps)) as run:
            run.go_on()
            for problem in _undone(run, world, external, counts, random, kills=kills):
                yield f"cut {cut}, {external}: {problem}"


def _undone(
    run: Run, world: World, external: External, counts: Counts, random: Random | None, *, kills: bool
) -> Iterator[str]:
    standing = run.standing()
    if run.lost is not None or standing is None or not standing.is_over:
        return
    counts.cuts += 1
    if random is not None:
        _bank_reports(random, run, counts)
    statuses = {each["reference"]: each["status"] for each in run.sandbox.contents().initiations}
    case = finished(case_of(run.journal, standing.instance))
    undo = undo_of(Case(case.effects, case.stages, case.variables, case.wallet_ledgers, statuses), external)
    counts.kept_activities.update(each.effect.activity for each in undo.kept)
    if undo.blocked or not undo.stages:
        counts.nothing += not undo.stages
        counts.blocked += bool(undo.blocked)
        return
    if random is not None:
        _bank_reports(random, run, counts)
        _people_act(random, run, undo, counts)
    images = run.journal.image(), run.sandbox.image()
    plain, plain_balances, problems = _one(run, undo, (), images, world.seed, counts)
    yield from problems
    for number, interaction in enumerate(plain.interactions if kills else ()):
        for act in (Act.KILL_BEFORE, Act.KILL_AFTER):
            counts.kills += 1
            _, balances, problems = _one(run, undo, (Step(number, act),), images, world.seed, counts)
            about = f"{act.value} {number} ({interaction})"
            yield from (f"{about}: {problem}" for problem in problems)
            if balances != plain_balances:
                yield f"{about}: the balances are {balances}, and {plain_balances} without a kill"


def _bank_reports(random: Random, run: Run, counts: Counts) -> None:
    """A bank may report something else of a payout, before the undo is computed or after it."""
    for each in run.sandbox.contents().initiations:
        if each["status"] not in SETTLED and random.random() < 0.4:
            is_waiting = each["status"] == "WAITING_FOR_VALIDATION"
            status = random.choice(("VALIDATED", "REJECTED") if is_waiting else ("PROCESSED", "FAILED", "REVERSED"))
            counts.reported += _post(run, "payments", f"/transfer-initiations/{each['id']}/status", {"status": status})


def _people_act(random: Random, run: Run, undo: Undo, counts: Counts) -> None:
    """A receiver may spend all that it has, and somebody may revert by hand what funded no payout."""
    contents = run.sandbox.contents()
    booked = [found for stage in undo.stages if (found := _booked(contents, stage)) is not None]
    if booked and random.random() < 0.5:
        ledger, each = random.choice(booked)
        last = each["postings"][-1]
        held = contents.balances[ledger, last["destination"], last["asset"]]
        posting = {"source": last["destination"], "destination": "spent", "amount": held, "asset": last["asset"]}
        body = {"metadata": {}, "postings": [posting]}
        counts.spent += held > 0 and _post(run, "ledger", f"/v2/{ledger}/transactions", body)
    own = [
        _booked(contents, stage) for stage in undo.stages if "unlessPaid" not in next(iter(stage["revert"].values()))
    ]
    if any(own) and random.random() < 0.4:
        ledger, each = random.choice([found for found in own if found is not None])
        counts.by_hand += _post(run, "ledger", f"/v2/{ledger}/transactions/{each['id']}/revert", {})


def _booked(contents: Contents, stage: Json) -> tuple[str, Json] | None:
    """The transaction that a stage of an undo reverts, with its ledger; None: it is about a payout."""
    if "initiation" in stage["revert"]:
        return None
    key = reverted_key(stage)
    return next(each for each in contents.transactions if _key_in(each[1]) == key)


def _key_in(transaction: Json) -> str:
    """The key of the effect that has booked it; empty: none has."""
    return transaction.get("reference") or transaction["metadata"].get("headrace_effect") or ""


def _post(run: Run, service: Any, path: str, body: Json) -> bool:
    """Whether a service carries out what somebody else asks for."""
    return run.sandbox.handle(Request(service, "POST", path, msgspec.json.encode(body))).status < 300


def _one(
    run: Run, undo: Undo, steps: tuple[Step, ...], images: tuple[bytes, bytes], seed: int, counts: Counts
) -> tuple[Run, Balances, list[str]]:
    """One undo, its balances, and what is wrong."""
    around = Surroundings.new(seed + 1_000_000, journal=images[0], services=images[1])
    around.clock.advance_to(run.clock.now_at())
    try:
        life = UndoRun(run, undo, run.instance_id, Plan({}, steps=steps), around)
        life.go_on()
        counts.lives += 1
        return life, _balances(around.sandbox.contents()), list(_problems(life, run, undo, counts, is_plain=not steps))
    finally:
        around.close()


def _problems(life: Run, run: Run, undo: Undo, counts: Counts, *, is_plain: bool) -> Iterator[str]:
    if life.lost is not None:
        yield life.lost
        return
    yield from life.violations
    instance = finished(life.journal.instance(life.instance_id))
    assert instance is not None
    contents = life.sandbox.contents()
    reverted = Counter(
        (ledger, str(each["metadata"][REVERTS]))
        for ledger, each in contents.transactions
        if REVERTS in each["metadata"]
    )
    yield from (f"transaction {place} is reverted {count} times" for place, count in reverted.items() if count > 1)
    if not instance.is_terminal or instance.error is not None:
        counts.stopped += is_plain
        yield from _stopped_wrongly(instance, undo, run.sandbox.contents(), contents)
        return
    report = finished(report_of(life.journal, instance))
    assert report is not None
    kept = {each.key for each in report.kept}
    counts.undone += is_plain
    counts.kept += len(kept) if is_plain else 0
    allowed: Balances = Counter()
    for ledger, each in contents.transactions:
        key = _key_in(each)
        if key in kept or (key.startswith("headrace:ingest:") and _is_of(run, key)):
            _add(allowed, ledger, each)
    after, before = _balances(contents), _before(contents)
    for place in {*after, *before, *allowed}:
        if after[place] != before[place] + allowed[place]:
            yield f"{place} is {after[place]}, was {before[place]}, kept {allowed[place]}"
    for each in contents.initiations:
        if each["status"] == "PROCESSED" and each["reference"] not in kept:
            yield f"{each['reference']} is paid, and not listed as kept"


def _stopped_wrongly(instance: Instance, undo: Undo, before: Contents, after: Contents) -> Iterator[str]:
    """A lack of funds stops an undo, and nothing else here. What it had reverted stays so; the rest is as it was."""
    if instance.failure_code != "INSUFFICIENT_FUND":
        yield f"it stopped: {instance.error}"
    failed_at = instance.stages[-1].number
    for number, stage in enumerate(undo.stages):
        found, earlier = _booked(after, stage), _booked(before, stage)
        if found is None or earlier is None:
            continue
        is_wanted = number < failed_at or earlier[1]["reverted"]
        if found[1]["reverted"] != is_wanted and "unlessPaid" not in next(iter(stage["revert"].values())):
            yield f"stage {number} of {failed_at} that are done, reverted: {found[1]['reverted']}"


def _is_of(run: Run, key: str) -> bool:
    """An ingestion is listed by the key of its effect, and booked under that of its payment."""
    return any(
        key in each.input for stage in _stages(run) for each in finished(run.journal.activities(run.instance_id, stage))
    )


def _stages(run: Run) -> range:
    instance = finished(run.journal.instance(run.instance_id))
    return range(0 if instance is None else len(instance.stages))


def _balances(contents: Contents) -> Balances:
    return Counter({place: amount for place, amount in contents.balances.items() if amount})


def _before(contents: Contents) -> Balances:
    """Balances before the case: those of all transactions that carry no key of Headrace and revert nothing."""
    found: Balances = Counter()
    for ledger, each in contents.transactions:
        key = _key_in(each)
        if not key.startswith("headrace:") and REVERTS not in each["metadata"]:
            _add(found, ledger, each)
    return found


def _add(sums: Balances, ledger: str, transaction: Json) -> None:
    for each in transaction["postings"]:
        sums[ledger, each["source"], each["asset"]] -= each["amount"]
        sums[ledger, each["destination"], each["asset"]] += each["amount"]
