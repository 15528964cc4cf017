"""Write documents as YAML that readers of YAML 1.1 and 1.2, and the server's own, read alike.

Text that a reader might take for a number, a date or a truth value is quoted. Integers are written in full, so amounts
stay exact. Nothing is folded, shared or cut.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

_SURELY_TEXT = re.compile(r"[^\W\d_][\w./:@-]*(?: [\w./:@()\[\]{}$'\"-]+)*")
"""Text that begins with a letter and has no character special to YAML. Anything else is quoted."""
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
        """Indent lists under their key."""
        super().increase_indent(flow, False)


_Dumper.add_representer(str, _Dumper.represent_text)


def _is_plain(text: str) -> bool:
    """True if no quotes are needed. Some readers take `y` and `n` for truth values, though the writer does not."""
    return text.isprintable() and text not in ("y", "Y", "n", "N") and _SURELY_TEXT.fullmatch(text) is not None


def _escaped(match: re.Match[str]) -> str:
    """Escape unprintable characters, in double quotes."""
    character = match.group()
    if character.isprintable() or character == "\n":
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
