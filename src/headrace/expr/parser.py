"""The parser: builds a tree from tokens by operator precedence.

The methods are generators (see `deep`), so that brackets may nest to `Limits.depth` whatever the depth of the caller's
stack.
"""

from __future__ import annotations

from collections.abc import Set
from typing import NoReturn, TypeVar

from headrace.expr import literals
from headrace.expr.builtins import WITH_PREDICATE
from headrace.expr.deep import Deep, walked
from headrace.expr.errors import InvalidExpression, Place
from headrace.expr.lexer import Lexer
from headrace.expr.limits import Limits
from headrace.expr.nodes import (
    Array,
    Binary,
    Builtin,
    Call,
    Chain,
    Comparisons,
    Conditional,
    Let,
    Link,
    Literal,
    Map,
    Member,
    Name,
    Nil,
    Node,
    Pointer,
    Predicate,
    Sequence,
    Slice,
    Unary,
)
from headrace.expr.tokens import (
    BINARY,
    COALESCE,
    COMPARISONS,
    NEGATABLE,
    OPERATOR_WORDS,
    PIPE,
    RIGHT_ASSOCIATIVE,
    UNARY,
    Kind,
    Token,
)

_MAP_KEY = (
    "a map key must be a quoted string, a number, a identifier, or an expression enclosed in parentheses "
    "(unexpected token {})"
)
_MIXED = "Operator ({}) and coalesce expressions (??) cannot be mixed. Wrap either by parentheses."
_CONSTANTS = {"true": True, "false": False}

N = TypeVar("N", bound=Node)


def parse(source: str, limits: Limits, builtins: Set[str], overridden: Set[str]) -> Node:
    """The tree of a source. Raises InvalidExpression, with the place.

    A name in `builtins` is a call of a builtin unless it is in `overridden`.
    """
    return Parser(source, limits, builtins, overridden).parse()


class Parser:
    """A parser of one source. `current` is the next token; a subclass may override `_made` to see every new node."""

    def __init__(self, source: str, limits: Limits, builtins: Set[str], overridden: Set[str]) -> None:
        self.source = source
        self.limits = limits
        self.builtins = builtins
        self.overridden = overridden
        self.tokens = Lexer(source).read()
        self.position = 0
        self.current = self.tokens[0]
        self.node_count = 0
        self.depth = 0
        self.predicate_depth = 0

    def parse(self) -> Node:
        tree = walked(self._sequence())
        if self.current.kind is not Kind.END:
            self._unexpected()
        return tree

    # tokens

    def _fail(self, message: str, token: Token | None = None) -> NoReturn:
        raise InvalidExpression(message, Place.of(self.source, (token or self.current).offset))

    def _unexpected(self) -> NoReturn:
        self._fail(f"unexpected token {self.current}")

    def _next(self) -> Token:
        """Consume and return the current token. Raises InvalidExpression at the end of the source."""
        token = self.current
        if token.kind is Kind.END:
            self._fail("unexpected end of expression")
        self.position += 1
        self.current = self.tokens[self.position]
        return token

    def _skip_operator(self, text: str) -> bool:
        is_here = self.current.is_operator(text)
        if is_here:
            self._next()
        return is_here

    def _expect_operator(self, text: str) -> None:
        if not self._skip_operator(text):
            self._unexpected()

    def _expect_bracket(self, text: str) -> None:
        if not self.current.is_bracket(text):
            self._unexpected()
        self._next()

    def _expect_name(self) -> Token:
        if self.current.kind is not Kind.IDENTIFIER:
            self._unexpected()
        return self._next()

    def _made(self, node: N) -> N:
        self.node_count += 1
        if self.node_count > self.limits.nodes:
            self._fail("compilation failed: expression exceeds maximum allowed nodes")
        return node

    # expressions

    def _sequence(self) -> Deep[Node]:
        """Parse `a; b; c`. A last semicolon may end the source."""
        token = self.current
        items = [(yield self._expression(0))]
        while self._skip_operator(";"):
            if self.current.kind is Kind.END:
                break
            items.append((yield self._expression(0)))
        return items[0] if len(items) == 1 else self._made(Sequence(token.offset, tuple(items)))

    def _expression(self, precedence: int, *, nests: bool = True) -> Deep[Node]:
        """Parse an expression of operators that bind at least as strongly as `precedence`.

        `nests` is false for the right side of a left-associative operator: a row of those adds no depth.
        """
        self.depth += nests
        if self.depth > self.limits.depth:
            self._fail(f"expression is nested deeper than {self.limits.depth} levels")
        if precedence == 0 and self.current.is_operator("let"):
            node: Node = yield self._let()
        elif precedence == 0 and self.current.is_operator("if"):
            node = yield self._if()
        else:
            node = yield self._operators((yield self._primary()), precedence)
            if precedence == 0:
                node = yield self._ternary(node)
        self.depth -= nests
        return node

    def _operators(self, left: Node, precedence: int) -> Deep[Node]:
        """Parse the binary operators after `left` that bind at least as strongly as `precedence`."""
        previous = ""
        while (operator := self._binary_operator(precedence)) is not None:
            token, is_negated = operator
            if token.text == PIPE:
                left = yield self._call(self._expect_name(), (left,), may_be_overridden=True)
            elif previous == COALESCE and token.text != COALESCE:
                self._fail(_MIXED.format(token.text), token)
            elif token.text in COMPARISONS:
                left = yield self._comparisons(left, token)
            else:
                is_right = token.text in RIGHT_ASSOCIATIVE
                right: Node = yield self._expression(BINARY[token.text] + (not is_right), nests=is_right)
                left = self._made(Binary(token.offset, token.text, left, right))
            if is_negated:
                left = self._made(Unary(token.offset, "not", left))
            previous = token.text
        return left

    def _binary_operator(self, precedence: int) -> tuple[Token, bool] | None:
        """Consume a binary operator that binds at least as strongly as `precedence`; None if there is none.

        The second part is True for an operator after `not`, as in `x not in y`.
        """
        token = self.current
        if token.kind is not Kind.OPERATOR:
            return None
        is_negated = token.text == "not"
        if is_negated:
            token = self.tokens[self.position + 1]
            if token.text not in NEGATABLE or token.kind is not Kind.OPERATOR:
                self._next()
                self._unexpected()
        if BINARY.get(token.text, -1) < precedence:
            return None
        if is_negated:
            self._next()
        self._next()
        return token, is_negated

    def _comparisons(self, left: Node, token: Token) -> Deep[Node]:
        first: Node = yield self._expression(BINARY[token.text] + 1, nests=False)
        pairs = [(token, self._made(first))]
        while self.current.kind is Kind.OPERATOR and self.current.text in COMPARISONS:
            operator = self._next()
            right: Node = yield self._expression(BINARY[operator.text] + 1, nests=False)
            pairs.append((operator, self._made(right)))
        if len(pairs) == 1:
            return Binary(token.offset, token.text, left, first)
        links = tuple(Link(token.offset, token.text, operand) for token, operand in pairs)
        return self._made(Comparisons(token.offset, left, links))

    def _ternary(self, node: Node) -> Deep[Node]:
        """Parse `c ? a : b`, or `c ?: b`, which means `c ? c : b`."""
        while self.current.is_operator("?"):
            offset = node.offset
            self._next()
            then: Node | None = None
            if not self._skip_operator(":"):
                then = yield self._expression(0)
                self._expect_operator(":")
            otherwise: Node = yield self._expression(0)
            node = self._made(Conditional(offset, node, then, otherwise))
        return node

    def _if(self) -> Deep[Node]:
        """Parse `if c { a } else if d { b } else { e }` in a loop, so that an `else if` adds no depth."""
        branches: list[tuple[Token, Node, Node]] = []
        while self.current.is_operator("if"):
            token = self._next()
            condition: Node = yield self._expression(0)
            then: Node = yield self._block()
            branches.append((token, condition, then))
            self._expect_operator("else")
        node: Node = yield self._block()
        for token, condition, then in reversed(branches):
            node = self._made(Conditional(token.offset, condition, then, node))
        return node

    def _block(self) -> Deep[Node]:
        self._expect_bracket("{")
        node: Node = yield self._sequence()
        self._expect_bracket("}")
        return node

    def _let(self) -> Deep[Node]:
        """Parse `let a = x; let b = y; body` in a loop, so that a second `let` adds no depth."""
        variables: list[tuple[Token, Node]] = []
        while self._skip_operator("let"):
            name = self._expect_name()
            self._expect_operator("=")
            variables.append((name, (yield self._expression(0))))
            self._expect_operator(";")
        node: Node = yield self._sequence()
        for name, value in reversed(variables):
            node = self._made(Let(name.offset, name.text, value, node))
        return node

    # primaries

    def _primary(self) -> Deep[Node]:
        token = self.current
        if token.kind is Kind.OPERATOR:
            return (yield self._prefixed(token))
        if token.is_bracket("("):
            self._next()
            inner: Node = yield self._sequence()
            self._expect_bracket(")")
            return (yield self._postfix(inner))
        if token.kind is Kind.NUMBER:
            token = self._next()
            value = literals.number(token.text, lambda message: self._fail(message, token))
            return self._made(Literal(token.offset, value))
        if token.kind is Kind.IDENTIFIER:
            self._next()
            if token.text in _CONSTANTS:
                return self._made(Literal(token.offset, _CONSTANTS[token.text]))
            if token.text == "nil":
                return self._made(Nil(token.offset))
        return (yield self._postfix((yield self._operand(token))))

    def _operand(self, token: Token) -> Deep[Node]:
        """Parse an operand that an access may follow. The token of a name is already consumed."""
        if token.kind is Kind.IDENTIFIER:
            if self.current.is_bracket("("):
                return (yield self._call(token, (), may_be_overridden=True))
            return self._made(Name(token.offset, token.text))
        if token.kind in (Kind.STRING, Kind.BYTES):
            self._next()
            return self._made(Literal(token.offset, token.data if token.kind is Kind.BYTES else token.text))
        if token.is_bracket("["):
            items: list[Node] = yield self._items("]")
            return self._made(Array(token.offset, tuple(items)))
        if token.is_bracket("{"):
            return (yield self._map())
        self._unexpected()

    def _prefixed(self, token: Token) -> Deep[Node]:
        if token.text in UNARY:
            self._next()
            operand: Node = yield self._expression(UNARY[token.text])
            return (yield self._postfix(self._made(Unary(token.offset, token.text, operand))))
        if token.text == "::":
            self._next()
            return (yield self._postfix((yield self._call(self._expect_name(), (), may_be_overridden=False))))
        if self.predicate_depth and token.text in ("#", "."):
            name = ""
            if token.text == "#":
                self._next()
                name = self._next().text if self.current.kind is Kind.IDENTIFIER else ""
            return (yield self._postfix(self._made(Pointer(token.offset, name))))
        self._unexpected()

    def _items(self, closing: str) -> Deep[list[Node]]:
        """Parse the items between two brackets, separated by commas. A comma may follow the last item."""
        self._next()
        items: list[Node] = []
        while not self.current.is_bracket(closing):
            if items:
                self._expect_operator(",")
                if self.current.is_bracket(closing):
                    break
            items.append((yield self._expression(0)))
        self._expect_bracket(closing)
        return items

    def _map(self) -> Deep[Node]:
        start = self._next()
        pairs: list[tuple[Node, Node]] = []
        while not self.current.is_bracket("}"):
            if pairs:
                self._expect_operator(",")
                if self.current.is_bracket("}"):
                    break
            key: Node = yield self._map_key()
            self._expect_operator(":")
            value: Node = yield self._expression(0)
            pairs.append((key, self._made(value)))
        self._expect_bracket("}")
        return self._made(Map(start.offset, tuple(pairs)))

    def _map_key(self) -> Deep[Node]:
        token = self.current
        if token.kind in (Kind.NUMBER, Kind.STRING, Kind.IDENTIFIER):
            self._next()
            return self._made(Literal(token.offset, token.text))
        if token.is_bracket("("):
            return (yield self._expression(0))
        self._fail(_MAP_KEY.format(token))

    # calls

    def _call(self, name: Token, given: tuple[Node, ...], *, may_be_overridden: bool) -> Deep[Node]:
        """Parse `name(...)`. `given` is the first argument that a pipe supplies."""
        is_builtin = name.text in self.builtins and not (may_be_overridden and name.text in self.overridden)
        if is_builtin and name.text in WITH_PREDICATE:
            arguments: list[Node] = yield self._predicate_arguments(name, given)
            return self._made(Builtin(name.offset, name.text, tuple(arguments)))
        arguments = yield self._arguments()
        if is_builtin:
            return self._made(Builtin(name.offset, name.text, (*given, *arguments)))
        callee = self._made(Name(name.offset, name.text))
        return self._made(Call(name.offset, callee, (*given, *arguments)))

    def _arguments(self) -> Deep[list[Node]]:
        if not self.current.is_bracket("("):
            self._unexpected()
        return (yield self._items(")"))

    def _predicate_arguments(self, name: Token, given: tuple[Node, ...]) -> Deep[list[Node]]:
        self._expect_bracket("(")
        arguments = list(given)
        expected = WITH_PREDICATE[name.text]
        for index in range(len(given), len(expected)):
            if self.current.is_bracket(")"):
                if expected[index]:
                    self._fail(f"expected at least {len(expected) - len(given)} arguments")
                break
            if index > len(given):
                self._expect_operator(",")
            arguments.append((yield self._predicate() if index == 1 else self._expression(0)))
        self._skip_operator(",")
        self._expect_bracket(")")
        return arguments

    def _predicate(self) -> Deep[Node]:
        token = self.current
        self.predicate_depth += 1
        if token.is_bracket("{"):
            body: Node = yield self._block()
        else:
            body = yield self._expression(0)
            if self.current.is_operator(";"):
                self._fail("wrap predicate with brackets { and }")
        self.predicate_depth -= 1
        return self._made(Predicate(token.offset, body))

    # accesses

    def _postfix(self, node: Node) -> Deep[Node]:
        while True:
            token = self.current
            if token.is_bracket("["):
                node = yield self._index(node, is_optional=False)
            elif token.is_operator(".", "?."):
                self._next()
                is_optional = token.text == "?."
                if is_optional and self.current.is_bracket("["):
                    node = yield self._index(node, is_optional=True)
                else:
                    node = yield self._property(node, is_optional=is_optional)
            else:
                return node

    def _property(self, node: Node, *, is_optional: bool) -> Deep[Node]:
        """Parse `.name` or `.name(...)`. An optional chain before it goes on to include it."""
        token = self._next()
        is_word = token.kind is Kind.OPERATOR and token.text in OPERATOR_WORDS
        if token.kind is not Kind.IDENTIFIER and not is_word:
            self._fail("expected name", self.current)
        is_chained = isinstance(node, Chain)
        base = node.inner if isinstance(node, Chain) else node
        is_method = self.current.is_bracket("(")
        key = self._made(Literal(token.offset, token.text))
        result: Node = self._made(Member(token.offset, base, key, is_optional=is_optional, is_method=is_method))
        if is_method:
            arguments: list[Node] = yield self._arguments()
            result = self._made(Call(token.offset, result, tuple(arguments)))
        return self._made(Chain(token.offset, result)) if is_chained or is_optional else result

    def _index(self, node: Node, *, is_optional: bool) -> Deep[Node]:
        """Parse `[key]` or `[start:end]`."""
        token = self._next()
        start: Node | None = None
        if not self.current.is_operator(":"):
            start = yield self._expression(0)
        if start is not None and not self.current.is_operator(":"):
            self._expect_bracket("]")
            member = self._made(Member(token.offset, node, start, is_optional=is_optional))
            return self._made(Chain(token.offset, member)) if is_optional else member
        self._expect_operator(":")
        end: Node | None = None
        if not self.current.is_bracket("]"):
            end = yield self._expression(0)
        self._expect_bracket("]")
        return self._made(Slice(token.offset, node, start, end))
