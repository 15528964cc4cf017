"""JSON lines as they are measured, then ratios (within each round) and their medians beside the thresholds."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

Figures = dict[str, dict[str, float]]
"""Name of a measurement, such as `W1/engine`, to its figures, in one round."""


@dataclass(frozen=True)
class Target:
    """What Headrace wants to show. Printed beside the figure; never asserted, for machines differ."""

    name: str
    needs: tuple[str, ...]
    value: Callable[[Figures], float]
    at_least: float | None = None
    at_most: float | None = None

    @property
    def wanted(self) -> str:
        return f">= {self.at_least:g}" if self.at_least is not None else f"<= {self.at_most:g}"

    def is_met(self, value: float) -> bool:
        return value >= self.at_least if self.at_least is not None else value <= (self.at_most or 0)


def _floor_ms(figures: Figures) -> float:
    """Two durable commits and one POST, one after another."""
    return 2 * figures["floor/commit"]["median_ms"] + figures["floor/post"]["median_ms"]


_FLOORS = ("floor/commit", "floor/post")

TARGETS = (
    Target(
        "W1 engine / raw POSTs",
        ("W1/engine", "floor/posts"),
        lambda f: f["W1/engine"]["per_s"] / f["floor/posts"]["per_s"],
        at_least=0.35,
    ),
    Target(
        "W1 API / raw POSTs",
        ("W1/api", "floor/posts"),
        lambda f: f["W1/api"]["per_s"] / f["floor/posts"]["per_s"],
        at_least=0.20,
    ),
    Target(
        "SEQ engine / (2 commits + 1 POST)",
        ("SEQ/engine", *_FLOORS),
        lambda f: f["SEQ/engine"]["median_ms"] / _floor_ms(f),
        at_most=2.5,
    ),
    Target(
        "SEQ API wait=true / (2 commits + 1 POST)",
        ("SEQ/api", *_FLOORS),
        lambda f: f["SEQ/api"]["median_ms"] / _floor_ms(f),
        at_most=4,
    ),
    Target("commits per W1 instance", ("W1/engine",), lambda f: f["W1/engine"]["commits_each"], at_most=0.15),
    Target("W3 last wake-up late, s", ("W3/engine",), lambda f: f["W3/engine"]["last_late_s"], at_most=0.25),
    Target(
        "W3-burst last wake-up late, s",
        ("W3-burst/engine",),
        lambda f: f["W3-burst/engine"]["last_late_s"],
        at_most=1,
    ),
    Target(
        "matching against 1,000 triggers, ms",
        ("triggers/match",),
        lambda f: f["triggers/match"]["median_ms"],
        at_most=1,
    ),
    Target("bytes per waiting instance", ("memory/engine",), lambda f: f["memory/engine"]["bytes_each"], at_most=1000),
)


@dataclass
class Report:
    """Writes every record to the file at once, so that a run that is cut short leaves what it had."""

    path: Path
    screen: TextIO
    rounds: list[Figures] = field(default_factory=list[Figures])

    def write(self, record: dict[str, Any]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps(record)
        with self.path.open("a") as file:
            file.write(line + "\n")
        self.screen.write(line + "\n")
        self.screen.flush()

    def begin_round(self) -> None:
        self.rounds.append({})

    def measured(self, name: str, figures: dict[str, float], **settings: Any) -> None:
        self.rounds[-1][name] = figures
        rounded = {key: _rounded(value) for key, value in figures.items()}
        self.write({"record": "figure", "round": len(self.rounds), "name": name, **rounded, **settings})

    def summarise(self) -> None:
        names = list(dict.fromkeys(name for figures in self.rounds for name in figures))
        for name in names:
            rows = [figures[name] for figures in self.rounds if name in figures]
            medians = {key: _rounded(statistics.median(row[key] for row in rows)) for key in rows[0]}
            self.write({"record": "median", "name": name, "rounds": len(rows), **medians})
        for record in self._targets():
            self.write(record)
        self._table()

    def _targets(self) -> Iterator[dict[str, Any]]:
        for target in TARGETS:
            values = [target.value(f) for f in self.rounds if all(name in f for name in target.needs)]
            if values:
                value = statistics.median(values)
                yield {
                    "record": "target",
                    "name": target.name,
                    "value": _rounded(value),
                    "wanted": target.wanted,
                    "is_met": target.is_met(value),
                    "of_rounds": [_rounded(value) for value in values],
                }

    def _table(self) -> None:
        rows = list(self._targets())
        width = max((len(row["name"]) for row in rows), default=0)
        self.screen.write("\n")
        for row in rows:
            word = "met" if row["is_met"] else "MISSED"
            self.screen.write(f"{row['name']:<{width}}  {row['value']:>9}  wanted {row['wanted']:<8} {word}\n")
        self.screen.write(f"\n{self.path}\n")


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
