"""Events race the ends of waits: `python -m tests.interleavings.waits [--seeds 10000] [--seed 1] [--record]`.

In each life one run waits for an event for a minute, and a person sends that event about when the minute is over. A
seed draws how near, what the end of the time does, whether and when the wall clock is set, a kill, an event of another
name, lost answers, and one server or two. The order of commits decides, and nothing else: an event that was accepted
first is used, one that was accepted later is not, and a clock that is set back revives nothing. Both orders have to
occur in more than a tenth of the lives. `--record` adds seed and figures to `waits.jsonl`. Exits 1 where that fails.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
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

from headrace.journal.port import Unit
from headrace.journal.writes import AddWorkflow, WaitForEvent
from headrace.runner.policy import Policy
from headrace.testing.virtual import START_AT, microseconds
from headrace.usecases.instances import send_event, start_instance
from tests.interleavings.facts import Facts
from tests.interleavings.life import quiet, settled
from tests.interleavings.loop import VirtualLoop
from tests.interleavings.oracles import problems_of
from tests.interleavings.persons import WORKFLOW, Persons
from tests.interleavings.processes import Alone, Servers, Together
from tests.interleavings.schedule import ASSET, Schedule, Step
from tests.interleavings.world import Doom, World

Json = dict[str, Any]
RESULTS = Path(__file__).with_name("waits.jsonl")
TIMEOUT_US = 60_000_000
NEAR_US = (0, -1, 1, -5_000, 5_000)
BACK_US, FORTH_US = -120_000_000, 30_000_000
BAR = 0.10
"""Each order of event and end has to occur in a larger share of lives than this."""
EVENT, END = "event first", "end first"
BETWEEN = "event between the look at an empty mailbox and the end"


@dataclass(frozen=True, slots=True)
class Waits:
    """One life. Moments are counted from the deadline on the wall clock, in microseconds.

    `sets`: when the wall clock is set, and by how much.
    """

    seed: int
    on_timeout: str
    event_us: int
    sets: tuple[tuple[int, int], ...]
    other_us: int | None
    kill_us: int | None
    down_s: float
    is_shared: bool
    goes_on: bool
    fault_rate: float


def waits_of(seed: int) -> Waits:
    """The life of this number."""
    draw = Random(f"waits:{seed}")

    def moment() -> int:
        return draw.choice((*NEAR_US, draw.randint(-20_000, 20_000), draw.randint(-20_000, 20_000)))

    def any_moment() -> int:
        return draw.randint(-TIMEOUT_US, 0) if draw.random() < 0.5 else draw.randint(-10_000, 40_000)

    number_of_sets = draw.choices((0, 1, 2), (4, 4, 1))[0]
    return Waits(
        seed=seed,
        on_timeout=draw.choice(("fail", "continue")),
        event_us=moment(),
        sets=tuple(sorted((any_moment(), draw.choice((BACK_US, FORTH_US))) for _ in range(number_of_sets))),
        other_us=moment() if draw.random() < 0.2 else None,
        kill_us=any_moment() if draw.random() < 0.4 else None,
        down_s=draw.choice((0.05, 0.05, 1.0, 12.0, 70.0)),
        is_shared=draw.random() < 0.5,
        goes_on=draw.random() < 0.5,
        fault_rate=draw.choices((0.0, 0.15), (4, 1))[0],
    )


@dataclass
class Waited:
    """What came of a life. `order`: which of the two was committed first. `notes`: what else to count."""

    life: Waits
    order: str = ""
    notes: list[str] = field(default_factory=list[str])
    problems: list[str] = field(default_factory=list[str])


class Moments:
    """The wall clock of a life, and the latest that it has ever shown."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._steps: list[tuple[float, int]] = [(0.0, 0)]
        self._is_set = asyncio.Event()

    async def reach(self, at: int) -> None:
        """Wait until the wall clock shows this moment."""
        while (left_us := at - self._world.clock.now_at()) > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left_us / 1e6):
                    await self._is_set.wait()

    def set(self, by_us: int) -> None:
        """Set the wall clock."""
        self._steps.append((self._world.loop.now_s, self._world.clock.step_us))
        self._world.clock.step_us += by_us
        self._steps.append((self._world.loop.now_s, self._world.clock.step_us))
        self._is_set.set()
        self._is_set = asyncio.Event()

    def latest_by(self, at_s: float) -> int:
        """The latest moment that the wall clock has shown by then."""
        before = [each for each in self._steps if each[0] <= at_s]
        return max(START_AT + microseconds(each_s) + step_us for each_s, step_us in (*before, (at_s, before[-1][1])))


def wait(life: Waits) -> Waited:
    """Live it, and compare what was used with the order of commits."""
    loop = VirtualLoop()
    world = World(life.seed, loop, 0, fault_rate=life.fault_rate, is_very_late=False)
    try:
        return loop.finish(_waited(world, life))
    finally:
        world.is_over = True
        world.close()


def _stages(life: Waits) -> tuple[Json, ...]:
    a, b = ({"account": {"id": name, "ledger": "main"}} for name in "ab")
    awaited: Json = {"wait_event": {"event": "go", "timeout": "60s", "on_timeout": life.on_timeout}}
    send: Json = {"send": {"source": a, "destination": b, "amount": {"asset": ASSET, "amount": 40}}}
    return awaited, send, *([{"delay": {"duration": "5s"}}] if life.goes_on else [])


async def _waited(world: World, life: Waits) -> Waited:
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
    query = "SELECT started_at FROM stages WHERE instance_id = ? AND number = 0"
    deadline_at = world.journal.connection.execute(query, (instance_id,)).fetchone()[0] + TIMEOUT_US
    moments = Moments(world)

    async def send(number: int, name: str, after_us: int) -> None:
        await moments.reach(deadline_at + after_us)
        step = Step(0, f"event {name}", ("cat", "dan")[number], (life.seed + number) % 2)
        await persons.ask(1 + number, step, "sendEvent", send_event, (instance_id, {"name": name}))

    async def set_clock() -> None:
        for after_us, by_us in life.sets:
            await moments.reach(deadline_at + after_us)
            moments.set(by_us)

    async def kill(after_us: int) -> None:
        await moments.reach(deadline_at + after_us)
        for process in servers.living()[: 1 + life.seed % 2]:
            process.doom = Doom(is_after=life.seed % 3 > 0, down_s=life.down_s)
            world.loop.call_later(5.0, world.kill, process, life.down_s)

    others = [] if life.other_us is None else [send(1, "other", life.other_us)]
    kills = [] if life.kill_us is None else [kill(life.kill_us)]
    await asyncio.gather(send(0, "go", life.event_us), set_clock(), *others, *kills)
    unsettled = await settled(world, servers)
    world.is_over = True
    waited = Waited(life)
    waited.problems = [*unsettled, *(f"a task ended with {each!r}" for each in servers.crashes)]
    facts = Facts.of(world, persons, servers)
    waited.problems += _compared(facts, waited, instance_id, moments, deadline_at)
    waited.problems += problems_of(world, persons, servers)
    return waited


def _compared(facts: Facts, waited: Waited, instance_id: str, moments: Moments, deadline_at: int) -> Iterator[str]:
    """Whether the order of commits, the answers, the rows and the books say the same."""
    life = waited.life
    added = [each for each in facts.named("AddEvent") if each.write.name == "go"]
    ends = list(facts.named("EndWait"))
    used = facts.rows("SELECT * FROM events WHERE stage IS NOT NULL")
    if len(ends) + len(used) != 1 or any((row["name"], row["stage"]) != ("go", 0) for row in used):
        yield f"S8 the wait is decided by {len(ends)} ends and {len(used)} events"
        return
    waited.order = EVENT if used else END
    waited.notes.append(f"{life.on_timeout}: {waited.order}")
    if ends:
        (end,) = ends
        if any(each.commit.number < end.commit.number for each in added):
            yield "S8 the wait has ended by its time after its event was accepted"
        if (latest_at := moments.latest_by(end.commit.at_s)) < deadline_at:
            yield f"S8 the wait has ended {deadline_at - latest_at} us before its time"
        for each in facts.named("TakeEvent", "WaitForEvent"):
            if each.commit.number > end.commit.number:
                yield f"S8 the wait has ended by its time, and then {each.name}"
    elif any(_is_look(each.write) and each.commit.number < added[0].commit.number for each in facts.writes):
        waited.notes.append(BETWEEN)
    yield from _answers(facts, waited)
    (stage,) = facts.rows("SELECT outcome, error FROM stages WHERE number = 0")
    if (stage["outcome"] == "timeout") != bool(ends):
        yield f"S8 the outcome of the wait is {stage['outcome']}"
    fails = bool(ends) and life.on_timeout == "fail"
    failure, booked = (
        facts.instances[instance_id]["failure"],
        len(facts.bookings.get(f"headrace:{instance_id}:1:0", ())),
    )
    if failure != ("timeout" if fails else None) or booked != (0 if fails else 1):
        yield f"S8 {waited.order}, on_timeout {life.on_timeout}: ended with {failure}, booked {booked} times"


def _is_look(write: Any) -> bool:
    """Whether it is the look into the mailbox once the time is over."""
    return isinstance(write, WaitForEvent) and write.until_at == 0


def _answers(facts: Facts, waited: Waited) -> Iterator[str]:
    """What was accepted was added once; what was refused came after the end of the instance."""
    ended = [each.commit.number for each in facts.named("EndInstance")]
    told = [each for each in facts.persons.told if each.operation == "sendEvent"]
    if len(told) != 1 + (waited.life.other_us is not None):
        yield f"S8 {len(told)} requests have an answer"
    for each in told:
        name = each.step.verb.partition(" ")[2]
        count = sum(written.write.name == name for written in facts.named("AddEvent"))
        if count != (each.refusal is None):
            yield f"S8 the event {name!r} was answered {each.refusal or 'yes'}, and was added {count} times"
        if each.refusal is not None and (
            not each.refusal.startswith("AlreadyEnded") or not ended or ended[0] > each.number
        ):
            yield f"S8 the event {name!r} was refused before the end: {each.refusal}"
        if name == "go" and waited.order == END:
            waited.notes.append("end first: event " + ("accepted, unused" if each.refusal is None else "refused"))


def waited_lives(seeds: int, first: int, bar: float = BAR) -> Json:
    """The figures of so many lives, and what is wrong about the first that fails, or about their shares."""
    counts: Counter[str] = Counter()
    problems: list[str] = []
    began_s, began_cpu_s = time.monotonic(), time.process_time()
    lives = 0
    with quiet():
        for seed in range(first, first + seeds):
            waited = wait(waits_of(seed))
            lives += 1
            life = waited.life
            counts.update((waited.order, *waited.notes))
            counts.update({"two servers": life.is_shared, "with a kill": life.kill_us is not None})
            counts.update({"clock set back": any(by < 0 for _, by in life.sets)})
            counts.update({"clock set forth": any(by > 0 for _, by in life.sets)})
            if waited.problems:
                problems += [str(life), *waited.problems]
                break
    if not problems:
        shares = {order: counts[order] / lives for order in (EVENT, END)}
        problems += [f"{order} in {share:.1%} of lives only" for order, share in shares.items() if share <= bar]
    cpu_ms = 1_000 * (time.process_time() - began_cpu_s) / lives
    figures: Json = {"seed": first, "seeds": lives, "problems": problems}
    took = {"seconds": round(time.monotonic() - began_s), "cpu_ms_per_life": round(cpu_ms, 1)}
    return {**figures, **took, **dict(sorted(counts.items()))}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.interleavings.waits", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--record", action="store_true")
    options = parser.parse_args()
    command = f"python -m tests.interleavings.waits --seeds {options.seeds} --seed {options.seed}"
    figures = waited_lives(options.seeds, options.seed)
    line = json.dumps({"command": command, **figures})
    sys.stdout.write(f"{line}\n")
    if options.record:
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
    return 1 if figures["problems"] else 0


if __name__ == "__main__":
    sys.exit(main())
