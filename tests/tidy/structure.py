"""Figures about the shape of the product's functions: `python -m tests.tidy.structure [--list] [FOLDER...]`.

A *lone helper* is a private function that the product calls directly, at exactly one place. Where the linear reading is
clearer, its body belongs into its caller. Not lone, because a call alone does not say who runs it:

- a function that is mentioned without a call: the entry of a table, a callback, the argument of another function;
- the entry of a table that is written as a `match`: its call is all that a case has;
- a function of several statements that a comprehension or a lambda applies, which hold expressions only;
- a coroutine that is handed on instead of awaited where it is called: the body of a task, an operand of `gather`;
- a method whose class inherits it or is inherited from, where a base or a subclass anywhere in the product has it too;
- a decorated function (but for `staticmethod`, `classmethod`): a context manager, a cache, a property, a registration;
- a function that calls itself.

Mentions are counted in the module. Where that has several functions of the name, they are counted for each class and
the classes it is related to.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePath

from tests.tidy import repository

GOAL_LONE = 0.10
GOAL_P90_LINES = range(15, 46)

Definition = ast.FunctionDef | ast.AsyncFunctionDef


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


class Families:
    """Which classes inherit from each other, by name, and which methods each defines."""

    def __init__(self, sources: Iterable[repository.Source]) -> None:
        self._bases: dict[str, set[str]] = defaultdict(set)
        self._methods: dict[str, set[str]] = defaultdict(set)
        for source in sources:
            for node in ast.walk(source.tree):
                if isinstance(node, ast.ClassDef):
                    bases = (base.value if isinstance(base, ast.Subscript) else base for base in node.bases)
                    self._bases[node.name] |= {name for base in bases if (name := _mentioned(base))}
                    self._methods[node.name] |= {each.name for each in node.body if isinstance(each, Definition)}

    def ancestors(self, name: str) -> set[str]:
        found: set[str] = set()
        wanted = [name]
        while wanted:
            new = self._bases.get(wanted.pop(), set()) - found
            found |= new
            wanted.extend(new)
        return found

    def of(self, name: str) -> set[str]:
        """The ancestors and descendants of a class, itself left out."""
        return (self.ancestors(name) | {each for each in self._bases if name in self.ancestors(each)}) - {name}

    def share(self, name: str, method: str) -> bool:
        return any(method in self._methods.get(each, ()) for each in self.of(name))


@dataclass(frozen=True)
class Uses:
    """How often names are mentioned in a part of a file, and how often called."""

    mentions: Counter[str]
    calls: Counter[str]
    """As a statement or within one."""
    calls_of_items: Counter[str]
    """In a comprehension or a lambda, which have no place for statements."""
    awaits: Counter[str]
    """Calls that are awaited at once."""

    @classmethod
    def of(cls, part: ast.AST) -> Uses:
        found = cls(Counter(), Counter(), Counter(), Counter())
        pending: list[tuple[ast.AST, bool]] = [(part, False)]
        while pending:
            node, is_of_item = pending.pop()
            found.mentions[_mentioned(node)] += 1
            if isinstance(node, ast.Call):
                calls = found.calls_of_items if is_of_item else found.calls
                calls[_mentioned(node.func)] += 1
            elif isinstance(node, ast.Await) and isinstance(node.value, ast.Call):
                found.awaits[_mentioned(node.value.func)] += 1
            elif isinstance(node, ast.match_case) and (entry := _entry(node)):
                found.calls[entry] -= 1
            has_items = isinstance(node, ast.Lambda | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp)
            pending += ((child, is_of_item or has_items) for child in ast.iter_child_nodes(node))
        return found


def functions_of(source: repository.Source, families: Families | None = None) -> Iterator[Function]:
    """Every function of a file, methods and nested ones included."""
    families = families or Families([source])
    nodes = list(ast.walk(source.tree))
    classes = [node for node in nodes if isinstance(node, ast.ClassDef)]
    class_of = {each: node for node in classes for each in node.body if isinstance(each, Definition)}
    definitions = [node for node in nodes if isinstance(node, Definition)]
    count_of = Counter(node.name for node in definitions)
    whole, within = Uses.of(source.tree), {each.name: Uses.of(each) for each in classes}
    for node in definitions:
        owner = class_of.get(node)
        lone = _may_be_lone(node)
        if lone and owner and count_of[node.name] > 1:
            family = [within[each] for each in (owner.name, *families.of(owner.name)) if each in within]
        else:
            family = [whole]
        lone = lone and _calls_once(node, family) and not (owner and families.share(owner.name, node.name))
        yield Function(source.path, node.name, node.lineno, (node.end_lineno or 0) - node.lineno + 1, lone)


def functions() -> list[Function]:
    """Every function of the product."""
    sources = [repository.read(path) for path in repository.product_files()]
    families = Families(sources)
    return [each for source in sources for each in functions_of(source, families)]


def _may_be_lone(node: Definition) -> bool:
    is_private = node.name.startswith("_") and not node.name.endswith("__")
    decorators = {_mentioned(each) for each in node.decorator_list}
    return is_private and decorators <= {"staticmethod", "classmethod"} and not Uses.of(node).mentions[node.name]


def _calls_once(node: Definition, scope: list[Uses]) -> bool:
    """One mention, which is a call that its body could replace."""
    name = node.name
    if sum(each.mentions[name] for each in scope) != 1:
        return False
    is_generator = any(isinstance(each, ast.Yield) for each in ast.walk(node))
    if isinstance(node, ast.AsyncFunctionDef) and not is_generator and not any(each.awaits[name] for each in scope):
        return False
    statements = node.body[1:] if ast.get_docstring(node) is not None else node.body
    is_expression = len(statements) == 1 and isinstance(statements[0], ast.Return)
    return any(each.calls[name] or (is_expression and each.calls_of_items[name]) for each in scope)


def _entry(case: ast.match_case) -> str:
    """The function whose call is all of a case."""
    statement = case.body[0]
    if len(case.body) > 1 or not isinstance(statement, ast.Return | ast.Expr):
        return ""
    value = statement.value.value if isinstance(statement.value, ast.Await) else statement.value
    return _mentioned(value.func) if isinstance(value, ast.Call) else ""


def _mentioned(node: ast.AST) -> str:
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else ""


def main() -> None:
    """Print a line per package, and with `--list` the lone helpers of the folders that are named, or of all."""
    parser = argparse.ArgumentParser(prog="python -m tests.tidy.structure", description=main.__doc__)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("folders", nargs="*", default=[""])
    arguments = parser.parse_args()
    everything = [each for each in functions() if each.path.startswith(tuple(arguments.folders))]
    packages: dict[str, list[Function]] = defaultdict(list)
    for each in everything:
        packages["/".join(PurePath(each.path).parts[:3])].append(each)
    for name, found in (*sorted(packages.items()), ("all", everything)):
        figures = Figures.of(found)
        sys.stdout.write(
            f"{figures.functions:5} functions {figures.lone:6.1%} lone p90 {figures.p90_lines:3} lines  {name}\n"
        )
    for each in everything:
        if arguments.list and each.is_lone_helper:
            sys.stdout.write(f"{each.path}:{each.line} {each.name} ({each.lines} lines)\n")


if __name__ == "__main__":
    main()
