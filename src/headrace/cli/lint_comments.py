"""Comments that allow a finding: `# headrace: allow RULE: reason`, above the line of the finding.

The reason is mandatory. A comment that allows nothing is a finding of its own, and so is one that cannot be understood.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from headrace.cli.definitions import SourceFile

_DIRECTIVE = re.compile(r"#\s*headrace:\s*allow\b")
_ALLOW = re.compile(r"#\s*headrace:\s*allow\s+([a-z-]+)\s*:\s*(\S.*)")


@dataclass(frozen=True, slots=True)
class Allowance:
    """A comment of line `line` that is about line `target`. Rule and reason are empty if it is not well-formed."""

    line: int
    target: int
    rule: str = ""
    reason: str = ""


def allowances_of(source: SourceFile) -> list[Allowance]:
    """Read the comments of a file. JSON has none, and a file that cannot be read as YAML counts as one without."""
    from headrace.api import yaml
    from headrace.json_text import Malformed

    if source.is_json or b"headrace:" not in source.body:
        return []
    try:
        comments = yaml.comments(source.body)
    except Malformed:
        return []
    lines = source.lines
    found: list[Allowance] = []
    for line, comment in comments.items():
        if not _DIRECTIVE.match(comment):
            continue
        target = line + 1
        while target <= len(lines) and (target in comments or not lines[target - 1].strip()):
            target += 1
        match = _ALLOW.fullmatch(comment)
        found.append(Allowance(line, target, match[1], match[2]) if match else Allowance(line, target))
    return found
