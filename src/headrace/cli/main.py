"""The command `headrace`: its groups, the options before a command, and the last guard against tracebacks."""

from __future__ import annotations

from typing import Annotated

import typer

from headrace.cli import audit, clients, demo_command, events, instances, servers, triggers, workflows
from headrace.cli.exits import DESCRIPTION, reporting
from headrace.cli.groups import add_group, command, new_group
from headrace.cli.session import Defaults, OutputOption, ServerOption

app = new_group(
    "Money-movement workflows: run them on a laptop, prove them correct.\n\n"
    "Compatible with the Formance Orchestration API.\n\n" + DESCRIPTION
)


def _show_version(is_wanted: bool) -> None:
    if is_wanted:
        from importlib.metadata import version

        typer.echo(f"headrace {version('headrace')}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    server: ServerOption = None,
    output: OutputOption = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    context.obj = Defaults(server=server, output=output)


command(app, "dev")(servers.dev)
command(app, "serve")(servers.serve)
command(app, "demo")(demo_command.demo)
command(app, "audit")(audit.audit)
add_group(app, workflows.group, "workflows", "workflow", "work", "w")
add_group(app, instances.group, "instances", "instance", "ins", "i")
add_group(app, triggers.group, "triggers", "trigger", "trig", "t")
add_group(app, events.group, "events", "event", "e")
add_group(app, clients.group, "clients", "client", "c")


def main() -> None:
    try:
        with reporting():
            app(prog_name="headrace")
    except typer.Exit as end:
        raise SystemExit(end.exit_code) from None
