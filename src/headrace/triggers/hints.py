"""Hints for expressions that use text as a number: amounts are text in the events of payments v3."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, cast

from headrace import expr
from headrace.expr import nodes
from headrace.expr.builtins import NAMES
from headrace.expr.spans import SpanParser, children
from headrace.triggers.language import FUNCTIONS, LIMITS

MAX_HINTS = 3
MAX_CHARACTERS = 60
"""Maximum characters of a member that a hint names."""

_NUMBER = re.compile(r"-?[0-9]+", re.ASCII)
_ORDER = ("<", "<=", ">", ">=")
_ARITHMETIC = ("-", "*", "/", "%", "**", "^", "..")
_EQUALITY = ("==", "!=")
_NUMERIC_BUILTINS = ("abs", "ceil", "floor", "round", "max", "min", "sum", "mean", "median")

Json = dict[str, Any]


def text_hints(source: str, payload: Json) -> list[str]:
    """Hint at each member of the event that holds a number as text and is used as a number.

    Hints quote the expression and never the event. Invalid sources have none.
    """
    parser = SpanParser(source, LIMITS, NAMES, FUNCTIONS)
    try:
        tree = parser.whole()
    except expr.InvalidExpression:
        return []
    members = dict.fromkeys(parser.text(node).strip("() ") for node in _misused(tree, payload))
    return [
        f"{member} is text in this event, as amounts are in events of payments v3: use int({member})"
        for member in members
        if len(member) <= MAX_CHARACTERS
    ][:MAX_HINTS]


def _misused(tree: nodes.Node, payload: Json) -> Iterator[nodes.Node]:
    pending = [tree]
    while pending:
        node = pending.pop()
        pending += children(node)[::-1]
        for operand, others, operator in _operands(node):
            is_text = _is_number_in_text(_value(operand, payload)) and not isinstance(operand, nodes.Literal)
            if is_text and _wants_number(operator, others, payload):
                yield operand


def _operands(node: nodes.Node) -> Iterator[tuple[nodes.Node, list[nodes.Node], str]]:
    """Yield each operand with the other operands and the operator."""
    match node:
        case nodes.Binary():
            yield node.left, [node.right], node.operator
            yield node.right, [node.left], node.operator
        case nodes.Comparisons():
            terms = [node.first, *(link.operand for link in node.links)]
            for index, term in enumerate(terms):
                yield term, terms[:index] + terms[index + 1 :], node.links[0].operator
        case nodes.Unary() if node.operator == "-":
            yield node.operand, [], "-"
        case nodes.Builtin() if node.name in _NUMERIC_BUILTINS:
            for argument in node.arguments:
                yield argument, [], node.name
        case _:
            return


def _wants_number(operator: str, others: list[nodes.Node], payload: Json) -> bool:
    """True if the operator treats its operands as numbers, next to these others."""
    if operator in _ARITHMETIC or operator in _NUMERIC_BUILTINS:
        return True
    values = [_value(other, payload) for other in others]
    if operator in _ORDER:
        return not any(isinstance(value, str) and not _is_number_in_text(value) for value in values)
    if operator == "+":
        return not any(isinstance(value, str) for value in values)
    if operator in _EQUALITY:
        return any(_is_number(value) for value in values)
    if operator in ("in", "not in"):
        return any(isinstance(other, nodes.Array) and _has_number(other) for other in others)
    return False


def _has_number(array: nodes.Array) -> bool:
    return any(isinstance(item, nodes.Literal) and _is_number(item.value) for item in array.items)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_number_in_text(value: object) -> bool:
    return isinstance(value, str) and _NUMBER.fullmatch(value) is not None


def _value(node: nodes.Node, payload: Json) -> object:
    """The value of a literal or of a member of the event; None for any other expression."""
    if isinstance(node, nodes.Literal):
        return node.value
    keys: list[object] = []
    while isinstance(node, nodes.Chain | nodes.Member):
        if isinstance(node, nodes.Chain):
            node = node.inner
            continue
        keys.append(node.key.value if isinstance(node.key, nodes.Literal) else None)
        node = node.base
    is_event = type(node) is nodes.Name and node.name == "event"
    return _member(payload, keys[::-1]) if is_event and keys else None


def _member(value: object, keys: list[object]) -> object:
    for key in keys:
        if isinstance(value, dict) and isinstance(key, str):
            value = cast("Json", value).get(key)
        elif isinstance(value, list) and isinstance(key, int) and 0 <= key < len(cast("list[object]", value)):
            value = cast("list[object]", value)[key]
        else:
            return None
    return value
