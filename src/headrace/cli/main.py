"""The command `headrace`: its groups, its global options, and the final guard against tracebacks."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from headrace.cli import (
    apply,
    approvals,
    attention,
    audit,
    backup,
    batch,
    certificate,
    clients,
    demo_command,
    doctor,
    engine_command,
    events,
    instances,
    migrate,
    plan,
    plan_runs,
    profiles,
    reindex,
    servers,
    starter,
    testing,
    transfer,
    triggers,
    worker,
    workflows,
)
from headrace.cli.completion import rejoin_words, script
from headrace.cli.display import prepare_streams
from headrace.cli.errors import DESCRIPTION, reporting
from headrace.cli.registration import add_again, add_group, command, new_group
from headrace.cli.session import (
    DebugOption,
    Defaults,
    InsecureOption,
    OutputOption,
    ProfileOption,
    QuietOption,
    ServerOption,
)

app = new_group(
    "Money-movement workflows: run them on a laptop, prove them correct.\n\n"
    "Compatible with the Formance Orchestration API.\n\n" + DESCRIPTION,
    has_completion=True,
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
    profile: ProfileOption = None,
    output: OutputOption = None,
    insecure_tls: InsecureOption = False,
    debug: DebugOption = False,
    quiet: QuietOption = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Keep the global options for the command. Its help text is that of `app`."""
    context.obj = Defaults(server, profile, output, insecure_tls, debug, quiet)


command(app, "dev")(servers.dev)
command(app, "serve")(servers.serve)
command(app, "worker")(worker.worker)
command(app, "demo")(demo_command.demo)
command(app, "plan")(plan.plan)
command(app, "run", has_ids=True)(plan_runs.run)
command(app, "apply", has_ids=True)(apply.apply)
command(app, "plans", has_ids=True)(approvals.plans)
command(app, "approve", has_ids=True)(approvals.approve)
command(app, "reject", has_ids=True)(approvals.reject)
command(app, "doctor")(doctor.doctor)
command(app, "audit")(audit.audit)
command(app, "attention", has_ids=True)(attention.attention)
command(app, "migrate")(migrate.migrate)
command(app, "reindex")(reindex.reindex)
command(app, "backup")(backup.backup)
command(app, "restore")(backup.restore)
command(app, "export")(transfer.export)
command(app, "import")(transfer.import_)
command(app, "init")(starter.init)
command(app, "test")(testing.run_cases)
command(app, "prove")(testing.prove)
command(app, "completion")(script)
add_group(app, engine_command.group, "engine")
add_group(app, workflows.group, "workflows", "workflow", "work", "w")
add_group(app, instances.group, "instances", "instance", "ins", "i")
add_group(app, triggers.group, "triggers", "trigger", "trig", "t")
add_group(app, events.group, "events", "event", "e")
add_group(app, batch.group, "batch", "batches")
add_group(app, certificate.group, "certificate", "certificates", "cert")
add_group(app, clients.group, "clients", "client", "c")
add_group(app, profiles.group, "profiles", "profile", "prof", "p")
AS_OFFICIAL = "The same groups as in the official command line, so that an alias suffices."
add_again(app, AS_OFFICIAL, ("workflows", "instances", "triggers"), "orchestration", "orch", "or")


def main() -> None:
    prepare_streams()
    rejoin_words(os.environ)
    try:
        with reporting():
            app(prog_name="headrace")
    except typer.Exit as end:
        raise SystemExit(end.exit_code) from None
