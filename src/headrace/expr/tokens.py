"""Tokens of the language, and the precedence of its operators."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class Kind(Enum):
    IDENTIFIER = "Identifier"
    NUMBER = "Number"
    STRING = "String"
    BYTES = "Bytes"
    OPERATOR = "Operator"
    BRACKET = "Bracket"
    END = "EOF"


class Token(NamedTuple):
    """A token and its range in the source, in code points."""

    kind: Kind
    text: str
    """The source of the token; for a string, its value."""
    offset: int
    """The offset of the first code point."""
    end: int
    """The offset after the last code point."""
    data: bytes = b""
    """The value of a bytes literal."""

    def is_operator(self, *texts: str) -> bool:
        return self.kind is Kind.OPERATOR and self.text in texts

    def is_bracket(self, text: str) -> bool:
        return self.kind is Kind.BRACKET and self.text == text

    def __str__(self) -> str:
        if self.kind is Kind.END:
            return "EOF"
        shown = self.text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'{self.kind.value}("{shown}")'


OPERATOR_WORDS = frozenset(
    ("and", "or", "not", "in", "matches", "contains", "startsWith", "endsWith", "let", "if", "else")
)
"""Words that are operators; after a point they are names of members."""

NEGATABLE = frozenset(("in", "matches", "contains", "startsWith", "endsWith"))
"""Operators that may follow `not`, as in `x not in y`."""

COMPARISONS = frozenset(("<", ">", "<=", ">="))
"""Operators that form chains: `a < b < c` is `a < b && b < c`."""

PIPE = "|"
COALESCE = "??"

BINARY = {
    PIPE: 0,
    "or": 10,
    "||": 10,
    "and": 15,
    "&&": 15,
    "==": 20,
    "!=": 20,
    "<": 20,
    ">": 20,
    "<=": 20,
    ">=": 20,
    "in": 20,
    "matches": 20,
    "contains": 20,
    "startsWith": 20,
    "endsWith": 20,
    "..": 25,
    "+": 30,
    "-": 30,
    "*": 60,
    "/": 60,
    "%": 60,
    "**": 100,
    "^": 100,
    COALESCE: 500,
}
RIGHT_ASSOCIATIVE = frozenset(("**", "^"))
UNARY = {"not": 50, "!": 50, "-": 90, "+": 90}
