"""Ratios of figures of the same round, and their medians. Absolute figures of a shared machine drift."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from typing import Any

Figures = dict[str, dict[str, float]]
"""`NAME/WORKLOAD` to the figures of one round."""

PEERS = ("restate", "procrastinate", "dbos/postgres", "dbos/sqlite", "temporal")
LEVELS = ("headrace/engine", "headrace/api")


def summary(rounds: list[Figures]) -> Iterator[dict[str, Any]]:
    """A `median` for each cell, then every ratio as a `ratio` with its value in each round."""
    for name in dict.fromkeys(name for figures in rounds for name in figures):
        rows = [figures[name] for figures in rounds if name in figures]
        medians = {key: _rounded(statistics.median(row[key] for row in rows)) for key in rows[0]}
        yield {"record": "median", "name": name, "rounds": len(rows), **medians}
    for name, wanted, value in _ratios():
        values = [found for figures in rounds if (found := value(figures)) is not None]
        if values:
            of_rounds = [_rounded(each) for each in values]
            median = _rounded(statistics.median(values))
            yield {"record": "ratio", "name": name, "median": median, "wanted": wanted, "of_rounds": of_rounds}


Ratio = tuple[str, str, Callable[[Figures], float | None]]


def _ratios() -> Iterator[Ratio]:
    wanted = {"headrace/engine/W1": 12, "headrace/engine/W2": 9, "headrace/api/W1": 7, "headrace/api/W2": 6}
    for ours, at_least in wanted.items():
        yield f"{ours} per s / best peer", f">= {at_least}", lambda f, ours=ours: _of_best(f, ours)
    for ours in wanted:
        yield f"least CPU of a peer / {ours}", "", lambda f, ours=ours: _of_thriftiest(f, ours)
    for level, at_least in (("engine", 0.40), ("api", 0.28)):
        ours = f"headrace/{level}/W1"
        yield f"{ours} per s / raw POSTs", f">= {at_least}", lambda f, ours=ours: _of(f, ours, "floor/posts/W1")
    for ours, at_most in (
        ("headrace/engine/W1", "<= 0.67"),
        ("headrace/api/W1", "<= 0.67"),
        ("headrace/engine/W2", ""),
        ("headrace/api/W2", ""),
    ):
        older = ours.replace("headrace", "older")
        yield (
            f"{ours} CPU / older version",
            at_most,
            lambda f, ours=ours, older=older: _of(f, ours, older, "cpu_ms_each"),
        )
        yield f"{ours} per s / older version", "", lambda f, ours=ours, older=older: _of(f, ours, older)
    for level in LEVELS:
        for peer in PEERS:
            for workload in ("W1", "W2"):
                ours, theirs = f"{level}/{workload}", f"{peer}/{workload}"
                yield f"{ours} per s / {peer}", "", lambda f, ours=ours, theirs=theirs: _of(f, ours, theirs)
                yield (
                    f"{peer} CPU / {ours}",
                    "",
                    lambda f, ours=ours, theirs=theirs: _of(f, theirs, ours, "cpu_ms_each"),
                )


def _of(figures: Figures, one: str, other: str, what: str = "per_s") -> float | None:
    if one not in figures or other not in figures:
        return None
    return figures[one][what] / figures[other][what]


def _of_best(figures: Figures, ours: str) -> float | None:
    rates = _of_peers(figures, ours, "per_s")
    return figures[ours]["per_s"] / max(rates) if rates and ours in figures else None


def _of_thriftiest(figures: Figures, ours: str) -> float | None:
    costs = _of_peers(figures, ours, "cpu_ms_each")
    return min(costs) / figures[ours]["cpu_ms_each"] if costs and ours in figures else None


def _of_peers(figures: Figures, ours: str, what: str) -> list[float]:
    workload = ours.rpartition("/")[2]
    return [figures[f"{peer}/{workload}"][what] for peer in PEERS if f"{peer}/{workload}" in figures]


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")
