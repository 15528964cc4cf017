"""The page of the command line, from the commands themselves."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Any

import typer.main

from docs.generator.markdown import code, page, sentence, table
from headrace.cli.main import app

INTRODUCTION = """`headrace COMMAND --help` tells the same. `--server` (or `HEADRACE_SERVER`) names the server, `-o json` prints
`{"data": ...}` for programs; both may stand before the command too. How commands end: [exit
codes](errors.md#of-commands)."""
COMMON = ("--server", "--output", "--idempotency-key")
COMMON_TITLE = "## Options that many commands take"
_SKIPPED = ("--help", "--confirm")


def commands_page() -> str:
    root: Any = typer.main.get_command(app)
    found = list(_commands(root, "headrace"))
    common: dict[str, tuple[str, str]] = {}
    sections = [_section(name, command, aliases, common) for name, command, aliases in found]
    rows = [(f"[{name}](#{name.replace(' ', '-')})", _about(command)) for name, command, _ in found]
    return page(
        "Command line",
        INTRODUCTION,
        table(("Command", "Does"), rows),
        COMMON_TITLE,
        table(("Option", "Meaning"), [common[name] for name in COMMON if name in common]),
        *sections,
    )


def _commands(group: Any, path: str) -> Iterator[tuple[str, Any, list[str]]]:
    """Each that is not hidden, with its aliases: hidden commands that do the same."""
    for name, command in group.commands.items():
        if command.hidden:
            continue
        aliases = [other for other, same in group.commands.items() if same.hidden and _is_same(same, command)]
        if hasattr(command, "commands"):
            yield from _commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command, aliases


def _is_same(one: Any, other: Any) -> bool:
    unwrapped = [getattr(command.callback, "__wrapped__", None) for command in (one, other)]
    return unwrapped[0] is not None and unwrapped[0] is unwrapped[1]


def _about(command: Any) -> str:
    return sentence((command.help or "").split("\n\n")[0])


def _section(name: str, command: Any, aliases: list[str], common: dict[str, tuple[str, str]]) -> str:
    arguments = [given for given in command.params if given.param_type_name == "argument"]
    options = [
        given
        for given in command.params
        if given.param_type_name == "option" and not given.hidden and not set(given.opts) & set(_SKIPPED)
    ]
    rows = [(code(given.metavar or given.name.upper()), _help(given)) for given in arguments]
    for given in options:
        row = (_option(given), _help(given))
        if set(given.opts) & set(COMMON):
            common.setdefault(given.opts[0], row)
        else:
            rows.append(row)
    more = [sentence(part) for part in (command.help or "").split("\n\n")[1:]]
    taken = [name for given in options for name in given.opts if name in COMMON]
    usage = " ".join([name, *(given.metavar or given.name.upper() for given in arguments)])
    parts = [
        f"## {name}",
        _about(command) + (f" Also {', '.join(map(code, aliases))}." if aliases else ""),
        code(usage + (" [OPTIONS]" if options else "")),
        *more,
        table(("", "Meaning"), rows),
        f"And {', '.join(map(code, taken))}." if taken else "",
    ]
    return "\n\n".join(part for part in parts if part)


def _option(given: Any) -> str:
    names = ", ".join(code(name) for name in (*given.opts, *given.secondary_opts))
    return names if given.is_flag else f"{names} {code(given.metavar or _kind(given))}"


_KINDS = {"str": "TEXT", "int": "INTEGER", "float": "NUMBER", "Path": "PATH"}


def _kind(given: Any) -> str:
    annotation: Any = given.type_descriptor.annotation
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return "|".join(str(choice.value) for choice in annotation)
    return _KINDS.get(getattr(annotation, "__name__", ""), "TEXT")


def _help(given: Any) -> str:
    told = sentence((given.help or "").replace("  [default:", " [default:"))
    variable = f" Or {code(given.envvar)}." if getattr(given, "envvar", None) else ""
    return told + variable
