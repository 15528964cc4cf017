"""`headrace dev` and `headrace serve`: the two commands that run a server."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.cli import display
from headrace.cli.connection import DEFAULT_SERVER
from headrace.cli.errors import USAGE, Failure

if TYPE_CHECKING:
    from headrace.auth.developer import Developer
    from headrace.settings import Settings

HostOption = Annotated[
    str | None,
    typer.Option(
        "--host", metavar="ADDRESS", envvar="HEADRACE_HOST", help="Address to listen at.  [default: 127.0.0.1]"
    ),
]
PortOption = Annotated[
    int | None,
    typer.Option(
        "--port", metavar="PORT", envvar="HEADRACE_PORT", min=0, max=65_535, help="0: a free one.  [default: 8484]"
    ),
]
DataOption = Annotated[
    Path | None,
    typer.Option("--data", metavar="FOLDER", envvar="HEADRACE_DATA", help="Folder of all data.  [default: .headrace]"),
]
FaultOption = Annotated[
    list[str] | None,
    typer.Option(
        "--fault",
        metavar="SERVICE:KIND:RATE[:SECONDS]",
        help="Make the sandbox fail: ledger:drop:0.2. KIND: an HTTP status, drop, delay, overlap. Repeatable.",
    ),
]


AuthOption = Annotated[
    str | None,
    typer.Option(
        "--auth",
        envvar="HEADRACE_AUTH",
        metavar="local|oidc|none",
        help="Authentication: local, clients of `headrace clients create`; oidc, tokens of HEADRACE_ISSUER; "
        "none, on a loopback address only.",
    ),
]


EngineOption = Annotated[
    str | None,
    typer.Option(
        "--engine",
        envvar="HEADRACE_ENGINE",
        metavar="embedded|temporal",
        help="What drives the instances: embedded, this server; temporal, `headrace worker` processes.  "
        "[default: embedded]",
    ),
]

_ABOUT_DEV = (
    "Add --auth, use --host 127.0.0.1, or --open-to-network: anything that reaches the port may read and write."
)


def dev(
    host: HostOption = None,
    port: PortOption = None,
    data: DataOption = None,
    ephemeral: Annotated[bool, typer.Option("--ephemeral", help="Delete all data at the end.")] = False,
    fault: FaultOption = None,
    auth: Annotated[bool, typer.Option("--auth", help="Require tokens; prints a ready client.")] = False,
    open_to_network: Annotated[
        bool,
        typer.Option(
            "--open-to-network",
            help="Without --auth, listen at any address: anything that reaches the port may read and write.",
        ),
    ] = False,
) -> None:
    """Run API, engine and sandbox on one port.

    The sandbox imitates ledger, wallets and payments; no real money moves.
    """
    if ephemeral and data is not None:
        raise Failure("--ephemeral and --data exclude each other: give one", code=USAGE)
    if os.environ.get("HEADRACE_DATABASE_URL"):
        display.note("HEADRACE_DATABASE_URL has no effect on dev, whose journal is a file.")
    settings = _settings(database_url=None, engine="embedded", duties=None, **({"auth": "local"} if auth else {}))
    if settings.auth is None and settings.approval_rules is not None:
        raise Failure("HEADRACE_APPROVAL_RULES needs persons who approve: add --auth", code=USAGE)
    if settings.auth in (None, "none") and not open_to_network:
        _check_loopback(host or settings.host, "dev without --auth", _ABOUT_DEV)
    folder = None if ephemeral else (data or settings.data).expanduser().absolute()
    developers: list[Developer] = []

    def prepare(where: Path) -> None:
        from headrace.auth.developer import developer_client
        from headrace.clock import SystemClock
        from headrace.composition.authentication import clients_file

        developers.append(developer_client(clients_file(settings, where), where, SystemClock(), os.urandom))

    def announce(url: str) -> None:
        _announce_dev(url, folder, settings, fault or (), developers)

    is_ours = settings.auth == "local"
    _serve(settings, host, port, folder, faults=fault or (), on_ready=announce, prepare=prepare if is_ours else None)


def serve(
    host: HostOption = None,
    port: PortOption = None,
    data: DataOption = None,
    auth: AuthOption = None,
    engine: EngineOption = None,
) -> None:
    """Run API and engine against real services.

    HEADRACE_STACK_URL names all services, or HEADRACE_LEDGER_URL, HEADRACE_WALLETS_URL and HEADRACE_PAYMENTS_URL
    name one each. HEADRACE_STACK_CLIENT_ID, _CLIENT_SECRET and _TOKEN_URL are the credentials for them.

    HEADRACE_DATABASE_URL names a PostgreSQL database for the journal, made by `headrace migrate`. A second server on
    the same database is a standby: it answers 503 until the first one is gone, and then takes over.

    While the disk is full or read-only, or the database is not reachable, the server answers 503 with the reason, and
    starts after it recovers. Exit code 5: another server owns the data folder. Exit code 6: the journal is damaged, of
    another release, or cannot be opened. Exit code 75: a standby has taken over; start the server again.
    """
    chosen = {} if auth is None else {"auth": _known("--auth (HEADRACE_AUTH)", auth, "local", "oidc", "none")}
    if engine is not None:
        chosen["engine"] = _known("--engine (HEADRACE_ENGINE)", engine, "embedded", "temporal")
    settings = _settings(**chosen)
    _check_authentication(settings, host or settings.host)
    if settings.stack_url is None:
        urls = {"LEDGER": settings.ledger_url, "WALLETS": settings.wallets_url, "PAYMENTS": settings.payments_url}
        missing = [f"HEADRACE_{service}_URL" for service, url in urls.items() if url is None]
        if missing:
            raise Failure(
                f"not set: {', '.join(missing)}",
                code=USAGE,
                hint="Set these, or HEADRACE_STACK_URL for a whole stack (its paths are /api/ledger and so on).",
            )
    folder = (data or settings.data).expanduser().absolute()
    _serve(settings, host, port, folder, faults=None, on_ready=lambda url: _announce(url, folder, settings))


def _settings(**chosen: Any) -> Settings:
    from headrace.settings import Settings

    return Settings.from_env(os.environ, **chosen)


def _serve(
    settings: Settings,
    host: str | None,
    port: int | None,
    data: Path | None,
    *,
    faults: Sequence[str] | None,
    on_ready: Callable[[str], None],
    prepare: Callable[[Path], None] | None = None,
) -> None:
    """Run the server; `faults` is None without a sandbox."""
    from headrace.server import serve as run_server

    run_server(
        settings,
        host=host or settings.host,
        port=settings.port if port is None else port,
        data=data,
        sandbox=faults is not None,
        faults=faults or (),
        on_ready=on_ready,
        prepare=prepare,
    )


def _known(option: str, word: str, *words: str) -> str:
    if word.lower() not in words:
        raise Failure(f"{option} {word!r}: must be {', '.join(words[:-1])} or {words[-1]}", code=USAGE)
    return word.lower()


def _check_authentication(settings: Settings, host: str) -> None:
    if settings.auth is None:
        raise Failure(
            "serve does not start without authentication",
            code=USAGE,
            hint="`--auth local`: clients of `headrace clients create`. `--auth oidc`: tokens of HEADRACE_ISSUER. "
            "`--auth none`: on a loopback address only.",
        )
    if settings.auth == "none":
        _check_loopback(host, "--auth none", "Anything that reaches the port could move money. Use --host 127.0.0.1.")


def _check_loopback(host: str, what: str, hint: str) -> None:
    if not _is_loopback(host):
        raise Failure(f"{what} requires a loopback address, and {host!r} is not one", code=USAGE, hint=hint)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _announce_dev(
    url: str, data: Path | None, settings: Settings, faults: Sequence[str], developers: Sequence[Developer]
) -> None:
    display.line(f"Headrace is ready at {url}")
    _show_addresses(url, data)
    display.line(f"  Sandbox    {url}/api/ledger  {url}/api/wallets  {url}/api/payments  (imitated: no real money)")
    display.line(f"             as ledger {settings.sandbox_ledger}, with payments events {settings.sandbox_events}")
    for fault in faults:
        display.line(f"  Fault      {fault}")
    for developer in developers:
        display.line("  Client     for the command line, and for any SDK:")
        display.line(f"    export HEADRACE_SERVER={url}")
        display.line(f"    export HEADRACE_CLIENT_ID={developer.client_id}")
        display.line(f"    export HEADRACE_CLIENT_SECRET={developer.client_secret}")
    elsewhere = "" if developers or url == DEFAULT_SERVER else f" --server {url}"
    display.line(f"  Try        headrace workflows create FILE{elsewhere}   (Ctrl-C stops the server)", flush=True)


def _announce(url: str, data: Path | None, settings: Settings) -> None:
    from headrace.auth.developer import CLIENT_ID
    from headrace.composition.authentication import client_store
    from headrace.composition.startup import shown_database, targets

    display.line(f"Headrace is ready at {url}")
    _show_addresses(url, data)
    if settings.database_url is not None:
        display.line(f"  Database   {shown_database(settings.database_url)}")
    for service, root in targets(settings).items():
        display.line(f"  {service.capitalize():10} {root}")
    if settings.broker_url is not None:
        display.line(f"  Broker     {settings.broker_url}")
    # The secret of the development client was printed, and is readable in the data folder.
    if settings.auth == "local" and data is not None and CLIENT_ID in client_store(settings, data).read():
        display.line(
            f"  Warning    the client {CLIENT_ID} of `headrace dev --auth` is accepted here too: "
            f"headrace clients delete {CLIENT_ID}"
        )
    display.line(f"  {_authentication(settings)}", flush=True)


def _authentication(settings: Settings) -> str:
    if settings.auth == "none":
        return "Without authentication: anything that reaches this port may move money."
    if settings.auth == "oidc":
        audience = settings.audience or "any audience (HEADRACE_AUDIENCE is not set)"
        return f"Tokens     of {settings.issuer} for {audience}"
    return "Clients    headrace clients create|list|delete"


def _show_addresses(url: str, data: Path | None) -> None:
    display.line(f"  API        {url}/api/orchestration   (documentation: {url}/docs)")
    display.line(f"  Console    {url}/console")
    display.line(f"  Data       {data if data is not None else 'a temporary folder, deleted at the end (--ephemeral)'}")
