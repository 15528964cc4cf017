"""`headrace dev` and `headrace serve`: the two commands that run a server."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headrace.cli import display
from headrace.cli.exits import USAGE, Failure

if TYPE_CHECKING:
    from headrace.settings import Settings

HostOption = Annotated[
    str | None, typer.Option("--host", envvar="HEADRACE_HOST", help="Address to listen at.  [default: 127.0.0.1]")
]
PortOption = Annotated[
    int | None,
    typer.Option("--port", envvar="HEADRACE_PORT", min=0, max=65_535, help="0: a free one.  [default: 8484]"),
]
DataOption = Annotated[
    Path | None,
    typer.Option("--data", envvar="HEADRACE_DATA", help="Folder that keeps everything.  [default: .headrace]"),
]
FaultOption = Annotated[
    list[str] | None,
    typer.Option(
        "--fault",
        metavar="SERVICE:KIND:RATE[:SECONDS]",
        help="Make the sandbox misbehave: ledger:drop:0.2. KIND: an HTTP status, drop, delay, overlap. Repeatable.",
    ),
]


def dev(
    host: HostOption = None,
    port: PortOption = None,
    data: DataOption = None,
    ephemeral: Annotated[bool, typer.Option("--ephemeral", help="Keep nothing: forget all at the end.")] = False,
    fault: FaultOption = None,
) -> None:
    """Run everything here, on one port.

    API, engine, and a sandbox that stands in for ledger, wallets and payments.
    """
    if ephemeral and data is not None:
        raise Failure("--ephemeral keeps nothing, --data keeps it there: choose one", code=USAGE)
    settings = _settings()
    folder = None if ephemeral else (data or settings.data).expanduser().absolute()
    _serve(
        settings, host, port, folder, faults=fault or (), on_ready=lambda url: _announce_dev(url, folder, fault or ())
    )


def serve(
    host: HostOption = None,
    port: PortOption = None,
    data: DataOption = None,
    auth: Annotated[
        str | None, typer.Option("--auth", metavar="none", help="none: anybody who reaches the port may move money.")
    ] = None,
) -> None:
    """Run API and engine against real services.

    They are named by HEADRACE_STACK_URL, or each by its own: HEADRACE_LEDGER_URL, HEADRACE_WALLETS_URL and
    HEADRACE_PAYMENTS_URL. HEADRACE_STACK_CLIENT_ID, _CLIENT_SECRET and _TOKEN_URL are for calls to them.
    """
    settings = _settings()
    _check_authentication(auth, host or settings.host)
    _check_downstream(settings)
    folder = (data or settings.data).expanduser().absolute()
    _serve(settings, host, port, folder, faults=None, on_ready=lambda url: _announce(url, folder))


def _settings() -> Settings:
    from headrace.settings import Settings

    return Settings.from_env(os.environ)


def _serve(
    settings: Settings,
    host: str | None,
    port: int | None,
    data: Path | None,
    *,
    faults: Sequence[str] | None,
    on_ready: Callable[[str], None],
) -> None:
    """`faults` is None where there is no sandbox."""
    from headrace.app import serve as run_server

    run_server(
        settings,
        host=host or settings.host,
        port=settings.port if port is None else port,
        data=data,
        sandbox=faults is not None,
        faults=faults or (),
        on_ready=on_ready,
    )


def _check_authentication(auth: str | None, host: str) -> None:
    if auth is None:
        raise Failure(
            "serve does not start without authentication",
            code=USAGE,
            hint="This version has none yet. `--auth none` starts it without, on a loopback address only.",
        )
    if auth != "none":
        raise Failure(f"--auth {auth!r}: this version knows only `none`", code=USAGE)
    if not _is_loopback(host):
        raise Failure(
            f"--auth none is for loopback addresses only, and {host!r} is none",
            code=USAGE,
            hint="Whoever reaches the port could move money. Use --host 127.0.0.1.",
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _check_downstream(settings: Settings) -> None:
    if settings.stack_url is not None:
        return
    urls = {"LEDGER": settings.ledger_url, "WALLETS": settings.wallets_url, "PAYMENTS": settings.payments_url}
    missing = [f"HEADRACE_{service}_URL" for service, url in urls.items() if url is None]
    if missing:
        raise Failure(
            f"not set: {', '.join(missing)}",
            code=USAGE,
            hint="Set these, or HEADRACE_STACK_URL for a whole stack (then /api/ledger and so on follow it).",
        )


def _announce_dev(url: str, data: Path | None, faults: Sequence[str]) -> None:
    display.line(f"Headrace is ready at {url}")
    _say_where(url, data)
    display.line(f"  Sandbox    {url}/api/ledger  {url}/api/wallets  {url}/api/payments  (a stand-in: no real money)")
    for fault in faults:
        display.line(f"  Fault      {fault}")
    display.line("  Try        headrace workflows create FILE   (Ctrl-C stops the server)", flush=True)


def _announce(url: str, data: Path | None) -> None:
    display.line(f"Headrace is ready at {url}")
    _say_where(url, data)
    display.line("  Without authentication: whoever reaches this port may move money.", flush=True)


def _say_where(url: str, data: Path | None) -> None:
    display.line(f"  API        {url}/api/orchestration   (readable at {url}/docs)")
    display.line(f"  Data       {data if data is not None else 'a temporary folder, gone at the end (--ephemeral)'}")
