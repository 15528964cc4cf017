"""A parser that records the source range of each node, so that explanations can show it."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from typing import Any

from headrace.expr import nodes
from headrace.expr.deep import Deep, walked
from headrace.expr.limits import Limits
from headrace.expr.parser import N, Parser
from headrace.expr.tokens import Token


class SpanParser(Parser):
    """A `Parser` that records spans. `text` returns the source of a node, with the brackets around it."""

    def __init__(self, source: str, limits: Limits, builtins: Set[str], overridden: Set[str]) -> None:
        super().__init__(source, limits, builtins, overridden)
        self.spans: dict[nodes.Node, tuple[int, int]] = {}

    def text(self, node: nodes.Node) -> str:
        start, end = self.spans[node]
        return self.source[start:end]

    def whole(self) -> nodes.Node:
        """The tree of a source that is known to parse, with the span of the whole source for its top."""
        tree = walked(self._sequence())
        self.spans[tree] = (0, len(self.source))
        return tree

    def _span(self, node: nodes.Node, start: int) -> None:
        self.spans[node] = (start, self.tokens[self.position - 1].end)

    def _start(self, node: nodes.Node) -> int:
        """The offset where a new node begins: its own, or that of its first part."""
        starts = [self.spans[child][0] for child in children(node) if child in self.spans]
        return min(node.offset, *starts) if starts else node.offset

    def _made(self, node: N) -> N:
        node = super()._made(node)
        if node not in self.spans:
            self._span(node, self._start(node))
        return node

    def _expression(self, precedence: int, *, nests: bool = True) -> Deep[nodes.Node]:
        start = self.current.offset
        node: nodes.Node = yield super()._expression(precedence, nests=nests)
        self._span(node, start)
        return node

    def _primary(self) -> Deep[nodes.Node]:
        start = self.current.offset
        node: nodes.Node = yield super()._primary()
        self._span(node, start)
        return node

    def _comparisons(self, left: nodes.Node, token: Token) -> Deep[nodes.Node]:
        node: nodes.Node = yield super()._comparisons(left, token)
        self._span(node, self._start(node))
        return node


def children(node: nodes.Node) -> list[nodes.Node]:
    """The child nodes of a node, in the order of the source."""
    for kind in type(node).__mro__:
        if kind in _CHILDREN:
            return [child for child in _CHILDREN[kind](node) if child is not None]
    return []


_CHILDREN: dict[type, Callable[[Any], Sequence[nodes.Node | None]]] = {
    nodes.Unary: lambda node: (node.operand,),
    nodes.Binary: lambda node: (node.left, node.right),
    nodes.Comparisons: lambda node: (node.first, *node.links),
    nodes.Member: lambda node: (node.base, node.key),
    nodes.Chain: lambda node: (node.inner,),
    nodes.Slice: lambda node: (node.base, node.start, node.end),
    nodes.Call: lambda node: (node.callee, *node.arguments),
    nodes.Builtin: lambda node: node.arguments,
    nodes.Predicate: lambda node: (node.body,),
    nodes.Let: lambda node: (node.value, node.body),
    nodes.Sequence: lambda node: node.items,
    nodes.Conditional: lambda node: (node.condition, node.then, node.otherwise),
    nodes.Map: lambda node: tuple(part for pair in node.pairs for part in pair),
}
