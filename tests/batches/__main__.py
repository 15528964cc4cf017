"""A batch whose server is killed again and again: `python -m tests.batches [--items 10000] [--kills 20] [--record]`.

A real server, killed with SIGKILL at times by chance, from the preview to the last item. Each item must be started and
booked once. `--record` adds the figures to `results.jsonl`. Exits 1 where something was lost or done twice.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.support.server import NoAnswer, Server

RESULTS = Path(__file__).with_name("results.jsonl")
PREFIX = "/api/orchestration"
PATIENCE_S = 900.0
FIRST_LIFE_S, LIVES_S = 0.5, (0.2, 4.0)

Json = dict[str, Any]

PAYMENT: Json = {
    "name": "payment",
    "stages": [
        {
            "send": {
                "source": {"account": {"id": "pot", "ledger": "main"}},
                "destination": {"account": {"id": "shop", "ledger": "main"}},
                "amount": {"asset": "USD/2", "amount": 1},
            }
        }
    ],
}


def killed(folder: Path, items: int, kills: int, seed: int = 1) -> Json:
    """Run a batch under kills. Returns its figures; `problems` names what was lost or done twice."""
    chance = random.Random(seed)
    began_s = time.monotonic()
    settings = {"HEADRACE_MAX_BODY_BYTES": str(1 << 22)}
    with Server(folder / "data", settings=settings) as server:
        batch_id = _made(server, items)
        done, states = 0, Counter[str]()
        states["previewing"] += _kills(server, chance, batch_id, "previewing", max(1, kills // 5))
        ready = _until(server, batch_id, "ready")
        started = server.post(f"{PREFIX}/ext/batches/{batch_id}/start", {"hash": ready["hash"]})
        assert started.status == 200, started
        states["running"] += _kills(server, chance, batch_id, "running", kills - states["previewing"])
        ended = _until(server, batch_id, "done")
        problems = _problems(server, batch_id, items, ended)
    done = states.total()
    return {"items": items, "kills": done, **states, "seconds": round(time.monotonic() - began_s), "problems": problems}


def _made(server: Server, items: int) -> str:
    """A batch of payments of one cent each, from an account that has exactly enough."""
    server.post("/api/ledger/v2/main", {})
    funding = {"source": "world", "destination": "pot", "amount": items, "asset": "USD/2"}
    assert server.post("/api/ledger/v2/main/transactions", {"metadata": {}, "postings": [funding]}).status == 200
    workflow_id = server.post(f"{PREFIX}/workflows", PAYMENT).json["data"]["id"]
    runs = [{"workflowID": workflow_id, "variables": {}}] * items
    wanted = {"kind": "run", "runs": runs, "reason": "r", "rate": 1_000, "maxOpen": 10_000, "stopAfter": 10_000}
    made = server.post(f"{PREFIX}/ext/batches", wanted)
    assert made.status == 201, made
    return made.json["data"]["id"]


def _kills(server: Server, chance: random.Random, batch_id: str, state: str, kills: int) -> int:
    """Kill the server up to so many times while the batch is in this state. Returns how often."""
    for number in range(kills):
        time.sleep(chance.uniform(*LIVES_S) if number else FIRST_LIFE_S)
        if _read(server, batch_id)["state"] != state:
            return number
        server.kill()
        server.start()
    return kills


def _read(server: Server, batch_id: str) -> Json:
    return server.get(f"{PREFIX}/ext/batches/{batch_id}").json["data"]


def _until(server: Server, batch_id: str, state: str) -> Json:
    deadline_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline_s:
        try:
            if (batch := _read(server, batch_id))["state"] == state:
                return batch
        except NoAnswer:
            pass
        time.sleep(0.2)
    raise AssertionError(f"the batch is not {state} in time")


def _problems(server: Server, batch_id: str, items: int, ended: Json) -> list[str]:
    found: list[str] = []
    if ended["counts"] != {"succeeded": items} or ended["openItems"]:
        found.append(f"items: {ended['counts']}, {ended['openItems']} open")
    made: list[str] = []
    after = 0
    while rows := server.get(f"{PREFIX}/ext/batches/{batch_id}/items?after={after}&limit=1000").json["data"]:
        made += [row.get("result", "") for row in rows]
        after = rows[-1]["n"]
    if len(set(made)) != items:
        found.append(f"{items} items have {len(set(made))} instances")
    for account, expected in (("pot", 0), ("shop", items)):
        shown = server.get(f"/api/ledger/v2/main/accounts/{account}?expand=volumes").json["data"]
        if (balance := shown["volumes"]["USD/2"]["balance"]) != expected:
            found.append(f"{account} has {balance} and not {expected}")
    listed = 0
    cursor = ""
    while True:
        query = f"cursor={cursor}" if cursor else "pageSize=1000"
        page = server.get(f"{PREFIX}/ext/instances?{query}").json["cursor"]
        listed += len(page["data"])
        if not page["hasMore"]:
            break
        cursor = page["next"]
    if listed != items:
        found.append(f"{listed} instances for {items} items")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.batches", description=__doc__)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--record", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="batches-") as folder:
        figures = killed(Path(folder), chosen.items, chosen.kills, chosen.seed)
    line = json.dumps({"seed": chosen.seed, **figures})
    sys.stdout.write(line + "\n")
    if chosen.record:
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
    return 1 if figures["problems"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
