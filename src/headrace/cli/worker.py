"""`headrace worker`: a process that drives instances for servers with the Temporal engine."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from headrace.cli import display

HEALTH_PORT = 8485


def worker(
    host: Annotated[str, typer.Option("--host", metavar="ADDRESS", help="Address of the probes.")] = "127.0.0.1",
    health_port: Annotated[
        int,
        typer.Option(
            "--health-port",
            metavar="PORT",
            min=0,
            max=65_535,
            help="Port of /livez, /readyz and /metrics; 0: a free one.",
        ),
    ] = HEALTH_PORT,
) -> None:
    """Drive instances for servers with HEADRACE_ENGINE=temporal.

    Any number of workers may run. All share the database of the servers (HEADRACE_DATABASE_URL), reach the same
    services, and take their work from Temporal (HEADRACE_TEMPORAL_ADDRESS). SIGTERM lets attempts under way end.
    """
    from headrace.composition.worker import compose_worker
    from headrace.server import serve as run_server
    from headrace.settings import Settings

    settings = Settings.from_env(os.environ, engine="temporal")
    run_server(
        settings,
        host=host,
        port=health_port,
        data=settings.data.expanduser().absolute(),
        sandbox=False,
        faults=(),
        on_ready=lambda url: display.line(f"Headrace worker is ready; probes at {url}", flush=True),
        make=compose_worker,
    )
