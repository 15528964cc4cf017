"""Reads the conformance cases and compares values with what they expect."""

from __future__ import annotations

import base64
import json
import math
from collections import defaultdict
from pathlib import Path
from typing import Any

from headrace import expr
from headrace.expr import Duration, KeyedMap, Location, Time
from headrace.expr.times.reading import read_date
from headrace.expr.values import utf8

DATA = Path(__file__).parent / "data"

Case = dict[str, Any]


def cases(name: str) -> dict[str, list[Case]]:
    """By category. An environment may be given by its name."""
    found: dict[str, list[Case]] = defaultdict(list)
    environments = json.loads((DATA / "environments.json").read_text())
    for line in (DATA / name).read_text().splitlines():
        case = json.loads(line)
        if isinstance(case["env"], str):
            case["env"] = environments[case["env"]]
        found[case["category"]].append(case)
    return dict(found)


def complaint(case: Case, *, is_strict: bool = False) -> str | None:
    """What is wrong with our outcome. Any exception but ours comes through.

    With the environment declared a program runs no differently: it is only run where the outcome is another.
    """
    env = case["env"] or {}
    wanted = case.get("strict", case) if is_strict else case
    found = _complaint(case, wanted, env, is_strict=is_strict)
    if found and "quirk" in case:
        return _complaint(case, case["unoptimized"], env, is_strict=is_strict)
    return found


def _complaint(case: Case, wanted: Case, env: dict[str, Any], *, is_strict: bool) -> str | None:
    try:
        program = expr.compile(case["expr"], env=env if is_strict and "parse" not in case else None)
    except expr.InvalidExpression as error:
        is_right = wanted.get("error") == "compile" and wanted.get("stage", error.stage) == error.stage
        return None if is_right else f"{case['id']} {case['expr']!r}: refused: {error.summary}"
    if wanted.get("error") == "compile":
        return f"{case['id']} {case['expr']!r}: accepted, wanted {wanted['message']}"
    is_compiled_only = "parse" in case or (is_strict and "strict" not in case)
    return None if is_compiled_only else _run_complaint(case, wanted, program, env)


def _run_complaint(case: Case, wanted: Case, program: expr.Program, env: dict[str, Any]) -> str | None:
    try:
        value = program.run(env)
    except expr.EvaluationFailed as error:
        return None if wanted.get("error") == "runtime" else f"{case['id']} {case['expr']!r}: {error.summary}"
    if "error" in wanted:
        return f"{case['id']} {case['expr']!r}: yields {value!r}, wanted {wanted['message']}"
    if not is_same(wanted["expect"], value):
        return f"{case['id']} {case['expr']!r}: yields {value!r}, wanted {wanted['expect']!r}"
    return None


def is_same(wanted: Any, value: Any) -> bool:
    if isinstance(wanted, list):
        return isinstance(value, list) and len(wanted) == len(value) and all(map(is_same, wanted, value))
    if isinstance(wanted, dict):
        special = next(iter(wanted), "")
        if len(wanted) == 1 and special in _SPECIAL and not isinstance(value, dict):
            return _SPECIAL[special](wanted[special], value)
        return _is_same_map(wanted, value)
    if isinstance(wanted, float):
        return isinstance(value, float) and (wanted == value or math.isclose(wanted, value, rel_tol=1e-14))
    return type(wanted) is type(value) and wanted == value


def _is_same_map(wanted: dict[str, Any], value: Any) -> bool:
    if not isinstance(value, dict | KeyedMap):
        return False
    items = dict(value.items())
    return items.keys() == wanted.keys() and all(is_same(wanted[key], items[key]) for key in wanted)


def _is_same_keyed_map(pairs: list[Any], value: Any) -> bool:
    items = list(value.items()) if isinstance(value, KeyedMap) else []
    return len(items) == len(pairs) and all(
        any(is_same(key, own_key) and is_same(item, own) for own_key, own in items) for key, item in pairs
    )


_SPECIAL = {
    "$float": lambda text, value: repr(value) == {"NaN": "nan", "+Inf": "inf", "-Inf": "-inf"}[text],
    "$duration": lambda nanoseconds, value: isinstance(value, Duration) and value.nanoseconds == nanoseconds,
    "$time": lambda text, value: isinstance(value, Time) and (value.to_rfc3339() == text or value == read_date(text)),
    "$bytes": lambda text, value: value == base64.b64decode(text),
    "$rawstring": lambda text, value: isinstance(value, str) and utf8(value) == base64.b64decode(text),
    "$map": _is_same_keyed_map,
    "$tz": lambda name, value: isinstance(value, Location) and str(value) == name,
}
