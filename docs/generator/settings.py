"""The page of settings, from the class that reads them."""

from __future__ import annotations

import re
from dataclasses import MISSING, Field, fields
from typing import Any

from docs.generator.markdown import code, page, sentence, table
from headrace.settings import PREFIX, Settings

INTRODUCTION = """Headrace is configured by environment variables, read once at the start. An empty variable counts as not set. A
value that cannot be read stops the start with the variable's name and what it may be. `--host`, `--port` and `--data` of
`dev` and `serve`, and `--auth` of `serve`, win over their variables. Lengths of time are seconds, sizes bytes."""
NEVER = "\ud7ff no value of any setting"


def settings_page() -> str:
    rows = [_row(found) for found in fields(Settings)]
    return page("Settings", INTRODUCTION, table(("Variable", "Default", "May be", "Meaning"), rows))


def _row(found: Field[Any]) -> tuple[str, ...]:
    return code(PREFIX + found.name.upper()), _default(found), _choices(found), _about(found)


def _default(found: Field[Any]) -> str:
    default: Any = found.default
    assert default is not MISSING, f"a setting without a default: {found.name}"
    if default is None or default == ():
        return ""
    if isinstance(default, bool):
        return code(str(default).lower())
    if isinstance(default, tuple):
        return code(",".join(str(each) for each in default))
    return code(f"{default:g}" if isinstance(default, float) else default)


def _choices(found: Field[Any]) -> str:
    """What its reader says about text that it cannot read; any text where there is none."""
    try:
        found.metadata["reader"](NEVER)
    except ValueError as wanted:
        return str(wanted).removesuffix(", without credentials")
    kind = str(found.type)
    return "a path" if "Path" in kind else "texts, by commas" if "tuple" in kind else "text"


def _about(found: Field[Any]) -> str:
    """Without the number of the decision behind it, which says nothing to an operator."""
    return sentence(re.sub(r" \([A-Z][0-9]+[a-z]?\)", "", found.metadata["about"]))
