"""Writes the sync side of the client from its async one: `headrace_client/_sync` from `headrace_client/_async`.

`make client` runs it. With `--check` it writes nothing, names the files that are stale, and ends with 1 if there are
any. unasync drops `async` and `await` and swaps names; ruff formats what is left.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from unasync import Rule, unasync_files

PACKAGE = Path(__file__).parents[1] / "src/headrace_client"
NAMES = {
    "_async": "_sync",
    "aclose": "close",
    "ask_async": "ask",
    "sleep_async": "sleep",
}
"""Names that differ by more than their prefix `Async`, which is dropped everywhere."""
PHRASES = {
    "the tasks of an event loop": "threads",
    "The async client; `make client` generates the sync one in `_sync` from it": "The sync client",
}
"""Text of docstrings that is true of one side only. Each must occur."""
LINTS = "I,UP028"
"""What ruff mends: the order of imports, and loops that only yield."""

_PREFIX = re.compile(r"\bAsync(?=[A-Z])")


def sync_files(package: Path = PACKAGE) -> dict[str, str]:
    """The text of each file of the sync side, by its name."""
    sources = {path.name: path.read_text("utf-8") for path in sorted((package / "_async").glob("*.py"))}
    missing = [phrase for phrase in PHRASES if not any(phrase in text for text in sources.values())]
    if missing:
        raise SystemExit(f"{package}/_async does not hold {missing}: change PHRASES with it")
    return {name: _finished(name, text) for name, text in _without_async(sources).items()}


def stale_files(package: Path = PACKAGE) -> list[str]:
    """Names of the files that are not what `make client` would write; one too many is stale as well."""
    wanted, found = (
        sync_files(package),
        {path.name: path.read_text("utf-8") for path in (package / "_sync").glob("*.py")},
    )
    return sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))


def _without_async(sources: dict[str, str]) -> dict[str, str]:
    names = {name for text in sources.values() for name in re.findall(r"\bAsync[A-Z]\w*", text)}
    swapped = {name: _PREFIX.sub("", name) for name in names} | NAMES
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder, "before"), Path(folder, "after")
        before.mkdir()
        for name, text in sources.items():
            (before / name).write_text(text, "utf-8")
        rule = Rule("/before/", "/after/", additional_replacements=swapped)
        unasync_files([str(before / name) for name in sources], [rule])
        return {name: (after / name).read_text("utf-8") for name in sources}


def _finished(name: str, text: str) -> str:
    for phrase, instead in PHRASES.items():
        text = text.replace(phrase, instead)
    text = f"# Generated from _async/{name} by `make client`: change that file.\n{_PREFIX.sub('', text)}"
    file = str(PACKAGE / "_sync" / name)
    text = _ruff(
        ["check", "--select", LINTS, "--fix", "--unsafe-fixes", "--quiet", "--stdin-filename", file, "-"], text
    )
    return _ruff(["format", "--quiet", "--stdin-filename", file, "-"], text)


def _ruff(arguments: list[str], text: str) -> str:
    command = [sys.executable, "-m", "ruff", *arguments]
    return subprocess.run(command, input=text, capture_output=True, text=True, encoding="utf-8", check=True).stdout


def main(arguments: list[str]) -> int:
    if "--check" in arguments:
        stale = stale_files()
        for name in stale:
            sys.stderr.write(f"_sync/{name} is stale: run `make client`\n")
        return 1 if stale else 0
    target = PACKAGE / "_sync"
    target.mkdir(exist_ok=True)
    wanted = sync_files()
    for path in target.glob("*.py"):
        if path.name not in wanted:
            path.unlink()
    for name, text in wanted.items():
        (target / name).write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
