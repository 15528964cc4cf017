"""The rules of the repository as small checks on syntax trees. Each names the bug behind it and what to use instead.

A check takes a parsed file and yields `(line, message)`.
"""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MAX_LINES = 600

Complaint = tuple[int, str]


@dataclass(frozen=True)
class Source:
    """A parsed Python file; `path` is relative to the root of the repository."""

    path: str
    text: str
    tree: ast.Module

    @classmethod
    def of(cls, path: str, text: str) -> Source:
        try:
            tree = ast.parse(text, path)
        except SystemError:  # CPython 3.11 miscounts the depth when the collector runs meanwhile (gh-106905)
            tree = ast.parse(text, path)
        return cls(path, text, tree)


Check = Callable[[Source], Iterator[Complaint]]


@dataclass(frozen=True)
class Ban:
    """`name` is the dotted name a call or reference resolves to; one that ends in `.` bans all below it."""

    name: str
    instead: str
    allowed_in: tuple[str, ...] = ()


CLIENTS = ("src/headrace/cli/", "src/headrace/demo/", "packages/client/src/")
"""Code of the caller's side of the wire: it may wait for real, and is not replayed."""

BANS = (
    Ban("datetime.datetime.now", "cannot be tested: take a headrace.clock.Clock and call now_at()"),
    Ban("datetime.datetime.utcnow", "naive local time: take a headrace.clock.Clock and call now_at()"),
    Ban("datetime.datetime.today", "take a headrace.clock.Clock and call now_at()"),
    Ban("datetime.date.today", "take a headrace.clock.Clock and call now_at()"),
    Ban("time.time", "take a headrace.clock.Clock and call now_at()", ("src/headrace/clock.py",)),
    Ban("time.time_ns", "take a headrace.clock.Clock and call now_at()", ("src/headrace/clock.py",)),
    # The one exemption is the default of a clock that callers may hand in; better none.
    Ban("time.clock_gettime", "take a headrace.clock.Clock", ("src/headrace/expr/program.py",)),
    Ban("time.clock_gettime_ns", "take a headrace.clock.Clock", ("src/headrace/expr/program.py",)),
    Ban("time.sleep", "blocks the event loop: await Clock.sleep", CLIENTS),
    Ban("time.monotonic", "take a headrace.clock.Clock and call monotonic_s()", ("src/headrace/clock.py", *CLIENTS)),
    Ban("uuid.", "an id that a test cannot choose: take headrace.clock.Ids and call new()", ("packages/client/src/",)),
    Ban(
        "random.",
        "a run that cannot be repeated: take the randomness (jitter, ids) as a parameter",
        ("src/headrace/composition/engines.py",),
    ),
    Ban("secrets.", "a run that cannot be repeated: take headrace.clock.Ids"),
    Ban("print", "use structlog, or the CLI's rich console"),
    Ban("eval", "never evaluate text"),
    Ban("exec", "never evaluate text"),
    Ban("breakpoint", "left over from debugging"),
    Ban(
        "json.loads",
        "reads 1e400 as inf and keeps the last of two equal keys: use msgspec.json or headrace.json_text",
        (*CLIENTS, "src/headrace/workflows/"),
    ),
)

MONEY_FILES = (
    "src/headrace/money.py",
    "src/headrace/workflows/",
    "src/headrace/effects/services.py",
    "src/headrace/sandbox/",
    "src/headrace/journal/records.py",
)


@cache
def committed_files() -> tuple[str, ...]:
    """What git tracks or would add, so that a new file is checked before its first commit."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout.decode().split("\0")
    return tuple(sorted({path for path in listed if path and (ROOT / path).is_file()}))


def product_files() -> list[str]:
    """Without the scripts of the migration tool, which are loaded by path and have the tool's shape."""
    roots = ("src/", "packages/client/src/")
    paths = [path for path in committed_files() if path.startswith(roots) and path.endswith(".py")]
    return [path for path in paths if "/migrations/" not in path]


def read(path: str) -> Source:
    return Source.of(path, (ROOT / path).read_text())


# checks


def banned_names(source: Source) -> Iterator[Complaint]:
    names = _imported_names(source.tree)
    for node in ast.walk(source.tree):
        dotted = _dotted(node, names)
        for ban in BANS:
            is_banned = dotted == ban.name or (ban.name.endswith(".") and (dotted or "").startswith(ban.name))
            if is_banned and not source.path.startswith(ban.allowed_in):
                yield _line(node), f"`{dotted}`: {ban.instead}"


def bare_excepts(source: Source) -> Iterator[Complaint]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ExceptHandler) and node.type is None:
            yield node.lineno, "bare `except` swallows cancellation and Ctrl-C: name the error"


def floats_near_money(source: Source) -> Iterator[Complaint]:
    """A float holds 53 bits: 0.1 + 0.2, and every amount above 2^53, is wrong in it."""
    if not source.path.startswith(MONEY_FILES):
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "float":
            yield node.lineno, "`float(` near money: amounts are exact integers (headrace.money)"
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and not _is_path_join(node):
            yield node.lineno, "`/` near money makes a float: use `//`"


def missing_future_import(source: Source) -> Iterator[Complaint]:
    if "from __future__ import annotations" not in source.text and any(
        not isinstance(node, ast.Expr) for node in source.tree.body
    ):
        yield 1, "`from __future__ import annotations` is missing"


def missing_docstrings(source: Source) -> Iterator[Complaint]:
    if ast.get_docstring(source.tree) is None:
        yield 1, "a module says in its docstring what it is for"


def long_files(source: Source) -> Iterator[Complaint]:
    lines = source.text.count("\n")
    if lines > MAX_LINES:
        yield lines, f"{lines} lines; a file has at most {MAX_LINES}: split it by noun"


def literal_timeouts(source: Source) -> Iterator[Complaint]:
    """Catches `asyncio.wait_for` and friends given a literal time-out: limits belong in the settings."""
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.Call) or _dotted(node.func, {}) not in ("asyncio.wait_for", "asyncio.timeout"):
            continue
        if any(
            isinstance(argument, ast.Constant) and isinstance(argument.value, int | float) for argument in node.args
        ):
            yield node.lineno, "a literal time-out: name it (`..._s`) or take it from the settings"


CHECKS: tuple[Check, ...] = (
    banned_names,
    bare_excepts,
    floats_near_money,
    missing_future_import,
    missing_docstrings,
    long_files,
    literal_timeouts,
)

# words in any committed file

# Without their last dot, so that this file does not hold what it forbids.
_HOSTS = (
    ("pypi", "org"),
    ("pythonhosted", "org"),
    ("registry.npmjs", "org"),
    ("registry.yarnpkg", "com"),
    ("crates", "io"),
    ("repo1.maven", "org"),
    ("repo.maven.apache", "org"),
    ("proxy.golang", "org"),
    ("deb.debian", "org"),
)
WORDS = {
    "registry host": re.compile("|".join(re.escape(".".join(host)) for host in _HOSTS)),
    "index address in a lock": re.compile(
        r"^\s*(-i|--(extra-)?(index)-url|--find-links|--trusted-host)\b", re.MULTILINE
    ),
    "resolved download address": re.compile(r"\bhttps?://\S+\.(whl|tar\.gz|tgz|crate)\b"),
    "path of one machine": re.compile(r"(?<![\w.~-])/(work|root|home/[a-z]+|Users/[A-Za-z]+)/[\w.]"),
    "private key": re.compile(r"-----BEGIN (RSA |EC |OPENSSH )?PRIVATE KEY-----"),
}


def unwanted_words(path: str, text: str) -> Iterator[Complaint]:
    for what, pattern in WORDS.items():
        if what == "index address in a lock" and not path.startswith("requirements/"):
            continue
        for match in pattern.finditer(text):
            yield text.count("\n", 0, match.start()) + 1, f"{what}: {match.group().strip()!r} must not be committed"


def _imported_names(tree: ast.Module) -> dict[str, str]:
    """Local name -> dotted origin, for `import a as b` and `from a import b as c`."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names[alias.asname or alias.name.split(".")[0]] = (
                    alias.name if alias.asname else alias.name.split(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return names


def _dotted(node: ast.AST, names: dict[str, str]) -> str | None:
    """`dt.now` -> `datetime.datetime.now` where `from datetime import datetime as dt`. Only references are resolved."""
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        base = _dotted(node.value, names)
        return f"{base}.{node.attr}" if base else None
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return f"{node.module}." if f"{node.module}." in {ban.name for ban in BANS} else None
    return None


def _is_path_join(node: ast.BinOp) -> bool:
    """`folder / "name"`, `Path(a) / b`: one side is text or is made a path on the spot."""
    sides = (node.left, node.right)
    if "Path" in ast.unparse(node.left):
        return True
    return any(
        (isinstance(side, ast.Constant) and isinstance(side.value, str)) or isinstance(side, ast.JoinedStr)
        for side in sides
    )


def _line(node: ast.AST) -> int:
    return getattr(node, "lineno", 1)
