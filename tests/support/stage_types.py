"""Writes the classes of stages that the client ships: `make schema`. They are made from the shapes of the stages.

The client is installable without Headrace, so the file is committed; a test fails while it is stale.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from textwrap import wrap

from headrace.workflows.stages import STAGES
from headrace.workflows.stages.shape import Leaf, Object, Shape, TextMap

FILE = Path(__file__).resolve().parents[2] / "packages/client/src/headrace_client/stage_types.py"
FORMS = {"text": "str", "integer": "int", "boolean": "bool", "moment": "Timestamp"}
WIDTH = 112
FIRST = {"Monetary": "asset"}
"""Positional arguments keep the order that the client had before this file was generated."""

HEAD = '''"""The body of each stage as history shows it. Written by `make schema`: do not edit it."""

from __future__ import annotations

from headrace_client.models import Model, Timestamp

__all__ = [
{names}]
'''


def stage_types() -> str:
    """The whole module. The names of classes are those of Formance's description."""
    written: dict[str, str] = {}
    for stage in STAGES.values():
        for shape in _innermost_first(stage.shape):
            written.setdefault(class_name(shape), _class_text(shape))
    names = {keyword: class_name(stage.shape) for keyword, stage in STAGES.items()}
    listed = "".join(f'    "{name}",\n' for name in sorted(written))
    return "\n\n".join(
        [
            HEAD.format(names=listed),
            *(f"{text}\n" for text in written.values()),
            f"KnownStage = {' | '.join(names.values())}\n\n"
            + _table("BY_KEYWORD: dict[str, type[KnownStage]]", names.items())
            + "\n"
            + _table("BY_MEMBER: dict[str, str]", ((name, f'"{keyword}"') for name, keyword in _unique_members()))
            + '"""Members that only one stage needs, for servers that name stages in their own way."""\n',
        ]
    )


def class_name(shape: Object) -> str:
    return shape.client_name or f"Stage{shape.name}"


def _innermost_first(shape: Shape) -> Iterator[Object]:
    if isinstance(shape, Object):
        for member in shape.members.values():
            yield from _innermost_first(member)
        yield shape


def _class_text(shape: Object) -> str:
    first = FIRST.get(class_name(shape))
    order = sorted(shape.members.items(), key=lambda each: (not _is_required(shape, *each), each[0] != first))
    lines = [f"    {_attribute(name)}: {_annotation(shape, name, member)}" for name, member in order]
    about = wrap(f'"""{shape.about}', WIDTH)
    about[-1:] = [f'{about[-1]}"""'] if len(about) == 1 else [about[-1], '"""']
    return "\n".join([f"class {class_name(shape)}(Model):", *(f"    {line}" for line in about), "", *lines])


def _is_required(shape: Object, name: str, member: Shape) -> bool:
    """Formance's description requires no object of a stage, so other servers may leave it out."""
    return name in shape.required and not isinstance(member, Object)


def _annotation(shape: Object, name: str, member: Shape) -> str:
    match member:
        case Object():
            kind = class_name(member)
        case Leaf():
            if member.is_blank:
                return 'str = ""'
            kind = FORMS[member.kind.form]
        case TextMap():
            kind = "dict[str, str]"
        case _:
            raise TypeError(f"no type of the client is known for {member!r}")
    return kind if _is_required(shape, name, member) else f"{kind} | None = None"


def _attribute(name: str) -> str:
    """`throughAccount` is `through_account`, `connectorID` is `connector_id`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def _unique_members() -> Iterator[tuple[str, str]]:
    found: dict[str, list[str]] = {}
    for keyword, stage in STAGES.items():
        is_exclusive = any(rule.count.get("maxProperties") == 1 for rule in stage.shape.rules)
        for name in stage.shape.members if is_exclusive else stage.shape.required:
            found.setdefault(name, []).append(keyword)
    return ((name, keywords[0]) for name, keywords in found.items() if len(keywords) == 1)


def _table(head: str, rows: Iterable[tuple[str, str]]) -> str:
    return "\n".join([f"{head} = {{", *(f'    "{key}": {value},' for key, value in rows), "}", ""])


if __name__ == "__main__":
    FILE.write_text(stage_types(), "utf-8")
