"""Figures about the shape of the product's functions: `python -m tests.tidy.structure [FOLDER...]` prints them.

A *lone helper* is a private function that its module mentions once, in a call. Where the linear reading is clearer, its
body belongs into its caller.
"""

from __future__ import annotations

import ast
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePath

from tests.tidy import house

GOAL_LONE = 0.10
GOAL_P90_LINES = range(15, 46)


@dataclass(frozen=True)
class Function:
    """One function of the product."""

    path: str
    name: str
    line: int
    lines: int
    """From `def` to its last line, without decorators."""
    is_lone_helper: bool


@dataclass(frozen=True)
class Figures:
    """Of a set of functions; `lone` is a share between 0 and 1."""

    functions: int
    lone: float
    p90_lines: int

    @classmethod
    def of(cls, functions: Iterable[Function]) -> Figures:
        found = list(functions)
        lengths = sorted(each.lines for each in found)
        lone = sum(each.is_lone_helper for each in found)
        return cls(len(found), lone / len(found), lengths[int(len(lengths) * 0.9)])


def functions_of(source: house.Source) -> Iterator[Function]:
    """Every function of a file, methods and nested ones included."""
    nodes = list(ast.walk(source.tree))
    mentions = Counter(name for node in nodes if (name := _mentioned(node)))
    calls = Counter(name for node in nodes if isinstance(node, ast.Call) and (name := _mentioned(node.func)))
    for node in nodes:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        own = Counter(name for inner in ast.walk(node) if (name := _mentioned(inner)))[node.name]
        is_private = node.name.startswith("_") and not node.name.endswith("__")
        is_lone = is_private and not own and mentions[node.name] == 1 == calls[node.name]
        yield Function(source.path, node.name, node.lineno, (node.end_lineno or 0) - node.lineno + 1, is_lone)


def functions() -> list[Function]:
    """Every function of the product."""
    return [each for path in house.product_files() for each in functions_of(house.read(path))]


def _mentioned(node: ast.AST) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else None


def main(folders: list[str]) -> None:
    """Print a line per package, then the lone helpers of the folders that are named."""
    write = sys.stdout.write
    everything = functions()
    packages: dict[str, list[Function]] = defaultdict(list)
    for each in everything:
        packages["/".join(PurePath(each.path).parts[:3])].append(each)
    for name, found in (*sorted(packages.items()), ("all", everything)):
        figures = Figures.of(found)
        write(f"{figures.functions:5} functions {figures.lone:4.0%} lone p90 {figures.p90_lines:3} lines  {name}\n")
    for each in everything:
        if each.is_lone_helper and each.path.startswith(tuple(folders or ["-"])):
            write(f"{each.path}:{each.line} {each.name} ({each.lines} lines)\n")


if __name__ == "__main__":
    main(sys.argv[1:])
