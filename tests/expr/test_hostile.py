"""Nothing of Python can be reached from an expression, and no text breaks the package."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from headrace import expr
from headrace.expr.types import METHODS

VALUES = {
    "text": "'a'",
    "integer": "(1)",
    "float": "(1.5)",
    "bool": "(true)",
    "nil": "(nil)",
    "list": "[1]",
    "map": "{a: 1}",
    "bytes": "b'a'",
    "time": "date('2024-01-01')",
    "duration": "duration('1s')",
    "zone": "timezone('UTC')",
    "month": "date('2024-01-01').Month()",
    "grouped": "groupBy([1], #)",
    "method": "date('2024-01-01').Year",
    "function": "len",
    "environment": "$env",
    "unknown text": "e.s",
    "unknown integer": "e.i",
    "unknown list": "e.l",
    "unknown map": "e.m",
    "unknown time": "[date('2024-01-01'), 1][0]",
}
NAMES = sorted(
    {name for kind in (str, int, float, bool, list, dict, bytes, type(None), object, type) for name in dir(kind)}
    | {"__globals__", "__code__", "__builtins__", "f_globals", "gi_frame", "nanoseconds", "location", "_entries", "put"}
    | {"owner", "name", "date", "clock", "told_in", "items", "entries", "text", "type_name", "format", "mro"}
)
ENV: dict[str, Any] = {"e": {"s": "a", "i": 1, "l": [1], "m": {"a": 1}}}


def outcome(source: str) -> Any:
    """The value, or None if it is refused or fails."""
    try:
        return expr.evaluate(source, ENV)
    except expr.ExpressionError:
        return None


@pytest.mark.parametrize("kind", VALUES)
def test_no_attribute_of_python_is_a_member(kind: str) -> None:
    methods = {name for table in METHODS.values() for name in table}
    for name in NAMES:
        if name in methods:
            continue
        base = VALUES[kind]
        for source in (f"{base}.{name}", f"{base}?.{name}", f"{base}['{name}']", f"get({base}, '{name}')"):
            assert outcome(source) in (None, []), source
        for source in (f"{base}.{name}()", f"let f = {base}.{name}; f()", f"type({base}.{name})"):
            assert outcome(source) in (None, "nil", "array"), source


@pytest.mark.parametrize("name", [*dir(__builtins__), "__builtins__", "__import__", "self", "frame", "meter"])
def test_no_name_of_python_is_a_name(name: str) -> None:
    assert outcome(name) is None
    if not name.endswith(("Error", "Warning")) and name in ("eval", "exec", "open", "getattr", "vars", "__import__"):
        with pytest.raises(expr.EvaluationFailed, match="cannot call nil"):
            expr.evaluate(f"{name}('1')", ENV)


def test_objects_of_the_host_are_opaque() -> None:
    class Secret:
        token = "secret"

        def reveal(self) -> str:
            return self.token

    env = {"s": Secret(), "l": [Secret()], "t": (1, 2), "f": print}
    for source in ("s.token", "s['token']", "s.reveal()", "l[0].token", "t[0]", "f('x')", "string(s)", "toJSON(l)"):
        with pytest.raises(expr.EvaluationFailed):
            expr.evaluate(source, env)
    assert expr.evaluate("type(s)", env) == "unknown"
    assert expr.evaluate("s == l[0]", env) is False


@pytest.mark.parametrize(
    "source",
    [
        "\x00",
        "'\x00'",
        "'\ud800'",
        "\ud800",
        "b'\ud800'",
        "'\\ud800' + '\\udc00'",
        "\ufeff1",
        "`",
        "/*",
        "'\\",
        "b'\\",
        '"\\x',
        '"\\u{',
        '"\\u{110000}"',
        "1e",
        "0x",
        "0b2",
        ".",
        "..",
        "?.",
        "::",
        "a?.",
        "a[",
        "a[:",
        "{(",
        "let",
        "not",
        "x not",
        "if a {",
        "\u0130",
        "\u0661 + 1",
        "a\u0300",
        "².a",
        "'%s' % 1",
        "'{0.__init__}'",
        "f'{1}'",
        "lambda: 1",
        "[x for x in y]",
        "() => 1",
        "import os",
        "\x85\xa0\u2028 1",
        "9" * 60_000,
        "0." + "9" * 60_000,
        "1e" + "9" * 60_000,
        "_" * 60_000,
        "'" + "\\n" * 30_000 + "'",
        "`" * 60_001,
        "/" * 60_000,
        "#" * 60_000,
        "$env" + "[$env" * 5_000,
        "a ? " * 5_000,
        "let a = " * 5_000,
        "if " * 5_000,
        "{a: " * 5_000,
        "!" * 60_000,
        "(" * 60_000,
        "a matches '" + "(" * 60_000 + "'",
        "a matches '" + "a{1000}" * 9_000 + "'",
        "a not in not in b",
    ],
    ids=lambda source: ascii(source[:20]),
)
def test_odd_sources_are_refused_or_evaluated(source: str) -> None:
    outcome(source)


def test_a_source_is_a_text() -> None:
    for source in (None, 1, b"1", ["1"]):
        with pytest.raises(expr.InvalidExpression, match="an expression is a text"):
            expr.compile(source)  # type: ignore[arg-type]


def test_lone_surrogates_in_events_are_no_characters() -> None:
    env = {"s": "a\ud800b", "k": {"\udfff": 1}}
    for source in (
        "s + 'x'",
        "len(s)",
        "upper(s)",
        "s[1]",
        "s[1:]",
        "s matches 'b'",
        "s < 'b'",
        "split(s, '')",
        "s == s",
    ):
        expr.evaluate(source, env)
    for source in ("toJSON(s)", "toJSON(k)", "toBase64(s)"):
        assert "\ud800" not in expr.evaluate(source, env)


def test_importing_the_package_is_cheap() -> None:
    """The binding of RE2 comes with the first pattern, time zones with the first zone, the compiler when it is used."""
    code = (
        "import sys, headrace.expr as e; late = {'re2', 'zoneinfo', 'datetime', 'asyncio', 'headrace.expr.parser'};"
        "assert not late & set(sys.modules), late & set(sys.modules);"
        "p = e.compile('a == 1'); assert 're2' not in sys.modules; assert p.run({'a': 1});"
        "e.compile('a matches \"x\"'); assert 're2' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
