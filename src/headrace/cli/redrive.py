"""`headrace instances redrive`: continue an instance that has failed."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer

from headrace.cli import display
from headrace.cli.completion import instance_ids
from headrace.cli.errors import USAGE, Failure
from headrace.cli.session import KeyOption, Session

Json = dict[str, Any]


def redrive(
    session: Session,
    instance_id: Annotated[
        str, typer.Argument(metavar="INSTANCE", help="Id of the failed instance.", autocompletion=instance_ids)
    ],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is stored.")],
    plan: Annotated[
        str | None,
        typer.Option("--plan", metavar="PLAN", help="Id of a plan of this redrive: it does what was signed, or ends."),
    ] = None,
    accept_failure: Annotated[
        bool, typer.Option("--accept-failure", help="With --plan: continue it though it would fail.")
    ] = False,
    skip: Annotated[
        bool, typer.Option("--skip", help="Of a failed undo: keep the effect that it could not revert, and go on.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not show what would be sent, and do not ask.")] = False,
    idempotency_key: KeyOption = None,
) -> None:
    """Continue an instance that has failed: a new one goes on where it failed. What is done is not sent again.

    Shows what would be sent and asks before it starts.
    """
    from headrace.cli.documents import document

    if accept_failure and plan is None:
        raise Failure("--accept-failure needs --plan", code=USAGE)
    if skip and plan is not None:
        raise Failure("--skip takes no --plan: what is left out is in no plan", code=USAGE)
    if not yes and skip:
        _confirm("This keeps the effect that the undo could not revert, and goes on with the next one. Continue?")
    elif not yes:
        _ask(session, instance_id, plan)
    wanted: Json = {"reason": reason} | ({"skip": True} if skip else {})
    if plan is not None:
        wanted |= {"planID": plan} | ({"acceptFailure": True} if accept_failure else {})
    made = session.ext.redrive_instance(
        instance_id=instance_id, request_body=wanted, idempotency_key=idempotency_key
    ).data
    session.show(
        {"continuation": document(made)},
        f"Continued from stage {made.from_stage} with ID: {made.id}",
        ids=[made.id],
    )


def _ask(session: Session, instance_id: str, plan_id: str | None) -> None:
    """Show on standard error what would be sent, and wait for a yes. Raises Failure without one."""
    from headrace.cli.plan_text import plan_lines

    ext = session.ext
    found = ext.create_plan(plan={"redrive": instance_id}) if plan_id is None else ext.get_plan(plan_id=plan_id)
    plan: Json = json.loads(found.raw)["data"]
    for line in plan_lines(plan):
        display.note(line)
    count = len(plan["effects"])
    what = "nothing" if not count else "1 effect" if count == 1 else f"{count} effects"
    _confirm(f"This continues the instance and sends {what}. Continue?")


def _confirm(question: str) -> None:
    if not sys.stdin.isatty():
        raise Failure("this needs a yes, and there is no terminal to ask on: add --yes", code=USAGE)
    if not typer.confirm(question, err=True):
        raise Failure("nothing was started")
