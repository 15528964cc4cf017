"""Documents as YAML that every reader reads alike: those of YAML 1.1, of YAML 1.2, and the server's own.

Whatever a reader might take for a number, a date or a truth value is quoted where it is text. Integers are written out
whole, so amounts stay exact. Nothing is folded, shared or cut.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

_SURELY_TEXT = re.compile(r"[^\W\d_][\w./:@-]*(?: [\w./:@()\[\]{}$'\"-]+)*")
"""Begins with a letter and holds nothing that a reader could give a meaning: what else there is, is quoted."""
_NOT_PRINTABLE = re.compile(r"[^\x20-\x7e]")


def yaml_text(value: Any, *, is_ascii: bool = False) -> str:
    text = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=not is_ascii, width=2**31)
    return _NOT_PRINTABLE.sub(_escaped, text).rstrip("\n")


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_text(self, data: str) -> yaml.ScalarNode:
        return yaml.ScalarNode("tag:yaml.org,2002:str", data, style=None if _is_plain(data) else '"')

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """Lists stand under their key, indented."""
        super().increase_indent(flow, False)


_Dumper.add_representer(str, _Dumper.represent_text)


def _is_plain(text: str) -> bool:
    """`y` and `n` are truth values to some readers, without being so to the writer."""
    return text.isprintable() and text not in ("y", "Y", "n", "N") and _SURELY_TEXT.fullmatch(text) is not None


def _escaped(match: re.Match[str]) -> str:
    """What is not printable stands between double quotes, where YAML has escapes for it."""
    character = match.group()
    if character.isprintable() or character == "\n":
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
