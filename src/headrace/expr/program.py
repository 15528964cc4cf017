"""The public functions of the package: compile an expression once, run it over many environments."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Set
from typing import TYPE_CHECKING, Any

from headrace.expr.errors import BudgetExceeded, BudgetFailure, EvaluationFailed, Failure, InvalidExpression
from headrace.expr.limits import MAX_DATA_DEPTH, MAX_RESULT_ITEMS, Limits, Meter
from headrace.expr.values import Byte, KeyedMap, Method, NamedInt, NilList, Value, utf8

if TYPE_CHECKING:
    from headrace.expr.checker import Checked
    from headrace.expr.compiler import Compiled

DEFAULT_LIMITS = Limits()

_SCALARS = frozenset((bool, int, float, str, type(None)))
_CONTAINERS = frozenset((list, dict, KeyedMap))
_PLAIN = _SCALARS | {list, dict}
_NO_FUNCTIONS: Mapping[str, Callable[..., Any]] = {}


def _wall_clock_ns() -> int:
    """The clock of `now()` where the host passes none, in nanoseconds since 1970."""
    return time.clock_gettime_ns(time.CLOCK_REALTIME)


class Program:
    """A compiled expression. Runs may overlap, as each has its own frame."""

    __slots__ = ("_code", "exact", "limits", "source", "type")

    def __init__(self, source: str, code: Compiled, checked: Checked, limits: Limits) -> None:
        self.source = source
        self.exact = checked.exact
        self.type = checked.type
        """The type of the result, as far as the checker knows it."""
        self.limits = limits
        self._code = code

    def run(
        self,
        env: Mapping[str, Any],
        *,
        functions: Mapping[str, Callable[..., Any]] = _NO_FUNCTIONS,
        now_ns: Callable[[], int] = _wall_clock_ns,
        is_expired: Callable[[], bool] | None = None,
    ) -> Value:
        """Evaluate the expression over `env`, which holds decoded JSON. Raises EvaluationFailed or BudgetExceeded.

        `functions` are the functions of the host whose names `compile` received. They may raise Failure; any other
        exception of a function passes through unchanged. `now_ns` returns nanoseconds since 1970. The evaluation
        calls `is_expired` every 2,000 steps and stops when it returns True.
        """
        return self.measured(env, Meter(self.limits, now_ns, functions, is_expired))

    def measured(self, env: Mapping[str, Any], meter: Meter) -> Value:
        """Evaluate as `run` does, on a meter that the caller can read afterwards."""
        frame: list[Any] = [env if type(env) is dict else dict(env), meter, *[None] * (self._code.slots - 2)]
        try:
            result = self._code.run(frame)
            return result if type(result) in _SCALARS else _plain_result(result, meter)
        except BudgetFailure as failure:
            raise BudgetExceeded(str(failure)) from None
        except Failure as failure:
            raise EvaluationFailed(str(failure)) from None
        except RecursionError:
            raise EvaluationFailed("evaluation is nested too deeply") from None
        except MemoryError:
            raise BudgetExceeded("evaluation ran out of memory") from None


def compile(  # noqa: A001 # the language's own word, as re.compile
    source: str,
    *,
    env: Mapping[str, object] | None = None,
    functions: Set[str] = frozenset(),
    limits: Limits = DEFAULT_LIMITS,
    wraps: bool = True,
) -> Program:
    """Compile an expression. Raises InvalidExpression, with the place.

    With `env`, only its names exist, with the types of its values. `functions` are the names of the host's functions
    that `run` will receive. Without `wraps`, `+ - *` on integers fail where the result does not fit 64 bits.
    """
    from headrace.expr.builtins import NAMES
    from headrace.expr.checker import check
    from headrace.expr.compiler import compile_tree
    from headrace.expr.parser import parse

    if type(source) is not str:
        raise InvalidExpression("an expression is a text")
    if len(source) > limits.source_bytes or len(utf8(source)) > limits.source_bytes:
        raise InvalidExpression(f"expression is longer than {limits.source_bytes} bytes")
    text = source
    if not source.isascii():  # half a surrogate pair is no character
        text = "".join("\ufffd" if "\ud800" <= letter <= "\udfff" else letter for letter in source)

    try:
        overridden = frozenset(functions) | frozenset(env or ())
        tree = parse(text, limits, NAMES, overridden)
        checked = check(text, tree, NAMES, functions, env)
        code = compile_tree(text, tree, functions, checked.exact, wraps=wraps)
        return Program(text, code, checked, limits)
    except RecursionError:
        raise InvalidExpression("expression is nested too deeply") from None
    except MemoryError:
        raise InvalidExpression("expression is too large") from None


def evaluate(source: str, env: Mapping[str, Any], **options: Any) -> Value:
    """Compile and run an expression once. `options` are those of `compile` without `env`."""
    return compile(source, **options).run(env)


def _plain_result(result: Value, meter: Meter) -> Value:
    """The result as plain JSON values, times and durations, of bounded depth and size. Raises Failure beyond those.

    Items of type Byte, NamedInt or NilList become plain integers and lists. A part that the result holds several times
    counts each time.
    """
    top = [result]
    size = 0
    pending: list[tuple[Value, int]] = [(top, 0)]
    while pending:
        container, depth = pending.pop()
        size += len(container)
        if size > MAX_RESULT_ITEMS:
            raise Failure("the result is too large")
        if depth > MAX_DATA_DEPTH:
            raise Failure(f"the result is nested deeper than {MAX_DATA_DEPTH} levels")
        meter.step(len(container) // 32 + 1)
        pending += [(item, depth + 1) for item in _plain_items(container) if type(item) in _CONTAINERS]
    return top[0]


def _plain_items(container: Value) -> Iterable[Value]:
    """Convert the items of a list or map to plain values, in place. Items from the environment are plain already."""
    kind: type[Any] = container.__class__
    is_list = kind is list
    pairs: Any = enumerate(container) if is_list else container.items()
    for place, item in list(pairs):
        if type(item) not in _PLAIN:
            if isinstance(item, Byte | NamedInt):
                container[place] = int(item)
            elif type(item) is Method:
                raise Failure("the result is a function")
            else:
                container[place] = list(item) if type(item) is NilList else item
    return container if is_list else [item for _, item in container.items()]
