"""The page of the command line, from the commands themselves."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Any

import typer.main

from docs.generator.markdown import code, page, sentence, table
from headrace.cli.main import app

INTRODUCTION = """`headrace COMMAND --help` tells the same. What commands share (profiles, forms of an answer, watching, completion)
is told in [the command line](../command-line.md), how they end in [exit codes](errors.md#of-commands). The shorter names
of groups work before those of their commands: `headrace w ls`; `headrace orchestration ...` has `workflows`, `instances`
and `triggers` once more."""
COMMON = ("--server", "--profile", "--output", "--insecure-tls", "--debug", "--idempotency-key")
COMMON_TITLE = "## Options that many commands take"
COMMON_NOTE = (
    "All but `--idempotency-key` may stand before the command, too: `headrace -o json workflows list`. So may `--quiet`\n"
    "of those that have it."
)
_SKIPPED = ("--help", "--confirm")


def commands_page() -> str:
    root: Any = typer.main.get_command(app)
    found = list(_commands(root, "headrace"))
    common = {option: (_option(given), _help(given)) for given in root.params for option in given.opts}
    sections = [_section(name, command, aliases, common) for name, command, aliases in found]
    rows = [(f"[{name}](#{name.replace(' ', '-')})", _about(command)) for name, command, _ in found]
    return page(
        "Command line",
        INTRODUCTION,
        table(("Command", "Does"), rows),
        "## Shorter names",
        table(("Group", "Also"), _groups(root)),
        COMMON_TITLE,
        COMMON_NOTE,
        table(("Option", "Meaning"), [common[name] for name in COMMON if name in common]),
        *sections,
    )


def _commands(group: Any, path: str) -> Iterator[tuple[str, Any, list[str]]]:
    """Each that is not hidden, with its aliases."""
    for name, command in group.commands.items():
        if command.hidden:
            continue
        if hasattr(command, "commands"):
            yield from _commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command, _aliases(group, name)


def _aliases(group: Any, name: str) -> list[str]:
    return [alias for alias, command in group.aliases.items() if command == name]


def _groups(group: Any, path: str = "") -> Iterator[tuple[str, str]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands") and not command.hidden:
            yield code(f"{path}{name}"), ", ".join(map(code, _aliases(group, name)))
            yield from _groups(command, f"{path}{name} ")


def _about(command: Any) -> str:
    return sentence((command.help or "").split("\n\n")[0])


def _section(name: str, command: Any, aliases: list[str], common: dict[str, tuple[str, str]]) -> str:
    arguments = [given for given in command.params if given.param_type_name == "argument"]
    options = [
        given
        for given in command.params
        if given.param_type_name == "option" and not given.hidden and not set(given.opts) & set(_SKIPPED)
    ]
    rows = [(code(_argument(given)), _help(given)) for given in arguments]
    for given in options:
        row = (_option(given), _help(given))
        if given.opts[0] in COMMON and not _is_of_its_own(name, given):
            common.setdefault(given.opts[0], row)
        else:
            rows.append(row)
    more = [sentence(part) for part in (command.help or "").split("\n\n")[1:]]
    taken = [given.opts[0] for given in options if given.opts[0] in COMMON and not _is_of_its_own(name, given)]
    usage = " ".join([name, *(_shown(given) for given in arguments)])
    parts = [
        f"## {name}",
        _about(command) + (f" Also {', '.join(map(code, aliases))}." if aliases else ""),
        code(usage + (" [OPTIONS]" if options else "")),
        *more,
        table(("", "Meaning"), rows),
        f"And {', '.join(map(code, taken))}." if taken else "",
    ]
    return "\n\n".join(part for part in parts if part)


def _is_of_its_own(name: str, given: Any) -> bool:
    """`profiles set --server` does not say which server is talked to: it is what is set."""
    return name == "headrace profiles set" and given.opts[0] == "--server"


def _argument(given: Any) -> str:
    kind = _kind(given)
    return given.metavar or (kind if "|" in kind else given.name.upper())


def _shown(given: Any) -> str:
    return _argument(given) if given.required else f"[{_argument(given)}]"


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
    if isinstance(given.default, int | float) and not getattr(given, "is_flag", False) and "[default:" not in told:
        told += f" [default: {given.default}]"
    variable = f" Or {code(given.envvar)}." if getattr(given, "envvar", None) else ""
    return told + variable
