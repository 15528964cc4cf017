"""What every command that talks to a server shares: its address, the form of its answers, the client."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.errors import InvalidValue

if TYPE_CHECKING:
    from headrace_client import Client, Credentials

DEFAULT_SERVER = "http://127.0.0.1:8484"


class Output(StrEnum):
    TEXT = "text"
    JSON = "json"


ServerOption = Annotated[
    str | None,
    typer.Option("--server", envvar="HEADRACE_SERVER", help=f"The server's address.  [default: {DEFAULT_SERVER}]"),
]
OutputOption = Annotated[
    Output | None, typer.Option("--output", "-o", help="Text for people, or JSON for programs.  [default: text]")
]
KeyOption = Annotated[
    str | None,
    typer.Option("--idempotency-key", help="Repeating a call with its key makes sure that it is carried out once."),
]


@dataclass(frozen=True, slots=True)
class Defaults:
    """What was given before the command: `headrace -o json workflows list`."""

    server: str | None = None
    output: Output | None = None


@dataclass(frozen=True, slots=True)
class Session:
    server: str
    output: Output

    @property
    def is_json(self) -> bool:
        return self.output is Output.JSON

    @contextmanager
    def client(self, *, timeout_s: float = 30.0) -> Generator[Client]:
        from headrace_client import Client

        with Client(server_url=self.server, timeout_s=timeout_s, security=_credentials()) as client:
            yield client


def _credentials() -> Credentials | None:
    """HEADRACE_TOKEN, or HEADRACE_CLIENT_ID and HEADRACE_CLIENT_SECRET, whose tokens come from HEADRACE_TOKEN_URL."""
    from headrace_client import ClientCredentials

    token = os.environ.get("HEADRACE_TOKEN")
    if token:
        return lambda: token
    client_id, client_secret = os.environ.get("HEADRACE_CLIENT_ID"), os.environ.get("HEADRACE_CLIENT_SECRET")
    if not client_id and not client_secret:
        return None
    if not client_id or not client_secret:
        missing = "HEADRACE_CLIENT_SECRET" if client_id else "HEADRACE_CLIENT_ID"
        raise InvalidValue(missing, "is set together with the other of the two or not at all")
    return ClientCredentials(client_id, client_secret, os.environ.get("HEADRACE_TOKEN_URL") or None)


def session_of(context: typer.Context, server: str | None, output: Output | None) -> Session:
    address = server or _defaults(context).server or DEFAULT_SERVER
    if not address.startswith(("http://", "https://")):
        raise typer.BadParameter(f"{address!r} is not an http:// or https:// address", param_hint="'--server'")
    return Session(server=address.rstrip("/"), output=output_of(context, output))


def output_of(context: Any, output: Any) -> Output:
    return output or _defaults(context).output or Output.TEXT


def _defaults(context: Any) -> Defaults:
    found = getattr(context, "obj", None)
    return found if isinstance(found, Defaults) else Defaults()
