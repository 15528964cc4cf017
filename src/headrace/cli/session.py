"""Common parts of commands: the output form and, for those that use a server, the client."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.cli import display
from headrace.cli.connection import DEFAULT_SERVER, Connection, connection_of
from headrace.cli.display import Output
from headrace.cli.errors import USAGE, Failure

if TYPE_CHECKING:
    import httpx2

    from headrace_client import Client
    from headrace_client.ext import Ext
    from headrace_client.v1 import V1

TIMEOUT_S = 30.0
_OUTPUTS = {each.value: each for each in Output} | {"text": Output.TABLE, "plain": Output.TABLE}


def _read_output(text: str) -> Output:
    if text not in _OUTPUTS:
        raise typer.BadParameter(f"{text!r} is not table, json or yaml")
    return _OUTPUTS[text]


def _complete_output(incomplete: str) -> list[str]:
    return [each.value for each in Output if each.value.startswith(incomplete)]


def _complete_profile(incomplete: str) -> list[str]:
    from headrace.cli.profile_file import profile_names

    return profile_names(incomplete)


ServerOption = Annotated[
    str | None,
    typer.Option(
        "--server", metavar="URL", help=f"The server's URL.  [env: HEADRACE_SERVER; default: {DEFAULT_SERVER}]"
    ),
]
ProfileOption = Annotated[
    str | None,
    typer.Option(
        "--profile",
        metavar="NAME",
        help="Use the server and credentials of this profile.  [env: HEADRACE_PROFILE]",
        autocompletion=_complete_profile,
    ),
]
OutputOption = Annotated[
    Output | None,
    typer.Option(
        "--output",
        "-o",
        metavar="table|json|yaml",
        parser=_read_output,
        help="Output form, for people or for programs.  [default: table]",
        autocompletion=_complete_output,
    ),
]
_ABOUT_CERTIFICATES = "Check SSL_CERT_FILE and SSL_CERT_DIR."
_ABOUT_PROXIES = "Check ALL_PROXY, HTTP_PROXY and HTTPS_PROXY: each must be an http:// address or unset."
_INSECURE_HELP = "Skip certificate verification, for test machines."
_DEBUG_HELP = "Log each request, and show the traceback of a bug."
InsecureOption = Annotated[bool, typer.Option("--insecure-tls", help=_INSECURE_HELP)]
DebugOption = Annotated[bool, typer.Option("--debug", help=_DEBUG_HELP)]
InsecureToo = Annotated[bool, typer.Option("--insecure-tls", help=_INSECURE_HELP, hidden=True)]
DebugToo = Annotated[bool, typer.Option("--debug", help=_DEBUG_HELP, hidden=True)]
"""The same option after the command, hidden to keep help texts short."""
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print ids only, one per line.")]
KeyOption = Annotated[
    str | None,
    typer.Option("--idempotency-key", metavar="KEY", help="A repeated request with the same key takes effect once."),
]


@dataclass(frozen=True, slots=True)
class Defaults:
    """Options given before the command: `headrace -o json workflows list`."""

    server: str | None = None
    profile: str | None = None
    output: Output | None = None
    insecure_tls: bool = False
    debug: bool = False
    is_quiet: bool = False


class Printer:
    """Print a command's result in the chosen form."""

    def __init__(self, output: Output) -> None:
        self.output = output
        self.is_quiet = False

    @property
    def is_for_people(self) -> bool:
        return self.output is Output.TABLE and not self.is_quiet

    def show(self, value: dict[str, Any], text: str | Callable[[], Iterable[str]], *, ids: Iterable[str] = ()) -> None:
        """Print `{"data": value}` for a program, `text` (one line, or a function of lines) for people, `ids` for
        --quiet.
        """
        if self.is_quiet:
            display.lines(ids)
        elif self.output is not Output.TABLE:
            display.store(value, self.output)
        else:
            self.show_text(text)

    def show_text(self, text: str | Callable[[], Iterable[str]]) -> None:
        """Print text for people only."""
        if self.is_for_people:
            display.lines([text] if isinstance(text, str) else text())

    def warn(self, text: str) -> None:
        """Print a warning on standard error, where programs that read a document expect errors only."""
        if self.output is Output.TABLE:
            display.note(f"warning: {text}")


class Session(Printer):
    """Access of one command to the server. The client is created on first use."""

    def __init__(
        self, connection: Connection, output: Output, *, insecure_tls: bool = False, debug: bool = False
    ) -> None:
        super().__init__(output)
        self.connection = connection
        self._insecure_tls = insecure_tls
        self._debug = debug
        self._open = ExitStack()

    @property
    def server(self) -> str:
        return self.connection.server

    @property
    def v1(self) -> V1:
        return self.client.orchestration.v1

    @property
    def ext(self) -> Ext:
        return self.client.orchestration.ext

    @cached_property
    def client(self) -> Client:
        from headrace_client import Client

        identity = self.connection.identity
        security = None if identity is None else identity.credentials()
        client = Client(server_url=self.server, security=security, timeout_s=TIMEOUT_S, http_client=self._http_client())
        return self._open.enter_context(client)

    def _http_client(self) -> httpx2.Client:
        """HTTP client with certificates, proxies and --debug; the API client sends every request with it."""
        import httpx2

        from headrace_client.proxies import direct_mounts

        try:
            # Verification is off only where the option says so.
            client = httpx2.Client(verify=not self._insecure_tls, timeout=TIMEOUT_S, mounts=direct_mounts(self.server))
        except OSError as error:
            raise Failure(f"the certificates cannot be read: {error}", code=USAGE, hint=_ABOUT_CERTIFICATES) from None
        except (ImportError, ValueError) as error:  # SOCKS needs another package; an invalid address
            raise Failure(f"the proxy cannot be used: {error}", code=USAGE, hint=_ABOUT_PROXIES) from None
        if self._debug:
            client.event_hooks = {"request": [_note_start], "response": [_log_response]}
        return self._open.enter_context(client)

    def close(self) -> None:
        self._open.close()


def _note_start(request: httpx2.Request) -> None:
    request.extensions["headrace_note_start_s"] = time.monotonic()


def _log_response(response: httpx2.Response) -> None:
    """Log the response without header and body, which may hold secrets and amounts."""
    took_s = time.monotonic() - response.request.extensions["headrace_note_start_s"]
    request = response.request
    display.note(f"{request.method} {request.url.copy_with(query=None)} {response.status_code} {took_s * 1000:.0f} ms")


def session_of(
    context: typer.Context,
    server: str | None,
    profile: str | None,
    output: Output | None,
    *,
    insecure_tls: bool = False,
    debug: bool = False,
    note: Callable[[str], None] = display.note,
) -> Session:
    """Create a session. Options of the command override those given before it."""
    from headrace.cli.profile_file import is_open_to_others, profile_path, read_profiles

    defaults = defaults_of(context)
    path = profile_path(os.environ)
    profiles = read_profiles(path)
    connection = connection_of(server or defaults.server, profile or defaults.profile, os.environ, profiles)
    if path is not None and any(each.has_secret for each in profiles.named.values()) and is_open_to_others(path):
        note(f"{path} holds secrets and others may read it: chmod 600 {path}")
    return Session(
        connection,
        output_of(context, output),
        insecure_tls=insecure_tls or defaults.insecure_tls,
        debug=debug or defaults.debug,
    )


def output_of(context: Any, output: Any) -> Output:
    return output or defaults_of(context).output or Output.TABLE


def defaults_of(context: Any) -> Defaults:
    found = getattr(context, "obj", None)
    return found if isinstance(found, Defaults) else Defaults()
