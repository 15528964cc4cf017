"""Two API servers on one PostgreSQL database read one broker, and are killed again and again (INV-9, INV-11).

    python -m tests.crash.two_servers --events 10000 --rounds 10

As `tests/crash/deliveries.py`, whose rounds and checks these are. Both servers consume, publish and fire triggers, each
duty at one of them; a kill takes one of them with its duties. A third process drives the instances.

Exit 0: nothing violated; 1: violated; 2: inconclusive. It prints a JSON line with what it counted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg

from tests.crash.books import Inconclusive
from tests.crash.deliveries import Count, broker_at, deliver, started
from tests.support.postgres import PostgresServer
from tests.support.server import Server
from tests.support.serving import Servers, Serving

API_SERVERS = 2


class Member(Serving):
    """One process of `tests/support/member_process.py`."""

    role = "api"

    def command_line(self) -> list[str]:
        return [sys.executable, "-m", "tests.support.member_process", self.role]


@dataclass
class Kills:
    """How often which duty was at a server that was killed."""

    with_duties: int = 0
    by_duty: dict[str, int] = field(default_factory=dict[str, int])


class Pair(Servers):
    """Two API servers and a driver. See `deliveries.Target`."""

    def __init__(self, folder: Path, database_url: str, settings: Mapping[str, str], chance: random.Random) -> None:
        super().__init__(folder, database_url, count=0, settings=settings)
        self.database_url = database_url
        self.driver = Member(folder / "driver")
        self.driver.role = "driver"
        self.kills = Kills()
        self._chance = chance
        self._killed: Member | None = None
        self._apis = [Member(folder / f"api{number}") for number in range(API_SERVERS)]

    def __enter__(self) -> Self:
        super().__enter__()
        try:
            self._set_up(self.driver)
            self.driver.settings["HEADRACE_DUTIES"] = "false"
            del self.driver.settings["HEADRACE_BROKER_URL"]
            self.driver.start()
            self.all = list(self._apis)
            for server in self._apis:
                self._set_up(server)
                server.start()
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.driver.stop()
        super().__exit__(kind, error, _)
        if error is not None:
            error.add_note(f"log of the driver ends with:\n{self.driver.log()[-3_000:]}")

    def _set_up(self, server: Member) -> None:
        server.settings = {**self.settings, "HEADRACE_PORT": str(server.port)}

    def api_url(self) -> str:
        return self.all[0].url

    def log(self) -> str:
        return "\n".join(server.log()[-2_000:] for server in [*self.all, self.driver])

    def begin(self, group: str) -> None:
        for server in self._apis:
            server.settings["HEADRACE_BROKER_GROUP"] = group
            server.restart()

    def kill(self) -> None:
        self._killed = self._chance.choice(self._apis)
        duties = taken(self._killed)
        self.kills.with_duties += bool(duties)
        for duty in duties:
            self.kills.by_duty[duty] = self.kills.by_duty.get(duty, 0) + 1
        self._killed.kill()

    def start_again(self) -> None:
        assert self._killed is not None
        self._killed.start()

    def suppressed(self) -> int:
        with psycopg.connect(self.database_url) as connection:
            row = connection.execute("SELECT sum(repeats)::bigint FROM inbox").fetchone()
        assert row is not None
        return row[0]


def taken(server: Server) -> set[str]:
    """The duties that a server has taken since its last start, as its log says."""
    lines = server.log().splitlines()
    starts = [number for number, line in enumerate(lines) if "recovered" in line]
    return {
        line.partition("duty=")[2].strip("'\" ")
        for line in lines[starts[-1] if starts else 0 :]
        if "took a duty" in line
    }


async def run(folder: Path, bus: str, count: Count, kills_a_round: int) -> Kills:
    """The whole of it; raises Violated or Inconclusive."""
    from headrace.journal.postgres import migrate

    with started(bus, folder / "broker") as broker_server, PostgresServer(folder / "pg") as postgres:
        database = postgres.create("books")
        migrate(database)
        broker = broker_at(bus, broker_server.url)
        settings = {**broker.settings, "HEADRACE_SETTLE_S": "0.5"}
        pair = Pair(folder, database, settings, random.Random(count.seed))
        try:
            await deliver(pair, broker, count, kills_a_round)
        finally:
            await broker.close()
    if not pair.kills.with_duties:
        raise Inconclusive("no server that was killed had a duty")
    return pair.kills


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.crash.two_servers", description=__doc__)
    parser.add_argument("--bus", default="nats")
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--kills", type=int, default=4, help="in each round")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    count, word, why = Count(chosen.bus, chosen.events, chosen.rounds, chosen.seed), "clean", ""
    kills: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="two-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        try:
            kills = asdict(asyncio.run(run(Path(folder), chosen.bus, count, chosen.kills)))
        except Inconclusive as error:
            word, why = "inconclusive", str(error)
        except Exception as error:
            word, why = "violated", f"{type(error).__name__}: {error}"
    command = ["git", "describe", "--always", "--dirty"]
    described = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    commit = described.stdout.strip()
    print(json.dumps({"result": word, **asdict(count), "kills_of_duties": kills, "commit": commit, "why": why}))
    return {"clean": 0, "violated": 1, "inconclusive": 2}[word]


if __name__ == "__main__":
    sys.exit(main())
