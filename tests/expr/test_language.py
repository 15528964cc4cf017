"""What the conformance cases leave out, group by group."""

from __future__ import annotations

from typing import Any

import pytest

from headrace import expr

EVENT: dict[str, Any] = {
    "event": {
        "type": "SAVED_PAYMENT",
        "amount": 25_000,
        "rate": 0.25,
        "ok": True,
        "none": None,
        "text": "héllo",
        "tags": ["a", "b"],
        "empty": {},
        "map": {"a": 1, "b": 2},
        "huge": 12345678901234567890123,
        "list": [{"n": 1, "k": "x"}, {"n": 2, "k": "y"}, {"n": 3, "k": "x"}],
    }
}


def value(source: str, **options: Any) -> Any:
    return expr.compile(source, **options).run(EVENT)


def failure(source: str, **options: Any) -> expr.ExpressionError:
    with pytest.raises(expr.ExpressionError) as caught:
        value(source, **options)
    return caught.value


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ('event.type == "SAVED_PAYMENT" and event.amount >= 100', True),
        ('event.type != "SAVED_PAYMENT"', False),
        ("event.amount == 25000.0", True),
        ("event.amount != 25000", False),
        ("event.rate < 1 and event.rate > 0 and event.rate <= 1 and event.rate >= 0", True),
        ("0 < event.rate < 1", True),
        ("1 < event.amount < 10 < 5", False),
        ('event.type in ["A", "SAVED_PAYMENT"]', True),
        ('event.amount in ["A"]', False),
        ('event.none in ["A"]', False),
        ('event.missing not in ["A"]', True),
        ('event?.none?.a.b.c ?? "d"', "d"),
        ("event.empty?.a?.b", None),
        ("event.tags[-1]", "b"),
        ("event.tags[0.9]", "a"),
        ("event.text[1]", 195),
        ("event.text[0:1]", "h"),
        ("event.text[1:3]", "é"),
        ('event.text[1:2] + event.text[2:3] == "é"', True),
        ('(event.text[1:2] + event.text[2:]) == "éllo"', True),
        ('event.text contains "é"[:1]', True),
        ('event.text startsWith "hé"[:2]', True),
        ("len(event.text)", 5),
        ('indexOf(event.text, "l")', 3),
        ('lastIndexOf(event.text, "l")', 4),
        ("upper(event.text)", "HÉLLO"),
        ('upper("ᾳß")', "ᾼß"),
        ('lower("\u0391\u03a3")', "\u03b1\u03c3"),
        ("event.list | filter(.k == 'x') | map(.n) | sum()", 4),
        ("map(event.list, #index)", [0, 1, 2]),
        ("groupBy(event.list, .k)['x'] | map(.n)", [1, 3]),
        ("groupBy(event.list, .k)['zz'] ?? 5", 5),
        ("len(groupBy(event.list, .k)['zz'])", 0),
        ("concat([], []) == nil", True),
        ("toJSON(concat([], []))", "null"),
        ("any(event.empty, true)", False),
        ("map(event.empty, 1)", []),
        ("count(event.map, true)", 2),
        ("sortBy(event.list, .n, 'desc') | map(.n)", [3, 2, 1]),
        ("sortBy(event.list, .k) | map(.n)", [1, 3, 2]),
        ("sort([2, 1.5, 1])", [1, 1.5, 2]),
        ("sort(['b', 'é', 'a'])", ["a", "b", "é"]),
        ("reduce(event.list, #acc + .n, 10)", 16),
        ("find(event.list, .n > 1)?.k ?? 'none'", "y"),
        ("find(event.list, .n > 9)?.k ?? 'none'", "none"),
        ("uniq([1, 1.0, 2, 'a', 'a', nil, nil, [1], [1.0]])", [1, 2, "a", None, [1]]),
        ("max(event.list | map(.n), 2.5)", 3),
        ("min([[3], 2], 9)", 2),
        ("let a = 1; let b = a + 1; a * 10 + b", 12),
        ("if event.amount > 1e6 { 'big' } else if event.amount > 1e3 { 'middle' } else { 'small' }", "middle"),
        ("event.ok ?: 5", True),
        ("event.ok ? event.missing : 1", None),
        ("$env['event'].type", "SAVED_PAYMENT"),
        ("'event' in $env", True),
        ("get(event, 'amount')", 25_000),
        ("get(event.tags, 7)", None),
        ("-7 % 3", -1),
        ("7 % -3", 1),
        ("2 ** -1", 0.5),
        ("1 / 0 > 1e308", True),
        ("round(2.5) + round(-2.5)", 0.0),
        ("int('-42') + int(3.9)", -39),
        ("float('0x1p-2')", 0.25),
        ("string([1, 2.5, 'a', nil, {b: 1, a: 2}, 1000000.0])", "[1 2.5 a <nil> map[a:2 b:1] 1e+06]"),
        ("string(groupBy([1, 2, 3], # % 2 == 0))", "map[false:[1 3] true:[2]]"),
        ("toJSON({b: 1, a: [1.5, '<', nil]})", '{\n  "a": [\n    1.5,\n    "\\u003c",\n    null\n  ],\n  "b": 1\n}'),
        ('fromJSON(\'{"a": 1, "a": 2, "b": "\\\\ud800x"}\')', {"a": 2.0, "b": "\ufffdx"}),
        ("type(b'a'[0]) + type(event.huge) + type(1..2)", "uintfloatarray"),
        ("let y = date('2024-05-17').Year; y()", 2024),
        ("date('2024-05-17').Month() == date('2023-05-01').Month()", True),
        ("int(date('2024-05-17').Month())", 5),
        ("split('a-b-c', '-', 2)", ["a", "b-c"]),
        ("split('', '')", []),
        ("replace('aaa', 'a', 'b', 2)", "bba"),
        ("replace('ab', '', '-')", "-a-b-"),
        ("join(['a', 'b'])", "ab"),
        ("trim('  a ')", "a"),
        ("trim('xxayx', 'xy')", "a"),
        ("bitushr(-1, 60)", 15),
        ("bitshl(1, 200)", 0),
        ("bitshr(-1, 200)", -1),
    ],
)
def test_values(source: str, wanted: Any) -> None:
    found = value(source)
    assert type(found) is type(wanted)
    assert found == wanted


@pytest.mark.parametrize(
    ("source", "stage", "message"),
    [
        ("event.amount &", "parse", "unexpected token"),
        ("event.a ?? 0 > 10", "parse", "cannot be mixed"),
        ("event.list | map(.n)[0]", "parse", "unexpected token"),
        ("count(event.list,)", "parse", "unexpected token"),
        ("1.foo", "parse", "bad number syntax"),
        ('"it\\\'s"', "parse", "invalid char escape"),
        ("1 == '1'", "check", "mismatched types int and string"),
        ("date('2024-01-01').Month() == 5", "check", "mismatched types time.Month and int"),
        ("event.type matches '(?=a)'", "check", "error parsing regexp"),
        ("event.type matches '\\\\C'", "check", "invalid escape sequence"),
        ("len(1)", "check", "invalid argument for len (type int)"),
        ("upper(1)", "check", "cannot use int as argument (type string) to call upper"),
        ("let count = 1; count", "check", "cannot redeclare builtin count"),
        ("event.none.a", "run", "cannot fetch a from <nil>"),
        ("event.amount > 'a'", "run", "invalid operation: int > string"),
        ("event.tags[5]", "run", "index out of range: 5 (array length is 2)"),
        ("event.amount ? 1 : 2", "run", "is int, not bool"),
        ("event.map | map(#)", "run", "a map has no elements"),
        ("event.none | map(#)", "run", "builtin map takes only array (got <nil>)"),
        ("event.amount % 0", "run", "integer divide by zero"),
        ("event.amount % 2.0", "check", "mismatched types unknown and float64"),
        ("event.amount % event.rate", "run", "invalid operation: int % float64"),
        ("toJSON(groupBy([1], #))", "run", "json: unsupported type"),
        ("date('2024-05-17').Year", "run", "the result is a function"),
    ],
)
def test_errors(source: str, stage: str, message: str) -> None:
    error = failure(source)
    assert error.stage == stage
    assert message in error.message


def test_an_error_says_where() -> None:
    error = failure("let a = 1;\n  a + event.type")
    assert error.position == (2, 5)
    assert str(error) == "invalid operation: int + string (2:5)\n |   a + event.type\n | ....^"
    assert error.summary == "invalid operation: int + string (2:5)"


def test_integers_beyond_64_bits_are_exact_until_touched() -> None:
    huge = EVENT["event"]["huge"]
    assert value("event.huge") == huge
    assert value("[event.huge][0]") == huge
    assert value("event.ok ? event.huge : 0") == huge
    assert value("string(event.huge)") == "1.2345678901234568e+22"
    assert isinstance(value("event.huge + 0"), float)
    assert value("event.huge == event.huge + 1") is True


def test_integers_wrap_around_or_fail() -> None:
    for source, wrapped in [
        ("9223372036854775807 + 1", -(2**63)),
        ("-9223372036854775807 - 2", 2**63 - 1),
        ("9223372036854775807 * 2", -2),
        ("sum([9223372036854775807, 1])", -(2**63)),
    ]:
        assert value(source) == wrapped
        assert "does not fit 64 bits" in failure(source, wraps=False).message
    assert value("9223372036854775806 + 1", wraps=False) == 2**63 - 1


def test_declared_names() -> None:
    assert value("event.type", env={"event": {}}) == "SAVED_PAYMENT"
    assert failure("evnt.type", env={"event": {}}).message == "unknown name evnt"
    assert failure("$env.evnt", env={"event": {}}).message == "unknown name evnt"
    assert failure("let event = 1; event", env={"event": {}}).message == "cannot redeclare event"


def test_host_functions() -> None:
    calls: list[Any] = []

    def link(event: dict[str, Any], name: str) -> dict[str, str]:
        calls.append(name)
        if name == "broken":
            raise expr.Failure("no link named broken")
        if name == "later":
            raise LookupError(name)
        return {"role": name + " of " + event["type"]}

    functions = {"link": link}

    def run(source: str) -> Any:
        return expr.compile(source, functions=functions.keys()).run(EVENT, functions=functions)

    assert run('link(event, "source").role') == "source of SAVED_PAYMENT"
    assert run('event | link("a") | get("role")') == "a of SAVED_PAYMENT"
    with pytest.raises(expr.EvaluationFailed, match=r"no link named broken \(1:9\)"):
        run('true && link(event, "broken")')
    with pytest.raises(LookupError):
        run('link(event, "later")')
    with pytest.raises(expr.EvaluationFailed, match="cannot call nil"):
        value('link(event, "x")')
    assert calls == ["source", "a", "broken", "later"]


def test_the_clock_is_handed_in() -> None:
    program = expr.compile("now().Unix()")
    assert program.run({}, now_ns=lambda: 1_700_000_000_000_000_000) == 1_700_000_000


def test_a_program_serves_overlapping_runs() -> None:
    """A host function may run the same program again."""
    program = expr.compile("n > 0 ? n + again(n - 1) : 0", functions={"again"})

    def again(n: int) -> int:
        return program.run({"n": n}, functions={"again": again})

    assert program.run({"n": 5}, functions={"again": again}) == 15


def test_the_environment_is_not_changed() -> None:
    before = repr(EVENT)
    for source in ("sort(event.tags)", "reverse(event.tags)", "concat(event.tags, ['c'])", "event.list | map(.n)"):
        value(source)
    assert repr(EVENT) == before
