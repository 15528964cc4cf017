"""The page of expressions. Every result on it is what the expression gives, evaluated when the page is written."""

from __future__ import annotations

from typing import Any

import msgspec

from docs.generator.builtins import BUILTINS, OPERATORS
from docs.generator.markdown import block, code, page, pretty, table
from headrace import expr
from headrace.expr.builtins import NAMES
from headrace.expr.limits import MAX_DATA_DEPTH
from headrace.expr.tokens import BINARY
from headrace.triggers import definition, expressions, link
from headrace.triggers.variable_text import NotText, text_of

EVENT: dict[str, Any] = {
    "id": "p1",
    "type": "PAY-IN",
    "status": "SUCCEEDED",
    "amount": 4199,
    "asset": "USD/2",
    "reference": "top-up:jane:7",
    "createdAt": "2024-05-01T10:00:00Z",
    "tags": ["card", "eu"],
    "lines": [{"sku": "a", "price": 1200}, {"sku": "b", "price": 2999}],
    "metadata": {"order": "7"},
}
NOW_NS = 1_714_557_600_000_000_000
"""2024-05-01T10:00:00Z"""

INTRODUCTION = """A trigger's `filter` and each of its `vars` is an expression in the [expr](https://expr-lang.org) language. It sees
one value, `event`: the event's payload. It is checked when the trigger is made, as far as it can be without an event; a
message says where and why. Nothing else can be reached from an expression, and every evaluation has a budget.

The results below are those over this payload:"""
LANGUAGE = """* **Members** are read with `.` or `[...]`: `event.metadata.order`, `event["metadata"]`. What is missing is `nil`;
  reading on from `nil` is an error, with `?.` it is `nil` again. A map is asked for a member with `in`.
* **Texts** stand in `"..."`, `'...'` or backquotes. Two texts are joined with `+`. `text[1:3]` cuts by bytes.
* **Integers** stay exact at any size while they are passed on; an operator takes those of 64 bits. Where `+`, `-` or `*`
  would leave 64 bits, a trigger's expression fails instead of wrapping around. `/` always gives a float.
* **Predicates** stand in braces or alone: in `filter(event.lines, .price > 2000)`, `#` is the item and `.price` its member.
* **Variables**: `let total = sum(event.lines, .price); total > 4000`.
* **Pipes**: `event.reference | split(":") | last()`.
* **Comments**: `/* ... */`, and `//` to the end of the line."""
FILTERS = """Only `true` fires; whatever else a filter gives does not. A filter that fails over an event does not fire either, and
is counted (`headrace_trigger_filter_failures_total`). `headrace triggers test` shows which part of a filter was false."""
VARS = """What an expression gives becomes a text, exactly: integers with all digits, floats in their shortest exact form,
lists and maps as compact JSON, times as RFC 3339. `nil` is an error, and the match becomes an occurrence with that error. A
constant stands in quotes within the quotes: `"'USD/2'"`."""
LINK = """`link(event, "name")` fetches what one of the event's `links` (`{"name": ..., "uri": ...}`) leads to and gives its
data. Events are written by others, so an address is asked only if its origin is the stack's own or on the list
`HEADRACE_LINK_ORIGINS`; names that lead to private addresses are refused unless `HEADRACE_LINK_PRIVATE` says otherwise; no
redirect is followed; the stack's token goes to the stack's origin alone."""


def expressions_page() -> str:
    """Raises AssertionError where a builtin or operator of the language has no line, or a line's language is no more."""
    assert {name for name, *_ in BUILTINS} == set(NAMES), {name for name, *_ in BUILTINS} ^ set(NAMES)
    assert {name for names, *_ in OPERATORS for name in names.split()} >= set(BINARY)
    return page(
        "Expressions",
        INTRODUCTION,
        block("json", pretty(EVENT)),
        "## The language",
        LANGUAGE,
        table(("Operators", "Example", "Gives"), (_operator(*row) for row in OPERATORS)),
        "From weak to strong: `|`, `or`, `and`, comparisons and tests, `..`, `+ -`, `not`, `* / %`, signs, `**`, `??`.",
        "## Filters",
        FILTERS,
        "## Variables",
        VARS,
        table(("Expression", "Becomes"), ((code(source), _text(source)) for source in _TEXTS)),
        "## Builtins",
        table(("Builtin", "Does", "Example", "Gives"), (_builtin(*row) for row in BUILTINS)),
        "## link",
        LINK,
        "## Limits",
        table(("What", "Limit"), _limits()),
    )


_TEXTS = ("event.amount", "event.amount / 2", "event.lines[0]", 'event.type == "PAY-IN"', "event.nothing")


def _operator(names: str, example: str) -> tuple[str, str, str]:
    return " ".join(code(name) for name in names.split()), code(example), _result(example)


def _builtin(name: str, signature: str, about: str, example: str) -> tuple[str, str, str, str]:
    return code(f"{name}({signature})"), about, code(example), _result(example)


def _value(source: str) -> Any:
    program = expr.compile(source, env={"event": {}}, wraps=False)
    return program.run({"event": EVENT}, now_ns=lambda: NOW_NS)


def _result(source: str) -> str:
    value = _value(source)
    return code(
        "nil" if value is None else msgspec.json.encode(value).decode() if isinstance(value, str) else text_of(value)
    )


def _text(source: str) -> str:
    try:
        return code(text_of(_value(source)))
    except NotText as error:
        return f"an error: {error}"


def _limits() -> list[tuple[str, str]]:
    limits = expressions.LIMITS
    return [
        ("length of one expression", f"{limits.source_bytes // 1024} KiB"),
        ("of all of a trigger", f"{definition.MAX_SOURCES_BYTES // 1024} KiB"),
        ("variables of a trigger", f"{definition.MAX_VARS:,}"),
        ("nodes, and nesting", f"{limits.nodes:,} and {limits.depth:,}"),
        ("steps of an evaluation", f"{limits.steps:,}"),
        ("memory of an evaluation", f"{limits.memory_units:,} items or bytes"),
        ("time of an evaluation", f"{expressions.DEADLINE_S * 1000:g} ms"),
        ("of all of a trigger over one event", f"{expressions.ALL_S * 1000:g} ms"),
        ("nesting of data", f"{MAX_DATA_DEPTH:,}"),
        ("links of one match", f"{expressions.MAX_LINKS}, each {link.TIMEOUT_S:g} s and {link.MAX_BYTES >> 20} MiB"),
    ]
