"""Checks of docstrings that need no reader: each finds a text that cannot be understood without the code below it."""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache

from tests.tidy import repository

MIN_LINES = 12
"""A public class or function of so many lines has a docstring. The name and the types of a shorter one may do."""
MIN_WORDS = 3

RIDDLES = ("of", "none", "who", "whose", "whoever", "whom", "what", "whatever", "where", "wherever", "raises")
"""First words of a fragment: a docstring begins with a verb or a noun, as in `Return ...` or `The names of ...`."""
PRONOUNS = ("it", "its", "they", "their", "these", "those", "he", "she")
"""First words that stand for something the docstring has not named."""

_DEFINITIONS = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_RAISES = re.compile(r"\b[Rr]aises? ((?:`?[A-Z]\w+`?(?:, (?:and |or )?| and | or )?)+)")


@dataclass(frozen=True)
class Docstring:
    """A docstring of a module, class, function or variable; `name` is empty for a variable."""

    line: int
    name: str
    text: str

    @property
    def summary(self) -> str:
        """The first paragraph, in one line."""
        return " ".join(self.text.strip().partition("\n\n")[0].split())


def docstrings_of(tree: ast.Module) -> Iterator[Docstring]:
    """Every docstring of a file."""
    for node in ast.walk(tree):
        body: list[ast.stmt] = getattr(node, "body", []) if isinstance(node, (ast.Module, *_DEFINITIONS)) else []
        for before, each in zip([None, *body], body, strict=False):
            if not isinstance(each, ast.Expr) or not isinstance(each.value, ast.Constant):
                continue
            if isinstance(each.value.value, str) and (before is None or isinstance(before, ast.Assign | ast.AnnAssign)):
                name = "" if before else getattr(node, "name", "module")
                yield Docstring(each.lineno, name, each.value.value)


def is_generated(source: repository.Source) -> bool:
    """True for a file that a command writes: its texts are checked where they come from."""
    return "do not edit" in (ast.get_docstring(source.tree) or "").lower()


def missing(source: repository.Source) -> Iterator[repository.Complaint]:
    """Public classes and functions of at least `MIN_LINES` lines that have no docstring.

    A stage type is described by its `about`, an override by the class of the same file that defines the method.
    """
    for node in _public(source.tree.body, _overridable(source.tree)):
        if any(isinstance(each, ast.Assign) and ast.unparse(each.targets[0]) == "about" for each in node.body):
            continue
        lines = (node.end_lineno or 0) - node.lineno + 1
        if lines >= MIN_LINES and ast.get_docstring(node) is None:
            yield node.lineno, f"`{node.name}` has {lines} lines and no docstring: say what it is for"


def unclear(source: repository.Source, errors: Collection[str]) -> Iterator[repository.Complaint]:
    """Docstrings that break a rule; `errors` are the names of classes that `Raises` may mention."""
    for each in docstrings_of(source.tree):
        for reason in _faults(each, errors):
            yield each.line, f"{each.summary[:60]!r}: {reason}"


@cache
def known_errors() -> frozenset[str]:
    """Names of every class of the product, of what it imports, and of Python's own exceptions."""
    names = set(dir(builtins))
    for path in repository.product_files():
        for node in ast.walk(repository.read(path).tree):
            if isinstance(node, ast.ClassDef):
                names.add(node.name)
            elif isinstance(node, ast.ImportFrom):
                names.update(alias.asname or alias.name for alias in node.names)
    return frozenset(names)


def _overridable(tree: ast.Module) -> frozenset[str]:
    """Methods of protocols, and of classes that others of the file extend."""
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    bases = {ast.unparse(base) for node in classes for base in node.bases}
    defining = [node for node in classes if node.name in bases or "Protocol" in map(ast.unparse, node.bases)]
    return frozenset(each.name for node in defining for each in node.body if isinstance(each, ast.FunctionDef))


def _public(
    body: list[ast.stmt], overridable: Collection[str], *, is_class: bool = False
) -> Iterator[ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]:
    """Public definitions, without methods of a class that says which protocol it implements: its texts serve both."""
    for node in body:
        if is_class and isinstance(node, _DEFINITIONS) and node.name in overridable:
            continue
        if isinstance(node, _DEFINITIONS) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef) and "Implements" not in (ast.get_docstring(node) or ""):
                yield from _public(node.body, overridable, is_class=True)


def _faults(docstring: Docstring, errors: Collection[str]) -> Iterator[str]:
    summary = docstring.summary
    words = re.findall(r"[\w'-]+", summary)
    first = words[0].lower() if words else ""
    if not summary.endswith((".", ":", "?")):
        yield "end the first paragraph with a full stop"
    if summary[:1].islower():
        yield "begin with a capital letter"
    if docstring.name and len(words) < MIN_WORDS:
        yield f"use a sentence of at least {MIN_WORDS} words"
    if first in RIDDLES and summary[0] != "`":
        yield f"begin with a verb or a noun, not with {words[0]!r}"
    if first in PRONOUNS and summary[0] != "`":
        yield f"name what {words[0]!r} stands for"
    for found in _RAISES.finditer(docstring.text):
        for name in re.findall(r"[A-Z]\w+", found[1]):
            if name not in errors:
                yield f"no error is called {name!r}"
