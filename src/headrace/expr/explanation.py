"""Explanations of a result: each condition of an expression with its outcome and the values it read.

    explain('event.type == "PAY-IN" && event.amount > 100', {"event": {"type": "PAY-IN", "amount": 50}})

    all                                           false
        event.type == "PAY-IN"                    true     event.type: "PAY-IN"
        event.amount > 100                        false    event.amount: 50

The expression is evaluated once, in the usual order, by functions that also record their results. A condition that a
normal evaluation skips is skipped here too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Literal

from headrace.expr import nodes
from headrace.expr.builtins import NAMES
from headrace.expr.closures import FIRST_SLOT, Frame, Run
from headrace.expr.compiler import Code, Compiler, self_contained
from headrace.expr.deep import Deep, walked
from headrace.expr.errors import ExpressionError
from headrace.expr.limits import Meter
from headrace.expr.program import Program
from headrace.expr.spans import SpanParser, children
from headrace.expr.values import Value

MAX_VALUES = 8
"""Values shown for one condition."""

_AND, _OR, _NOT = ("and", "&&"), ("or", "||"), ("not", "!")
_ACCESSES = (nodes.Name, nodes.Member, nodes.Chain, nodes.Slice)

Kind = Literal["all", "any", "not", "choice", "condition"]


class Outcome(Enum):
    """The outcome of a condition, as a page shows it."""

    TRUE = "true"
    FALSE = "false"
    OTHER = "neither true nor false"
    FAILED = "failed"
    SKIPPED = "not evaluated"
    """An earlier condition had already decided."""
    ELSEWHERE = "not evaluated here"
    """The condition calls a function of the host that is not available in an explanation."""


@dataclass(frozen=True, slots=True)
class Part:
    """A condition, or a group of conditions: `all`, `any`, `not`, or a `choice` of a condition and its branches."""

    kind: Kind
    source: str
    outcome: Outcome
    error: str | None = None
    values: tuple[tuple[str, Value], ...] = ()
    """Values that the condition read: source text and value."""
    parts: tuple[Part, ...] = ()


class NotHere(Exception):
    """A function of the host cannot be called during an explanation; the function raises this."""


def explain(
    program: Program,
    env: Mapping[str, Any],
    *,
    functions: Mapping[str, Callable[..., Any]],
    now_ns: Callable[[], int],
    wraps: bool = True,
) -> Part:
    """Evaluate a program and return the outcome of each condition; it raises no ExpressionError.

    `functions` and `wraps` must be those of `compile`. A condition whose function raises NotHere gets the outcome
    ELSEWHERE, and the conditions beside it are evaluated.
    """
    conditions = _Conditions(program, functions.keys())
    run = conditions.compiled(functions.keys(), wraps=wraps)
    error, is_open = None, False
    try:
        run([env, Meter(program.limits, now_ns, functions), *[None] * conditions.slots])
    except NotHere:
        is_open = True
    except ExpressionError as failure:
        error = failure.summary
    except RecursionError:
        error = "evaluation is nested too deeply"

    # Add the error that stopped the evaluation, where it was none of the conditions.
    top = conditions.explained()
    if is_open:
        return replace(top, outcome=Outcome.ELSEWHERE)
    if error is None or any(part.error == error for part in _all(top)):
        return top
    return replace(top, outcome=Outcome.FAILED, error=error)


def _all(top: Part) -> Iterator[Part]:
    pending = [top]
    while pending:
        part = pending.pop()
        yield part
        pending += part.parts


@dataclass(slots=True)
class _Condition:
    """A node in the tree of conditions. A leaf is a condition that is evaluated as a whole."""

    kind: Kind
    node: nodes.Node
    parts: list[_Condition]
    shown: list[tuple[str, nodes.Node]]
    """Nodes whose values are shown, with their source text or variable name."""


class _Seen:
    """Recorded results of an evaluation: values and errors by node."""

    def __init__(self) -> None:
        self.values: dict[nodes.Node, Value] = {}
        self.errors: dict[nodes.Node, str] = {}
        self.elsewhere: set[nodes.Node] = set()

    def outcome(self, node: nodes.Node) -> Outcome:
        if node in self.errors:
            return Outcome.FAILED
        if node in self.elsewhere:
            return Outcome.ELSEWHERE
        if node not in self.values:
            return Outcome.SKIPPED
        value = self.values[node]
        if type(value) is not bool:
            return Outcome.OTHER
        return Outcome.TRUE if value else Outcome.FALSE

    def shown(self, node: nodes.Node, condition: nodes.Node) -> list[Value]:
        """The value of a node as a list; empty if the node has no value or the outcome already says it."""
        value = self.values.get(node, self)
        return [] if value is self or (node is condition and type(value) is bool) else [value]

    def value(self, node: nodes.Node) -> Callable[[Run], Run]:
        """A wrapper that records the value of a node."""

        def watched(inner: Run) -> Run:
            def run(frame: Frame) -> Value:
                value = self.values[node] = inner(frame)
                return value

            return run

        return watched

    def condition(self, node: nodes.Node, instead: bool | None) -> Callable[[Run], Run]:
        """Record the outcome of a condition. `instead` replaces its value after NotHere; None raises NotHere again."""

        def watched(inner: Run) -> Run:
            def run(frame: Frame) -> Value:
                try:
                    value = self.values[node] = inner(frame)
                except NotHere:
                    self.elsewhere.add(node)
                    if instead is None:
                        raise
                    return instead
                except ExpressionError as error:
                    self.errors[node] = error.summary
                    raise
                return value

            return run

        return watched


class _WatchingCompiler(Compiler):
    """A compiler that wraps the functions of watched nodes."""

    def __init__(
        self,
        program: Program,
        functions: Set[str],
        watched: Mapping[nodes.Node, Callable[[Run], Run]],
        *,
        wraps: bool,
    ) -> None:
        super().__init__(program.source, functions, program.exact, wraps=wraps)
        self._watched = watched

    def code(self, node: nodes.Node) -> Deep[Code]:
        code: Code = yield super().code(node)
        watch = self._watched.get(node)
        if watch is None:
            return code
        code = self_contained(code)
        return Code(watch(code.run), code.depth + 1)


class _Conditions:
    """The tree of conditions of one program, and the results recorded for it."""

    def __init__(self, program: Program, functions: Set[str]) -> None:
        self._program = program
        self.slots = 0
        self._parser = SpanParser(program.source, program.limits, NAMES, functions)
        self._seen = _Seen()
        self._watched: dict[nodes.Node, Callable[[Run], Run]] = {}
        self._tree = self._parser.whole()
        self._top = walked(self._shape(self._tree, instead=True))

    def compiled(self, functions: Set[str], *, wraps: bool) -> Run:
        compiler = _WatchingCompiler(self._program, functions, self._watched, wraps=wraps)
        code: Code = walked(compiler.sealed(self._tree))
        self.slots = compiler.slots - FIRST_SLOT
        return code.run

    def explained(self) -> Part:
        return walked(self._part(self._top))

    # the tree of conditions

    def _shape(self, node: nodes.Node, *, instead: bool | None) -> Deep[_Condition]:
        match node:
            case nodes.Binary() if node.operator in _AND:
                return (yield self._several("all", node, _AND, instead if instead is None else True))
            case nodes.Binary() if node.operator in _OR:
                return (yield self._several("any", node, _OR, instead if instead is None else False))
            case nodes.Unary() if node.operator in _NOT and not (
                # `x not in y` reads as one condition
                isinstance(node.operand, nodes.Binary) and node.operand.offset == node.offset
            ):
                inner: _Condition = yield self._shape(node.operand, instead=instead if instead is None else not instead)
                return _Condition("not", node, [inner], [])
            case nodes.Let():
                variables: list[tuple[str, nodes.Node]] = []
                body: nodes.Node = node
                while isinstance(body, nodes.Let):
                    if not isinstance(body.value, nodes.Literal):
                        variables.append((body.name, body.value))
                    body = body.body
                condition: _Condition = yield self._shape(body, instead=instead)
                self._show(condition, variables)
                return condition
            case nodes.Conditional():
                parts: list[_Condition] = [(yield self._shape(node.condition, instead=None))]
                for branch in (node.then, node.otherwise):
                    if branch is not None:
                        parts.append((yield self._shape(branch, instead=instead)))  # noqa: PERF401 # a walk
                return _Condition("choice", node, parts, [])
            case _:
                condition = _Condition("condition", node, [], [])
                self._watched[node] = self._seen.condition(node, instead)
                self._show(condition, [(self._parser.text(each), each) for each in _shown_nodes(node)])
                return condition

    def _several(
        self, kind: Literal["all", "any"], node: nodes.Node, operators: tuple[str, ...], instead: bool | None
    ) -> Deep[_Condition]:
        """Make one group of a row of the same operator, whatever its brackets."""
        parts: list[_Condition] = []
        pending: list[nodes.Node] = [node]
        while pending:
            part = pending.pop()
            if isinstance(part, nodes.Binary) and part.operator in operators:
                pending += [part.right, part.left]
            else:
                parts.append((yield self._shape(part, instead=instead)))
        return _Condition(kind, node, parts, [])

    def _show(self, condition: _Condition, found: list[tuple[str, nodes.Node]]) -> None:
        for name, node in found:
            if len(condition.shown) < MAX_VALUES and name not in dict(condition.shown):
                condition.shown.append((name, node))
                self._watched.setdefault(node, self._seen.value(node))

    # outcomes

    def _part(self, condition: _Condition) -> Deep[Part]:
        parts: list[Part] = []
        for each in condition.parts:
            parts.append((yield self._part(each)))  # noqa: PERF401 # a walk
        node, seen = condition.node, self._seen
        outcome = _outcome(condition.kind, parts) if parts else seen.outcome(node)
        values = tuple((name, value) for name, each in condition.shown for value in seen.shown(each, node))
        return Part(condition.kind, self._parser.text(node), outcome, seen.errors.get(node), values, tuple(parts))


def _outcome(kind: Kind, parts: list[Part]) -> Outcome:
    """The outcome of a group from the outcomes of its parts."""
    outcomes = [part.outcome for part in parts]
    if kind == "not":
        return {Outcome.TRUE: Outcome.FALSE, Outcome.FALSE: Outcome.TRUE, Outcome.OTHER: Outcome.FAILED}.get(
            outcomes[0], outcomes[0]
        )
    if kind == "choice":
        # The branch that was taken; `c ?: b` has one only, and a true condition is its answer.
        condition, *branches = outcomes
        if condition not in (Outcome.TRUE, Outcome.FALSE):
            return Outcome.FAILED if condition is Outcome.OTHER else condition
        if len(branches) == 1:
            return condition if condition is Outcome.TRUE else branches[0]
        return branches[0] if condition is Outcome.TRUE else branches[1]
    decides, otherwise = (Outcome.FALSE, Outcome.TRUE) if kind == "all" else (Outcome.TRUE, Outcome.FALSE)
    if Outcome.OTHER in outcomes[:-1]:
        return Outcome.FAILED
    for outcome in (decides, Outcome.FAILED, Outcome.ELSEWHERE, Outcome.SKIPPED, Outcome.OTHER):
        if outcome in outcomes:
            return outcome
    return otherwise


# values that a condition reads


def _shown_nodes(node: nodes.Node) -> Iterator[nodes.Node]:
    """Nodes whose values explain a condition: both sides of a comparison, and every access to the event."""
    while isinstance(node, nodes.Unary) and node.operator in _NOT:
        node = node.operand
    if isinstance(node, nodes.Binary | nodes.Comparisons):
        sides = [side.operand if isinstance(side, nodes.Link) else side for side in children(node)]
        yield from (side for side in sides if not _is_constant(side))

    # Accesses outside of predicates, which are evaluated many times.
    pending = [node]
    while pending:
        part = pending.pop()
        if isinstance(part, _ACCESSES):
            yield part
        elif isinstance(part, nodes.Call):
            callee = part.callee
            pending += [*part.arguments[::-1], *([callee.base] if isinstance(callee, nodes.Member) else [])]
        elif not isinstance(part, nodes.Predicate):
            pending += children(part)[::-1]


def _is_constant(node: nodes.Node) -> bool:
    pending = [node]
    while pending:
        part = pending.pop()
        if not isinstance(part, nodes.Literal | nodes.Nil | nodes.Array | nodes.Unary | nodes.Binary):
            return False
        pending += children(part)
    return True
