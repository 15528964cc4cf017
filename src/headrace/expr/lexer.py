"""The lexer: splits source text into tokens. A regular expression finds the next token; literals are read by hand."""

from __future__ import annotations

import re
from typing import NoReturn

from headrace.expr.errors import InvalidExpression, Place
from headrace.expr.tokens import OPERATOR_WORDS, Kind, Token

_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
"""Characters with Unicode's property White_Space."""

_WORD = re.compile(
    rf"""
    (?P<space>[{_SPACE}]+)
  | (?P<line>//[^\n]*)
  | (?P<block>/\*)
  | (?P<number>(?=\.?[0-9]))
  | (?P<quote>[bB]?["']|`)
  | (?P<name>[^\W]|\$)
  | (?P<operator>[&!=*<>][&=*]? | \|\|? | \?[?.]? | \.\.? | ::? | [-+/%^,;\#])
  | (?P<bracket>[()\[\]{{}}])
    """,
    re.VERBOSE,
)
_DECIMAL = "0-9_"
_DIGITS = {"x": "0-9a-fA-F_", "o": "0-7_", "b": "01_"}
_SIMPLE_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\"}
_HEX_ESCAPES = {"x": 2, "u": 4, "U": 8}
_STOPS = {quote: re.compile(rf"[{quote}\\\n]") for quote in "\"'"}
_HEX = re.compile(r"[0-9a-fA-F]+", re.ASCII)
_OCTAL = re.compile(r"[0-7]{3}", re.ASCII)
_BRACED = re.compile(r"\{([0-9a-fA-F]{1,6})\}", re.ASCII)


def _number_pattern(digits: str) -> re.Pattern[str]:
    """A pattern of digits, a fraction and an exponent; it leaves the first point of a range `..` alone."""
    return re.compile(rf"[{digits}]*(?:\.(?!\.)[{digits}]*)?(?:[eE][-+]?[{digits}]*)?", re.ASCII)


_NUMBERS = {prefix: _number_pattern(digits) for prefix, digits in _DIGITS.items()}
_DECIMAL_NUMBER = _number_pattern(_DECIMAL)


def is_name_start(character: str) -> bool:
    """True for a character of an identifier: a letter or decimal digit of any script, `_` or `$`."""
    return character.isalpha() or character.isdecimal() or character in ("_", "$")


class Lexer:
    """A reader of one source. `read` returns its tokens, the last one of kind END."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.offset: int = 0
        self.tokens: list[Token] = []

    def read(self) -> list[Token]:
        """All tokens of the source. Raises InvalidExpression for a character or literal that is wrong."""
        while self.offset < len(self.source):
            self._word()
        self.tokens.append(Token(Kind.END, "", max(0, len(self.source) - 1), len(self.source)))
        return self.tokens

    def _word(self) -> None:
        match = _WORD.match(self.source, self.offset)
        kind = match.lastgroup if match else None
        if match is None or kind == "name":
            self._name()
        elif kind in ("space", "line"):
            self.offset = match.end()
        elif kind == "block":
            end = self.source.find("*/", self.offset + 2)
            if end < 0:
                self._fail("unclosed comment", len(self.source))
            self.offset = end + 2
        elif kind == "number":
            self._number()
        elif kind == "quote":
            self._quoted(match.group())
        elif match.group() == "#":
            # A name that follows at once belongs to it: here a word of the language is a name too, and so are digits.
            self._emit(Kind.OPERATOR, self.offset + 1)
            end = self._name_end()
            if end > self.offset:
                self._emit(Kind.IDENTIFIER, end)
        else:
            self._emit(Kind.OPERATOR if kind == "operator" else Kind.BRACKET, match.end())

    def _emit(self, kind: Kind, end: int) -> None:
        self.tokens.append(Token(kind, self.source[self.offset : end], self.offset, end))
        self.offset = end

    def _fail(self, message: str, offset: int) -> NoReturn:
        raise InvalidExpression(message, Place.of(self.source, offset))

    def _name(self) -> None:
        source, end = self.source, self._name_end()
        if end == self.offset:
            letter = source[end]
            shown = f" '{letter}'" if letter.isprintable() else ""
            self._fail(f"unrecognized character: U+{ord(letter):04X}{shown}", end)
        word = source[self.offset : end]
        self._emit(Kind.OPERATOR if word in OPERATOR_WORDS else Kind.IDENTIFIER, end)

    def _name_end(self) -> int:
        source, end = self.source, self.offset
        while end < len(source) and is_name_start(source[end]):
            end += 1
        return end

    def _number(self) -> None:
        source, start = self.source, self.offset
        prefix = source[start + 1 : start + 2].lower() if source[start] == "0" else ""
        pattern = _NUMBERS.get(prefix)
        match = pattern.match(source, start + 2) if pattern else _DECIMAL_NUMBER.match(source, start)
        end = match.end() if match else start
        if end < len(source) and is_name_start(source[end]):
            self._fail(f'bad number syntax: "{source[start : end + 1]}"', end)
        self._emit(Kind.NUMBER, end)

    # texts

    def _quoted(self, opening: str) -> None:
        if opening == "`":
            self._raw()
        elif len(opening) == 2:
            self._bytes(opening[1])
        else:
            self._text(opening)

    def _raw(self) -> None:
        """Read a text between back-quotes: it has no escapes, and a doubled back-quote stands for one."""
        start, end = self.offset, self.offset + 1
        while True:
            end = self.source.find("`", end)
            if end < 0:
                self._fail("literal not terminated", len(self.source))
            if not self.source.startswith("``", end):
                break
            end += 2
        self.tokens.append(Token(Kind.STRING, self.source[start + 1 : end].replace("``", "`"), start, end + 1))
        self.offset = end + 1

    def _text(self, quote: str) -> None:
        start = self.offset
        self.offset += 1
        parts = [_newlines(self._plain(quote))]
        while self.source[self.offset] != quote:
            code_point = self._escape(quote)  # a surrogate is no character
            parts.append("\ufffd" if 0xD800 <= code_point <= 0xDFFF else chr(code_point))
            parts.append(_newlines(self._plain(quote)))
        self.offset += 1
        self.tokens.append(Token(Kind.STRING, "".join(parts), start, self.offset))

    def _bytes(self, quote: str) -> None:
        """Read a literal `b"..."`: an escape is one byte, everything else is UTF-8."""
        start = self.offset
        self.offset += 2
        data = bytearray(_newlines(self._plain(quote)).encode())
        while self.source[self.offset] != quote:
            if self.source[self.offset + 1 : self.offset + 2] in ("u", "U"):
                self._fail("unable to unescape string", self.offset)
            data.append(self._escape(quote))
            data += _newlines(self._plain(quote)).encode()
        self.offset += 1
        self.tokens.append(Token(Kind.BYTES, self.source[start : self.offset], start, self.offset, bytes(data)))

    def _plain(self, quote: str) -> str:
        """Read up to the next quote or backslash. Raises InvalidExpression where the literal is not terminated."""
        stop = _STOPS[quote].search(self.source, self.offset)
        if stop is None or stop.group() == "\n":
            self._fail("literal not terminated", stop.start() if stop else len(self.source))
        plain, self.offset = self.source[self.offset : stop.start()], stop.start()
        return plain

    def _escape(self, quote: str) -> int:
        """Read an escape and return its code point, or its byte in a bytes literal."""
        at = self.offset
        letter = self.source[at + 1 : at + 2]
        if letter == quote:
            self.offset = at + 2
            return ord(quote)
        if letter in _SIMPLE_ESCAPES:
            self.offset = at + 2
            return ord(_SIMPLE_ESCAPES[letter])
        if letter in _HEX_ESCAPES:
            return self._hex_escape(at, letter)
        match = _OCTAL.match(self.source, at + 1)
        if match is None:
            self._fail("invalid char escape", at + 2)
        return self._checked(int(match.group(), 8), 0xFF, match.end())

    def _hex_escape(self, at: int, letter: str) -> int:
        braced = _BRACED.match(self.source, at + 2) if letter == "u" else None
        if braced:
            return self._checked(int(braced[1], 16), 0x10FFFF, braced.end())
        count = _HEX_ESCAPES[letter]
        digits = self.source[at + 2 : at + 2 + count]
        if len(digits) < count or not _HEX.fullmatch(digits):
            self._fail("invalid char escape", at + 2)
        return self._checked(int(digits, 16), 0x10FFFF, at + 2 + count)

    def _checked(self, value: int, largest: int, end: int) -> int:
        if value > largest:
            self._fail("unable to unescape string", end)
        self.offset = end
        return value


def _newlines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text
