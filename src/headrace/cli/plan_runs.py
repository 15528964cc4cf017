"""`headrace run`: run a workflow, or a plan as it was signed."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from headrace.cli.completion import workflow_ids
from headrace.cli.errors import USAGE, Failure
from headrace.cli.session import KeyOption, Session

Json = dict[str, Any]


def run(
    session: Session,
    subject: Annotated[
        str | None,
        typer.Argument(
            metavar="[WORKFLOW]", help="Id or name of a workflow to run without a plan.", autocompletion=workflow_ids
        ),
    ] = None,
    variable: Annotated[
        list[str] | None,
        typer.Option(
            "--variable", "--var", metavar="NAME=VALUE", help="Of WORKFLOW; repeatable; a comma separates several."
        ),
    ] = None,
    plan: Annotated[str | None, typer.Option("--plan", metavar="PLAN", help="Id of the plan.")] = None,
    signed: Annotated[
        str | None, typer.Option("--hash", metavar="HASH", help="The hash that was signed.  [default: the plan's]")
    ] = None,
    workflow: Annotated[
        str | None,
        typer.Option(
            "--workflow",
            metavar="WORKFLOW",
            help="Of the plan of a file: id or name of the workflow that equals it.",
            autocompletion=workflow_ids,
        ),
    ] = None,
    accept_failure: Annotated[
        bool, typer.Option("--accept-failure", help="Run a plan that would fail, as far as it goes.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait", "-w", help="Wait until the instance has ended.")] = False,
    timeout: Annotated[float, typer.Option("--timeout", metavar="SECONDS", min=0, help="Time limit of --wait.")] = 600,
    idempotency_key: KeyOption = None,
) -> None:
    """Run a workflow, or a plan: its instance does what was signed, or its stage ends.

    A name with versions runs its current one. A plan starts one instance. With --wait, the exit code is 0 only if the
    instance succeeded.
    """
    from headrace.cli.names import workflow_id_of
    from headrace.cli.starts import awaited, show_started, start

    if (subject is None) == (plan is None):
        raise Failure("give a workflow, or --plan", code=USAGE)
    if subject is not None:
        if signed or workflow or accept_failure:
            raise Failure("--hash, --workflow and --accept-failure belong to --plan", code=USAGE)
        start(session, subject, variable or [], wait=wait, timeout_s=timeout, idempotency_key=idempotency_key)
        return
    if variable:
        raise Failure("--variable is not given with --plan, which has its own", code=USAGE)
    found: Json = json.loads(session.ext.get_plan(plan_id=plan).raw)["data"]
    wanted: Json = {"hash": signed or found["hash"]}
    if accept_failure:
        wanted["acceptFailure"] = True
    if workflow is not None:
        wanted["workflowID"] = workflow_id_of(session, workflow)
    instance = session.ext.run_plan(plan_id=found["id"], request_body=wanted, idempotency_key=idempotency_key).data
    session.show_text(f"Workflow instance created with ID: {instance.id}")
    stages = found["definition"]["stages"]
    if wait:
        instance = awaited(session, instance, stages, timeout)
    show_started(session, instance, stages, has_waited=wait)
