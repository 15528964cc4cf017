"""`headrace instances undo`: revert what a case has done."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.cli import display
from headrace.cli.completion import instance_ids
from headrace.cli.errors import USAGE, Failure
from headrace.cli.session import KeyOption, Session

if TYPE_CHECKING:
    from headrace_client import UndoPreview

Json = dict[str, Any]


def undo(
    session: Session,
    instance_id: Annotated[
        str,
        typer.Argument(metavar="INSTANCE", help="Id of the instance, which has ended.", autocompletion=instance_ids),
    ],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is stored.")],
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

    Shows what would be reverted and what is kept, and asks before it starts.
    """
    from headrace.cli.documents import document
    from headrace.cli.plan_text import plan_lines

    if external not in ("keep", "reverse"):
        raise Failure(f"--external {external!r} is neither keep nor reverse", code=USAGE)
    if plan is None and accept_failure:
        raise Failure("--accept-failure needs --plan", code=USAGE)
    if plan is not None and (preview or external != "keep"):
        raise Failure("--plan takes neither --preview nor --external: the plan says it", code=USAGE)
    if preview:
        found = session.ext.preview_undo(instance_id=instance_id, external=external).data
        session.show({"undo": document(found)}, lambda: undo_lines(found))
        return
    if not yes and plan is None:
        lines, fails = _planned(session, instance_id, external)
        _ask(lines, fails=fails)
    elif not yes:
        _ask(plan_lines(json.loads(session.ext.get_plan(plan_id=plan or "").raw)["data"]))
    body: Json = {"reason": reason} | ({} if external == "keep" else {"external": external})
    if plan is not None:
        body |= {"planID": plan} | ({"acceptFailure": True} if accept_failure else {})
    made = session.ext.undo_instance(instance_id=instance_id, request_body=body, idempotency_key=idempotency_key).data
    session.show(
        {"undo": document(made)}, f"Undo of {_counted(made.reverts)} started with ID: {made.id}", ids=[made.id]
    )


def undo_lines(found: UndoPreview) -> list[str]:
    """The preview of an undo, one line for each effect."""
    lines = [f"Reverts {_counted(len(found.stages))}, the last one first"]
    lines += [f"  {number}. {_sentence(stage['revert'])}" for number, stage in enumerate(found.stages, 1)]
    for heading, effects in (("Keeps", found.kept), ("A person must decide first", found.blocked)):
        if effects:
            lines += ["", heading]
            lines += [f"  {each.activity} of stage {each.stage}: {each.reason}" for each in effects]
    return lines


def _sentence(revert: Json) -> str:
    kind, given = next(iter(revert.items()))
    unless = ", unless the payout it funded is paid" if "unlessPaid" in given else ""
    match kind:
        case "transaction":
            return f"transaction {given['id']} of ledger {given['ledger']}{unless}"
        case "wallet":
            return f"{given['amount']} {given['asset']} on wallet {given['id']}{unless}"
        case _:
            paid = "kept" if given.get("external") == "keep" else "reversed"
            return f"payout of {given['amount']} {given['asset']}, {paid} if it is paid by then"


def _counted(effects: int) -> str:
    return "1 effect" if effects == 1 else f"{effects} effects"


def _planned(session: Session, instance_id: str, external: str) -> tuple[list[str], bool]:
    """The preview of an undo with its money, and whether it would fail. Without the money where no plan can be made."""
    from headrace.cli.plan_text import plan_lines
    from headrace_client import Error, SDKError

    lines = undo_lines(session.ext.preview_undo(instance_id=instance_id, external=external).data)
    try:
        made = session.ext.create_plan(plan={"undo": instance_id, "external": external, "expiresIn": "1m"})
    except (Error, SDKError) as error:  # as while a bank works on a payout
        return [*lines, "", *display.hanging(f"What it moves cannot be planned now: {error}", "  ")], False
    found: Json = json.loads(made.raw)["data"]
    return [*lines, "", *plan_lines(found)], found["verdict"] != "succeeds"


def _ask(lines: list[str], *, fails: bool = False) -> None:
    """Show the undo on standard error and wait for a yes. Raises Failure without one."""
    for line in lines:
        display.note(line)
    if not sys.stdin.isatty():
        raise Failure("this needs a yes, and there is no terminal to ask on: add --yes", code=USAGE)
    if not typer.confirm("It would FAIL, and leave the rest as it is. Undo it?" if fails else "Undo it?", err=True):
        raise Failure("nothing was started")
