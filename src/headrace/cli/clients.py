"""`headrace clients`: manage the clients that may get tokens. Edits the file, with or without a running server."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.cli import display
from headrace.cli.display import Output
from headrace.cli.registration import command, new_group
from headrace.cli.session import Printer

if TYPE_CHECKING:
    from headrace.auth.clients import Client, ClientsFile

group = new_group(
    "Create, list and delete the clients that may get tokens from this server.\n\n"
    "For `headrace serve --auth local`, and `headrace dev --auth`."
)

DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data", metavar="FOLDER", envvar="HEADRACE_DATA", help="The server's data folder.  [default: .headrace]"
    ),
]
FileOption = Annotated[
    Path | None,
    typer.Option(
        "--file",
        metavar="FILE",
        envvar="HEADRACE_CLIENTS",
        help="File of clients.  [default: clients.json in the data folder]",
    ),
]
ScopeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--scope",
        metavar="SCOPE",
        help="orchestration:read, or orchestration:write, which includes read. Repeatable.  [default: both]",
    ),
]


@command(group, "create", "cr", "c")
def create(
    printer: Printer,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Name of the client, for people.", show_default=False)
    ] = "",
    scope: ScopeOption = None,
    data: DataOption = None,
    file: FileOption = None,
) -> None:
    """Create a client. Its secret is shown only once; a running server accepts it within a second."""
    from headrace.auth.clients import READ, WRITE
    from headrace.clock import SystemClock

    created = _file(data, file).create(name, scope or [READ, WRITE], SystemClock(), os.urandom)
    client = created.client
    facts = [("Client ID", client.id), ("Secret", created.secret), ("Scopes", " ".join(client.scopes))]
    printer.show({"client": _shown(client) | {"secret": created.secret}}, lambda: display.fact_lines(facts))
    if printer.output is Output.TABLE:
        display.note("The secret cannot be shown again.")


@command(group, "list", "ls", "l")
def list_clients(printer: Printer, data: DataOption = None, file: FileOption = None) -> None:
    """List the clients, without their secrets."""
    clients = sorted(_file(data, file).read().values(), key=lambda client: client.created_at)
    printer.show({"clients": [_shown(client) for client in clients]}, lambda: _table(clients))


@command(group, "delete", "del", "d")
def delete(
    printer: Printer,
    client_id: Annotated[str, typer.Argument(metavar="CLIENT", help="Id of the client.")],
    data: DataOption = None,
    file: FileOption = None,
) -> None:
    """Delete a client. Its tokens are refused within a second."""
    _file(data, file).delete(client_id)
    printer.show({"success": True, "clientID": client_id}, f"Client {client_id} deleted.")


def _file(data: Path | None, file: Path | None) -> ClientsFile:
    from headrace.composition.authentication import clients_file
    from headrace.settings import Settings

    settings = Settings() if file is None else Settings(clients=file.expanduser())
    return clients_file(settings, (data or settings.data).expanduser().absolute())


def _shown(client: Client) -> dict[str, Any]:
    return {"id": client.id, "name": client.name, "scopes": list(client.scopes), "createdAt": client.created_at}


def _table(clients: list[Client]) -> list[str]:
    if not clients:
        return ["No clients. Create one: headrace clients create NAME"]
    rows = [[each.id, each.name, " ".join(each.scopes), display.moment(each.created_at)] for each in clients]
    return display.table_lines(["ID", "Name", "Scopes", "Created at"], rows)
