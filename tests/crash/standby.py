"""An owner and a standby on one PostgreSQL database, the owner killed again and again, and PostgreSQL too.

    python -m tests.crash.standby --instances 1000 --kills 20 --postgres-kills 5 --seed 1

Each instance makes three effects and waits for an event between the first two. Before each kill a share of them is
started, with a careful caller: same key until answered. Then the owner gets SIGKILL, the standby takes over, and the
killed one is started again as standby; or PostgreSQL gets SIGKILL and is started again. A server that has ended by
itself is started again, as by a supervisor: exit code 75 is the only one allowed. In the end the books are compared
with the histories.

Exit 0: nothing violated; 1: violated; 2: inconclusive. It prints a JSON line with what it counted.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from tests.crash import books
from tests.crash.books import API, Inconclusive, Violated
from tests.crash.players import FAST
from tests.support.postgres import PostgresServer
from tests.support.server import NoAnswer
from tests.support.serving import LOOK_S, PATIENCE_S, Servers, Serving

SLOW = ("ledger:delay:1:0.15",)
"""Keeps effects in flight long enough to be killed in."""
TAKEN_OVER = 75
CALLERS = 16
STAGES: list[dict[str, Any]] = [
    {
        "send": {
            "source": {"account": {"id": source, "ledger": "shop"}},
            "destination": {"account": {"id": destination, "ledger": "shop"}},
            "amount": {"amount": "${amount}", "asset": "USD/2"},
        }
    }
    for source, destination in (("world", "users:${user}"), ("users:${user}", "fees"), ("fees", "bank"))
]
STAGES.insert(1, {"wait_event": {"event": "go"}})


@dataclass
class Count:
    instances: int
    kills: int
    postgres_kills: int
    seed: int
    kills_in_flight: int = 0
    taken_over_s: list[float] = field(default_factory=list[float])
    """From each kill of an owner to the answer 200 of `/readyz` of the other."""
    ended_by_themselves: int = 0
    effects: int = 0
    attempts: int = 0
    repeated: int = 0
    transactions: int = 0
    took_s: float = 0.0


class Chaos:
    """Two servers, their database, and the callers."""

    def __init__(self, servers: Servers, postgres: PostgresServer, database: str, count: Count) -> None:
        self.servers = servers
        self.postgres = postgres
        self.database = database
        self.count = count
        self.workflow_id = ""

    def prepare(self) -> None:
        self.servers.owner()
        assert self.servers.stack.post("/api/ledger/v2/shop", {}).status == 204
        self.workflow_id = self._until_answered(f"{API}/workflows", {"stages": STAGES}, "w")["data"]["id"]

    def play(self, number: int) -> str:
        variables = {"user": str(number), "amount": str(number + 1)}
        path = f"{API}/workflows/{self.workflow_id}/instances"
        instance_id = self._until_answered(path, variables, f"start:{number}")["data"]["id"]
        self._until_answered(f"{API}/instances/{instance_id}/events", {"name": "go"}, f"go:{number}")
        return instance_id

    def kill_the_owner(self) -> None:
        owner, standby = self._owner_and_standby()
        owner.kill()
        killed_s = time.monotonic()
        self.count.kills_in_flight += self._in_flight() > 0
        while standby.status("/readyz") != 200:
            if time.monotonic() > killed_s + PATIENCE_S:
                raise Violated(f"the standby has not taken over:\n{standby.log()[-3_000:]}")
            time.sleep(LOOK_S)
        self.count.taken_over_s.append(round(time.monotonic() - killed_s, 2))
        owner.launch().until_alive()

    def _owner_and_standby(self) -> tuple[Serving, Serving]:
        """Wait until one of them serves and the other says that it waits."""
        deadline_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline_s:
            self.supervise()
            for owner in self.servers.ready():
                (standby,) = self.servers.others(owner)
                if standby.is_standby():
                    return owner, standby
            time.sleep(LOOK_S)
        raise Violated("there is no owner with a standby")

    def kill_postgres(self) -> None:
        self.postgres.kill()
        self.postgres.start()
        deadline_s = time.monotonic() + PATIENCE_S
        while not self.servers.ready():
            if time.monotonic() > deadline_s:
                raise Violated("no server is ready although PostgreSQL is back")
            self.supervise()
            time.sleep(LOOK_S)

    def supervise(self) -> None:
        for server in self.servers.all:
            if not server.is_running:
                self._start_again(server)

    def _start_again(self, server: Serving) -> None:
        if (code := server.ended()) != TAKEN_OVER:
            raise Violated(f"a server has ended with exit code {code}:\n{server.log()[-3_000:]}")
        self.count.ended_by_themselves += 1
        server.launch().until_alive()

    def settle(self, ids: list[str]) -> None:
        """Wait until every instance has ended, then compare the books."""
        deadline_s = time.monotonic() + PATIENCE_S + self.count.instances / 10
        while running := self._running():
            if time.monotonic() > deadline_s:
                raise Inconclusive(f"{running} instances have not ended")
            self.supervise()
            time.sleep(0.1)
        verdict = books.check(self.servers.owner().url, self.servers.url)
        self.count.effects, self.count.transactions = verdict.effects, verdict.transactions
        self.count.attempts, self.count.repeated = verdict.attempts, verdict.repeated
        verdict.raise_if_bad()
        wanted = self.count.instances
        found = (len(set(ids)), verdict.instances, verdict.effects, verdict.transactions, verdict.failed)
        if found != (wanted, wanted, 3 * wanted, 3 * wanted, 0):
            raise Violated(f"ids, instances, effects, transactions, failed: {found}")
        bank = self.servers.stack.get("/api/ledger/v2/shop/accounts/bank?expand=volumes").json["data"]
        if bank["volumes"]["USD/2"]["input"] != sum(number + 1 for number in range(wanted)):
            raise Violated(f"the bank has {bank}")
        if self.count.kills_in_flight * 2 < self.count.kills:
            raise Inconclusive(f"only {self.count.kills_in_flight} kills met an effect in flight")

    def _running(self) -> int:
        try:
            answer = self.servers.get(f"{API}/instances?running=true")
        except NoAnswer:
            return -1
        return len(answer.json["data"]) if answer.status == 200 else -1

    def _in_flight(self) -> int:
        """Intents without an outcome, while no server owns the journal."""
        with psycopg.connect(self.database) as connection:
            row = connection.execute(
                "SELECT count(*) FROM activities WHERE terminated_at IS NULL AND key <> '' AND attempt > 0"
            ).fetchone()
        assert row is not None
        return row[0]

    def _until_answered(self, path: str, body: Any, key: str) -> Any:
        deadline_s = time.monotonic() + 2 * PATIENCE_S
        while True:
            try:
                answer = self.servers.post(path, body, headers={"Idempotency-Key": key})
                if answer.status in (201, 204):
                    return answer.json
                if answer.status != 503:
                    raise Violated(f"{path}: {answer.status} {answer.body!r}")
            except NoAnswer:
                pass
            if time.monotonic() > deadline_s:
                raise Inconclusive(f"{path} is not answered")
            time.sleep(0.05)


def run(folder: Path, count: Count) -> None:
    """The whole of it; raises Violated or Inconclusive."""
    from headrace.journal.postgres import migrate

    moments, started_s = random.Random(count.seed), time.monotonic()
    with PostgresServer(folder / "pg") as postgres:
        database = postgres.create("books")
        migrate(database)
        with Servers(folder, database, faults=SLOW, settings=FAST) as servers:
            chaos = Chaos(servers, postgres, database, count)
            chaos.prepare()
            blows = [chaos.kill_the_owner] * count.kills + [chaos.kill_postgres] * count.postgres_kills
            moments.shuffle(blows)
            plays: list[Future[str]] = []
            with ThreadPoolExecutor(CALLERS) as pool:
                for number, blow in enumerate(blows):
                    first, last = (count.instances * each // len(blows) for each in (number, number + 1))
                    plays += [pool.submit(chaos.play, each) for each in range(first, last)]
                    threading.Event().wait(moments.uniform(0.05, 0.5))
                    blow()
                    chaos.supervise()
            chaos.settle([play.result() for play in plays])
    count.took_s = round(time.monotonic() - started_s, 1)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.crash.standby", description=__doc__)
    parser.add_argument("--instances", type=int, default=1_000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--postgres-kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    count, word, why = Count(chosen.instances, chosen.kills, chosen.postgres_kills, chosen.seed), "clean", ""
    with tempfile.TemporaryDirectory(prefix="standby-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        try:
            run(Path(folder), count)
        except Inconclusive as error:
            word, why = "inconclusive", str(error)
        except Exception as error:
            word, why = "violated", f"{type(error).__name__}: {error}"
    command = ["git", "describe", "--always", "--dirty"]
    described = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    print(json.dumps({"result": word, **asdict(count), "commit": described.stdout.strip(), "why": why}), flush=True)
    return {"clean": 0, "violated": 1, "inconclusive": 2}[word]


if __name__ == "__main__":
    sys.exit(main())
