"""A fuzzer that is guided by coverage, for an hour on a machine of its own; no part of `make test`.

    python -m venv /tmp/fuzz && /tmp/fuzz/bin/pip install atheris google-re2
    PYTHONPATH=src:. /tmp/fuzz/bin/python tests/expr/fuzz_atheris.py FOLDER -max_total_time=3600 -max_len=400

FOLDER keeps what it learns; the conformance cases are put there first. It looks for errors that are not ours and for
evaluations that take far longer than their budget. It found what the other fuzzer had not: that a predicate of
thousands of nodes cost a step.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

LIMITS = {"steps": 20_000, "memory_units": 20_000}
MOST_S = 10.0
"""For 20,000 steps, which take a tenth of a second where nothing is instrumented."""
DATA = Path(__file__).parent / "data"
LONGEST_SEED = 160

WORDS = [
    *("||", "&&", "==", "<", "in", "not", "matches", "contains", "..", "+", "-", "*", "/", "%", "**", "??", "|", "!"),
    *("filter", "map", "all", "sortBy", "groupBy", "reduce", "find", "count", "sum", "date", "duration", "timezone"),
    *("string", "int", "float", "toJSON", "fromJSON", "split", "join", "replace", "repeat", "trim", "upper", "max"),
    *("get", "keys", "toPairs", "fromPairs", "flatten", "concat", "uniq", "sort", "bitshl", "median", "type", "len"),
    *("(", ")", "[", "]", "{", "}", ",", ";", ":", "::", "?", "?.", ".", "#", "=", "let", "if", "else", "$env"),
    *("#index", "#acc", "true", "false", "nil", "a", "b", "event", "x", "0", "1", "2.5", "1e3", "0x1F", "''", '"é"'),
    *("b'a'", "'[a-z]+'", "'1h'", "'2024-05-17'", "'Europe/Paris'", "'asc'", "9223372036854775807", "`r`", "'\\xff'"),
    *("Add", "In", "Format", "AddDate", "Truncate", "Round", "'2006-01-02 MST'", "1e308", "\n", "/**/", "now()"),
]
ENVIRONMENTS: list[dict[str, Any]] = [
    {},
    {"a": 1, "b": "x", "event": {"a": [1, 2.5, None, "é", {"a": True}], "b": {"a": "2024-05-17T00:00:00Z"}}},
    {"a": [], "b": {}, "event": {"amount": 10**30, "a": "\udc80é", "b": float("nan")}, "x": [[1, 2], [3]]},
    {"a": "1h", "b": [{"a": 1, "b": "k"}, {"a": 2}], "event": None, "x": -0.0, "len": 3},
]


def source_of(head: int, body: bytes) -> str:
    """A row of words, or a text."""
    if head & 4:
        return (" " if head & 8 else "").join(WORDS[byte % len(WORDS)] for byte in body[:80])
    return body.decode("utf-8", "surrogateescape" if head & 8 else "replace")


def tried(data: bytes) -> None:
    from headrace import expr
    from headrace.expr.explanation import explain

    head, source = data[0] if data else 0, source_of(data[0] if data else 0, data[1:])
    env, wraps = ENVIRONMENTS[head & 3], not head & 64
    try:
        program = expr.compile(source, limits=expr.Limits(**LIMITS), env=env if head & 32 else None, wraps=wraps)
    except expr.InvalidExpression:
        return
    started = time.process_time()
    with contextlib.suppress(expr.EvaluationFailed):
        program.run(env, now_ns=lambda: 0)
    if head & 128:
        explain(program, env, functions={}, now_ns=lambda: 0, wraps=wraps)
    assert time.process_time() - started < MOST_S, source


def plant(folder: Path) -> None:
    """The conformance cases, each as a text over some environment."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("corpus.jsonl", "own.jsonl"):
        for line in (DATA / name).read_text().splitlines():
            source = json.loads(line)["expr"]
            data = bytes([1 + 128 * (len(source) % 2)]) + source.encode(errors="replace")
            if len(source) < LONGEST_SEED:
                (folder / hashlib.sha256(data).hexdigest()[:32]).write_bytes(data)


def main() -> None:
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["headrace"]):
        importlib.import_module("headrace.expr.explanation")
    if len(sys.argv) > 1 and not sys.argv[1].startswith("-"):
        plant(Path(sys.argv[1]))
    atheris.Setup(sys.argv, tried)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
