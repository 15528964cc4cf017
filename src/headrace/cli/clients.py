"""`headrace clients`: manage the clients that may get tokens, with or without a running server.

They are in a file, or in the database that HEADRACE_DATABASE_URL names.
"""

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
    from headrace.auth.clients import Client, ClientStore

group = new_group(
    "Create, list and delete the clients that may get tokens from this server.\n\n"
    "For `headrace serve --auth local`, and `headrace dev --auth`. They are in a file of the data folder, or in the "
    "database that HEADRACE_DATABASE_URL names."
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
        help=(
            "orchestration:read; orchestration:write, which includes read; or orchestration:approve, which includes "
            "neither. Repeatable.  [default: read and write]"
        ),
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
    from headrace.auth.clients import READ, WRITE, ClientsFile
    from headrace.clock import SystemClock

    store = _store(data, file)
    created = store.create(name, scope or [READ, WRITE], SystemClock(), os.urandom)
    client = created.client
    facts = [("Client ID", client.id), ("Secret", created.secret), ("Scopes", " ".join(client.scopes))]
    printer.show({"client": _shown(client) | {"secret": created.secret}}, lambda: display.fact_lines(facts))
    if printer.output is Output.TABLE:
        place = str(store.path) if isinstance(store, ClientsFile) else "the database of HEADRACE_DATABASE_URL"
        display.note("The secret cannot be shown again.")
        display.note(f"The client is in {place}; a server that uses another place does not know it.")


@command(group, "list", "ls", "l")
def list_clients(printer: Printer, data: DataOption = None, file: FileOption = None) -> None:
    """List the clients, without their secrets."""
    clients = sorted(_store(data, file).read().values(), key=lambda client: client.created_at)
    printer.show({"clients": [_shown(client) for client in clients]}, lambda: _table(clients))


@command(group, "delete", "del", "d")
def delete(
    printer: Printer,
    client_id: Annotated[str, typer.Argument(metavar="CLIENT", help="Id of the client.")],
    data: DataOption = None,
    file: FileOption = None,
) -> None:
    """Delete a client. Its tokens are refused within a second."""
    _store(data, file).delete(client_id)
    printer.show({"success": True, "clientID": client_id}, f"Client {client_id} deleted.")


@command(group, "import", "im")
def import_clients(
    printer: Printer,
    source: Annotated[Path, typer.Argument(metavar="FILE", help="A clients.json of a server.", show_default=False)],
    data: DataOption = None,
    file: FileOption = None,
) -> None:
    """Add the clients of a file, with their ids and secrets. A client whose id is known already stays as it is.

    For a server that moves from a file to a database. Signing keys are not imported: the server creates its own, and
    clients get new tokens with the secrets that they have.
    """
    from headrace.auth.clients import ClientsFile
    from headrace.errors import InvalidValue

    if not source.exists():
        raise InvalidValue(str(source), "does not exist")
    store = _store(data, file)
    found, known = ClientsFile(source).read(), store.read()
    new = [client for client in found.values() if client.id not in known]
    for client in new:
        store.put(client)
    text = f"{len(new)} clients imported; {len(found) - len(new)} were known already."
    printer.show({"imported": [client.id for client in new], "known": len(found) - len(new)}, text)


def _store(data: Path | None, file: Path | None) -> ClientStore:
    from headrace.composition.authentication import client_store
    from headrace.settings import Settings

    if file is None:
        settings = Settings.from_env({"HEADRACE_DATABASE_URL": os.environ.get("HEADRACE_DATABASE_URL", "")})
    else:
        settings = Settings(clients=file.expanduser())
    return client_store(settings, (data or settings.data).expanduser().absolute())


def _shown(client: Client) -> dict[str, Any]:
    return {"id": client.id, "name": client.name, "scopes": list(client.scopes), "createdAt": client.created_at}


def _table(clients: list[Client]) -> list[str]:
    if not clients:
        return ["No clients. Create one: headrace clients create NAME"]
    rows = [[each.id, each.name, " ".join(each.scopes), display.moment(each.created_at)] for each in clients]
    return display.table_lines(["ID", "Name", "Scopes", "Created at"], rows)
