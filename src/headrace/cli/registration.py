"""Register commands under their names and aliases; an error becomes a message and an exit code.

A command whose first parameter is a `Session` also gets the options of server, credentials and output form; one whose
first parameter is `Printer` gets the output form only. These options are not in its own signature.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar, get_type_hints

import typer
from typer.core import TyperGroup

from headrace.cli.display import Output
from headrace.cli.errors import USAGE, Failure, refused_scope, reporting
from headrace.cli.session import (
    DebugToo,
    InsecureToo,
    OutputOption,
    Printer,
    ProfileOption,
    QuietOption,
    ServerOption,
    Session,
    defaults_of,
    output_of,
    session_of,
)

Command = TypeVar("Command", bound=Callable[..., Any])

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 120}

_OUTPUT = {"context": typer.Context, "output": OutputOption, "debug": DebugToo}
_SESSION = {
    "context": typer.Context,
    "server": ServerOption,
    "profile": ProfileOption,
    "output": OutputOption,
    "insecure_tls": InsecureToo,
    "debug": DebugToo,
}
_DEFAULTS: dict[str, Any] = {
    "context": inspect.Parameter.empty,
    "quiet": False,
    "insecure_tls": False,
    "debug": False,
}


class _Group(TyperGroup):
    """A group whose commands also have aliases: built once, listed once."""

    aliases: ClassVar[dict[str, str]] = {}

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        return super().get_command(ctx, self.aliases.get(cmd_name, cmd_name))


class _Within(TyperGroup):
    """An unlisted group that shows some of its parent's groups under another name."""

    shown: ClassVar[tuple[str, ...]] = ()

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.shown)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        beside = ctx.parent.command
        found = beside.get_command(ctx.parent, cmd_name)
        return found if found is not None and found.name in self.shown else None


def add_again(parent: typer.Typer, about: str, names: tuple[str, ...], name: str, *aliases: str) -> None:
    """Make the groups `names` of `parent` available below the unlisted group `name` too."""
    group = typer.Typer(
        cls=type("Group", (_Within,), {"shown": names}),
        help=about,
        no_args_is_help=True,
        context_settings=CONTEXT,
        rich_markup_mode=None,
    )
    parent.add_typer(group, name=name, hidden=True)
    add_aliases(parent, name, *aliases)


def new_group(about: str, *, has_completion: bool = False) -> typer.Typer:
    return typer.Typer(
        cls=type("Group", (_Group,), {"aliases": {}}),
        help=about,
        no_args_is_help=True,
        add_completion=has_completion,
        context_settings=CONTEXT,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )


def command(group: typer.Typer, name: str, *aliases: str, has_ids: bool = False) -> Callable[[Command], Command]:
    """Register the decorated function as command `name` of `group`; its aliases work but are not listed.

    With `has_ids` it takes --quiet.
    """

    def register(function: Command) -> Command:
        # The command has the shared options too, and its errors become messages and exit codes.
        own = list(inspect.signature(function, eval_str=True).parameters.values())
        first = get_type_hints(function).get(own[0].name) if own else None
        shared = _SESSION if first is Session else _OUTPUT if first is Printer else {}
        own = own[1:] if shared else own
        shared = {**({"quiet": QuietOption} if has_ids else {}), **shared}

        def guarded(**options: Any) -> None:
            context = options.get("context")
            defaults = defaults_of(context)
            is_debugging = options.get("debug", False) or defaults.debug
            with reporting(output_of(context, options.get("output")), is_debugging=is_debugging):
                given = {name: options.pop(name) for name in shared}
                if defaults.is_quiet and not has_ids:
                    raise Failure("--quiet prints ids, and this command has none", code=USAGE)
                is_quiet = given.pop("quiet", False) or defaults.is_quiet
                if is_quiet and output_of(given["context"], given["output"]) is not Output.TABLE:
                    raise Failure("--quiet and --output exclude each other: give one", code=USAGE)
                if given.keys() == _OUTPUT.keys():
                    function(Printer(output_of(given["context"], given["output"])), **options)
                elif given.keys() == _SESSION.keys():
                    session = session_of(**given)
                    session.is_quiet = is_quiet
                    try:
                        function(session, **options)
                    except Exception as error:
                        if (scope := refused_scope(error)) is None:
                            raise
                        raise Failure(f"{session.connection.holder} may not do this: it needs {scope}.") from None
                    finally:
                        session.close()
                else:
                    function(**options)

        guarded.__name__, guarded.__doc__ = function.__name__, function.__doc__
        parameters = [*own, *(_shared_parameter(name, shared[name]) for name in shared)]
        guarded.__signature__ = inspect.Signature(parameters)  # pyright: ignore[reportFunctionMemberAccess]
        guarded.__annotations__ = {each.name: each.annotation for each in parameters}
        group.command(name)(guarded)
        add_aliases(group, name, *aliases)
        return function

    return register


def add_group(parent: typer.Typer, group: typer.Typer, name: str, *aliases: str) -> None:
    parent.add_typer(group, name=name)
    add_aliases(parent, name, *aliases)


def add_aliases(group: typer.Typer, name: str, *aliases: str) -> None:
    kind: Any = group.info.cls
    kind.aliases.update(dict.fromkeys(aliases, name))


def _shared_parameter(name: str, annotation: Any) -> inspect.Parameter:
    default = _DEFAULTS.get(name)
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
