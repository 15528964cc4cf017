"""The type checker: finds errors in an expression before an event is evaluated.

The checker walks the tree and gives each node a type. It refuses an expression that would fail for every event. Values
of an undeclared environment have an unknown type; their types are checked during evaluation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn

from headrace.expr import nodes
from headrace.expr.deep import Deep, walked
from headrace.expr.errors import Failure, InvalidExpression, Place
from headrace.expr.operations import BINARY_RULES
from headrace.expr.patterns import Patterns
from headrace.expr.signatures import OVERLOADS, RULES
from headrace.expr.types import (
    ANY,
    ARRAY,
    BOOL,
    BYTES,
    FLOAT,
    GROUPS,
    INT,
    MAP,
    METHODS,
    NIL,
    STRING,
    UNKNOWN,
    Signature,
    Type,
    array_of,
    declared,
    function,
    type_of,
)

ENVIRONMENT = "$env"

_ONE_OUTPUT = "predicate should has one input and one output param"
_LITERALS = {bool: BOOL, int: INT, float: FLOAT, str: STRING, bytes: BYTES}
_BOOLEAN_PREDICATES = frozenset(
    ("all", "none", "any", "one", "filter", "count", "find", "findLast", "findIndex", "findLastIndex")
)
_EXACT: dict[str, type] = {INT.name: int, STRING.name: str}
_INDEX = {"index": INT}
_POINTERS: dict[str, dict[str, Type]] = {"map": _INDEX, "reduce": {**_INDEX, "acc": UNKNOWN}}


class Checked(NamedTuple):
    """The result of a check: the type of the expression, and its comparisons of exact types."""

    type: Type
    exact: Mapping[int, type]
    """Equality comparisons whose two sides are known to be both texts or both integers: offset to Python type. At run
    time a side of any other type, nil included, is an error, as in the reference."""


def check(
    source: str, tree: nodes.Node, builtins: Set[str], functions: Set[str], env: Mapping[str, object] | None
) -> Checked:
    """Check a tree and return its type. Raises InvalidExpression, with the place.

    With `env`, only its names exist, with the types of their values; without it, any name may be used. `functions` are
    the names of the host's functions.
    """
    checker = Checker(source, builtins, functions, env)
    return Checked(checker.check(tree), checker.exact)


@dataclass(frozen=True, slots=True)
class _Scope:
    """The scope of a predicate: the type of its list, and the types of `#index` and `#acc`."""

    collection: Type
    pointers: dict[str, Type]


class Checker:
    """A walk over one tree. `variables` and `scopes` hold the names that are visible at the current node."""

    def __init__(self, source: str, builtins: Set[str], functions: Set[str], env: Mapping[str, object] | None) -> None:
        self.source = source
        self.builtins = builtins
        self.functions = functions
        self.is_strict = env is not None
        self.env = {name: type_of(value) for name, value in (env or {}).items()}
        self.variables: dict[str, Type] = {}
        self.scopes: list[_Scope] = []
        self.exact: dict[int, type] = {}
        self.patterns = Patterns()
        self.visitors: dict[type, Callable[[Any], Deep[Type]]] = {
            nodes.Unary: self._unary,
            nodes.Binary: self._binary,
            nodes.Comparisons: self._comparisons,
            nodes.Member: self._member,
            nodes.Chain: self._chain,
            nodes.Slice: self._slice,
            nodes.Call: self._call,
            nodes.Builtin: self._builtin,
            nodes.Predicate: self._predicate,
            nodes.Let: self._let,
            nodes.Sequence: self._sequence,
            nodes.Conditional: self._conditional,
            nodes.Array: self._array,
            nodes.Map: self._map,
        }
        self.leaves: dict[type, Callable[[Any], Type]] = {
            nodes.Nil: lambda node: NIL,
            nodes.Literal: lambda node: _LITERALS[type(node.value)],
            nodes.Name: self._name,
            nodes.Pointer: self._pointer,
        }

    def check(self, tree: nodes.Node) -> Type:
        return walked(self._visit(tree))

    def _fail(self, node: nodes.Node, message: str) -> NoReturn:
        raise InvalidExpression(message, Place.of(self.source, node.offset), "check")

    def _visit(self, node: nodes.Node) -> Deep[Type]:
        leaf = self.leaves.get(type(node))
        if leaf is not None:
            return leaf(node)
        return (yield self.visitors[type(node)](node))

    # names

    def _name(self, node: nodes.Name) -> Type:
        if node.name in self.variables:
            return self.variables[node.name]
        if node.name == ENVIRONMENT:
            return UNKNOWN
        return self._environment(node, node.name, is_needed=True, with_functions=True)

    def _environment(self, node: nodes.Node, name: str, *, is_needed: bool, with_functions: bool) -> Type:
        if name in self.env:
            return self.env[name]
        if with_functions and name in self.functions:
            return UNKNOWN
        if with_functions and name in self.builtins:
            # A builtin that is named and not called.
            if name in OVERLOADS:
                first = OVERLOADS[name][0]
                return function(first.parameters, first.result)
            if name in ("map", "filter", "sortBy"):
                return function((ARRAY, function((ANY,), ANY if name == "map" else BOOL)), ARRAY)
            return function((ANY,), ANY)
        if self.is_strict and is_needed:
            self._fail(node, f"unknown name {name}")
        return UNKNOWN

    def _pointer(self, node: nodes.Pointer) -> Type:
        if not self.scopes:
            self._fail(node, "cannot use pointer accessor outside predicate")
        scope = self.scopes[-1]
        if not node.name:
            return UNKNOWN if scope.collection.is_unknown else scope.collection.item
        if node.name not in scope.pointers:
            self._fail(node, f"unknown pointer #{node.name}")
        return scope.pointers[node.name]

    def _let(self, node: nodes.Let) -> Deep[Type]:
        names: list[str] = []
        body: nodes.Node = node
        while isinstance(body, nodes.Let):
            if body.name in self.env:
                self._fail(body, f"cannot redeclare {body.name}")
            if body.name in self.functions:
                self._fail(body, f"cannot redeclare function {body.name}")
            if body.name in self.builtins:
                self._fail(body, f"cannot redeclare builtin {body.name}")
            if body.name in self.variables:
                self._fail(body, f"cannot redeclare variable {body.name}")
            kind: Type = yield self._visit(body.value)
            self.variables[body.name] = kind
            names.append(body.name)
            body = body.body
        result: Type = yield self._visit(body)
        for name in names:
            del self.variables[name]
        return result

    # operators

    def _unary(self, node: nodes.Unary) -> Deep[Type]:
        kind: Type = yield self._visit(node.operand)
        if node.operator in ("!", "not"):
            if kind.is_bool or kind.is_unknown:
                return BOOL
        elif kind.is_number or kind.is_unknown:
            return UNKNOWN if kind.is_unknown else kind
        self._fail(node, f"invalid operation: {node.operator} (mismatched type {kind})")

    def _binary(self, node: nodes.Binary) -> Deep[Type]:
        left: Type = yield self._visit(node.left)
        right: Type = yield self._visit(node.right)
        if isinstance(node.right, nodes.Literal):
            if node.operator == "matches" and isinstance(node.right.value, str):
                try:
                    self.patterns.compiled(node.right.value)
                except Failure as failure:
                    self._fail(node, str(failure))
            is_zero = type(node.right.value) is int and node.right.value == 0
            is_of_integer = isinstance(node.left, nodes.Literal) and type(node.left.value) is int
            if node.operator == "%" and is_zero and is_of_integer:
                self._fail(node, "integer divide by zero")
        if node.operator in ("==", "!=") and left.name == right.name and left.name in _EXACT:
            self.exact[node.offset] = _EXACT[left.name]
        return self._combined(node, node.operator, left, right)

    def _combined(self, node: nodes.Node, operator: str, left: Type, right: Type) -> Type:
        try:
            result = BINARY_RULES[operator](left, right)
        except Failure as failure:
            self._fail(node, str(failure))
        if result is None:
            self._fail(node, f"invalid operation: {operator} (mismatched types {left} and {right})")
        return result

    def _comparisons(self, node: nodes.Comparisons) -> Deep[Type]:
        left: Type = yield self._visit(node.first)
        for link in node.links:
            right: Type = yield self._visit(link.operand)
            self._combined(link, link.operator, left, right)
            left = right
        return BOOL

    def _conditional(self, node: nodes.Conditional) -> Deep[Type]:
        condition: Type = yield self._visit(node.condition)
        if not condition.is_bool and not condition.is_unknown:
            self._fail(node.condition, f"non-bool expression (type {condition}) used as condition")
        then: Type = (yield self._visit(node.then)) if node.then else condition
        otherwise: Type = yield self._visit(node.otherwise)

        # The common type of the two branches.
        if then.is_nil:
            return otherwise
        if otherwise.is_nil:
            return then
        if not then.is_assignable_to(otherwise):
            return UNKNOWN
        if then.is_array and otherwise.is_array:
            first, second = then.item, otherwise.item
            if not first.is_assignable_to(second) or not second.is_assignable_to(first):
                return ARRAY
        return then

    def _sequence(self, node: nodes.Sequence) -> Deep[Type]:
        kind = UNKNOWN
        for item in node.items:
            kind = yield self._visit(item)
        return kind

    def _array(self, node: nodes.Array) -> Deep[Type]:
        kinds: list[Type] = yield self._kinds(node.items)
        if len({kind.kind for kind in kinds}) > 1:
            return ARRAY
        return array_of(kinds[-1] if kinds else UNKNOWN)

    def _map(self, node: nodes.Map) -> Deep[Type]:
        for key, value in node.pairs:
            yield self._visit(key)
            yield self._visit(value)
        return MAP

    # accesses

    def _chain(self, node: nodes.Chain) -> Deep[Type]:
        return (yield self._visit(node.inner))

    def _member(self, node: nodes.Member) -> Deep[Type]:
        name = node.key.value if isinstance(node.key, nodes.Literal) and isinstance(node.key.value, str) else None
        if isinstance(node.base, nodes.Name) and node.base.name == ENVIRONMENT and ENVIRONMENT not in self.variables:
            if name is None:
                return UNKNOWN
            return self._environment(node, name, is_needed=not node.is_optional, with_functions=False)
        base: Type = yield self._visit(node.base)
        key: Type = yield self._visit(node.key)
        if base.is_unknown:
            return UNKNOWN
        if name is not None:
            if base.is_nil:
                self._fail(node, f"type nil has no field {name}")
            method = METHODS.get(base.name, {}).get(name)
            if method is not None:
                return method
        if base.kind == "map":
            if not key.is_unknown and not key.is_assignable_to(base.key or ANY):
                self._fail(node.key, f"cannot use {key} to get an element from {base}")
            return base.item
        if base.is_array:
            if not key.is_integer and not key.is_unknown:
                self._fail(node.key, f"array elements can only be selected using an integer (got {key})")
            return base.item
        if name is None:
            return self._fail(node, f"type {base}[{key}] is undefined")
        return self._fail(node, f"type {base} has no {'method' if node.is_method else 'field'} {name}")

    def _slice(self, node: nodes.Slice) -> Deep[Type]:
        base: Type = yield self._visit(node.base)
        if base.is_unknown:
            return UNKNOWN
        if base.kind not in ("string", "slice"):
            self._fail(node, f"cannot slice {base}")
        for bound in (node.start, node.end):
            if bound is not None:
                kind: Type = yield self._visit(bound)
                if not kind.is_integer and not kind.is_unknown:
                    self._fail(bound, f"non-integer slice index {kind}")
        return base

    # calls

    def _call(self, node: nodes.Call) -> Deep[Type]:
        callee: Type = yield self._visit(node.callee)
        is_environment = isinstance(node.callee, nodes.Name) and node.callee.name == ENVIRONMENT
        if is_environment and ENVIRONMENT not in self.variables:
            self._fail(node, f"{MAP if self.is_strict else UNKNOWN} is not callable")
        if callee.is_unknown:
            return UNKNOWN
        if isinstance(node.callee, nodes.Name):
            name = node.callee.name
        elif isinstance(node.callee, nodes.Member) and isinstance(node.callee.key, nodes.Literal):
            name = str(node.callee.key.value)
        else:
            name = "function"
        if callee.is_nil:
            self._fail(node, f"{name} is nil; cannot call nil as function")
        if callee.signature is None:
            self._fail(node, f"{callee} is not callable")
        kinds = yield self._kinds(node.arguments)
        return self._matched(node, name, (callee.signature,), node.arguments, kinds)

    def _kinds(self, arguments: Sequence[nodes.Node]) -> Deep[list[Type]]:
        kinds: list[Type] = []
        for argument in arguments:
            kind: Type = yield self._visit(argument)
            kinds.append(kind)
        return kinds

    def _matched(
        self,
        node: nodes.Node,
        name: str,
        overloads: tuple[Signature, ...],
        arguments: Sequence[nodes.Node],
        kinds: Sequence[Type],
    ) -> Type:
        """The result type of the first overload that fits. Raises InvalidExpression for the last one if none fits."""
        refusal: tuple[nodes.Node, str] = (node, f"no matching overload for {name}")
        for signature in overloads:
            mismatch = _mismatch(name, signature, kinds)
            if mismatch is None:
                return signature.result
            position, message = mismatch
            refusal = (node if position is None else arguments[position], message)
        return self._fail(*refusal)

    def _builtin(self, node: nodes.Builtin) -> Deep[Type]:
        if len(node.arguments) > 1 and isinstance(node.arguments[1], nodes.Predicate):
            return (yield self._with_predicate(node, node.arguments[1]))
        kinds: list[Type] = yield self._kinds(node.arguments)
        if node.name in ("count", "sum"):
            self._check_collection(node, kinds[0])
            if node.name == "count":
                return INT
            return UNKNOWN if kinds[0].is_unknown else kinds[0].item
        if node.name == "get":
            return self._get(node, kinds)
        if node.name in RULES:
            try:
                return RULES[node.name]([ANY if kind.is_unknown else declared(kind) for kind in kinds])
            except Failure as failure:
                self._fail(node, str(failure))
        return self._matched(node, node.name, OVERLOADS[node.name], node.arguments, kinds)

    def _check_collection(self, node: nodes.Builtin, kind: Type) -> None:
        if not kind.is_array and not kind.is_unknown:
            self._fail(node.arguments[0], f"builtin {node.name} takes only array (got {kind})")

    def _get(self, node: nodes.Builtin, kinds: list[Type]) -> Type:
        if len(kinds) != 2:
            self._fail(node, f"invalid number of arguments (expected 2, got {len(kinds)})")
        base, key = kinds
        if base.is_unknown:
            return UNKNOWN
        if base.is_array:
            if not key.is_integer and not key.is_unknown:
                self._fail(node.arguments[1], f"non-integer slice index {key}")
        elif base.kind != "map":
            self._fail(node.arguments[0], f"type {base} does not support indexing")
        elif not key.is_unknown and not key.is_assignable_to(base.key or ANY):
            self._fail(node.arguments[1], f"cannot use {key} to get an element from {base}")
        return base.item

    # predicates

    def _with_predicate(self, node: nodes.Builtin, predicate: nodes.Predicate) -> Deep[Type]:
        collection: Type = yield self._visit(node.arguments[0])
        self._check_collection(node, collection)
        self.scopes.append(_Scope(collection, _POINTERS.get(node.name, {})))
        result: Type = yield self._visit(predicate)
        self.scopes.pop()
        for argument in node.arguments[2:]:
            kind: Type = yield self._visit(argument)
            if node.name == "sortBy" and not kind.is_string and not kind.is_unknown:
                self._fail(argument, f"sortBy order argument must be a string (got {kind})")
        if result.is_nil:
            self._fail(predicate, _ONE_OUTPUT)
        if node.name in _BOOLEAN_PREDICATES and not result.is_bool and not result.is_unknown:
            self._fail(predicate, f"predicate should return boolean (got {result})")
        item = UNKNOWN if collection.is_unknown else collection.item
        if node.name in ("all", "none", "any", "one"):
            return BOOL
        if node.name in ("count", "findIndex", "findLastIndex"):
            return INT
        if node.name in ("find", "findLast"):
            return item
        if node.name == "filter":
            return ARRAY if collection.is_unknown else array_of(item)
        if node.name == "map":
            return array_of(result)
        if node.name == "groupBy":
            return GROUPS
        if node.name == "sortBy":
            return collection
        return declared(result) if node.name == "sum" else result

    def _predicate(self, node: nodes.Predicate) -> Deep[Type]:
        return (yield self._visit(node.body))


def _mismatch(name: str, signature: Signature, kinds: Sequence[Type]) -> tuple[int | None, str] | None:
    """The index of the first argument that does not fit, and why; the index is None for a wrong number of arguments."""
    if len(kinds) > len(signature.parameters):
        return None, f"too many arguments to call {name}"
    if len(kinds) < len(signature.parameters):
        return None, f"not enough arguments to call {name}"
    for position, (kind, parameter) in enumerate(zip(kinds, signature.parameters, strict=True)):
        if parameter.is_integer and kind.is_integer:
            continue
        if kind.is_nil:
            if parameter.kind not in ("ptr", "interface"):
                return position, f"cannot use nil as argument (type {parameter}) to call {name}"
        elif not kind.is_unknown and not kind.is_assignable_to(parameter):
            return position, f"cannot use {kind} as argument (type {parameter}) to call {name} "
    return None
