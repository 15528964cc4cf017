"""`headrace clients`: who may get tokens from this server. Works on the file, whether a server runs or not."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.cli import display
from headrace.cli.groups import command, new_group
from headrace.cli.session import Output, OutputOption, output_of

if TYPE_CHECKING:
    from headrace.auth.clients import Client, ClientsFile

group = new_group("Create, list, delete: who may get tokens from `headrace serve --auth local`.")

DataOption = Annotated[
    Path | None,
    typer.Option("--data", envvar="HEADRACE_DATA", help="The server's data folder.  [default: .headrace]"),
]
FileOption = Annotated[
    Path | None,
    typer.Option("--file", envvar="HEADRACE_CLIENTS", help="The file.  [default: clients.json in the data folder]"),
]
ScopeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--scope", help="orchestration:read, or orchestration:write, which may read too. Repeatable.  [default: both]"
    ),
]


@command(group, "create", "cr", "c")
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="What it is for, for people.")] = "",
    scope: ScopeOption = None,
    data: DataOption = None,
    file: FileOption = None,
    output: OutputOption = None,
) -> None:
    """Make a client. Its secret is shown now and never again; a running server knows it within a second."""
    from headrace.auth.clients import READ, WRITE
    from headrace.clock import SystemClock

    created = _file(data, file).create(name, scope or [READ, WRITE], SystemClock(), os.urandom)
    if output_of(context, output) is Output.JSON:
        display.store({"client": _shown(created.client) | {"secret": created.secret}})
        return
    facts = [("Client ID", created.client.id), ("Secret", created.secret), ("Scopes", " ".join(created.client.scopes))]
    display.facts(facts)
    display.note("The secret is shown only now.")


@command(group, "list", "ls", "l")
def list_clients(
    context: typer.Context, data: DataOption = None, file: FileOption = None, output: OutputOption = None
) -> None:
    """List the clients. Nobody knows their secrets any more."""
    clients = sorted(_file(data, file).read().values(), key=lambda client: client.created_at)
    if output_of(context, output) is Output.JSON:
        display.store({"clients": [_shown(client) for client in clients]})
    elif not clients:
        display.line("No clients. Make one: headrace clients create NAME")
    else:
        display.table(["ID", "Name", "Scopes", "Created at"], [_row(client) for client in clients])


@command(group, "delete", "del", "d")
def delete(
    context: typer.Context,
    client_id: Annotated[str, typer.Argument(metavar="CLIENT", help="Id of the client.")],
    data: DataOption = None,
    file: FileOption = None,
    output: OutputOption = None,
) -> None:
    """Delete a client. The tokens it has are refused within a second."""
    _file(data, file).delete(client_id)
    if output_of(context, output) is Output.JSON:
        display.store({"success": True, "clientID": client_id})
    else:
        display.line(f"Client {client_id} deleted.")


def _file(data: Path | None, file: Path | None) -> ClientsFile:
    from headrace.auth.assembly import clients_file
    from headrace.settings import Settings

    settings = Settings() if file is None else Settings(clients=file.expanduser())
    return clients_file(settings, (data or settings.data).expanduser().absolute())


def _shown(client: Client) -> dict[str, Any]:
    return {"id": client.id, "name": client.name, "scopes": list(client.scopes), "createdAt": client.created_at}


def _row(client: Client) -> list[str]:
    return [client.id, client.name, " ".join(client.scopes), client.created_at]
