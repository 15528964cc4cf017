"""`headrace instances undo`: revert what a case has done."""

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


def undo(
    session: Session,
    instance_id: Annotated[
        str,
        typer.Argument(metavar="INSTANCE", help="Id of the instance, which has ended.", autocompletion=instance_ids),
    ],
    reason: Annotated[
        str | None, typer.Option("--reason", metavar="TEXT", help="Why; it is stored. Only --preview needs none.")
    ] = None,
    external: Annotated[
        str, typer.Option("--external", metavar="keep|reverse", help="Keep a payout that is paid, or reverse it.")
    ] = "keep",
    plan: Annotated[
        str | None,
        typer.Option("--plan", metavar="PLAN", help="Id of a plan of this undo: it does what was signed, or ends."),
    ] = None,
    accept_failure: Annotated[
        bool, typer.Option("--accept-failure", help="With --plan: undo it though that would fail.")
    ] = False,
    preview: Annotated[bool, typer.Option("--preview", help="Only show what would be reverted.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not show it, and do not ask.")] = False,
    idempotency_key: KeyOption = None,
) -> None:
    """Undo the case of an instance: a new one reverts what is done, the last effect first.

    Shows what would be reverted and what is kept, and asks before it starts; a yes is to the plan that is shown.
    """
    from headrace.cli.documents import document
    from headrace.cli.plan_text import plan_lines
    from headrace.cli.undo_text import counted, undo_lines

    if external not in ("keep", "reverse"):
        raise Failure(f"--external {external!r} is neither keep nor reverse", code=USAGE)
    if plan is None and accept_failure:
        raise Failure("--accept-failure needs --plan", code=USAGE)
    if plan is not None and (preview or external != "keep"):
        raise Failure("--plan takes neither --preview nor --external: the plan says it", code=USAGE)
    if preview:
        found = session.ext.preview_undo(instance_id=instance_id, external=external).data
        session.show({"undo": document(found)}, lambda: undo_lines(found, external=external))
        return
    if reason is None:
        raise Failure("an undo needs its reason: add --reason TEXT", code=USAGE)
    if not yes and plan is None:
        lines, planned = _planned(session, instance_id, external)
        accept_failure = planned.get("verdict", "succeeds") != "succeeds"
        _ask(lines, fails=accept_failure)
        plan = planned.get("id")
    elif not yes:
        _ask(plan_lines(json.loads(session.ext.get_plan(plan_id=plan or "").raw)["data"]))
    body: Json = {"reason": reason}
    if plan is not None:
        body |= {"planID": plan} | ({"acceptFailure": True} if accept_failure else {})
    elif external != "keep":
        body["external"] = external
    made = session.ext.undo_instance(instance_id=instance_id, request_body=body, idempotency_key=idempotency_key).data
    session.show({"undo": document(made)}, f"Undo of {counted(made.reverts)} started with ID: {made.id}", ids=[made.id])


def _planned(session: Session, instance_id: str, external: str) -> tuple[list[str], Json]:
    """The preview of an undo with its plan, which is empty where none can be made."""
    from headrace.cli.plan_text import plan_lines
    from headrace.cli.undo_text import undo_lines
    from headrace_client import Error, SDKError

    found = session.ext.preview_undo(instance_id=instance_id, external=external).data
    lines = undo_lines(found, external=external)
    if not found.stages and not found.blocked:
        for line in lines:
            display.note(line)
        raise Failure("nothing was started")
    try:
        made = session.ext.create_plan(plan={"undo": instance_id, "external": external, "expiresIn": "1h"})
    except (Error, SDKError) as error:  # as while a bank works on a payout
        return [*lines, "", *display.hanging(f"What it moves cannot be planned now: {error}", "  ")], {}
    plan: Json = json.loads(made.raw)["data"]
    return [*lines, "", *plan_lines(plan)], plan


def _ask(lines: list[str], *, fails: bool = False) -> None:
    """Show the undo on standard error and wait for a yes. Raises Failure without one."""
    for line in lines:
        display.note(line)
    if not sys.stdin.isatty():
        raise Failure("this needs a yes, and there is no terminal to ask on: add --yes", code=USAGE)
    if not typer.confirm("It would FAIL, and leave the rest as it is. Undo it?" if fails else "Undo it?", err=True):
        raise Failure("nothing was started")
