"""Nodes of the syntax tree. Errors of a node are shown at its `offset`, in code points. Nodes never change.

These are plain classes because twenty dataclasses would take most of the time of importing this package.
"""

from __future__ import annotations


class Node:
    __slots__ = ("offset",)

    def __init__(self, offset: int) -> None:
        self.offset = offset


class Nil(Node):
    __slots__ = ()


class Literal(Node):
    """A number, a text, bytes, `true` or `false`."""

    __slots__ = ("value",)

    def __init__(self, offset: int, value: int | float | str | bytes | bool) -> None:
        self.offset = offset
        self.value = value


class Name(Node):
    """A variable, else a name of the environment."""

    __slots__ = ("name",)

    def __init__(self, offset: int, name: str) -> None:
        self.offset = offset
        self.name = name


class Pointer(Name):
    """A pointer of the innermost predicate: `#` (the item, with an empty `name`), `#index` or `#acc`."""

    __slots__ = ()


class Unary(Node):
    __slots__ = ("operand", "operator")

    def __init__(self, offset: int, operator: str, operand: Node) -> None:
        self.offset = offset
        self.operator = operator
        self.operand = operand


class Binary(Node):
    __slots__ = ("left", "operator", "right")

    def __init__(self, offset: int, operator: str, left: Node, right: Node) -> None:
        self.offset = offset
        self.operator = operator
        self.left = left
        self.right = right


class Link(Unary):
    """The second and later terms of a chain of comparisons."""

    __slots__ = ()


class Comparisons(Node):
    """A chain of comparisons such as `a < b < c`. A single comparison is a `Binary`."""

    __slots__ = ("first", "links")

    def __init__(self, offset: int, first: Node, links: tuple[Link, ...]) -> None:
        self.offset = offset
        self.first = first
        self.links = links


class Member(Node):
    """An access `base.name` or `base[key]`; `is_optional` after `?.`, `is_method` if the member is called."""

    __slots__ = ("base", "is_method", "is_optional", "key")

    def __init__(self, offset: int, base: Node, key: Node, *, is_optional: bool, is_method: bool = False) -> None:
        self.offset = offset
        self.base = base
        self.key = key
        self.is_optional = is_optional
        self.is_method = is_method


class Chain(Node):
    """An optional chain: if the value before a `?.` inside is nil, the whole chain is nil."""

    __slots__ = ("inner",)

    def __init__(self, offset: int, inner: Node) -> None:
        self.offset = offset
        self.inner = inner


class Slice(Node):
    __slots__ = ("base", "end", "start")

    def __init__(self, offset: int, base: Node, start: Node | None, end: Node | None) -> None:
        self.offset = offset
        self.base = base
        self.start = start
        self.end = end


class Call(Node):
    """A call of a host function or of a method."""

    __slots__ = ("arguments", "callee")

    def __init__(self, offset: int, callee: Node, arguments: tuple[Node, ...]) -> None:
        self.offset = offset
        self.callee = callee
        self.arguments = arguments


class Builtin(Node):
    """A call of a builtin; a predicate is one of the arguments."""

    __slots__ = ("arguments", "name")

    def __init__(self, offset: int, name: str, arguments: tuple[Node, ...]) -> None:
        self.offset = offset
        self.name = name
        self.arguments = arguments


class Predicate(Node):
    __slots__ = ("body",)

    def __init__(self, offset: int, body: Node) -> None:
        self.offset = offset
        self.body = body


class Let(Node):
    __slots__ = ("body", "name", "value")

    def __init__(self, offset: int, name: str, value: Node, body: Node) -> None:
        self.offset = offset
        self.name = name
        self.value = value
        self.body = body


class Sequence(Node):
    __slots__ = ("items",)

    def __init__(self, offset: int, items: tuple[Node, ...]) -> None:
        self.offset = offset
        self.items = items


class Array(Sequence):
    __slots__ = ()


class Conditional(Node):
    """A choice `c ? a : b` or `if`; `then` is None for `c ?: b`, which yields `c` if it is true."""

    __slots__ = ("condition", "otherwise", "then")

    def __init__(self, offset: int, condition: Node, then: Node | None, otherwise: Node) -> None:
        self.offset = offset
        self.condition = condition
        self.then = then
        self.otherwise = otherwise


class Map(Node):
    __slots__ = ("pairs",)

    def __init__(self, offset: int, pairs: tuple[tuple[Node, Node], ...]) -> None:
        self.offset = offset
        self.pairs = pairs
