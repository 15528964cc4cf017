"""A continuation is killed at each of its points, whichever effect was refused before, by the driver of all engines.

In virtual time: the same with real processes is `test_redrive.py`, at two of these places.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from headrace.composition.memory import memory_journal
from headrace.effects.port import Request, Response
from headrace.journal.records import Standing
from headrace.runner.instance import InstanceRunner
from headrace.sandbox.faults import Fault
from headrace.sandbox.given import read_given
from headrace.sandbox.memory import MemorySandbox
from headrace.sandbox.releases import Releases
from headrace.testing.books import problems_of
from headrace.testing.interactions import Act, Step
from headrace.testing.runs import Plan, Run, Surroundings
from headrace.testing.virtual import SeededIds, VirtualClock, finished
from headrace.usecases.redrive import commit_redrive
from tests.certificates.cases import _world  # pyright: ignore[reportPrivateUsage]
from tests.contract.test_redrive import NAMES, expected_keys
from tests.support.redrive import EFFECTS, INVALID, POOR, STAGES, key_of

Place = tuple[int, int]
GIVEN = {
    "ledgers": {
        "main": {"alice": {"balance": {"USD/2": 1000}, "metadata": {"formanceAccountID": "bank-7"}}},
        "other": {},
    }
}


class Services(MemorySandbox):
    """Refuses every attempt of the effect at `place`. `sent`: places of the attempts that have come."""

    place: Place | None = None

    def __init__(self, clock: VirtualClock, ids: SeededIds, image: bytes | None) -> None:
        super().__init__(clock, ids, Releases(), image)
        self.sent: list[Place] = []

    def attempt(self, request: Request, fault: Fault | None = None) -> Response:
        if (key := key_of(request)) is not None:
            self.sent.append((int(key[1]), int(key[2])))
            if self.sent[-1] == self.place:
                return POOR if request.path.endswith("/transactions") else INVALID
        return super().attempt(request, fault)


class Engine:
    """An engine, as far as the use case needs one. `runner`: the instance that it has begun."""

    sends_at_once, needs_nudges = True, False
    runner: InstanceRunner | None = None

    @asynccontextmanager
    async def begin(self, runner: InstanceRunner) -> AsyncGenerator[None]:
        self.runner = runner
        yield


class Continued(Run):
    """A run that continues another one. Its caller repeats the request until it is answered."""

    before: Standing

    def start(self) -> InstanceRunner:
        async def commit(unit: Any) -> Any:
            return self.commit(unit)

        step = finished(self.journal.successor(self.before.instance.id))
        if step is not None:  # it was carried out, and the answer was lost
            self.instance_id = step.successor
            standing = self.standing()
            assert standing is not None
            return self.runners.restore(standing)
        engine = Engine()
        ports: Any = SimpleNamespace(runners=self.runners, engine=engine, journal=SimpleNamespace(commit=commit))
        self.instance_id = finished(commit_redrive(ports, None, self.before, "it is funded")).target
        assert engine.runner is not None
        return engine.runner


class Lives:
    """A case, life by life. Each begins with what the one before it has left, unless that was killed."""

    def __init__(self) -> None:
        clock = VirtualClock()
        services = Services(clock, SeededIds(0), None)
        services.fill(read_given(GIVEN))
        config = msgspec.json.encode({"name": "w", "stages": STAGES}).decode()
        world = _world(config, services.image(), 0)
        services.close()
        self.workflow, self.images = world.workflow, (world.journal, world.services)
        self.standing: Standing | None = None
        self.root_id = ""
        self.seed, self.now_at = 0, clock.now_at()
        self.sent: list[Place] = []

    def live(self, place: Place | None, step: Step | None = None) -> Run:
        """One life to its end, with an effect that is refused, or with a kill; the caller closes it."""
        clock, ids = VirtualClock(self.now_at), SeededIds(self.seed)
        services = Services(clock, ids, self.images[1])
        services.place = place
        around = Surroundings(clock, ids, memory_journal(self.images[0]), services)
        run = (Run if self.standing is None else Continued)(
            self.workflow, Plan({}, steps=[step] if step else ()), around
        )
        if isinstance(run, Continued):
            assert self.standing is not None
            run.before = self.standing
        run.go_on()
        assert (run.lost, run.violations) == (None, [])
        self.sent = services.sent
        return run

    def refuse(self, place: Place) -> None:
        """A life that ends where an effect is refused."""
        run = self.live(place)
        self.standing = run.standing()
        assert self.standing is not None and self.standing.instance.failure == "refused"
        self.root_id = self.root_id or self.standing.instance.id
        self.images, self.now_at, self.seed = (
            (run.journal.image(), run.sandbox.image()),
            run.clock.now_at(),
            self.seed + 1,
        )
        close(run)


def close(run: Run) -> None:
    finished(run.journal.close())
    run.sandbox.close()


@pytest.mark.parametrize("places", [*((place,) for place in EFFECTS), ((0, 1), (1, 1))], ids=str)
def test_a_kill_at_any_point_leaves_one_continuation_and_each_effect_once(places: tuple[Place, ...]) -> None:
    """The last case was continued before and was refused again: its second continuation is killed."""
    lives = Lives()
    for place in places:
        lives.refuse(place)
    plain = lives.live(None)
    check(lives, plain, places)
    points = len(plain.interactions)
    close(plain)
    for number in range(points):
        for act in (Act.KILL_BEFORE, Act.KILL_AFTER):
            run = lives.live(None, Step(number, act))
            check(lives, run, places)
            close(run)
    assert points >= 3, "commits and sends"


def check(lives: Lives, run: Run, places: tuple[Place, ...]) -> None:
    """Each effect is booked once, under the keys of the first instance, and what was done is not sent again."""
    standing = run.standing()
    assert standing is not None and standing.is_over and standing.instance.error is None
    count = sum(len(page) for page in pages(run))
    assert count == len(places) + 1, "one continuation of each"
    rows = [finished(run.journal.activities(run.instance_id, stage)) for stage in range(len(STAGES))]
    assert [[row.name for row in stage] for stage in rows] == NAMES
    contents = run.sandbox.contents()
    assert problems_of(contents, [row for stage in rows for row in stage]) == []
    booked = [each.get("reference", "") for _, each in contents.transactions]
    booked += [each["reference"] for each in contents.initiations]
    assert sorted(key for key in booked if key.startswith("headrace:")) == expected_keys(lives.root_id)
    assert not {place for place in EFFECTS if place < places[-1]} & set(lives.sent)
    assert set(lives.sent) == {place for place in EFFECTS if place >= places[-1]}


def pages(run: Run) -> list[list[Any]]:
    async def read() -> list[list[Any]]:
        return [page async for page in run.journal.instances()]

    return finished(read())
