"""What a crash test does, at whatever size: small in `make test`, full in `make soak`."""

from __future__ import annotations

import random
import sqlite3
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from headrace.demo.examples import Example
from tests.crash import books, players
from tests.crash.books import Inconclusive, Verdict
from tests.crash.players import FAST, Play
from tests.support.server import Server

SLOW = ("ledger:delay:1:0.15", "wallets:delay:1:0.15", "payments:delay:1:0.15")
"""Keeps effects in flight long enough to be killed in."""

MAX_FUTILE_KILLS = 3
"""For each kill that is wanted, so many may meet nothing in flight."""


@dataclass(frozen=True)
class Outcome:
    """The books' verdict and how often what was meant to happen did happen."""

    verdict: Verdict
    kills: int = 0
    kills_in_flight: int = 0


def under_fault(folder: Path, faults: Sequence[str], examples: Sequence[Example], count: int) -> Outcome:
    """`count` instances of each example run while the services misbehave; then the books are compared."""
    with Server(folder, settings=FAST) as server:
        plays = players.seed(server, examples, count, "fault")
        workflows = players.create_workflows(server, examples)
        server.restart(faults=faults)
        players.run_all(server, workflows, plays)
        players.wait_until_ended(server, plays, 60 + count * len(examples) / 10)
        server.restart(faults=())
        players.check_expectations(server, plays)
        verdict = books.check(server.url)
    verdict.raise_if_bad()
    if not verdict.repeated:
        raise Inconclusive(f"no effect met the fault {', '.join(faults)}: {verdict.shown()}")
    return Outcome(verdict)


def under_kills(
    folder: Path, examples: Sequence[Example], count: int, kills: int, seed: int, faults: Sequence[str] = ()
) -> Outcome:
    """The server is killed again and again, at moments drawn from the seed, while instances are started and run.

    Only kills with an effect in flight count towards `kills`. `faults` come on top.
    """
    moments = random.Random(seed)
    with Server(folder, settings=FAST) as server:
        plays = players.seed(server, examples, count, f"kill-{seed}")
        workflows = players.create_workflows(server, examples)
        server.restart(faults=[*SLOW, *faults])
        with ThreadPoolExecutor(players.CALLERS) as pool:
            started = [pool.submit(_start_and_send, server, workflows, play) for play in plays]
            tried, met = _kill_repeatedly(server, moments, kills)
            for future in started:
                future.result()
        players.wait_until_ended(server, plays, 60 + count * len(examples) / 10)
        server.restart(faults=())
        players.check_expectations(server, plays)
        verdict = books.check(server.url)
    verdict.raise_if_bad()
    if verdict.instances != len(plays):
        raise books.Violated(f"{len(plays)} keys started {verdict.instances} instances")
    if met < kills:
        raise Inconclusive(f"only {met} of {tried} kills met an effect in flight, {kills} were wanted")
    return Outcome(verdict, tried, met)


def _kill_repeatedly(server: Server, moments: random.Random, wanted: int) -> tuple[int, int]:
    """(kills, kills that met an effect in flight)"""
    tried = met = 0
    while met < wanted and tried < wanted * (1 + MAX_FUTILE_KILLS):
        pause(moments.uniform(0.02, 0.4))
        server.kill()
        tried += 1
        met += effects_in_flight(server.data / "journal.db") > 0
        server.start()
    return tried, met


def effects_in_flight(journal: Path) -> int:
    """Intents without an outcome in a journal whose owner is dead."""
    connection = sqlite3.connect(f"file:{journal}?mode=ro", uri=True)
    try:
        query = "SELECT count(*) FROM activities WHERE terminated_at IS NULL AND key <> ''"
        return connection.execute(query).fetchone()[0]
    finally:
        connection.close()


def _start_and_send(server: Server, workflows: dict[str, str], play: Play) -> None:
    players.start(server, workflows, play)
    players.send_events(server, play)


def pause(seconds: float) -> None:
    """The kill is aimed at a real process in real time: no clock to inject here."""
    threading.Event().wait(seconds)
