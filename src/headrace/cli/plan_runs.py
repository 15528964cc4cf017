"""`headrace run`: run a plan as it was signed."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from headrace.cli.completion import workflow_ids
from headrace.cli.session import KeyOption, Session

Json = dict[str, Any]


def run(
    session: Session,
    plan: Annotated[str, typer.Option("--plan", metavar="PLAN", help="Id of the plan.")],
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
    """Run a plan: the instance does what was signed, or its stage ends.

    A plan starts one instance. With --wait, the exit code is 0 only if the instance succeeded.
    """
    from headrace.cli.names import workflow_id_of
    from headrace.cli.starts import awaited, show_started

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
