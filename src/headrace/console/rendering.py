"""Templates: escaped always, with amounts and times written in one place. No template calculates an amount."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from headrace.console import words
from headrace.pictures import svg
from headrace.pictures.amounts import amount_text
from headrace.pictures.moves import Edge, Flow
from headrace.pictures.timeline import Row, Timeline, axis_svg, bar_svg
from headrace.pictures.words import visible

_TYPES = {"css": "text/css; charset=utf-8", "svg": "image/svg+xml", "woff2": "font/woff2"}
HASH_CHARACTERS = 12


def picture(flow: Flow, link: Callable[[Edge], str] | None = None, selected: int = -1) -> Markup:
    """The flow of funds. Pictures alone are not escaped: `pictures` has escaped what comes from outside.

    `link`: to where a line leads; `selected`: the number of a stage to mark.
    """
    drawn = svg.svg(flow, is_alone=False, link=link, selected=selected)
    return Markup(drawn)  # noqa: S704 (see above; tests/console/test_hostile.py)


def bar(row: Row, of: Timeline) -> Markup:
    """The bar of a row of a timeline: numbers and names of states, and no text from outside."""
    return Markup(bar_svg(of, row))  # noqa: S704


def axis(of: Timeline) -> Markup:
    """The clock of a timeline: times, and no text from outside."""
    return Markup(axis_svg(of))  # noqa: S704


def printable(value: object) -> str:
    """Text from outside, with what would change its reading shown as symbols."""
    return visible(str(value))


def printable_lines(value: str) -> str:
    """As `printable`, for text that has line breaks on purpose."""
    return "\n".join(visible(line) for line in value.split("\n"))


@cache
def assets() -> dict[str, tuple[str, bytes]]:
    """The static files by name, each name with a hash of the content: its media type and the content."""
    found: dict[str, tuple[str, bytes]] = {}
    folder = files("headrace.console").joinpath("static")
    font = folder.joinpath("inter.woff2").read_bytes()
    font_name = _hashed("inter", font, "woff2")
    found[font_name] = (_TYPES["woff2"], font)
    for name in ("console.css", "icon.svg"):
        stem, _, kind = name.rpartition(".")
        content = folder.joinpath(name).read_bytes().replace(b"INTER", font_name.encode())
        found[_hashed(stem, content, kind)] = (_TYPES[kind], content)
    return found


def _hashed(stem: str, content: bytes, kind: str) -> str:
    return f"{stem}.{sha256(content).hexdigest()[:HASH_CHARACTERS]}.{kind}"


def asset(name: str) -> str:
    """The path of a static file, from its name without the hash. Raises LookupError."""
    stem, _, kind = name.rpartition(".")
    for found in assets():
        if found.startswith(f"{stem}.") and found.endswith(f".{kind}"):
            return f"/console/static/{found}"
    raise LookupError(name)


@cache
def environment() -> Environment:
    """The templates, with their filters."""
    made: Any = Environment(
        loader=PackageLoader("headrace.console"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    made.filters |= {
        "printable": printable,
        "printable_lines": printable_lines,
        "stamp": words.stamp,
        "duration": words.duration,
        "ago": words.ago,
        "picture": picture,
        "bar": bar,
        "axis": axis,
        "grouped": "{:,}".format,
    }
    made.globals |= {"asset": asset, "money": amount_text, "STATUSES": words.STATUS_WORDS}
    return made


def rendered(template: str, values: dict[str, Any]) -> str:
    """The HTML of a template."""
    return environment().get_template(template).render(values)
