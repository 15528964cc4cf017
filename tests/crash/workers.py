"""Workers on Temporal and PostgreSQL, killed again and again; Temporal stopped, or emptied; aborts against attempts.

    python -m tests.crash.workers kills --instances 1000 --seed 1
    python -m tests.crash.workers away --instances 500
    python -m tests.crash.workers wiped --instances 500
    python -m tests.crash.workers all --instances 1000
    python -m tests.crash.workers aborts --instances 10000 --limit-s 600

One API server, or with `all` two, and two `headrace worker` share a journal; a `headrace dev` is the services, over
HTTP, behind a proxy that sees every attempt. Each instance of all but `aborts` makes three effects and waits for an
event between them; a careful caller starts it and sends the event, with the same key until answered.

kills: every four seconds one of the workers gets SIGKILL and is started again. all: one of the workers or servers gets
it, and the next one when it is ready again. away: Temporal gets SIGKILL, and is started again after some seconds.
wiped: it has then lost its data, and `resume` nudges all instances. aborts: each instance is aborted around the moment
at which its one attempt begins, as far as earlier ones tell it; no attempt may come to the services after the answer
204. After `--limit-s` no more races begin.

Exit 0: nothing violated; 1: violated; 2: inconclusive. It prints a JSON line with what it counted.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.crash import books
from tests.crash.books import API, Inconclusive, Violated
from tests.crash.standby import CALLERS, STAGES
from tests.support.postgres import PostgresServer
from tests.support.server import NoAnswer, Server
from tests.support.serving import LOOK_S, PATIENCE_S, Serving, WorkerProcess
from tests.support.temporal import TemporalServer
from tests.support.watching_proxy import WatchingProxy

SLOW = ("ledger:delay:1:0.15",)
"""Keeps effects in flight long enough to be killed in."""
SHORT = ("ledger:delay:1:0.25",)
"""Long enough for an abort to meet an attempt."""
EVERY_S = 4.0
QUICK = {
    "HEADRACE_SETTLE_S": "1",
    "HEADRACE_RETRY_BASE_S": "0.05",
    "HEADRACE_RETRY_CAP_S": "0.4",
    "HEADRACE_BEGIN_WITHIN_S": "0.5",
}
ABORTERS, AROUND_S, AWAITED_EVERY = 8, 0.03, 10
"""So few at once that workers keep up. One abort in ten waits for the attempt, and tells the others when it begins."""
FIRST_KEY = "headrace:{}:0:0"
"""The key of an instance's first effect."""
SEND: list[dict[str, Any]] = [STAGES[0]]


@dataclass
class Count:
    scenario: str
    instances: int
    seed: int
    seconds_away: float = 10.0
    local: bool = False
    limit_s: float = 3_600.0
    kills: int = 0
    servers_killed: int = 0
    effects: int = 0
    transactions: int = 0
    posts: int = 0
    sent_twice: int = 0
    repeated: int = 0
    overlapping: list[str] = field(default_factory=list[str])
    resumed: int = 0
    answered_s: list[float] = field(default_factory=list[float])
    races: int = 0
    awaited: int = 0
    """Races whose abort waited until the attempt had begun."""
    aborted: int = 0
    ended_first: int = 0
    met: int = 0
    """Aborts that were answered 204 although an attempt had come to the services."""
    late: list[str] = field(default_factory=list[str])
    took_s: float = 0.0


class Cluster:
    """The processes. Only `all` has more than one of `apis`; `database` is the URL of the journal."""

    def __init__(self, folder: Path, count: Count, postgres: PostgresServer, faults: tuple[str, ...]) -> None:
        from headrace.journal.postgres import migrate

        self.count = count
        self.database = postgres.create("books")
        migrate(self.database)
        self.file = folder / "temporal.db"
        self.temporal = TemporalServer(folder / "temporal", file=self.file)
        self.stack = Server(folder / "stack", faults=faults)
        self.apis = [Serving(folder / f"api{number}") for number in range(2 if count.scenario == "all" else 1)]
        self.workers = [WorkerProcess(folder / f"worker{number}") for number in range(2)]
        self.workflow_id = ""
        self._turn = itertools.count()

    @property
    def api(self) -> Serving:
        return self.apis[0]

    @contextmanager
    def running(self, stages: list[dict[str, Any]]) -> Iterator[WatchingProxy]:
        with ExitStack() as stack:
            stack.enter_context(self.temporal)
            stack.enter_context(self.stack)
            proxy = stack.enter_context(WatchingProxy(self.stack.url))
            settings = {
                **QUICK,
                "HEADRACE_DATABASE_URL": self.database,
                "HEADRACE_AUTH": "none",
                "HEADRACE_ENGINE": "temporal",
                "HEADRACE_TEMPORAL_ADDRESS": self.temporal.address,
                "HEADRACE_TEMPORAL_LOCAL": str(self.count.local).lower(),
                "HEADRACE_STACK_URL": proxy.url,
            }
            for process in (*self.apis, *self.workers):
                process.settings = settings
                stack.callback(process.kill)
                process.start()
            assert self.stack.post("/api/ledger/v2/shop", {}).status == 204
            self.workflow_id = self.until_answered(f"{API}/workflows", {"stages": stages}, "w")["data"]["id"]
            try:
                yield proxy
            except Exception as error:
                for process in (*self.apis, *self.workers):
                    error.add_note(f"log of {process.data.name} ends with:\n{process.log()[-2_000:]}")
                raise

    def play(self, number: int) -> str:
        instance_id = self.start(number)
        self.until_answered(f"{API}/instances/{instance_id}/events", {"name": "go"}, f"go:{number}")
        return instance_id

    def start(self, number: int) -> str:
        variables = {"user": str(number), "amount": str(number + 1)}
        path = f"{API}/workflows/{self.workflow_id}/instances"
        return self.until_answered(path, variables, f"start:{number}")["data"]["id"]

    def until_answered(self, path: str, body: Any, key: str) -> Any:
        """The answer of whichever server gives one: the next request goes to the next."""
        deadline_s = time.monotonic() + 2 * PATIENCE_S
        for api in itertools.cycle(self.apis if next(self._turn) % 2 else self.apis[::-1]):
            try:
                answer = api.post(path, body, headers={"Idempotency-Key": key})
                if answer.status in (201, 204):
                    return answer.json
                if answer.status != 503:
                    raise Violated(f"{path}: {answer.status} {answer.body!r}")
            except NoAnswer:
                pass
            if time.monotonic() > deadline_s:
                raise Inconclusive(f"{path} is not answered")
            time.sleep(0.05)
        raise AssertionError("unreachable")

    def has_running(self) -> bool:
        try:
            answer = self.api.get(f"{API}/instances?running=true&pageSize=1")
        except NoAnswer:
            return True
        return answer.status != 200 or bool(answer.json["data"])

    def running_one(self) -> Any:
        """One that has not ended, with its history."""
        found = self.api.get(f"{API}/instances?running=true&pageSize=15").json["data"]
        if not found:
            return "none any more"
        history = self.api.get(f"{API}/instances/{found[0]['id']}/stages/0/history").json
        return len(found), found[0], history

    def until_all_ended(self) -> None:
        deadline_s = time.monotonic() + PATIENCE_S + self.count.instances / 2
        while self.has_running():
            if time.monotonic() > deadline_s:
                raise Inconclusive(f"instances have not ended, such as {self.running_one()}")
            time.sleep(0.2)

    def check(self, proxy: WatchingProxy, ids: list[str]) -> None:
        """The books against the histories, and the attempts that the services have seen."""
        count, wanted = self.count, self.count.instances
        verdict = books.check(self.api.url, self.stack.url)
        count.effects, count.transactions, count.repeated = verdict.effects, verdict.transactions, verdict.repeated
        count.posts, count.overlapping = sum(proxy.posts.values()), proxy.overlapping
        count.sent_twice = sum(posts > 1 for posts in proxy.posts.values())
        verdict.raise_if_bad()
        found = (len(set(ids)), verdict.instances, verdict.effects, verdict.transactions, verdict.failed)
        if found != (wanted, wanted, 3 * wanted, 3 * wanted, 0):
            raise Violated(f"ids, instances, effects, transactions, failed: {found}")
        if len(proxy.posts) != 3 * wanted or proxy.overlapping:
            raise Violated(f"{len(proxy.posts)} keys; overlapping attempts: {proxy.overlapping}")


def kills(cluster: Cluster, proxy: WatchingProxy) -> None:
    """Kill a worker, or with the scenario `all` any server or worker, every four seconds until all instances ended."""
    victims, is_over = random.Random(cluster.count.seed), threading.Event()
    mortal = [*cluster.workers, *(cluster.apis if cluster.count.scenario == "all" else ())]

    def kill() -> None:
        while not is_over.wait(EVERY_S):
            victim = victims.choice(mortal)
            victim.kill()
            cluster.count.kills += 1
            cluster.count.servers_killed += victim in cluster.apis
            victim.launch()
            while cluster.count.scenario == "all" and not is_over.is_set() and victim.status("/readyz") != 200:
                time.sleep(LOOK_S)  # the others alone need not carry the load of two

    killer = threading.Thread(target=kill)
    with ThreadPoolExecutor(CALLERS) as pool:
        killer.start()
        try:
            ids = list(pool.map(cluster.play, range(cluster.count.instances)))
            cluster.until_all_ended()
        finally:
            is_over.set()
            killer.join()
    for api in cluster.apis:
        api.until_ready()
    cluster.check(proxy, ids)


def away(cluster: Cluster, proxy: WatchingProxy) -> None:
    """Stop Temporal in the middle of the load; with the scenario `wiped`, it comes back without its data."""
    count = cluster.count

    def timed(number: int) -> str:
        began_s = time.monotonic()
        instance_id = cluster.play(number)
        count.answered_s.append(time.monotonic() - began_s)
        return instance_id

    with ThreadPoolExecutor(CALLERS) as pool:
        plays = [pool.submit(timed, number) for number in range(count.instances)]
        while len(proxy.posts) < count.instances // 2:
            time.sleep(LOOK_S)
        cluster.temporal.kill()
        stopped_s = time.monotonic()
        ids = [play.result() for play in plays]  # accepted while Temporal is away
        time.sleep(max(0.0, count.seconds_away - (time.monotonic() - stopped_s)))
    if count.scenario == "wiped":
        for ending in ("", "-wal", "-shm"):
            cluster.file.with_name(cluster.file.name + ending).unlink(missing_ok=True)
    cluster.temporal.start()
    if count.scenario == "wiped":
        count.resumed = asyncio.run(_resume(cluster.database))
    cluster.until_all_ended()
    count.answered_s = [round(max(count.answered_s), 2)]
    cluster.check(proxy, ids)


async def _resume(database: str) -> int:
    from headrace.clock import SystemClock
    from headrace.engine.temporal.sweeper import resume
    from headrace.journal.postgres import PostgresJournal

    journal = await PostgresJournal.open(database)
    try:
        return await resume(journal, SystemClock())
    finally:
        await journal.close()


def aborts(cluster: Cluster, proxy: WatchingProxy) -> None:
    """Abort each instance at a moment around its attempt. No attempt may come after the answer."""
    count = cluster.count
    moments = random.Random(count.seed)
    chances = [(moments.random(), moments.uniform(-AROUND_S, AROUND_S)) for _ in range(count.instances)]
    answered: dict[str, float] = {}
    delays_s: deque[float] = deque(maxlen=200)
    """From the answer to a start until its attempt came to the services."""
    until_s = time.monotonic() + count.limit_s

    def pause_s(number: int) -> float:
        share, around_s = chances[number]
        known = sorted(delays_s)
        return max(0.0, known[int(share * len(known))] + around_s)

    def race(number: int) -> None:
        if time.monotonic() > until_s:
            return
        instance_id = cluster.start(number)
        started_s = time.monotonic()
        count.races += 1
        if number % AWAITED_EVERY == 0 or len(delays_s) < ABORTERS:
            count.awaited += 1
            while FIRST_KEY.format(instance_id) not in proxy.came_s and time.monotonic() < started_s + PATIENCE_S:
                time.sleep(0.005)
        else:
            time.sleep(pause_s(number))
        began_s = time.monotonic()
        answer = cluster.api.request("PUT", f"{API}/instances/{instance_id}/abort")
        if answer.status == 204:
            answered[instance_id] = time.monotonic()
            count.answered_s.append(time.monotonic() - began_s)
        elif answer.status == 400 and b"ended" in answer.body:
            count.ended_first += 1
        else:
            raise Violated(f"abort: {answer.status} {answer.body!r}")
        if (came_s := proxy.came_s.get(FIRST_KEY.format(instance_id))) is not None:
            delays_s.append(max(0.0, came_s - started_s))

    with ThreadPoolExecutor(ABORTERS) as pool:
        list(pool.map(race, range(count.instances)))
    time.sleep(3.0)  # what would begin too late begins in this time
    came_s = {key.split(":")[1]: when_s for key, when_s in proxy.came_s.items()}
    count.late = [each for each, when_s in answered.items() if came_s.get(each, 0.0) > when_s]
    count.aborted, count.posts, count.overlapping = len(answered), sum(proxy.posts.values()), proxy.overlapping
    count.sent_twice = sum(posts > 1 for posts in proxy.posts.values())
    slowest_s = sorted(count.answered_s)
    count.answered_s = [round(slowest_s[len(slowest_s) // 2], 3), round(slowest_s[-1], 3)] if slowest_s else []
    cluster.until_all_ended()
    books.check(cluster.api.url, cluster.stack.url).raise_if_bad()
    if count.late:
        raise Violated(f"attempts after the answer to an abort: {count.late[:5]}")
    count.met = sum(each in came_s for each in answered)
    if min(count.aborted, count.ended_first + count.met - count.awaited) * 20 < count.races:
        raise TooFewRaces("the aborts were nearly all before or nearly all after the attempts")


class TooFewRaces(Inconclusive):
    """All that is checked holds, and too few aborts have met an attempt for it to say much."""


SCENARIOS = {
    "all": (kills, STAGES),
    "kills": (kills, STAGES),
    "away": (away, STAGES),
    "wiped": (away, STAGES),
    "aborts": (aborts, SEND),
}


def run(folder: Path, count: Count) -> None:
    """The whole scenario; raises Violated or Inconclusive."""
    scenario, stages = SCENARIOS[count.scenario]
    started_s = time.monotonic()
    with PostgresServer(folder / "pg") as postgres:
        cluster = Cluster(folder, count, postgres, SHORT if count.scenario == "aborts" else SLOW)
        with cluster.running(stages) as proxy:
            scenario(cluster, proxy)
    count.took_s = round(time.monotonic() - started_s, 1)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.crash.workers", description=__doc__)
    parser.add_argument("scenario", choices=SCENARIOS)
    parser.add_argument("--instances", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds-away", type=float, default=10.0)
    parser.add_argument("--local", action="store_true")
    parser.add_argument("--limit-s", type=float, default=3_600.0, help="of aborts: no more races begin after it")
    chosen = parser.parse_args()
    count, word, why = Count(**vars(chosen)), "clean", ""
    with tempfile.TemporaryDirectory(prefix="workers-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)  # PostgreSQL's own user must get in
        try:
            run(Path(folder), count)
        except Exception as error:
            notes = getattr(error, "__notes__", [])
            word = "inconclusive" if isinstance(error, Inconclusive) else "violated"
            why = "\n".join([f"{type(error).__name__}: {error}", *notes])
    command = ["git", "describe", "--always", "--dirty"]
    described = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    print(json.dumps({"result": word, **asdict(count), "commit": described.stdout.strip(), "why": why}), flush=True)
    return {"clean": 0, "violated": 1, "inconclusive": 2}[word]


if __name__ == "__main__":
    sys.exit(main())
