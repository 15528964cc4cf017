"""Small pieces of Markdown."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

WRITTEN_BY = "<!-- Written by `make docs` from the code: change it there. -->"


def page(title: str, *parts: str) -> str:
    return "\n\n".join([f"# {title}", WRITTEN_BY, *(part for part in parts if part)]) + "\n"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Empty where there are no rows."""
    lines = [_row(row) for row in rows]
    return "\n".join([_row(heads), _row(["---"] * len(heads)), *lines]) if lines else ""


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def code(text: object) -> str:
    """Inline code; longer fences around what holds backticks."""
    shown = str(text)
    if not shown:
        return ""
    fence = "`" * (max((len(found) for found in re.findall("`+", shown)), default=0) + 1)
    space = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{fence}{space}{shown}{space}{fence}"


def block(language: str, text: str) -> str:
    return f"```{language}\n{text.rstrip()}\n```"


def sentence(text: str) -> str:
    """As a sentence: what help texts and docstrings say ends with a full stop."""
    text = " ".join(text.split())
    return text if not text or text[-1] in ".!?:]" else f"{text}."


def snake(name: str) -> str:
    """`workflowID` -> `workflow_id`"""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def slug(title: str) -> str:
    """The anchor of a heading, as Markdown renderers make it."""
    return re.sub(r"[^a-z0-9 _-]", "", title.lower()).replace(" ", "-")


def pretty(value: Any, width: int = 100) -> str:
    """JSON with what fits on a line on a line."""
    return _pretty(value, "", width)


def _pretty(value: Any, indent: str, width: int) -> str:
    flat = json.dumps(value, ensure_ascii=False)
    if len(indent) + len(flat) <= width or not isinstance(value, dict | list) or not value:
        return flat
    deeper = indent + "  "
    if isinstance(value, dict):
        items = [f"{json.dumps(key)}: {_pretty(member, deeper, width)}" for key, member in value.items()]
        return "{\n" + ",\n".join(deeper + item for item in items) + f"\n{indent}}}"
    items = [_pretty(item, deeper, width) for item in value]
    return "[\n" + ",\n".join(deeper + item for item in items) + f"\n{indent}]"
