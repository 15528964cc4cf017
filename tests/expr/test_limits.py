"""Nothing an expression does goes beyond its limits, and real expressions stay within the limits."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from headrace import expr
from headrace.expr import Limits
from headrace.expr.limits import CHECK_EVERY_STEPS, MAX_DATA_DEPTH

BIG = {
    "text": "x" * 400_000,
    "letters": "é" * 200_000,
    "numbers": list(range(50_000)),
    "mixed": [i if i % 2 else i + 0.5 for i in range(20_000)],
    "names": [f"k{i:05d}" for i in range(20_000)],
}


def failure(source: str, env: dict[str, Any] | None = None, **options: Any) -> expr.ExpressionError:
    with pytest.raises(expr.ExpressionError) as caught:
        expr.evaluate(source, env or {}, **options)
    return caught.value


# size


def test_source_is_bounded_in_bytes() -> None:
    assert expr.evaluate("1" + " " * (64 * 1024 - 1), {}) == 1
    assert "longer than 65536 bytes" in failure("1" + " " * 64 * 1024).message
    assert "longer than 65536 bytes" in failure('"' + "é" * 33_000 + '"').message
    assert "longer than 10 bytes" in failure("1 + 1 + 1 + 1", limits=Limits(source_bytes=10)).message


def test_nodes_are_bounded() -> None:
    assert expr.evaluate("len([" + "0," * 9_990 + "])", {}) == 9_990
    assert "maximum allowed nodes" in failure("len([" + "0," * 10_000 + "])").message


SHAPES: dict[str, tuple[str, str, str]] = {
    "parentheses": ("(", "1", ")"),
    "minus": ("-", "1", ""),
    "not": ("!", "true", ""),
    "array": ("[", "1", "]"),
    "map": ("{a: ", "1", "}"),
    "call": ("abs(", "1", ")"),
    "host call": ("f(", "1", ")"),
    "predicate": ("any([1], ", "true", ")"),
    "map predicate": ("map([1], ", "1", ")"),
    "filtered": ("filter([1], any(", "[]", ", true))"),
    "right operand": ("1 + (", "1", ")"),
    "power": ("2 ** ", "1", ""),
    "ternary then": ("true ? ", "1", " : 0"),
    "ternary else": ("false ? 0 : ", "1", ""),
    "short ternary": ("false ?: ", "true", ""),
    "left of a short ternary": ("(", "false", ") ?: false"),
    "every operator": ("true or false and 1 == 1 + 1 * (", "1", ") ? 1 : 0"),
    "index": ("[0][", "0", "]"),
    "slice": ("len([0][", "0", ":])"),
    "chain": ("{a: 1}?.[", '"a"', "]"),
    "comparison": ("1 < (", "2", ") < 3 ? 2 : 2"),
    "nested middle": ("0 <= (", "1", " <= 1 ? 1 : 0) <= 1 ? 1 : 0"),
    "block": ("if true {", "1", "} else {0}"),
    "let value": ("let a = (", "1", "); a"),
    "deep left": ("-(", "1", " + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1)"),
}


def nested(shape: str, depth: int) -> str:
    opening, inner, closing = SHAPES[shape]
    return opening * depth + inner + closing * depth


def below(frames: int, action: Callable[[], None]) -> None:
    """Calls a function from a deep stack."""
    if frames:
        below(frames - 1, action)
    else:
        action()


@pytest.mark.parametrize("shape", SHAPES)
def test_nesting_is_refused_or_evaluated_on_any_stack(shape: str) -> None:
    def tried() -> None:
        for depth in (1, 50, 100, 150, 200, 290, 1_000):
            try:
                expr.evaluate(nested(shape, depth), {})
            except expr.InvalidExpression as error:
                assert depth > 100, error  # noqa: PT017 # which depth is refused is the point
            except expr.EvaluationFailed as error:
                assert "too deeply" not in error.message  # noqa: PT017

    below(150, tried)


@pytest.mark.parametrize("shape", ["parentheses", "minus", "not", "array", "right operand", "predicate", "power"])
def test_nesting_of_three_hundred_levels_is_understood(shape: str) -> None:
    below(100, lambda: expr.evaluate(nested(shape, 300), {}) and None)


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("+".join(["1"] * 4_000), 4_000),
        (" and ".join(["true"] * 4_000), True),
        ("a" + ".a" * 3_000 + ".b", 7),
        ("a" + "?.a" * 2_000 + "?.b", 7),
        ("c" + "?.a" * 2_000 + ".b", None),
        ("'a'" + " | string()" * 3_000, "a"),
        ("1" + " ?? 1" * 3_000, 1),
        ("[1]" + "[:]" * 3_000, [1]),
        ("; ".join(f"let a{i} = {i}" for i in range(2_000)) + "; a1999", 1_999),
        ("; ".join(["1"] * 3_000), 1),
        ("".join("if false {0} else " for _ in range(1_500)) + "{1}", 1),
        ("date('2024-01-01')" + ".UTC()" * 2_000 + ".Year()", 2_024),
        ("1" + " < 2" * 1 + " <= 2" * 2_000, True),
    ],
)
def test_long_rows_do_not_nest(source: str, wanted: Any) -> None:
    node: dict[str, Any] = {"b": 7}
    node["a"] = node
    assert expr.evaluate(source, node) == wanted


def test_shared_operands_are_compiled_once() -> None:
    """`a ?: b` and the middle of `a < b < c` are evaluated once: nesting them must not double the work."""
    assert expr.evaluate("(" * 60 + "false" + ") ?: false" * 60, {}) is False
    source = "1"
    for _ in range(60):
        source = f"(0 < {source} < 2 ? 1 : 0)"
    assert expr.evaluate(source, {}) == 1


def test_patterns_are_bounded() -> None:
    assert expr.evaluate("a matches '^\\\\pL{1,64}$'", {"a": "é" * 64}) is True
    assert "longer than 1024" in failure(f"a matches '{'x' * 1_025}'").message
    many = " or ".join(f"a matches '{'x' * 1_000}{i}'" for i in range(5))
    assert "have at most 4096 characters" in failure(many).message
    large = " or ".join(f"a matches '\\\\pL{{40}}{i}'" for i in range(9))
    assert "patterns of the expression are too large" in failure(large).message
    assert "pattern too large" in failure("a matches '\\\\pL{1000}'").message
    dynamic = "any(1..1000, 'a' matches ('\\\\pL{60}' + string(#)))"
    assert isinstance(failure(dynamic, limits=Limits(steps=100_000)), expr.BudgetExceeded)
    assert expr.evaluate("all(1..3000, 'a' matches p)", {"p": "^a$"}) is True


# steps, memory, time


@pytest.mark.parametrize(
    "source",
    [
        "all(1..1000, all(1..1000, all(1..1000, true)))",
        "map(1..1000, numbers == numbers)",
        'map(1..190000, text contains "y")',
        'map(1..190000, letters matches "(e+e+)+y")',
        "map(1..190000, letters[3])",
        "map(1..500, letters < letters)",
        "map(1..500, hasSuffix(letters, letters))",
        'map(1..500, "z" in names) | map(mixed == mixed)',
        "map(1..190000, 0.5 in numbers)",
        'map(1..190000, date("2024-05-17"))',
        'map(1..190000, "a" matches "a" + string(#))',
        'text matches "(?:a?){400}(?:a){400}b"',
        "let a = reduce(1..60, [#acc, #acc], 1); let b = reduce(1..60, [#acc, #acc], 1); a == b",
        "flatten(reduce(1..60, [#acc, #acc], 1))",
        "mean(reduce(1..60, [#acc, #acc], 1))",
        "sort(map(1..600, letters + string(#)))",
    ],
)
def test_work_is_bounded(source: str) -> None:
    assert isinstance(failure(source, BIG, limits=Limits(steps=50_000)), expr.BudgetExceeded)


@pytest.mark.parametrize(
    "source",
    [
        "1..1000000",
        "1..9223372036854775807",
        "map(1..1000, 1..1000)",
        "reduce(1..40, #acc + #acc, 'a')",
        "reduce(1..40, concat(#acc, #acc), [1])",
        "repeat('a', 1000000)",
        "repeat(text, 1000000)",
        "repeat('', 1000001)",
        "replace(text, '', text)",
        "replace(text, 'x', text)",
        "join(map(1..1000, text), text)",
        "map(1..150000, text + 'a')",
        "map(1..150000, text[1:])",
        "map(1..150000, letters[1:3])",
        "map(1..150000, upper(text))",
        "map(1..150000, trim(letters, 'a'))",
        "map(1..150000, numbers[1:])",
        "map(1..150000, take(numbers, 40000))",
        "map(1..150000, split(text, 'y'))",
        "map(1..150000, toBase64(text))",
        "map(1..150000, string(numbers))",
        "map(1..150000, toJSON(numbers))",
        "map(1..150000, keys($env))",
        "map(1..150000, reverse(numbers))",
        "toJSON(map(1..1000, text))",
        "string(map(1..1000, text))",
        "string(reduce(1..60, [#acc, #acc], 1))",
        "map(1..190000, [1, 2])",
        "map(1..190000, {{a: 1, b: 2}})",
        "groupBy(map(1..90000, #), #)",
        "fromJSON('[' + repeat('[],', 60000) + '1]')",
    ],
)
def test_memory_is_bounded(source: str) -> None:
    error = failure(source, BIG, limits=Limits(memory_units=200_000))
    assert isinstance(error, expr.BudgetExceeded)
    assert error.message == "memory budget exceeded"


def test_the_last_unit_is_one_too_many() -> None:
    assert len(expr.evaluate("repeat('a', 999999)", {})) == 999_999
    assert len(expr.evaluate("1..999999", {})) == 999_999
    assert failure("repeat('a', 1000000)").message == "memory budget exceeded"
    assert failure("1..1000000").message == "memory budget exceeded"


@pytest.mark.parametrize(
    "source",
    [
        "sort(1..400000) | len()",
        "sum(1..900000)",
        "map(1..300, filter(1..300, # % 7 == 0) | len()) | sum()",
        "numbers | filter(# % 2 == 0) | map(# * 3) | sum()",
        "uniq(mixed) | len()",
        "toJSON(names) | len()",
        "letters | upper() | lower() | trim() | len()",
        'text matches "^x+$"',
    ],
)
def test_real_expressions_stay_within_the_limits(source: str) -> None:
    expr.evaluate(source, BIG)


@pytest.mark.parametrize(
    ("body", "nodes"),
    [
        ("+".join(["#"] * 1_000) + " > 0", 1_999),
        ("-" * 300 + "# != 0", 300),
        (" and ".join(["1 in [#, 2]"] * 100), 400),
        ("event" + ".a" * 1_000 + " == nil", 1_000),
        ("event" + "?.a" * 1_000 + " == nil", 1_000),
        ("{" + "; ".join(f"let x{n} = #" for n in range(100)) + "; true}", 100),
        ("1 < " * 500 + "#", 500),
    ],
)
@pytest.mark.parametrize("name", ["all", "any", "count", "map", "sortBy", "groupBy", "reduce", "find"])
def test_an_item_pays_for_the_predicate_that_it_goes_through(name: str, body: str, nodes: int) -> None:
    """Ten steps of a predicate of a thousand nodes are not ten steps."""
    event: dict[str, Any] = {}
    event["a"] = event
    items = "[1]" if name == "sortBy" else "[1, 2, 3]"  # booleans have no order
    program = expr.compile(f"{name}({items}, {body})")
    meter = expr.Meter(program.limits, lambda: 0, {}, None)
    program.measured({"event": event}, meter)
    assert program.limits.steps - meter.steps_left >= nodes // 10


def test_the_predicate_within_a_predicate_is_paid_for_by_its_own_items() -> None:
    def used(source: str) -> int:
        program = expr.compile(source)
        meter = expr.Meter(program.limits, lambda: 0, {}, None)
        program.measured({}, meter)
        return program.limits.steps - meter.steps_left

    long = " and ".join(["# > 0"] * 100)
    assert used(f"all(1..50, all([], {long}))") < 200
    assert used(f"all(1..50, all([1], {long}))") > 50 * 30
    assert used("all(1..50, # > 0)") == used("all(1..50, true)") == 53


def test_a_deadline_is_looked_at_now_and_then() -> None:
    asked = 0

    def is_expired() -> bool:
        nonlocal asked
        asked += 1
        return asked > 3

    program = expr.compile("all(1..900000, true)")
    with pytest.raises(expr.BudgetExceeded, match="time budget exceeded"):
        program.run({}, is_expired=is_expired)
    meter = expr.Meter(program.limits, lambda: 0, {}, lambda: False)
    program.measured({}, meter)
    assert asked == 4
    assert program.limits.steps - meter.steps_left >= 4 * CHECK_EVERY_STEPS


class Watch:
    """A clock that ticks with every call that Python makes: how far a run goes after its deadline is then exact."""

    def __init__(self, allowed: int) -> None:
        self.ticks = 0
        self.allowed = allowed

    def _tick(self, frame: Any, event: str, argument: Any) -> None:
        if event in ("call", "c_call"):
            self.ticks += 1

    def is_expired(self) -> bool:
        return self.ticks > self.allowed

    def run(self, program: expr.Program, env: dict[str, Any]) -> None:
        sys.setprofile(self._tick)
        try:
            program.run(env, is_expired=self.is_expired)
        finally:
            sys.setprofile(None)


@pytest.mark.parametrize(
    "source",
    [
        "all(1..900000, all(1..900, # > 0))",
        "map(1..150000, string(#)) | len()",
        "sort(mixed)",
        "sortBy(numbers, -# % 7 + 0.5 * (# % 2))",
        "uniq(mixed)",
        "map(1..900, mixed == mixed)",
        "string(numbers)",
        "toJSON(map(numbers, [#, {a: #}]))",
        "flatten(map(numbers, [[#]]))",
        "map(1..50000, date('Friday, 17-May-24 10:20:30 UTC').Format('2006-01-02T15:04:05Z07:00'))",
        "map(1..50000, date('2024-05-17T10:00:00Z').In(timezone('Europe/Paris')).Hour())",
        "groupBy(numbers, string(#))",
        "fromPairs(map(numbers, [#, #]))",
        "max(numbers, mixed)",
        "names | map(split(#, '')) | flatten() | uniq()",
        "reduce(numbers, #acc + 1.5, 0)",
    ],
)
def test_no_run_goes_beyond_twice_its_deadline(source: str) -> None:
    watch = Watch(allowed=60_000)
    with pytest.raises(expr.BudgetExceeded, match="time budget exceeded"):
        watch.run(expr.compile(source, limits=Limits(steps=10**9, memory_units=10**9)), BIG)
    assert watch.ticks <= 2 * watch.allowed


# data


def deep_list(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def deep_map(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth):
        value = {"a": value}
    return value


@pytest.mark.parametrize("deep", [deep_list, deep_map])
def test_deep_data_needs_no_stack(deep: Callable[[int], Any]) -> None:
    env = {"a": deep(MAX_DATA_DEPTH - 2), "b": deep(MAX_DATA_DEPTH - 2), "c": deep(50_000), "d": deep(50_000)}

    def tried() -> None:
        assert expr.evaluate("a == b", env) is True
        assert expr.evaluate("c == d", env) is True
        assert expr.evaluate("len(string(a)) > 0 and len(toJSON(a)) > 0", env) is True
        for source in ("string(c)", "toJSON(c)"):
            assert f"deeper than {MAX_DATA_DEPTH} levels" in failure(source, env).message

    below(100, tried)


@pytest.mark.parametrize("name", ["flatten", "max", "min", "mean", "median"])
def test_nesting_inside_of_lists_is_bounded(name: str) -> None:
    assert expr.evaluate(f"{name}([xs])", {"xs": [[1, 3], [[2]]]}) in ([1, 3, 2], 3, 1, 2.0)
    assert f"deeper than {MAX_DATA_DEPTH} levels" in failure(f"{name}(xs)", {"xs": deep_list(600)}).message


def test_a_result_can_be_walked() -> None:
    assert "nested deeper" in failure("reduce(1..1000, [#acc], 1)").message
    assert "too large" in failure("reduce(1..60, [#acc, #acc], 1)").message
    assert len(expr.evaluate("reduce(1..10, [#acc, #acc], 1)", {})) == 2


def test_json_that_nests_too_deeply_is_refused() -> None:
    text = "[" * 100_000 + "]" * 100_000
    assert "nested too deeply" in failure("fromJSON(text)", {"text": text}).message
