"""Variables: the texts a run is given, and their place in a stage, `${name}`.

`${a.b}` is the variable named `a.b`, else member `b` of the JSON object that variable `a` holds (decision Q13).
Expansion is one pass over values, never over keys: what a variable brings in is not looked at again.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, cast

from headrace.errors import InvalidValue
from headrace.json_depth import is_nested_deeper
from headrace.workflows.conditions import WHEN, condition_of

MAX_VARIABLES = 1_000
MAX_NAME_BYTES = 1_024
MAX_DOTS = 8
"""How deep a placeholder may look into a variable: each dot is tried as the end of the variable's name."""
MAX_MEMBERS = 5_000
"""Maximum variables of one workflow."""
MAX_VALUE_BYTES = 64 * 1_024
MAX_EXPANDED_CHARACTERS = 1_024 * 1_024
MAX_NESTING = 200
"""How deep the JSON in a variable may be nested. Beyond it `${a.b}` finds nothing."""
MAX_INTEGER = 10**1_000

PLACEHOLDER = re.compile(r"\$\{([^{}]+)\}")


def has_placeholder(text: str) -> bool:
    return "${" in text and PLACEHOLDER.search(text) is not None


def names_in(stages: Iterable[object]) -> set[str]:
    """Every name that some value of the stages asks for, or that one of their conditions needs."""
    listed = list(stages)
    found = {name for text in _texts(listed) for name in PLACEHOLDER.findall(text)}
    for stage in listed:
        if isinstance(stage, dict) and isinstance(source := cast("dict[str, object]", stage).get(WHEN), str):
            found |= condition_of(source).needed
    return found


def members_of(
    names: Iterable[str], variables: Mapping[str, str], pay: Callable[[int], None] | None = None
) -> dict[str, str]:
    """The variables, and with them each of these names that is a member of one, as `${name}` would be.

    `pay`: called with the length of each variable before that is decoded; it may refuse.
    """
    scope = _Scope(variables, pay)
    inner = {name: text for name in names if name not in variables and (text := scope.find(name)) is not None}
    return {**variables, **inner}


def missing(stages: Iterable[object], variables: Mapping[str, str]) -> list[str]:
    """The names that have no value, sorted."""
    scope = _Scope(variables)
    return sorted(name for name in names_in(stages) if scope.find(name) is None)


def amount_assets(stages: Iterable[dict[str, Any]], variables: Mapping[str, str]) -> dict[str, str]:
    """The asset of each variable that is the amount of a send, where the variables say both, and the asset is one.

    A stage that a run would skip may hold anything, so nothing is raised about it.
    """
    found: dict[str, str] = {}
    for stage in stages:
        given: Any = stage.get("send", {}).get("amount", {})
        named = PLACEHOLDER.fullmatch(str(given.get("amount")))
        if named is not None and re.fullmatch("[0-9]{1,30}", variables.get(named[1], "")):
            try:
                asset = expand(given["asset"], variables)
            except InvalidValue:
                continue
            if re.fullmatch("[A-Z][A-Z0-9]*(/[0-9]{1,2})?", asset):
                found[named[1]] = asset
    return found


def expand(value: Any, variables: Mapping[str, str]) -> Any:
    """Fill in the placeholders of a value.

    Raises InvalidValue for a name without a value, and beyond 1,048,576 characters: many placeholders of a
    large variable would fill the memory.
    """
    return Expansion(variables).of(value)


def compiled(text: str) -> Callable[[Expansion], str]:
    """Compile a text to a function that fills in its placeholders. It raises InvalidValue as `expand` does."""
    whole = PLACEHOLDER.fullmatch(text)
    if whole is not None:
        name = whole[1]
        return lambda expansion: expansion.named(name)
    return lambda expansion: expansion.of(text)


def check_variables(variables: object) -> dict[str, str]:
    """The variables of a run as text. Numbers and booleans, which some clients send, become text exactly.

    Raises InvalidValue naming the variable.
    """
    if not isinstance(variables, dict):
        raise InvalidValue("variables", f"must be an object of texts, not {kind_of(variables)}")
    entries = cast("dict[Any, Any]", variables)
    if len(entries) > MAX_VARIABLES:
        raise InvalidValue("variables", f"at most {MAX_VARIABLES}, not {len(entries)}")
    return {
        name: value if _is_plain(name, value) else _variable_text(value, shown(_variable_name(name)))
        for name, value in entries.items()
    }


def _is_plain(name: object, value: object) -> bool:
    """Valid by a quick check, as nearly all variables are."""
    return (
        type(name) is str
        and type(value) is str
        and _PLAIN.fullmatch(name) is not None
        and len(value) <= MAX_VALUE_BYTES
        and value.isascii()
        and "\0" not in value
    )


def check_text(value: object, field: str) -> str:
    """Text that every service can take: no NUL, no half of a surrogate pair. Raises InvalidValue."""
    if not isinstance(value, str):
        raise InvalidValue(field, f"must be text, not {kind_of(value)}")
    if "\0" in value:
        raise InvalidValue(field, "holds a NUL character")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise InvalidValue(field, "holds half of a surrogate pair, which is not text") from None
    return value


_PLAIN = re.compile(r"[a-zA-Z0-9_.-]{1,64}", re.ASCII)


def shown(name: object) -> str:
    """A name as an error may show it: as it is if it is plain, else quoted, escaped and shortened."""
    if isinstance(name, str) and _PLAIN.fullmatch(name):
        return name
    text = ascii(name if not isinstance(name, str) else name[:64])
    return text if len(text) <= 100 else text[:100] + "..."


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for member in cast("dict[str, object]", value).values():
            yield from _texts(member)
    elif isinstance(value, list):
        for item in cast("list[object]", value):
            yield from _texts(item)


class Expansion:
    """One expansion of one stage: its variables, and how many characters they may still bring in."""

    __slots__ = ("_left", "_scope", "_variables")

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self._scope: _Scope | None = None
        self._left = MAX_EXPANDED_CHARACTERS

    def of(self, value: Any) -> Any:
        if isinstance(value, str):
            return PLACEHOLDER.sub(self._fill, value) if "${" in value else value
        if isinstance(value, dict):
            return {key: self.of(member) for key, member in cast("dict[str, Any]", value).items()}
        if isinstance(value, list):
            return [self.of(item) for item in cast("list[Any]", value)]
        return value

    def named(self, name: str) -> str:
        """Return the text of a variable."""
        text = self._variables.get(name)
        if text is None:
            if self._scope is None:
                self._scope = _Scope(self._variables)
            text = self._scope.find(name)
        if text is None:
            raise InvalidValue(shown(name), "there is no such variable")
        self._left -= len(text)
        if self._left < 0:
            raise InvalidValue(shown(name), f"the expanded stage has more than {MAX_EXPANDED_CHARACTERS} characters")
        return text

    def _fill(self, match: re.Match[str]) -> str:
        return self.named(match[1])


class _Scope:
    """Finds names, each once. Each variable is decoded once, however many of its members are asked for."""

    def __init__(self, variables: Mapping[str, str], pay: Callable[[int], None] | None = None) -> None:
        self._variables = variables
        self._pay = pay
        self._objects: dict[str, dict[str, object] | None] = {}
        self._found: dict[str, str | None] = {}

    def find(self, name: str) -> str | None:
        text = self._variables.get(name)
        if text is not None or not 0 < name.count(".") <= MAX_DOTS:
            return text
        if name not in self._found:
            if len(self._found) >= MAX_MEMBERS:
                raise InvalidValue("variables", f"the workflow asks for more than {MAX_MEMBERS} members of variables")
            self._found[name] = self._member(name)
        return self._found[name]

    def _member(self, name: str) -> str | None:
        """The longest name of a variable first."""
        end = name.rfind(".")
        while end >= 0:
            found = self._object(name[:end])
            if found is not None and (text := _member(found, name[end + 1 :].split("."))) is not None:
                return text
            end = name.rfind(".", 0, end)
        return None

    def _object(self, name: str) -> dict[str, object] | None:
        if name not in self._variables:
            return None
        if name not in self._objects:
            if self._pay is not None:
                self._pay(len(self._variables[name]))
            self._objects[name] = _decoded(self._variables[name])
        return self._objects[name]


class _Number(str):
    """A JSON number's literal text: never converted, so exact."""

    __slots__ = ()


def _decoded(text: str) -> dict[str, object] | None:
    if is_nested_deeper(text, MAX_NESTING):
        return None
    try:
        value = json.loads(
            text,
            parse_int=_Number,
            parse_float=_Number,
            parse_constant=_refuse_constant,
            object_pairs_hook=_unique_members,
        )
    except ValueError:
        return None
    return cast("dict[str, object]", value) if isinstance(value, dict) else None


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _unique_members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is given twice")
    return members


def _member(value: object, path: list[str]) -> str | None:
    for part in path:
        if not isinstance(value, dict):
            return None
        value = cast("dict[str, object]", value).get(part)
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str) else None


def _variable_name(name: object) -> str:
    text = check_text(name, shown(name))
    if len(text.encode()) > MAX_NAME_BYTES:
        raise InvalidValue(shown(name), f"a variable's name has at most {MAX_NAME_BYTES} bytes")
    return text


def _variable_text(value: object, field: str) -> str:
    if isinstance(value, str):
        text = check_text(value, field)
        if len(text) > MAX_VALUE_BYTES or len(text.encode()) > MAX_VALUE_BYTES:
            raise InvalidValue(field, f"a variable has at most {MAX_VALUE_BYTES} bytes")
        return text
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        if abs(value) >= MAX_INTEGER:
            raise InvalidValue(field, "an integer has at most 1000 digits")
        return str(value)
    if isinstance(value, float) and math.isfinite(value):
        return repr(value)
    raise InvalidValue(field, f"a variable is text, not {kind_of(value)}")


def kind_of(value: object) -> str:
    """The JSON word for what a value is."""
    if value is None:
        return "null"
    names: dict[type, str] = {bool: "a boolean", int: "a number", float: "a number", dict: "an object", list: "a list"}
    return names.get(type(value), type(value).__name__)
