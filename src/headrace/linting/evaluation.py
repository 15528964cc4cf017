"""Evaluation of a trigger's expression over an event that is known in part.

The result covers every event that fits: a value only if all of them give it, else UNKNOWN. An expression that fails for
an event has UNKNOWN, too, so a filter that cannot be true here is true for none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from headrace.expr import nodes
from headrace.linting.partial import ANY_TEXT, UNKNOWN, PartialText, Record, Value, joined

MAX_DEPTH = 100
"""Maximum depth of nested expressions; deeper ones are UNKNOWN."""
MAX_STEPS = 20_000
"""Maximum nodes that one evaluation visits; the others are UNKNOWN."""

_NOTHING: Mapping[str, Value] = {}


def may_hold(condition: nodes.Node | None, event: Value) -> bool:
    """True unless a filter is certainly not true for these events. None stands for no filter."""
    if condition is None:
        return True
    value = value_of(condition, event)
    return value is True or value is UNKNOWN


def value_of(expression: nodes.Node, event: Value) -> Value:
    """Evaluate an expression as far as the event is known."""
    return _Evaluation(event).of(expression, _NOTHING, 0)


class _Evaluation:
    """One evaluation. `names` are the variables of `let`, and `#` for the item of a predicate."""

    def __init__(self, event: Value) -> None:
        self._event = event
        self._steps = 0

    def of(self, node: nodes.Node, names: Mapping[str, Value], depth: int) -> Value:
        self._steps += 1
        if depth > MAX_DEPTH or self._steps > MAX_STEPS:
            return UNKNOWN
        evaluate = _BY_TYPE.get(type(node))
        return UNKNOWN if evaluate is None else evaluate(self, node, names, depth + 1)

    def nil(self, node: nodes.Nil, names: Mapping[str, Value], depth: int) -> Value:
        return None

    def literal(self, node: nodes.Literal, names: Mapping[str, Value], depth: int) -> Value:
        return node.value

    def name(self, node: nodes.Name, names: Mapping[str, Value], depth: int) -> Value:
        return self._event if node.name == "event" and "event" not in names else names.get(node.name, UNKNOWN)

    def pointer(self, node: nodes.Pointer, names: Mapping[str, Value], depth: int) -> Value:
        return UNKNOWN if node.name else names.get("#", UNKNOWN)

    def unary(self, node: nodes.Unary, names: Mapping[str, Value], depth: int) -> Value:
        value = self.of(node.operand, names, depth)
        return not value if node.operator in ("not", "!") and isinstance(value, bool) else UNKNOWN

    def binary(self, node: nodes.Binary, names: Mapping[str, Value], depth: int) -> Value:
        left = self.of(node.left, names, depth)
        operator = node.operator
        if operator in ("and", "&&", "or", "||"):
            decisive = operator in ("or", "||")
            if left is decisive:
                return decisive
            right = self.of(node.right, names, depth)
            if right is decisive:
                return decisive
            return right if left is (not decisive) and isinstance(right, bool) else UNKNOWN
        if operator == "??":
            return self.of(node.right, names, depth) if left is None else left
        right = self.of(node.right, names, depth)
        calculate = _OPERATORS.get(operator)
        return UNKNOWN if calculate is None else calculate(left, right)

    def member(self, node: nodes.Member, names: Mapping[str, Value], depth: int) -> Value:
        base, key = self.of(node.base, names, depth), self.of(node.key, names, depth)
        if isinstance(base, Record) and isinstance(key, str):
            return base.member(key)
        if isinstance(base, list) and type(key) is int:
            items = cast("list[Value]", base)
            return items[key] if -len(items) <= key < len(items) else UNKNOWN
        return None if base is None and node.is_optional else UNKNOWN

    def chain(self, node: nodes.Chain, names: Mapping[str, Value], depth: int) -> Value:
        return self.of(node.inner, names, depth)

    def builtin(self, node: nodes.Builtin, names: Mapping[str, Value], depth: int) -> Value:
        values = [self.of(each, names, depth) for each in node.arguments if not isinstance(each, nodes.Predicate)]
        last = node.arguments[-1] if node.arguments else None
        if isinstance(last, nodes.Predicate):
            items = values[0] if values else UNKNOWN
            if node.name not in _QUANTIFIERS or not isinstance(items, list):
                return UNKNOWN
            found = [self.of(last.body, {**names, "#": item}, depth) for item in cast("list[Value]", items)]
            return _quantified(node.name, found)
        function = _FUNCTIONS.get((node.name, len(values)))
        return UNKNOWN if function is None else function(*values)

    def let(self, node: nodes.Let, names: Mapping[str, Value], depth: int) -> Value:
        value = self.of(node.value, names, depth)
        return self.of(node.body, {**names, node.name: value}, depth)

    def sequence(self, node: nodes.Sequence, names: Mapping[str, Value], depth: int) -> Value:
        return self.of(node.items[-1], names, depth) if node.items else UNKNOWN

    def array(self, node: nodes.Array, names: Mapping[str, Value], depth: int) -> Value:
        return [self.of(item, names, depth) for item in node.items]

    def conditional(self, node: nodes.Conditional, names: Mapping[str, Value], depth: int) -> Value:
        condition = self.of(node.condition, names, depth)
        first = True if node.then is None else self.of(node.then, names, depth)
        second = self.of(node.otherwise, names, depth)
        if isinstance(condition, bool):
            return first if condition else second
        return first if type(first) is type(second) and first == second else UNKNOWN


def _quantified(name: str, found: list[Value]) -> Value:
    """The result of `any`, `all` or `none` over the results of its predicate."""
    decisive = name != "all"
    if any(each is decisive for each in found):
        return name == "any"
    if all(each is (not decisive) for each in found):
        return name != "any"
    return UNKNOWN


def _equal(left: Value, right: Value) -> Value:
    if left is UNKNOWN or right is UNKNOWN:
        return UNKNOWN
    if isinstance(right, PartialText):
        left, right = right, left
    if isinstance(left, PartialText):
        if isinstance(right, PartialText):
            return UNKNOWN
        return UNKNOWN if isinstance(right, str) and left.may_be(right) else False
    if left is None or right is None:
        return left is right
    kinds = {_kind(left), _kind(right)}
    if "" in kinds:
        return UNKNOWN
    return left == right if len(kinds) == 1 else False


def _kind(value: Value) -> str:
    """The type of a value that can be compared here; empty for a list or a record."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "text" if isinstance(value, str) else ""


def _not(value: Value) -> Value:
    return not value if isinstance(value, bool) else UNKNOWN


def _in(value: Value, container: Value) -> Value:
    if isinstance(container, Record) and isinstance(value, str) and not container.is_open:
        return value in container.members
    if not isinstance(container, list):
        return UNKNOWN
    return _quantified("any", [_equal(value, each) for each in cast("list[Value]", container)])


def _texts(
    known: Callable[[str, str], bool], partial: Callable[[PartialText, str], Value]
) -> Callable[[Value, Value], Value]:
    """Build a test of a text that may be open for a part that is known."""

    def test(value: Value, part: Value) -> Value:
        if not isinstance(part, str):
            return UNKNOWN
        if isinstance(value, PartialText):
            return partial(value, part)
        return known(value, part) if isinstance(value, str) else UNKNOWN

    return test


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Value, Value], Value]:
    """Build a comparison of two known numbers."""

    def test(left: Value, right: Value) -> Value:
        return compare(left, right) if _kind(left) == _kind(right) == "number" else UNKNOWN

    return test


def _sum(left: Value, right: Value) -> Value:
    """Join two texts. Beside a text, an unknown value is one, too: anything else cannot be added to it."""
    if isinstance(left, str | PartialText) and right is UNKNOWN:
        return joined(left, ANY_TEXT)
    return joined(ANY_TEXT, right) if left is UNKNOWN and isinstance(right, str | PartialText) else joined(left, right)


def _text(value: Value) -> Value:
    """Convert to text as `string` does, where the result is plain."""
    if isinstance(value, str | PartialText):
        return value
    return str(value) if type(value) is int else UNKNOWN


def _length(value: Value) -> Value:
    return len(cast("list[Value]", value)) if isinstance(value, list) else UNKNOWN


def _lower(value: Value) -> Value:
    return value.lower() if isinstance(value, str) else UNKNOWN


def _upper(value: Value) -> Value:
    return value.upper() if isinstance(value, str) else UNKNOWN


_STARTS = _texts(str.startswith, PartialText.starts_with)
_ENDS = _texts(str.endswith, PartialText.ends_with)
_QUANTIFIERS = ("any", "all", "none")
_OPERATORS: dict[str, Callable[[Value, Value], Value]] = {
    "==": _equal,
    "!=": lambda left, right: _not(_equal(left, right)),
    "in": _in,
    "startsWith": _STARTS,
    "endsWith": _ENDS,
    "contains": _texts(lambda value, part: part in value, PartialText.contains),
    "+": _sum,
    "<": _ordered(lambda left, right: left < right),
    "<=": _ordered(lambda left, right: left <= right),
    ">": _ordered(lambda left, right: left > right),
    ">=": _ordered(lambda left, right: left >= right),
}
_FUNCTIONS: dict[tuple[str, int], Callable[..., Value]] = {
    ("hasPrefix", 2): _STARTS,
    ("hasSuffix", 2): _ENDS,
    ("string", 1): _text,
    ("len", 1): _length,
    ("lower", 1): _lower,
    ("upper", 1): _upper,
}
_BY_TYPE: dict[type, Callable[..., Value]] = {
    nodes.Nil: _Evaluation.nil,
    nodes.Literal: _Evaluation.literal,
    nodes.Name: _Evaluation.name,
    nodes.Pointer: _Evaluation.pointer,
    nodes.Unary: _Evaluation.unary,
    nodes.Binary: _Evaluation.binary,
    nodes.Member: _Evaluation.member,
    nodes.Chain: _Evaluation.chain,
    nodes.Builtin: _Evaluation.builtin,
    nodes.Let: _Evaluation.let,
    nodes.Sequence: _Evaluation.sequence,
    nodes.Array: _Evaluation.array,
    nodes.Conditional: _Evaluation.conditional,
}
