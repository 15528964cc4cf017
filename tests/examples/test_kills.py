"""All examples at once on a server that is killed again and again while effects are in flight.

The moments come from a seed: how many effects must be open at each kill. A run in which no kill found one open
would prove nothing and fails.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from headrace_client import ConnectionFailure
from tests.examples.playing import Played, Player, all_examples
from tests.support.server import Server

FAULTS = ["ledger:delay:0.6:0.5", "wallets:delay:0.6:0.4"]
SETTINGS = {"HEADRACE_SETTLE_S": "1", "HEADRACE_RETRY_CAP_S": "1"}
KILLS = 3
AT_ONCE = 4
MOMENT_S = 10.0


@contextmanager
def playing(server: Server) -> Iterator[Player]:
    player = Player(server.url)
    try:
        yield player
    finally:
        player.close()


@pytest.mark.parametrize("seed", [1, 2])
def test_every_example_survives_kills(start_server: Callable[..., Server], seed: int) -> None:
    chance = random.Random(seed)
    server = start_server(faults=FAULTS, settings=SETTINGS)
    with playing(server) as player:
        seeded = player.seed(all_examples(), f"s{seed}")
        chance.shuffle(seeded)
        played = player.start(seeded)
        early = chance.sample(played, len(played) // 2)
        send_events(player, early)
        in_flight = [kill_when_open(server, player, chance.randint(1, 5)) for _ in range(KILLS)]
        send_events(player, [each for each in played if each not in early])
        player.wait(played)
        report = player.check(played)
    assert report.problems == []
    assert sum(in_flight) > 0


def test_a_kill_right_after_the_answer_loses_no_run(start_server: Callable[..., Server]) -> None:
    """What was answered 201 survives; nothing was sent yet, or something was: either way once."""
    server = start_server(settings=SETTINGS)
    with playing(server) as player:
        seeded = player.seed(all_examples(), "edge")
        played: list[Played] = []
        for first in range(0, len(seeded), AT_ONCE):
            played += player.start(seeded[first : first + AT_ONCE])
            server.kill()
            server.restart()
        send_events(player, played)
        player.wait(played)
        assert player.check(played).problems == []


def send_events(player: Player, played: list[Played]) -> None:
    for each in played:
        player.send_events(each)


def kill_when_open(server: Server, player: Player, wanted: int) -> int:
    """Kills once this many effects are open, or most of them that there will be. Returns how many were."""
    found = 0
    deadline = time.monotonic() + MOMENT_S
    while time.monotonic() < deadline and player.client.orchestration.v1.list_instances(running=True).data:
        found = player.open_effects()
        if found >= wanted:
            break
    server.kill()
    with pytest.raises(ConnectionFailure):
        player.client.orchestration.v1.list_workflows()
    server.restart()
    return found
