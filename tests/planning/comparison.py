"""Compares a plan with the run that it pins, by nothing of the planner's own: an independent reading of requests.

python -m tests.planning.comparison [--count 5000] [--seed 1] [--record]

`--record` adds the figures, with date and commit, to `results.jsonl`. Exits 1 where a plan and its run differ.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

from bench.machine import commit
from headrace.effects.port import Request
from headrace.errors import InvalidDefinition
from headrace.planning.document import plan_hash
from headrace.planning.planner import Subject, Terms
from headrace.runner.policy import Policy
from headrace.workflows.config import parse_config
from tests.planning.books import Books, Json, small_books
from tests.planning.generated import Maker
from tests.planning.runs import Run, planned, run

RESULTS = Path(__file__).with_name("results.jsonl")
PER_BOOKS = 10
POLICY = Policy(ledger_schemas={"shop": "v1"})
EPOCH = "1970-01-01T00:00:00Z"


def differences(books: Books, plan: Json, done: Run) -> Iterator[str]:
    """Every difference between a plan and its run: effects, failure, waits, balances, metadata."""
    fails = plan.get("fails")
    expected, place = plan["effects"], None
    if fails is not None:  # behind a shortage, a plan goes on as if it were funded; a run does not
        place = (fails["stage"], fails["ordinal"])
        expected = [effect for effect in expected if (effect["stage"], effect["ordinal"]) <= place]
    yield from _different_effects(expected, done)
    if (fails is None) != (done.error is None):
        yield f"planned {fails}, and it ended with {done.error}"
    elif fails is not None:
        yield from _different_failure(fails, done)
    skipped = [number for number in plan["skipped"] if fails is None or number <= fails["stage"]]
    if skipped != done.skipped:
        yield f"skips {skipped}, and it skipped {done.skipped}"
    waits = [a for a in plan["assumptions"] if a["type"] in ("event", "delay")]
    waits = [a for a in waits if fails is None or a["stage"] <= fails["stage"]]
    if [a["event"] for a in waits if a["type"] == "event"] != done.events:
        yield f"waits {waits}, and it took {done.events}"
    if len([a for a in waits if a["type"] == "delay"]) != len(done.slept_until):
        yield f"waits {waits}, and it slept until {done.slept_until}"
    if expected and (expected[-1]["stage"], expected[-1]["ordinal"]) == place:
        expected = expected[:-1]  # what was refused has moved nothing
    yield from _different_balances(books, expected)
    if fails is None:
        yield from _different_metadata(books, expected)


def _different_effects(expected: list[Json], done: Run) -> Iterator[str]:
    sent = [_as_planned(done.instance_id, *effect) for effect in done.effects]
    signed = [
        {name: effect[name] for name in ("stage", "ordinal", "activity", "service", "method", "path", "body")}
        for effect in expected
    ]
    if signed != sent:
        yield f"planned {signed}, and it sent {sent}"


def _as_planned(instance_id: str, stage: int, ordinal: int, activity: str, request: Request) -> Json:
    """A request as a plan shows it: by a reading of its own, the key and the time are taken out of the JSON."""
    key, placeholder = f"headrace:{instance_id}:{stage}:{ordinal}", f"headrace:plan:{stage}:{ordinal}"
    body = json.loads(request.body or b"{}")
    if body.get("reference") == key:
        body["reference"] = placeholder
    if body.get("metadata", {}).get("headrace_effect") == key:
        body["metadata"]["headrace_effect"] = placeholder
    if "scheduledAt" in body:
        body["scheduledAt"] = EPOCH
    assert key not in json.dumps(body)
    return {
        "stage": stage,
        "ordinal": ordinal,
        "activity": activity,
        "service": request.service,
        "method": request.method,
        "path": request.path,
        "body": body,
    }


def _different_failure(fails: Json, done: Run) -> Iterator[str]:
    assert done.error is not None
    if (fails["stage"], fails["ordinal"]) != (done.stage, done.ordinal):
        yield f"fails at {fails}, and it failed at stage {done.stage}, effect {done.ordinal}: {done.error}"
    # A plan does not know the ids of its own transactions.
    if not done.error.startswith(fails["error"].partition(" belongs to ")[0]):
        yield f"fails with {fails['error']!r}, and it failed with {done.error!r}"
    if done.failure != fails["kind"]:
        yield f"fails as {fails['kind']}, and it failed as {done.failure}"
    if fails["kind"] == "invalid" and "code" in fails:
        yield f"an invalid value has no code: {fails}"


def _different_balances(books: Books, effects: list[Json]) -> Iterator[str]:
    after = {
        (balance["ledger"], balance["account"], balance["asset"]): balance["after"]
        for effect in effects
        for balance in effect["balances"]
    }
    for place, balance in after.items():
        if (found := books.balance(*place)) != balance:
            yield f"{place} has {found}, planned {balance}"


def _different_metadata(books: Books, effects: list[Json]) -> Iterator[str]:
    after: dict[str, Json] = {}
    for effect in effects:
        if effect["activity"] == "AddAccountMetadata":
            after[effect["path"]] = {**after.get(effect["path"], {}), **effect["body"]}
    for path, metadata in after.items():
        _, _, ledger, _, account, _ = path.split("/")
        if not metadata.items() <= books.metadata(ledger, account).items():
            yield f"{account} of {ledger} has {books.metadata(ledger, account)}, planned {metadata}"


def compared(seed: str, counts: Counter[str]) -> list[str]:
    """Plan and run some workflows by chance, one after the other over the same books."""
    random = Random(seed)
    books = small_books(random)
    try:
        found = [each for _ in range(PER_BOOKS) for each in _compared(random, books, counts)]
    finally:
        books.close()
    return [f"seed {seed}: {each}" for each in found]


def _compared(random: Random, books: Books, counts: Counter[str]) -> Iterator[str]:
    definition, variables = Maker(random, books).workflow()
    try:
        parse_config(definition)
    except InvalidDefinition:
        counts["no workflow"] += 1
        return
    subject = Subject(definition, variables, random.choice(("caller", "trigger")))
    if random.random() < 0.2:  # an earlier run of the same: ingestions stand already
        run(books, subject, POLICY)
        counts["ran before"] += 1
    before = len(books.requests)
    is_caller = subject.origin == "caller"
    terms = Terms(books.clock.now_at(), may_name_world=is_caller, schemas=POLICY.ledger_schemas)
    plan = planned(books, subject, terms)
    reads = books.requests[before:]
    writes = [request for request in reads if request.method != "GET"]
    yield from (f"planning sent {request.method} {request.path}" for request in writes)
    assert plan["hash"] == plan_hash(plan)
    fails = plan.get("fails", {})
    counts["plans"] += 1
    counts["reads"] += len(reads) - len(writes)
    counts["not GET"] += len(writes)
    counts.update(f"assumed {each['type']}" for each in plan["assumptions"])
    counts["effects"] += len(plan["effects"])
    counts["skipped"] += len(plan["skipped"])
    counts[" ".join([plan["verdict"], *(str(fails[name]) for name in ("kind", "code") if name in fails)])] += 1
    if fails.get("code") == "INSUFFICIENT_FUND" and random.random() < 0.5:
        # What is missing is paid in: then a run does all that the plan has beyond the shortage.
        counts["funded"] += 1
        for effect in plan["effects"]:
            if effect.get("missing"):
                source = effect["balances"][0]
                books.fund(source["ledger"], source["account"], effect["missing"], source["asset"])
        del plan["fails"]
        if "ends" in plan:
            plan["fails"] = plan.pop("ends")
        funded = [{**effect, "balances": []} for effect in plan["effects"]]
        yield from differences(books, {**plan, "effects": funded}, run(books, subject, POLICY, signed=plan))
    else:
        yield from differences(books, plan, run(books, subject, POLICY, signed=plan))


def figures(count: int, seed: str) -> tuple[dict[str, Any], list[str]]:
    """The figures of so many workflows or a few more, and each difference between a plan and its run."""
    counts: Counter[str] = Counter()
    began_s, began_cpu_s = time.monotonic(), time.process_time()
    number, found = 0, list[str]()
    while counts["plans"] < count:
        found += compared(f"{seed}:{number}", counts)
        number += 1
    seeds = [f"{seed}:0", f"{seed}:{number - 1}"]
    sums = {"workflows": counts.pop("plans"), "differences": len(found), "not GET": counts.pop("not GET")}
    took = {"seconds": round(time.monotonic() - began_s), "cpu_seconds": round(time.process_time() - began_cpu_s)}
    return {"seeds": seeds, **sums, **took, **dict(sorted(counts.items()))}, found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.planning.comparison", description=__doc__)
    parser.add_argument("--count", type=int, default=5_000)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--record", action="store_true")
    options = parser.parse_args()
    counted, found = figures(options.count, options.seed)
    for difference in found[:20]:
        print(difference)
    command = f"python -m tests.planning.comparison --count {options.count} --seed {options.seed}"
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    line = json.dumps({"command": command, "at": at, "commit": commit(Path(__file__).parent), **counted})
    print(line)
    if options.record:
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
