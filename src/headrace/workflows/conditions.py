"""Conditions: `when` beside a stage, an expression that decides as the stage opens whether it runs.

    when: 'vars.country == "DE" and stages[0].outcome == "done"'

It sees the variables of the run and what the stages before have recorded: no ids, no time, nothing that could differ
when it is looked at again. So one case gives one decision in an instance, a plan and a certificate.
What it names is checked when the definition is created.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, cast

if TYPE_CHECKING:
    from headrace.expr import Program
    from headrace.expr.nodes import Node

Json = dict[str, Any]

WHEN = "when"
DONE, SKIPPED, TIMEOUT = "done", "skipped", "timeout"
OUTCOMES = (DONE, SKIPPED, TIMEOUT)
"""How a stage before can have ended: well, left out by its condition, or without the event that it waited for."""
MAX_BYTES = 8 * 1_024
MAX_ALL_BYTES = 64 * 1_024
"""The length of all conditions of a definition: to compile them takes some 6 ms for each 1,024 bytes."""
_MAX_CACHED = 512 * 1_024
_LEAST_CACHED = 256
"""A short condition counts as so many characters. So the cache holds any definition whole."""
MAX_CHARACTERS = 100
"""The length of a value in a message."""
MAX_STEPS = 20_000
"""The work of one evaluation: up to 100 ms. It is counted, not timed: no decision may depend on a machine's speed."""
_NAMES: Mapping[str, object] = {"vars": {}, "stages": []}
_ORDERS = frozenset(("<", "<=", ">", ">="))
_CALCULATES = frozenset(("-", "*", "/", "%", "**", "^", ".."))
_DECIDES = frozenset(("!", "not", "and", "&&", "or", "||", "?"))
_GIVE_NUMBERS = frozenset(
    ("int", "float", "abs", "ceil", "floor", "round", "len", "count", "mean", "median", "indexOf", "lastIndexOf")
)
_FORM = "is used as stages[0].outcome or stages[0].reads.NAME, with a number of a stage before"


class Reference(NamedTuple):
    """A stage that a condition names. `number`: as it is written, below 0 from the end. `read`: None: its outcome."""

    number: int
    read: str | None


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition that was compiled. `problems`: what is wrong with it wherever it stands.

    `needed`: the variables that a run must have. `others`: those that it may lack. `may_name_any`: it also computes
    names of variables.
    """

    program: Program | None
    problems: tuple[str, ...] = ()
    references: tuple[Reference, ...] = ()
    needed: frozenset[str] = frozenset()
    others: frozenset[str] = frozenset()
    may_name_any: bool = False


def parts_of(stage: Mapping[str, Any]) -> tuple[str, Any]:
    """The keyword and the body of a valid stage, without its condition."""
    return next((keyword, body) for keyword, body in stage.items() if keyword != WHEN)


def has_conditions(stages: Sequence[Mapping[str, Any]]) -> bool:
    return any(WHEN in stage for stage in stages)


class _Compiled:
    """The conditions that were used last, bounded by their text: compiled, a character takes some 80 bytes."""

    def __init__(self) -> None:
        self._conditions: dict[str, Condition] = {}
        self._left = _MAX_CACHED

    def of(self, source: str) -> Condition:
        found = self._conditions.pop(source, None)
        if found is None:
            found = _compiled(source)
            self._left -= max(len(source), _LEAST_CACHED)
        self._conditions[source] = found  # behind all others: the first one is forgotten first
        while self._left < 0:
            forgotten = next(iter(self._conditions))
            del self._conditions[forgotten]
            self._left += max(len(forgotten), _LEAST_CACHED)
        return found


_conditions = _Compiled()


def condition_of(source: str) -> Condition:
    """Compile a condition, or return one that was compiled before."""
    return _conditions.of(source)


def _compiled(source: str) -> Condition:
    from headrace import expr
    from headrace.expr.exact import NAMES

    limits = expr.Limits(source_bytes=MAX_BYTES, steps=MAX_STEPS, memory_units=100_000)
    if "${" in source:
        return Condition(None, ("holds no placeholder: vars.NAME is the variable NAME",))
    try:
        program = expr.compile(source, env=_NAMES, functions=NAMES, limits=limits, wraps=False)
    except expr.InvalidExpression as error:
        return Condition(None, (f"is not a valid expression: {error.summary}",))
    if not (program.type.is_bool or program.type.is_unknown):
        return Condition(program, (f"is true or false, not a value of the type {program.type}",))
    return _Reading(program, limits).condition()


class _Reading:
    """One walk over the tree of a condition, for what it names."""

    def __init__(self, program: Program, limits: Any) -> None:
        from headrace.expr import builtins, exact
        from headrace.expr.parser import parse

        self._program = program
        self._tree = parse(program.source, limits, builtins.NAMES, exact.NAMES | frozenset(_NAMES))
        self._problems: list[str] = []
        self._references: list[Reference] = []
        self._needed: set[str] = set()
        self._others: set[str] = set()
        self._may_name_any = False

    def condition(self) -> Condition:
        if _is_path(self._tree, "vars", 1):
            self._problem(self._tree, 'a variable is text, not true or false: vars.NAME == "true"')
        pending = [self._tree]
        while pending:
            pending += self._read(pending.pop())
        return Condition(
            self._program,
            tuple(dict.fromkeys(self._problems)),
            tuple(self._references),
            frozenset(self._needed),
            frozenset(self._others - self._needed),
            self._may_name_any,
        )

    def _read(self, node: Node) -> Iterator[Node]:
        """Note what a node names, and yield the nodes that are still to be read."""
        from headrace.expr import nodes
        from headrace.expr.spans import children

        if isinstance(node, nodes.Builtin) and node.name == "now":
            self._problem(node, "now() is not known here: a condition reads no clock")
        if isinstance(node, nodes.Binary):
            self._read_comparison(node)
            self._read_operator(node.operator, node.left, node.right)
        elif isinstance(node, nodes.Comparisons):
            sides = [node.first, *(link.operand for link in node.links)]
            for left, link, right in zip(sides, node.links, sides[1:], strict=False):
                self._read_operator(link.operator, left, right)
        elif isinstance(node, nodes.Unary) and not isinstance(node, nodes.Link):
            self._read_operator(node.operator, node.operand, node.operand)
        elif isinstance(node, nodes.Conditional):
            self._read_operator("?", node.condition, node.condition)
        keys, base = _path(node)
        if type(base) is nodes.Name and base.name == "$env":
            self._problem(base, "$env is not known here: use vars and stages")
        elif type(base) is nodes.Name and base.name == "stages":
            self._read_stage(base, keys)
        elif type(base) is nodes.Name and base.name == "vars":
            self._read_variable(base, keys)
        else:
            yield from children(node)
            return
        yield from (key.key for key in keys if _literal(key.key) is None)

    def _read_variable(self, base: Node, keys: Sequence[Any]) -> None:
        name = _literal(keys[0].key) if keys else None
        if not isinstance(name, str):
            self._may_name_any = True
            return
        (self._others if keys[0].is_optional else self._needed).add(name)
        if len(keys) > 1 and isinstance(_literal(keys[1].key), str) and not keys[1].is_method:
            self._problem(base, f"a variable is text: fromJSON(vars.{name}) has the members of the JSON in it")

    def _read_stage(self, base: Node, keys: Sequence[Any]) -> None:
        words = [_literal(each.key) for each in keys]
        number = words[0] if words else None
        if isinstance(number, bool) or not isinstance(number, int):
            self._problem(base, f"stages {_FORM}")
        elif words[1:] == ["outcome"]:
            self._references.append(Reference(number, None))
        elif len(words) > 2 and words[1] == "reads" and isinstance(words[2], str):
            self._references.append(Reference(number, words[2]))
        else:
            self._problem(base, f"stages {_FORM}")

    def _read_comparison(self, node: Any) -> None:
        """Refuse a comparison that always says the same: of an outcome with another word, of text with a number."""
        from headrace.expr import nodes

        if node.operator not in ("==", "!=", "in"):
            return
        sides = [node.left, node.right]
        literals = [item for each in sides for item in (each.items if isinstance(each, nodes.Array) else (each,))]
        values = [(each, value) for each in literals if (value := _literal(each)) is not None]
        if any(_is_path(each, "stages", 2, "outcome") for each in sides):
            for word, value in values:
                if value not in OUTCOMES:
                    known = ", ".join(OUTCOMES)
                    self._problem(word, f"an outcome is one of {known}, never {str(value)[:MAX_CHARACTERS]}")
        if any(_is_path(each, "vars", 1) for each in sides):
            for word, value in values:
                if not isinstance(value, str):
                    self._problem(word, f"a variable is text, and never equal to {str(value).lower()[:MAX_CHARACTERS]}")
            number = next((each for each in literals if _literal(each) is None and _is_number(each)), None)
            if number is not None:
                self._problem(number, f"a variable is text, and never equal to a number: {_advice(sides)}")

    def _read_operator(self, operator: str, left: Node, right: Node) -> None:
        """Refuse an operator that fails for every text, or that orders texts by their letters where numbers are meant.

        `left` and `right`: the operand twice where there is one only.
        """
        named = next((each for each in (left, right) if _is_path(_unsigned(each), "vars", 1)), None)
        if named is None:
            return
        if operator in _ORDERS:
            problem = f"a variable is text, which {operator} compares letter by letter: {_advice((left, right))}"
        elif operator in _CALCULATES or (operator == "+" and (_is_number(left) or _is_number(right))):
            problem = f"a variable is text, with which {operator} does not calculate: {_advice((left, right))}"
        elif operator in _DECIDES:
            problem = 'a variable is text, not true or false: vars.NAME == "true"'
        else:
            return
        self._problem(_path(_unsigned(named))[1], problem)

    def _problem(self, node: Node, message: str) -> None:
        from headrace.expr import Place

        self._problems.append(f"{message} {Place.of(self._program.source, node.offset)}")


def _path(node: Node) -> tuple[list[Any], Node]:
    """The accesses of a node, the first one first, and what they begin with."""
    from headrace.expr import nodes

    keys: list[Any] = []
    while isinstance(node, nodes.Member | nodes.Chain):
        if isinstance(node, nodes.Member):
            keys.append(node)
            node = node.base
        else:
            node = node.inner
    keys.reverse()
    return keys, node


def _unsigned(node: Node) -> Node:
    """A node without the signs before it."""
    from headrace.expr import nodes

    while isinstance(node, nodes.Unary) and node.operator in ("-", "+"):
        node = node.operand
    return node


def _is_number(node: Node) -> bool:
    """Whether a node gives a number or a range of them, whatever the variables are; False where that is not sure."""
    from headrace.expr import nodes

    pending = [node]
    while pending:
        node = _unsigned(pending.pop())
        if isinstance(node, nodes.Binary) and node.operator == "+":
            pending += (node.left, node.right)  # one of them decides, or they have no sum
        elif isinstance(node, nodes.Binary):
            if node.operator in _CALCULATES:
                return True
        elif isinstance(node, nodes.Call):
            if type(node.callee) is nodes.Name and node.callee.name in _GIVE_NUMBERS:
                return True
        elif isinstance(node, nodes.Builtin):
            if node.name in _GIVE_NUMBERS:
                return True
        elif isinstance(node, nodes.Literal) and type(node.value) in (int, float):
            return True
    return False


def _advice(sides: Sequence[Node]) -> str:
    """The advice about the first variable among nodes: what to write in its place."""
    for each in sides:
        node = _unsigned(each)
        if _is_path(node, "vars", 1):
            name = _literal(_path(node)[0][0].key)
            if not isinstance(name, str) or len(name) > MAX_CHARACTERS:
                break
            return f"use int(vars.{name})" if name.isidentifier() else f"use int(vars[{json.dumps(name)}])"
    return "use int(vars.NAME)"


def _is_path(node: Node, name: str, length: int, last: str = "") -> bool:
    """Whether a node is so many accesses of this name, and where `last` is given, ends with that."""
    from headrace.expr import nodes

    keys, base = _path(node)
    is_name = type(base) is nodes.Name and base.name == name and len(keys) == length
    return is_name and (not last or _literal(keys[-1].key) == last)


def _literal(node: Node) -> object:
    """The text or number that a node is; None for one that must be evaluated."""
    from headrace.expr import nodes

    if isinstance(node, nodes.Unary) and node.operator == "-" and isinstance(node.operand, nodes.Literal):
        value = node.operand.value
        return -value if type(value) is int else None
    return cast("object", node.value) if isinstance(node, nodes.Literal) else None
