"""Registers commands under their names and shorter aliases; what they raise becomes a sentence and an exit code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import typer

from headrace.cli.exits import reported

Command = TypeVar("Command", bound=Callable[..., Any])

CONTEXT = {"help_option_names": ["-h", "--help"]}


def new_group(about: str) -> typer.Typer:
    return typer.Typer(
        help=about,
        no_args_is_help=True,
        add_completion=False,
        context_settings=CONTEXT,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )


def command(group: typer.Typer, name: str, *aliases: str) -> Callable[[Command], Command]:
    """The decorated function is the command `name` of `group`; its aliases work too but are not listed."""

    def register(function: Command) -> Command:
        guarded = reported(function)
        group.command(name)(guarded)
        for alias in aliases:
            group.command(alias, hidden=True)(guarded)
        return function

    return register


def add_group(parent: typer.Typer, group: typer.Typer, name: str, *aliases: str) -> None:
    parent.add_typer(group, name=name)
    for alias in aliases:
        parent.add_typer(group, name=alias, hidden=True)
