"""`kill -9` while instances start and run: nothing accepted is lost, nothing is booked twice."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.crash import books, players, scenarios
from tests.crash.books import API
from tests.crash.players import FAST
from tests.crash.soak import FAULTS
from tests.support.server import Server

pytestmark = pytest.mark.timeout(400)


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_again_and_again(seed: int, tmp_path: Path) -> None:
    outcome = scenarios.under_kills(tmp_path / "data", players.all_examples(), count=4, kills=4, seed=seed)
    assert outcome.kills_in_flight >= 4


def test_killed_while_the_services_misbehave(tmp_path: Path) -> None:
    outcome = scenarios.under_kills(tmp_path / "data", players.all_examples(), 3, 3, seed=4, faults=FAULTS["mixed"])
    assert outcome.kills_in_flight >= 3


def test_a_repeated_run_starts_one_instance(tmp_path: Path) -> None:
    """The 201 is lost with the process that sent it; the caller repeats the same bytes with the same key."""
    moments = random.Random(3)
    with Server(tmp_path / "data", settings=FAST) as server:
        workflow = {"stages": [{"wait_event": {"event": "go"}}]}
        workflow_id = server.post(f"{API}/workflows", workflow).json["data"]["id"]
        path = f"{API}/workflows/{workflow_id}/instances"
        for number in range(8):
            headers = {"Idempotency-Key": f"once-{number}"}
            server.post_and_hang_up(path, {}, headers=headers)
            if number % 2:
                scenarios.pause(moments.uniform(0, 0.01))
                server.restart()
            answers = [server.post(path, {}, headers=headers) for _ in range(2)]
            assert [answer.status for answer in answers] == [201, 201]
            assert answers[0].body == answers[1].body
            assert answers[1].headers["idempotency-hit"] == "true"
        instances = server.get(f"{API}/instances?workflowID={workflow_id}").json["data"]
        assert len(instances) == 8


def test_an_answered_write_survives_a_kill(tmp_path: Path) -> None:
    """Killed on the response, again and again: what was answered is there (INV-11)."""
    with Server(tmp_path / "data", settings=FAST) as server:
        workflow = {"name": "w", "stages": [{"wait_event": {"event": "go"}}]}
        accepted: list[str] = []
        workflow_id = server.post(f"{API}/workflows", workflow).json["data"]["id"]
        for _ in range(4):
            instance = server.post(f"{API}/workflows/{workflow_id}/instances", {}).json["data"]
            assert server.post(f"{API}/instances/{instance['id']}/events", {"name": "go"}).status == 204
            server.restart()
            accepted.append(instance["id"])
        for instance_id in accepted:
            assert server.get(f"{API}/instances/{instance_id}").status == 200
        ended = [server.get(f"{API}/instances/{one}").json["data"] for one in accepted]
        assert [one["id"] for one in ended] == accepted
        aborted = server.post(f"{API}/workflows/{workflow_id}/instances", {}).json["data"]["id"]
        assert server.request("PUT", f"{API}/instances/{aborted}/abort").status == 204
        server.restart()
        assert server.get(f"{API}/instances/{aborted}").json["data"]["error"] == "canceled"
        verdict = books.check(server.url)
        assert verdict.problems == []
