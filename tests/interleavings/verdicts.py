"""Persons resolve effects at full size: `python -m tests.interleavings.verdicts [--seeds 10000] [--seed 1] [--record]`.

The first attempt of an effect has no answer, none that follows can succeed, and the books do not show the effect: so a
person decides. The sandbox knows the truth. A seed draws what the effect is, whether it was booked, what one or two
persons say, at which moment its service shows the booking, a kill, an abort, and one server or two. A true verdict
leaves one booking, and its case is certified; after a false one no certificate is issued. Exits 1 where that fails.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from headrace.effects.port import Request, Response
from headrace.errors import NotCertifiable
from headrace.journal.port import Unit
from headrace.journal.writes import AddWorkflow
from headrace.runner.policy import Policy
from headrace.testing.virtual import START_AT, finished
from headrace.usecases.certificates import case_of, read_case
from headrace.usecases.instances import abort_instance, start_instance
from headrace.usecases.redrive import redrive_instance
from headrace.usecases.resolve import resolve_effect
from tests.certificates.cases import certified
from tests.interleavings.facts import Facts
from tests.interleavings.life import quiet, settled
from tests.interleavings.loop import VirtualLoop
from tests.interleavings.oracles import problems_of
from tests.interleavings.persons import WORKFLOW, Persons
from tests.interleavings.processes import Alone, Servers, Together
from tests.interleavings.schedule import ASSET, Schedule, Step
from tests.interleavings.world import Doom, Lost, World

Json = dict[str, Any]
RESULTS = Path(__file__).with_name("verdicts.jsonl")
WAYS = ("wallet not_found", "wallet not_listed", "payments not_listed")
"""What the effect is, and the doubt about it: those of decision M6b in which it may be booked or not."""
POOR = Response(400, b'{"errorCode":"INSUFFICIENT_FUND","errorMessage":"not enough"}', {})
_JSON = {"content-type": "application/json"}
_CUT = Response(200, b'{"cursor":{"pageSize":100,"hasMore":true,"data":[]}}', _JSON)
_EMPTY = Response(200, b'{"cursor":{"pageSize":100,"hasMore":false,"data":[]}}', _JSON)
_NO_FILTER = Response(400, b'{"errorCode":"VALIDATION","errorMessage":"cannot filter"}', _JSON)


class Trouble:
    """The first attempt has no answer; later ones are refused, and lists do not show it, until `is_over`."""

    def __init__(self, way: str, *, is_booked: bool) -> None:
        self._kind, self._doubt = way.split()
        self._is_booked = is_booked
        self.is_over = False
        self.is_shown = False
        self._attempts = 0

    def __call__(self, request: Request) -> Response | Lost | None:
        endings = ("/debit", "/credit") if self._kind == "wallet" else ("/transfer-initiations",)
        if request.method == "POST" and request.path.endswith(endings) and not self.is_over:
            self._attempts += 1
            if self._attempts == 1:
                return Lost(is_carried_out=self._is_booked)
            return POOR if self._kind == "wallet" else None
        if request.method == "GET" and not self.is_shown:
            if request.path.startswith("/transactions") and self._kind == "wallet":
                return _EMPTY if self._doubt == "not_found" else _CUT
            if request.path.startswith("/transfer-initiations?") and self._kind == "payments":
                return _NO_FILTER if "query=" in request.path else _CUT
        return None


@dataclass(frozen=True, slots=True)
class Verdicts:
    """One life. `says`: what each person calls it, and whether the evidence is the booking or words."""

    seed: int
    way: str
    is_booked: bool
    says: tuple[tuple[str, bool], ...]
    shows_first: bool
    is_shared: bool
    kill_at_ms: int | None
    aborts: bool
    redrives: bool


def verdicts_of(seed: int) -> Verdicts:
    """The life of this number."""
    draw = Random(f"verdicts:{seed}")
    persons = 2 if draw.random() < 0.4 else 1
    return Verdicts(
        seed=seed,
        way=draw.choice(WAYS),
        is_booked=draw.random() < 0.5,
        says=tuple((draw.choice(("booked", "not_booked")), draw.random() < 0.6) for _ in range(persons)),
        shows_first=draw.random() < 0.5,
        is_shared=draw.random() < 0.5,
        kill_at_ms=draw.randint(0, 30) if draw.random() < 0.5 else None,
        aborts=draw.random() < 0.25,
        redrives=draw.random() < 0.5,
    )


@dataclass
class Judged:
    """What came of a life."""

    life: Verdicts
    outcome: str
    problems: list[str] = field(default_factory=list[str])


def judge(life: Verdicts) -> Judged:
    """Live it, and compare the verdict with the truth."""
    loop = VirtualLoop()
    world = World(life.seed, loop, 0, fault_rate=0.0, is_very_late=False)
    try:
        return loop.finish(_judged(world, life))
    finally:
        world.is_over = True
        world.close()


def _stages(life: Verdicts) -> tuple[Json, ...]:
    paid: Json = {"payment": {"psp": "dummy-pay", "type": "PAYOUT"}}
    wallet: Json = {"wallet": {"id": "w1"}}
    account: Json = {"account": {"id": "a", "ledger": "main"}}
    source, destination = (account, paid) if life.way.startswith("payments") else (wallet, account)
    first: Json = {"send": {"source": source, "destination": destination, "amount": {"asset": ASSET, "amount": 100}}}
    return first, {"update": {"account": {"id": "b", "ledger": "main", "metadata": {"state": "paid"}}}}


async def _judged(world: World, life: Verdicts) -> Judged:
    world.trouble = trouble = Trouble(life.way, is_booked=life.is_booked)
    kind: type[Servers] = Together if life.is_shared else Alone
    servers = kind(world, Policy(), drives_batches=False)
    schedule = Schedule(life.seed, life.is_shared, _stages(life), None, False, 0, 0.0, False, (Step(0, "start"),))
    unit = Unit()
    config = msgspec.json.encode(schedule.definition).decode()
    unit.add(AddWorkflow(workflow_id=WORKFLOW, name="payout", config=config, created_at=START_AT, updated_at=START_AT))
    await world.journal.commit(unit)
    await servers.start()
    persons = Persons(world, servers, schedule)
    await persons.ask(0, Step(0, "start"), "runWorkflow", start_instance, (WORKFLOW, {}))
    (instance_id,) = [told.target for told in persons.told]
    row = await _needing(world, instance_id)
    if row is None:
        return Judged(life, "needs nobody", ["the effect needs no person"])
    if life.aborts:
        await persons.ask(1, Step(0, "abort"), "abortInstance", abort_instance, (instance_id,))
        await asyncio.sleep(40.0)
    trouble.is_shown = life.shows_first
    if life.kill_at_ms is not None:
        world.loop.call_later(life.kill_at_ms / 1_000, _doom, servers, life)
    asking: list[Any] = []
    for number, (outcome, by_id) in enumerate(life.says):
        body = {"outcome": outcome, "evidence": {"text": "seen"}, "reason": "a test"}
        if by_id and outcome == "booked" and (evidence := _booking(world, row[2])) is not None:
            body["evidence"] = evidence
        step = Step(0, "resolve", ("cat", "dan")[number], number)
        arguments = (instance_id, row[0], row[1], body)
        asking.append(persons.ask(10 + number, step, "resolveEffect", resolve_effect, arguments))
    await asyncio.gather(*asking)
    trouble.is_shown = trouble.is_over = True
    unsettled = await settled(world, servers)
    if life.redrives and not life.aborts:
        request = (instance_id, {"reason": "a test"})
        await persons.ask(20, Step(0, "redrive", "eve"), "redriveInstance", redrive_instance, request)
        unsettled += await settled(world, servers)
    world.is_over = True
    judged = Judged(life, "")
    judged.problems = [*unsettled, *_compared(world, persons, servers, judged, instance_id, row[2])]
    return judged


def _doom(servers: Servers, life: Verdicts) -> None:
    for process in servers.living()[: 1 + life.seed % 2]:
        process.doom = Doom(is_after=life.seed % 3 > 0, down_s=0.5)


async def _needing(world: World, instance_id: str) -> tuple[int, int, str] | None:
    """The stage, the position and the key of the effect that needs a person, once it does."""
    query = "SELECT stage, position, key FROM activities WHERE instance_id = ? AND needs_attention"
    for _ in range(60):
        found = world.journal.connection.execute(query, (instance_id,)).fetchone()
        if found is not None:
            return found
        await asyncio.sleep(5.0)
    return None


def _booking(world: World, key: str) -> Json | None:
    contents = world.sandbox.contents()
    for ledger, each in contents.transactions:
        if key in (each.get("reference"), each["metadata"].get("headrace_effect")):
            return {"ledger": ledger, "transactionID": each["id"]}
    return next(({"initiationID": each["id"]} for each in contents.initiations if each["reference"] == key), None)


def _compared(
    world: World, persons: Persons, servers: Servers, judged: Judged, instance_id: str, key: str
) -> Iterator[str]:
    """Whether the verdict that counts was true, and what follows from that."""
    life, facts = judged.life, Facts.of(world, persons, servers)
    rows = [each for each in facts.rows("SELECT * FROM resolutions") if each["instance_id"] == instance_id]
    accepted = [told for told in persons.told if told.operation == "resolveEffect" and told.refusal is None]
    if len(rows) > 1 or len({told.step.by for told in accepted}) > len(rows):
        yield f"MS-9 {len(rows)} decisions for {len(accepted)} answers"
    booked = len(facts.bookings.get(key, ()))
    try:
        ids = finished(case_of(world.journal, instance_id))
        certified(finished(read_case(world.journal, ids)), world.sandbox.handle)
        code = ""
    except NotCertifiable as error:
        code = f"{error.code}: {error}"
    if not rows:
        judged.outcome = "no verdict"
        if booked != life.is_booked:
            yield f"MS-5 nobody has decided, and it is booked {booked} times"
        is_open = any(each["key"] == key and each["terminated_at"] is None for each in facts.effects)
        if code.startswith("open") != is_open or (code and not is_open):  # an abort looks again, and may find it
            yield f"MS-8 nobody has decided, and the certificate says {code or 'yes'}"
        return
    is_true = (rows[0]["verdict"] == "booked") == life.is_booked
    judged.outcome = f"{'true' if is_true else 'false'}: {rows[0]['verdict']}"
    is_redriven = instance_id in facts.after
    if is_true:
        wanted = 1 if life.is_booked or is_redriven else 0
        if booked != wanted:
            yield f"MS-5 a true verdict ({rows[0]['verdict']}) leaves {booked} bookings, not {wanted}"
        if code:
            yield f"MS-8 a true verdict ({rows[0]['verdict']}) is not certified: {code}"
        yield from problems_of(world, persons, servers)
    else:
        if booked > 1 or (booked == 0 and life.is_booked):
            yield f"MS-5 a false verdict leaves {booked} bookings"
        if not code and not (is_redriven and booked == 1):  # a redrive sends the same key, and finds it booked
            yield f"MS-8 a false verdict ({rows[0]['verdict']}) is certified"


def judged_lives(seeds: int, first: int) -> Json:
    """The figures of so many lives, and what is wrong about the first that fails."""
    counts: Counter[str] = Counter()
    problems: list[str] = []
    began_s, began_cpu_s = time.monotonic(), time.process_time()
    with quiet():
        for seed in range(first, first + seeds):
            judged = judge(verdicts_of(seed))
            counts[judged.outcome] += 1
            if judged.problems:
                problems += [str(judged.life), *judged.problems]
                break
    cpu_ms = 1_000 * (time.process_time() - began_cpu_s) / max(1, counts.total())
    figures: Json = {"seed": first, "seeds": counts.total(), "problems": problems}
    took = {"seconds": round(time.monotonic() - began_s), "cpu_ms_per_life": round(cpu_ms, 1)}
    return {**figures, **took, **dict(sorted(counts.items()))}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.interleavings.verdicts", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--record", action="store_true")
    options = parser.parse_args()
    command = f"python -m tests.interleavings.verdicts --seeds {options.seeds} --seed {options.seed}"
    figures = judged_lives(options.seeds, options.seed)
    line = json.dumps({"command": command, **figures})
    sys.stdout.write(f"{line}\n")
    if options.record:
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
    return 1 if figures["problems"] else 0


if __name__ == "__main__":
    sys.exit(main())
