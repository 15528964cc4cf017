"""Pictures of generated runs: `python -m tests.pictures.generated [--runs 5000] [--seed 0] [--record]`.

What is drawn as booked is what the books hold, posting by posting; what is drawn as planned before a run is what it
does; each asset is conserved; no two boxes overlap. `--record` adds the figures and the command to `results.jsonl`.
Exits 1 where a picture is wrong.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from itertools import combinations
from pathlib import Path
from random import Random

import msgspec

from bench.machine import commit
from headrace.errors import InvalidDefinition
from headrace.journal.records import ActivityRow
from headrace.pictures.layout import NODE_HEIGHT, laid_out
from headrace.pictures.moves import Flow, Move, Node
from headrace.pictures.svg import svg
from headrace.pictures.words import label
from headrace.planning.shadow import wallet_account
from headrace.sandbox.memory import Contents
from headrace.testing.runs import Plan, Run
from headrace.testing.virtual import finished
from headrace.workflows.config import parse_config
from tests.certificates.cases import PER_BOOKS, _events, _filled, _world  # pyright: ignore[reportPrivateUsage]
from tests.interleavings.life import quiet
from tests.pictures.runs import STATES, in_state
from tests.planning.generated import Maker

ROOT = Path(__file__).parents[2]
RESULTS = Path(__file__).with_name("results.jsonl")
Posting = tuple[str, str, int, str]


def check(seed: int, counts: Counter[str]) -> list[str]:
    """Draw a generated run in each state. Returns what is wrong."""
    random = Random(f"picture:{seed}")
    filled = _filled(seed // PER_BOOKS)
    definition, variables = Maker(random, filled.books).workflow()
    try:
        config = parse_config(definition)
    except InvalidDefinition:
        return []
    stored = msgspec.json.encode({"name": "generated", "stages": config.stages}).decode()
    world = _world(stored, filled.image, seed)
    wanted = Plan(variables, _events())
    counts["runs"] += 1
    whole: list[Move] = []
    problems: list[str] = []
    for state in ("planned", "done", random.choice(STATES[1:])):
        with in_state(world, wanted, state) as (run, flow):
            counts[f"state {state}"] += 1
            counts["moves"] += len(flow.moves)
            problems += [f"seed {seed}, {state}: {each}" for each in _wrong(run, flow)]
            if state == "planned":
                whole = list(flow.moves)
            elif state == "done" and all(move.state == "booked" for move in flow.moves):
                done = [move for move in flow.moves if not _is_ingestion(move)]
                foreseen = [move._replace(state="booked") for move in whole if not _is_ingestion(move)]
                if [move._replace(note="") for move in done] != foreseen:
                    problems.append(f"seed {seed}: planned {foreseen}, and done {done}")
    return problems


def _is_ingestion(move: Move) -> bool:
    """Of a payment that may have come in before: then a plan does not draw it, and a run shows that it stands."""
    return move.source.kind == "pay-in"


def _wrong(run: Run, flow: Flow) -> Iterator[str]:
    if run.instance_id:
        yield from _different(run, flow)
    else:
        yield from _planned_again(run.sandbox.contents(), flow)
    yield from (f"{each} is not conserved" for each in flow.sums() if not each.is_conserved)
    if flow.moves:
        layout = laid_out(flow, [label(flow, edge) for edge in flow.edges])
        places = [layout.places[node] for node in flow.nodes]
        for (x1, y1), (x2, y2) in combinations(places, 2):
            if abs(x1 - x2) < layout.node_width and abs(y1 - y2) < NODE_HEIGHT:
                yield f"boxes at {x1}, {y1} and {x2}, {y2} overlap"
        if any(not (x >= 0 and x + layout.node_width <= layout.width and y >= 0) for x, y in places):
            yield "a box is outside of the picture"
    if svg(flow) != svg(Flow(tuple(flow.moves), dict(flow.names))):
        yield "the same moves give another picture"


def _planned_again(contents: Contents, flow: Flow) -> Iterator[str]:
    """Payments that a plan draws as to come in, and that have come in before."""
    stands = {(ledger, each.get("reference")) for ledger, each in contents.transactions}
    for move in flow.moves:
        reference = f"headrace:ingest:{sha256(move.source.name.encode()).hexdigest()}"
        if move.source.kind == "pay-in" and (move.destination.place, reference) in stands:
            yield f"{move} is planned, and stands already"


def _different(run: Run, flow: Flow) -> Iterator[str]:
    """Postings of the books that are not drawn, and moves drawn as booked that are in no book."""
    contents = run.sandbox.contents()
    found = Counter(_postings_of(run, contents))
    drawn = Counter(_drawn(move) for move in flow.moves if move.state in ("booked", "undone"))
    if found != drawn:
        yield f"in the books, not drawn: {dict(found - drawn)}; drawn, not in the books: {dict(drawn - found)}"


def _postings_of(run: Run, contents: Contents) -> Iterator[Posting]:
    """What the effects of the run have booked, by their keys; an ingestion by its payment."""
    ingested = {
        json.loads(row.request_body or b"{}")["reference"]
        for row in _rows(run)
        if row.name == "CreateTransaction" and row.error is None and row.terminated_at is not None
    }
    for _, each in contents.transactions:
        key = each.get("reference") or each["metadata"].get("headrace_effect") or ""
        if key in ingested or key.startswith(f"headrace:{_root(run)}:"):
            yield from ((p["source"], p["destination"], p["amount"], p["asset"]) for p in each["postings"])
    for each in contents.initiations:
        if each["reference"].startswith(f"headrace:{_root(run)}:"):
            yield "payout", "", each["amount"], each["asset"]


def _root(run: Run) -> str:
    return getattr(run, "_case_id", run.instance_id)


def _rows(run: Run) -> Iterator[ActivityRow]:
    instance = finished(run.journal.instance(_root(run)))
    for stage in () if instance is None else instance.stages:
        yield from finished(run.journal.activities(_root(run), stage.number))


def _drawn(move: Move) -> Posting:
    if move.destination.kind == "payout":
        return "payout", "", move.amount, move.asset
    return _address(move.source), _address(move.destination), move.amount, move.asset


def _address(node: Node) -> str:
    if node.kind == "account":
        return node.name
    return wallet_account(node.name, node.place) if node.kind == "wallet" else "world"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.pictures.generated", description=__doc__)
    parser.add_argument("--runs", type=int, default=5_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--record", action="store_true")
    options = parser.parse_args()
    began_s = time.monotonic()
    counts: Counter[str] = Counter()
    problems: list[str] = []
    with quiet():
        for seed in range(options.seed, options.seed + options.runs):
            problems += check(seed, counts)
    for each in problems[:20]:
        sys.stdout.write(f"{each}\n")
    command = f"python -m tests.pictures.generated --runs {options.runs} --seed {options.seed}"
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    figures = {"command": command, "at": at, "commit": commit(ROOT), "problems": len(problems), **sorted_counts(counts)}
    line = json.dumps({**figures, "seconds": round(time.monotonic() - began_s)})
    sys.stdout.write(f"{line}\n")
    if options.record:
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
    return 1 if problems else 0


def sorted_counts(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items()))


if __name__ == "__main__":
    sys.exit(main())
