"""Evaluations per second of filters over an event of about 1 KB, on one core.

    python -m bench.expr            one JSON line per expression

Each expression is compiled once and run for a while, in several rounds; `per_s` is the best round (of a machine that
others use, too, the least disturbed), `median_per_s` the median one. `compile_us` is what compiling it takes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

from headrace.expr import Program, compile  # noqa: A004 # as re.compile

ROUNDS = 7
ROUND_S = 0.3
COMPILATIONS = 50
WANTED_PER_S = 50_000
"""Of the two-term filter. Printed beside the figure, never asserted."""

EVENT: dict[str, Any] = {
    "event": {
        "id": "eyJwcm92aWRlciI6ImR1bW15IiwicmVmZXJlbmNlIjoiMDAxIn0",
        "reference": "order:2024-000117",
        "connectorID": "dummy:5b1c7d5e-3a8e-4d0c-9a3f-0b4a2f9d1c77",
        "provider": "DUMMY-PAY",
        "type": "PAY-IN",
        "status": "SUCCEEDED",
        "scheme": "SEPA CREDIT",
        "asset": "EUR/2",
        "amount": 25_000,
        "initialAmount": 25_000,
        "createdAt": "2024-05-17T09:30:15.25Z",
        "sourceAccountID": None,
        "destinationAccountID": "account:0017:main",
        "links": [
            {"name": "source_account", "uri": "https://stack.example/api/payments/accounts/source-account-0017"},
            {"name": "destination_account", "uri": "https://stack.example/api/payments/accounts/destination-0042"},
        ],
        "metadata": {"order_id": "ord_000117", "customer_id": "cus_9f2", "country": "FR", "risk": "0.12"},
        "rawData": {"batch": 7, "lines": [{"sku": f"sku-{n}", "quantity": n, "price": 995} for n in range(7)]},
    }
}

EXPRESSIONS = {
    "two terms": 'event.status == "SUCCEEDED" and event.amount >= 10000',
    "membership": 'event.asset in ["EUR/2", "USD/2"] and event.metadata.country in ["FR", "DE"]',
    "pattern": 'event.reference matches "^order:[0-9]{4}-[0-9]+$"',
    "any": 'any(event.links, .name == "destination_account")',
    "nested any": "any(event.rawData.lines, any(event.rawData.lines, .quantity > 3) and .price == 1)",
    "aggregate": "sum(event.rawData.lines, .quantity * .price) > 1000",
    "text": 'event.metadata.order_id + ":" + string(event.amount)',
    "dates": 'date(event.createdAt) > date("2024-05-01")',
}


def per_s(program: Program) -> Iterator[float]:
    """One figure per round."""
    run: Callable[..., Any] = program.run
    for _ in range(ROUNDS):
        count, started, now = 0, time.perf_counter(), 0.0
        while (now := time.perf_counter()) - started < ROUND_S:
            for _ in range(100):
                run(EVENT)
            count += 100
        yield count / (now - started)


def compile_us(source: str) -> float:
    started = time.perf_counter()
    for _ in range(COMPILATIONS):
        compile(source)
    return (time.perf_counter() - started) / COMPILATIONS * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.expr", description=__doc__)
    parser.add_argument("--only", default="", metavar="NAME", help="only expressions whose name holds this")
    chosen = parser.parse_args()
    event_bytes = len(json.dumps(EVENT["event"], separators=(",", ":")))
    for name, source in EXPRESSIONS.items():
        if chosen.only in name:
            rounds = sorted(per_s(compile(source)))
            figure: dict[str, Any] = {
                "record": "figure",
                "name": f"expr/{name}",
                "expression": source,
                "event_bytes": event_bytes,
                "per_s": round(rounds[-1]),
                "median_per_s": round(statistics.median(rounds)),
                "compile_us": round(compile_us(source), 1),
            }
            wanted = {"wanted_per_s": WANTED_PER_S} if name == "two terms" else {}
            print(json.dumps({**figure, **wanted}), flush=True)


if __name__ == "__main__":
    main()
