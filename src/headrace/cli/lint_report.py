"""Findings of the linter for people, in 80 columns, and for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from headrace.cli import display
from headrace.cli.linting import PlacedFinding

WIDTH = 80
_INDENT = "    "
_PLURALS = (("error", "errors"), ("warning", "warnings"), ("note", "notes"))


def lines_of(finding: PlacedFinding) -> Iterator[str]:
    """One finding: its place, what is wrong, the line with a pointer, and what to do."""
    yield f"{finding.source.label}:{finding.line}:{finding.column}: {finding.level} [{finding.rule}]"
    yield from _paragraph(finding.message)
    yield from _excerpt(finding)
    yield from _paragraph(finding.remedy)


def summary(findings: Sequence[PlacedFinding]) -> str:
    """How many findings of each level there are, as in `1 error, 2 notes, 1 allowed`; empty for none."""
    counts = Counter(str(each.level) for each in findings if not each.is_allowed)
    parts = [f"{counts[one]} {one if counts[one] == 1 else many}" for one, many in _PLURALS if counts[one]]
    allowed = sum(each.is_allowed for each in findings)
    return ", ".join([*parts, f"{allowed} allowed"] if allowed else parts)


def document_of(finding: PlacedFinding) -> dict[str, Any]:
    """One finding for a program; `allowed` is the reason of the comment that allows it, else null."""
    return {
        "line": finding.line,
        "column": finding.column,
        "path": finding.path,
        "rule": finding.rule,
        "level": str(finding.level),
        "reason": finding.message,
        "remedy": finding.remedy,
        "allowed": finding.reason or None,
    }


def _paragraph(text: str) -> list[str]:
    return display.wrapped(text, WIDTH, indent=_INDENT)


def _excerpt(finding: PlacedFinding) -> Iterator[str]:
    """The line of the finding and a pointer to its column. A long line is cut on both sides of it."""
    lines = finding.source.lines
    if not 0 < finding.line <= len(lines):
        return
    text = display.printable(lines[finding.line - 1].replace("\t", " "))
    margin = f"{_INDENT}{finding.line} | "
    limit = WIDTH - len(margin)
    start = 0 if len(text) <= limit else max(0, min(finding.column - 1 - limit // 3, len(text) - limit + 1))
    shown = display.cut(f"…{text[start + 1 :]}" if start else text, limit)
    pointer = " " * display.width(shown[: finding.column - 1 - start])
    yield margin + shown.rstrip()
    yield f"{' ' * (len(margin) - 2)}| {pointer}^"
