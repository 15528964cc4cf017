"""Plays the examples, many at once, against a server that misbehaves or dies, and keeps the client's own log.

Seeding is done while the server behaves; then it is started again with its faults and the instances run.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from headrace.demo.examples import Example, load_examples
from headrace.demo.stack import Stack
from tests.crash.books import API
from tests.support.server import NoAnswer, Server

Json = dict[str, Any]

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
CALLERS = 8
PATIENCE_S = 60.0

# Small so that back-off and settling (decision M2b) take a test's time; the rules are the same.
FAST = {"HEADRACE_SETTLE_S": "0.2", "HEADRACE_RETRY_BASE_S": "0.05", "HEADRACE_RETRY_CAP_S": "0.4"}


@dataclass
class Play:
    """One instance of an example: what was seeded for it, and what the client knows of it."""

    example: Example
    names: dict[str, str]
    key: str = field(default_factory=lambda: f"play:{uuid4()}")
    instance_id: str | None = None
    events_sent: int = 0


def all_examples() -> list[Example]:
    found = load_examples(EXAMPLES)
    assert len(found) >= 12, f"only {len(found)} examples"
    return found


def create_workflows(server: Server, examples: Sequence[Example]) -> dict[str, str]:
    """Name of the example to the id of its workflow."""
    created: dict[str, str] = {}
    for example in examples:
        text = example.definition_file.read_bytes()
        answer = server.post(f"{API}/workflows", text, headers={"Content-Type": "application/yaml"})
        assert answer.status == 201, f"{example.name}: {answer.status} {answer.body!r}"
        created[example.name] = answer.json["data"]["id"]
    return created


def seed(server: Server, examples: Sequence[Example], count: int, tag: str) -> list[Play]:
    """Fund `count` runs of each example."""
    stack = Stack(server.url)
    try:
        return [
            Play(example, stack.seed(example, f"{tag}-{n}-{example.name[:2]}"))
            for n in range(count)
            for example in examples
        ]
    finally:
        stack.close()


def start(server: Server, workflows: dict[str, str], play: Play) -> None:
    """Run the workflow until it is accepted, as a careful caller does: same key, same bytes, until answered."""
    path = f"{API}/workflows/{workflows[play.example.name]}/instances"
    answer = _until_answered(server, path, play.example.variables(play.names), play.key)
    assert answer.status == 201, f"{play.example.name}: {answer.status} {answer.body!r}"
    accepted = answer.json["data"]["id"]
    assert play.instance_id in (None, accepted), f"{play.key} started {play.instance_id} and {accepted}"
    play.instance_id = accepted


def send_events(server: Server, play: Play) -> None:
    for name in play.example.plan.events[play.events_sent :]:
        path = f"{API}/instances/{play.instance_id}/events"
        answer = _until_answered(server, path, {"name": name}, f"{play.key}:event:{play.events_sent}")
        assert answer.status == 204, f"{play.example.name}: {answer.status} {answer.body!r}"
        play.events_sent += 1


def run_all(server: Server, workflows: dict[str, str], plays: Sequence[Play]) -> None:
    """Start every play and send its events, from several callers at once."""

    def one(play: Play) -> None:
        start(server, workflows, play)
        send_events(server, play)

    with ThreadPoolExecutor(CALLERS) as pool:
        list(pool.map(one, plays))


def wait_until_ended(server: Server, plays: Sequence[Play], patience_s: float = PATIENCE_S) -> None:
    """Raises AssertionError, naming them, when instances do not end in time, or were lost."""
    deadline = time.monotonic() + patience_s
    while running := [one["id"] for one in server.get(f"{API}/instances?running=true").json["data"]]:
        assert time.monotonic() < deadline, f"{len(running)} instances have not ended: {_why(server, running[0])}"
        time.sleep(0.1)
    known = {one["id"]: one for one in server.get(f"{API}/instances").json["data"]}
    lost = [play.instance_id for play in plays if play.instance_id not in known]
    assert not lost, f"accepted, and lost: {lost}"
    failed = {play.example.name: known[str(play.instance_id)].get("error") for play in plays}
    assert not any(failed.values()), f"instances failed: {[f'{k}: {v}' for k, v in failed.items() if v]}"


def check_expectations(server: Server, plays: Sequence[Play]) -> None:
    """Balances, metadata and initiations that the example's own data promises."""
    stack = Stack(server.url)
    problems: list[str] = []
    initiations = stack.initiations()
    try:
        for play in plays:
            problems += _differences(stack, play, initiations)
    finally:
        stack.close()
    assert not problems, "\n".join(problems[:50])


def _differences(stack: Stack, play: Play, initiations: list[Json]) -> list[str]:
    expected, label = play.example.expected(play.names), f"{play.example.name} {play.names['run']}"
    told: list[tuple[str, Any, Any]] = []
    for one in expected.accounts:
        told.append((f"{one.ledger}/{one.account}", stack.balance(one.ledger, one.account, one.asset), one.balance))
    for one in expected.wallets:
        told.append((f"wallet {one.wallet}", stack.wallet_balance(one.wallet, one.asset), one.balance))
    for one in expected.metadata:
        told.append((f"metadata of {one.account}", stack.account_metadata(one.ledger, one.account), one.metadata))
    for one in expected.initiations:
        found = [
            (i["type"], i["amount"], i["asset"]) for i in initiations if i["destinationAccountID"] == one.destination
        ]
        told.append((f"initiations to {one.destination}", found, [(one.type, one.amount, one.asset)]))
    return [f"{label}: {what} is {is_}, expected {wanted}" for what, is_, wanted in told if is_ != wanted]


def _until_answered(server: Server, path: str, body: Json, key: str) -> Any:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            answer = server.post(path, body, headers={"Idempotency-Key": key})
            if answer.status != 503:
                return answer
        except NoAnswer:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.05)


def _why(server: Server, instance_id: str) -> str:
    history = server.get(f"{API}/instances/{instance_id}/history").json["data"]
    last = server.get(f"{API}/instances/{instance_id}/stages/{len(history) - 1}/history").json["data"]
    return json.dumps({"instance": instance_id, "stage": history[-1], "activities": last[-1:]})
