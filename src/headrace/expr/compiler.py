"""The compiler: turns a checked tree into one Python function (see `closures`).

A function calls the functions of its parts, so a long row of operators would nest as many calls. The part that a node
evaluates first can be evaluated before the node: if that part is deep, its value is stored in a slot of the frame, and
`in_order` runs one after the other. The remaining depth is bounded by the depth of brackets in the source.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any, NamedTuple, NoReturn

from headrace.expr import closures, nodes
from headrace.expr.checker import ENVIRONMENT
from headrace.expr.closures import Run, Spot, members, operators
from headrace.expr.closures.builtins import builtin
from headrace.expr.closures.predicates import PREDICATES, Loop
from headrace.expr.deep import Deep, walked
from headrace.expr.errors import Failure, InvalidExpression, Place
from headrace.expr.patterns import Patterns

_DEEP = 40
"""Nested calls above which the first part of a node is evaluated into a slot."""
_MAX_DEPTH = 740
"""The largest number of nested calls. Python allows a thousand, some of which the caller has used."""
_NODES_PER_STEP = 10
"""Nodes of a predicate's body that cost one step for each item."""
_COLLECTION_DEPTH = 3
"""Nested calls from a builtin with a predicate to its list."""
_BODY_DEPTH = {"all": 1, "any": 1, "reduce": 1, "one": 3}
"""Nested calls from a builtin to its predicate; 2 for a builtin that is not listed."""


class Code(NamedTuple):
    """The function of a node, with its depth in nested calls.

    `before` lists the parts, by slot, that must be evaluated before `run`; `before_depth` is the deepest of them.
    """

    run: Run
    depth: int = 1
    before: tuple[tuple[int, Run], ...] = ()
    before_depth: int = 0


class Compiled(NamedTuple):
    """The function of a whole expression and the length of its frame."""

    run: Run
    slots: int


def compile_tree(
    source: str, tree: nodes.Node, functions: Set[str], exact: Mapping[int, type], *, wraps: bool
) -> Compiled:
    """Compile a checked tree. Raises InvalidExpression for patterns that are wrong, or a nesting too deep.

    `functions` are the names of the host's functions, `exact` comes from the checker, `wraps` is explained in
    `arithmetic`.
    """
    compiler = Compiler(source, functions, exact, wraps=wraps)
    return Compiled(walked(compiler.sealed(tree)).run, compiler.slots)


class _Scope(NamedTuple):
    """The slots of the frame that belong to a predicate."""

    item_slot: int
    index_slot: int
    accumulator_slot: int


class Compiler:
    """A walk over one tree. `variables` and `scopes` hold the slots of names visible at the current node."""

    def __init__(self, source: str, functions: Set[str], exact: Mapping[int, type], *, wraps: bool) -> None:
        self.source = source
        self.functions = functions
        self.exact = exact
        self.wraps = wraps
        self.slots = closures.FIRST_SLOT
        self.count = 0
        """Nodes compiled so far, without the bodies of complete predicates: those are charged for each item."""
        self.variables: dict[str, int] = {}
        self.scopes: list[_Scope] = []
        self.patterns = Patterns()
        self.visitors: dict[type, Callable[[Any], Deep[Code]]] = {
            nodes.Unary: self._unary,
            nodes.Binary: self._binary,
            nodes.Comparisons: self._comparisons,
            nodes.Member: self._member,
            nodes.Chain: self._chain,
            nodes.Slice: self._slice,
            nodes.Call: self._call,
            nodes.Builtin: self._builtin,
            nodes.Let: self._let,
            nodes.Sequence: self._sequence,
            nodes.Conditional: self._conditional,
            nodes.Array: self._array,
            nodes.Map: self._map,
        }
        self.leaves: dict[type, Callable[[Any], Run]] = {
            nodes.Nil: lambda node: closures.constant(None),
            nodes.Literal: lambda node: closures.constant(node.value),
            nodes.Name: self._name,
            nodes.Pointer: self._pointer,
        }

    # walking

    def code(self, node: nodes.Node) -> Deep[Code]:
        """The code of a node; `explanation` overrides it to record values."""
        self.count += 1
        leaf = self.leaves.get(type(node))
        if leaf is not None:
            return Code(leaf(node))
        return (yield self.visitors[type(node)](node))

    def sealed(self, node: nodes.Node) -> Deep[Code]:
        """The code of a part that is not evaluated first, or only sometimes: nothing of it runs before its node."""
        code: Code = self_contained((yield self.code(node)))
        if code.depth > _MAX_DEPTH:
            self._fail(node, "expression is nested too deeply")
        return code

    def _first(self, node: nodes.Node) -> Deep[Code]:
        """The code of the part that its node always evaluates first; moved into a slot if it is deep."""
        code: Code = yield self.code(node)
        if code.depth <= _DEEP:
            return code
        index = self._slot()
        depth = max(code.depth, code.before_depth)
        return Code(closures.slot(index), 1, (*code.before, (index, code.run)), depth)

    def _all(self, parts: Sequence[nodes.Node]) -> Deep[list[Code]]:
        codes: list[Code] = []
        for part in parts:
            code: Code = yield self.sealed(part)
            codes.append(code)
        return codes

    def _slot(self) -> int:
        self.slots += 1
        return self.slots - 1

    def _spot(self, node: nodes.Node) -> Spot:
        return Spot(self.source, node.offset)

    def _fail(self, node: nodes.Node, message: str) -> NoReturn:
        raise InvalidExpression(message, Place.of(self.source, node.offset), "check")

    # names

    def _name(self, node: nodes.Name) -> Run:
        index = self.variables.get(node.name)
        if index is not None:
            return closures.slot(index)
        return members.environment() if node.name == ENVIRONMENT else members.name(node.name)

    def _pointer(self, node: nodes.Pointer) -> Run:
        if not self.scopes:
            self._fail(node, "cannot use pointer accessor outside predicate")
        scope = self.scopes[-1]
        slots = {"": scope.item_slot, "index": scope.index_slot, "acc": scope.accumulator_slot}
        if node.name not in slots:
            self._fail(node, f"unknown pointer #{node.name}")
        if node.name:
            return closures.slot(slots[node.name])
        return closures.item(scope.item_slot, self._spot(node))

    def _let(self, node: nodes.Let) -> Deep[Code]:
        outer = dict(self.variables)
        parts: list[tuple[int, Run]] = []
        depth = 0
        body: nodes.Node = node
        while isinstance(body, nodes.Let):
            value: Code = yield self.sealed(body.value)
            index = self._slot()
            parts.append((index, value.run))
            self.variables[body.name] = index
            depth = max(depth, value.depth)
            body = body.body
        last: Code = yield self.sealed(body)
        self.variables = outer
        return Code(closures.in_order(parts, last.run), max(depth, last.depth) + 1)

    # operators

    def _unary(self, node: nodes.Unary) -> Deep[Code]:
        if node.operator == "-" and isinstance(node.operand, nodes.Literal):
            value = node.operand.value
            if type(value) is int or type(value) is float:
                return Code(closures.constant(-value))
        operand: Code = yield self._first(node.operand)
        if node.operator == "+":
            return operand
        if node.operator == "-":
            run = operators.negated(operand.run, self._spot(node), wraps=self.wraps)
        else:
            run = operators.logical_not(operand.run, self._spot(node))
        return _after(operand, run)

    def _binary(self, node: nodes.Binary) -> Deep[Code]:
        left: Code = yield self._first(node.left)
        quick = self._with_constant(node, left.run)
        if quick is not None:
            return _after(left, quick)
        right: Code = yield self.sealed(node.right)
        spot = self._spot(node)
        if node.operator in ("and", "&&"):
            run = operators.logical_and(left.run, right.run, spot)
        elif node.operator in ("or", "||"):
            run = operators.logical_or(left.run, right.run, spot)
        elif node.operator == "??":
            run = operators.coalesced(left.run, right.run)
        elif node.offset in self.exact:
            run = operators.same(self.exact[node.offset], left.run, right.run, spot)
            run = run if node.operator == "==" else operators.logical_not(run, spot)
        else:
            run = operators.binary(node.operator, left.run, right.run, spot, wraps=self.wraps)
        return _after(left, run, right)

    def _with_constant(self, node: nodes.Binary, left: Run) -> Run | None:
        """A faster function for an operator with a constant on the right; None if there is none."""
        spot = self._spot(node)
        if node.operator == "in":
            items = node.right.items if isinstance(node.right, nodes.Array) else ()
            texts = [item.value for item in items if isinstance(item, nodes.Literal) and isinstance(item.value, str)]
            return operators.in_texts(left, frozenset(texts)) if texts and len(texts) == len(items) else None
        if not isinstance(node.right, nodes.Literal) or node.offset in self.exact:
            return None
        value = node.right.value
        if node.operator == "matches" and isinstance(value, str):
            try:
                return operators.matches_constant(left, self.patterns.compiled(value), spot)
            except Failure as failure:
                self._fail(node, str(failure))
        if node.operator in ("==", "!="):
            if isinstance(value, str):
                run = operators.equal_to_text(left, value)
            elif type(value) is int and operators.is_exact(value):
                run = operators.equal_to_integer(left, value, spot)
            else:
                return None
            return run if node.operator == "==" else operators.logical_not(run, spot)
        if node.operator in ("<", "<=", ">", ">=") and type(value) is int and operators.is_exact(value):
            return operators.compared_with_integer(node.operator, left, value, spot)
        return None

    def _comparisons(self, node: nodes.Comparisons) -> Deep[Code]:
        first: Code = yield self._first(node.first)
        links: list[tuple[str, Run, Spot]] = []
        codes: list[Code] = []
        for link in node.links:
            code: Code = yield self.sealed(link.operand)
            codes.append(code)
            links.append((link.operator, code.run, self._spot(link)))
        return _after(first, operators.chained(first.run, links), *codes)

    def _conditional(self, node: nodes.Conditional) -> Deep[Code]:
        """Compile a row of `else if` into one loop."""
        branches: list[tuple[Run, Run | None, Spot]] = []
        codes: list[Code] = []
        rest: nodes.Node = node
        while isinstance(rest, nodes.Conditional):
            condition: Code = yield self.sealed(rest.condition)
            then: Code | None = (yield self.sealed(rest.then)) if rest.then is not None else None
            branches.append((condition.run, then.run if then else None, self._spot(rest.condition)))
            codes += [condition, *([then] if then else [])]
            rest = rest.otherwise
        otherwise: Code = yield self.sealed(rest)
        return _enclosing(operators.conditional(branches, otherwise.run), *codes, otherwise)

    def _sequence(self, node: nodes.Sequence) -> Deep[Code]:
        codes: list[Code] = yield self._all(node.items)
        return _enclosing(closures.sequence([code.run for code in codes]), *codes)

    def _array(self, node: nodes.Array) -> Deep[Code]:
        codes: list[Code] = yield self._all(node.items)
        return _enclosing(closures.array([code.run for code in codes], self._spot(node)), *codes)

    def _map(self, node: nodes.Map) -> Deep[Code]:
        pairs: list[tuple[Run, Run, Spot]] = []
        codes: list[Code] = []
        for key_node, value_node in node.pairs:
            key: Code = yield self.sealed(key_node)
            value: Code = yield self.sealed(value_node)
            codes += [key, value]
            pairs.append((key.run, value.run, self._spot(key_node)))
        return _enclosing(closures.mapping(pairs, self._spot(node)), *codes)

    # accesses

    def _member(self, node: nodes.Member) -> Deep[Code]:
        names: list[tuple[str, Spot]] = []
        base: nodes.Node = node
        while isinstance(base, nodes.Member) and (name := _constant_name(base)) is not None:
            names.append((name, self._spot(base)))
            base = base.base
        if names:
            self.count += len(names)
            start: Code = yield self._first(base)
            return _after(start, members.path(start.run, names[::-1]))
        start = yield self._first(node.base)
        key: Code = yield self.sealed(node.key)
        return _after(start, members.item(start.run, key.run, self._spot(node)), key)

    def _slice(self, node: nodes.Slice) -> Deep[Code]:
        base: Code = yield self._first(node.base)
        start: Code | None = (yield self.sealed(node.start)) if node.start is not None else None
        end: Code | None = (yield self.sealed(node.end)) if node.end is not None else None
        run = members.part(base.run, start.run if start else None, end.run if end else None, self._spot(node))
        return _after(base, run, *(bound for bound in (start, end) if bound))

    def _chain(self, node: nodes.Chain) -> Deep[Code]:
        """The accesses of an optional chain, from its base outwards."""
        path: list[tuple[nodes.Member, nodes.Call | None]] = []
        base = node.inner
        while True:
            if isinstance(base, nodes.Call) and isinstance(base.callee, nodes.Member):
                path.append((base.callee, base))
                base = base.callee.base
            elif isinstance(base, nodes.Member):
                path.append((base, None))
                base = base.base
            else:
                break
        start: Code = yield self._first(base)
        steps: list[members.Step] = []
        codes: list[Code] = []
        for member, call in reversed(path):
            key: Code = yield self.sealed(member.key)
            arguments: list[Code] = (yield self._all(call.arguments)) if call else []
            runs = [argument.run for argument in arguments] if call else None
            steps.append(members.Step(key.run, member.is_optional, runs, self._spot(member)))
            codes += [key, *arguments]
        return _after(start, members.chain(start.run, steps), *codes)

    # calls

    def _call(self, node: nodes.Call) -> Deep[Code]:
        spot = self._spot(node)
        callee = node.callee
        if isinstance(callee, nodes.Name) and callee.name in self.functions and callee.name not in self.variables:
            given: list[Code] = yield self._all(node.arguments)
            return _enclosing(members.host_call(callee.name, [code.run for code in given], spot), *given)
        target: Code = yield self._first(callee)
        arguments: list[Code] = yield self._all(node.arguments)
        run = members.call(target.run, [argument.run for argument in arguments], spot)
        return _after(target, run, *arguments)

    def _builtin(self, node: nodes.Builtin) -> Deep[Code]:
        if node.name in PREDICATES:
            collection: Code = yield self._first(node.arguments[0])
            scope = _Scope(self._slot(), self._slot(), self._slot())
            predicate = node.arguments[1] if len(node.arguments) > 1 else None
            body: Code | None = None
            count = self.count
            if isinstance(predicate, nodes.Predicate):
                self.scopes.append(scope)
                body = yield self.sealed(predicate.body)
                self.scopes.pop()
            steps = 1 + (self.count - count) // _NODES_PER_STEP
            self.count = count
            third: Code | None = (yield self.sealed(node.arguments[2])) if len(node.arguments) > 2 else None
            loop = Loop(
                name=node.name,
                collection=collection.run,
                body=body.run if body else None,
                item_slot=scope.item_slot,
                index_slot=scope.index_slot,
                accumulator_slot=scope.accumulator_slot,
                third=third.run if third else None,
                spot=self._spot(node),
                body_spot=self._spot(predicate or node),
                wraps=self.wraps,
                steps=steps,
            )
            depth = max(
                collection.depth + _COLLECTION_DEPTH,
                body.depth + _BODY_DEPTH.get(node.name, 2) if body else 0,
                third.depth + 1 if third else 0,
            )
            return Code(PREDICATES[node.name](loop), depth, collection.before, collection.before_depth)
        if not node.arguments:
            return Code(builtin(node.name, [], self._spot(node)))
        first: Code = yield self._first(node.arguments[0])
        rest: list[Code] = yield self._all(node.arguments[1:])
        run = builtin(node.name, [first.run, *(code.run for code in rest)], self._spot(node))
        return _after(first, run, *rest)


def self_contained(code: Code) -> Code:
    """The same code with `before` moved inside `run`."""
    if not code.before:
        return code
    return Code(closures.in_order(list(code.before), code.run), max(code.depth, code.before_depth) + 1)


def _after(first: Code, run: Run, *rest: Code) -> Code:
    """The code of a node whose first part is `first`; it inherits the `before` of that part."""
    depth = max(code.depth for code in (first, *rest)) + 1
    return Code(run, depth, first.before, first.before_depth)


def _enclosing(run: Run, *parts: Code) -> Code:
    return Code(run, max((part.depth for part in parts), default=0) + 1)


def _constant_name(node: nodes.Member) -> str | None:
    """The name of a plain access such as `base.name`; None for an optional or computed one."""
    if node.is_optional or not isinstance(node.key, nodes.Literal):
        return None
    return node.key.value if isinstance(node.key.value, str) else None
