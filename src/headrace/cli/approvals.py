"""`headrace plans`, `headrace approve` and `headrace reject`: persons decide about what a run would do."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.cli import display
from headrace.cli.display import money
from headrace.cli.errors import USAGE, Failure
from headrace.cli.session import KeyOption, Session

if TYPE_CHECKING:
    from headrace_client import DecidedPlan, PlanSummary

Json = dict[str, Any]

PlanArgument = Annotated[str, typer.Argument(metavar="PLAN", help="Id of the plan.")]
ReasonOption = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why you decide so; it is stored.")]
HashOption = Annotated[
    str | None,
    typer.Option("--hash", metavar="HASH", help="The hash of what you have read.  [default: its own]"),
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Show nothing, and do not ask.")]


def plans(
    session: Session,
    plan: Annotated[str | None, typer.Argument(metavar="PLAN", help="Show this plan: all that it would do.")] = None,
    state: Annotated[
        str | None,
        typer.Option("--state", metavar="STATE", help="Only those that are open, approved, rejected, expired or used."),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=1_000, help="Show at most N plans.")] = 20,
) -> None:
    """List plans, the newest first: what they are of, and whether they are approved. Or show one."""
    from headrace.cli.documents import documents

    if plan is not None:
        if state is not None:
            raise Failure("give a plan, or --state for a list of plans", code=USAGE)
        found: Json = json.loads(session.ext.get_plan(plan_id=plan).raw)["data"]
        session.show({"plan": found}, lambda: _whole(found), ids=[found["id"]])
        return
    page = session.ext.list_plans(state=state, page_size=limit).data
    session.show({"plans": documents(page.data)}, lambda: _table(page.data), ids=(each.id for each in page.data))
    if page.has_more:
        display.note(f"These are the newest {limit}; --limit N shows more.")


def _whole(plan: Json) -> list[str]:
    from headrace.cli.plan_text import plan_lines, stored_lines

    return [*plan_lines(plan), *stored_lines(plan)]


def _table(found: list[PlanSummary]) -> list[str]:
    from headrace.cli.documents import document
    from headrace.cli.plan_text import sum_texts, variable_texts

    if not found:
        return ["There are no such plans."]
    lines: list[str] = []
    for number, each in enumerate(found):
        verdict = "" if each.verdict == "succeeds" else "; the run would FAIL"
        by = display.person(each.requester, each.requester_name)
        totals, is_undo = document(each).get("totals", {}), bool(each.undo or each.taken_back)
        back = [f"taken back {money(amount, asset)}" for asset, amount in (each.taken_back or {}).items()]
        lines += [""] if number else []
        facts = [
            ("Plan", each.id),
            ("Of", _subject(each)),
            *([("With", ", ".join(variable_texts(each.variables, each.assets or {})))] if each.variables else []),
            *(("Amount", text) for text in (*sum_texts(totals, is_undo=is_undo), *back)),
            ("State", f"{each.state}{verdict}"),
            ("Asked for by", f"{by}, {display.moment(each.created_at)}"),
        ]
        if each.state in ("open", "approved"):
            facts.append(("Can be used until", display.moment(each.expires_at)))
        if each.instance_id is not None:
            facts.append(("Instance", each.instance_id))
        lines += display.fact_lines(facts)
    return lines


def _subject(plan: PlanSummary) -> str:
    name = plan.name or plan.workflow_id or "a definition"
    if plan.instance is not None:
        return f"the rest of instance {plan.instance} ({name})"
    if plan.redrive is not None:
        return f"a redrive of instance {plan.redrive} ({name})"
    if plan.undo is not None:
        return f"the undo of instance {plan.undo}"
    return name if plan.trigger_id is None else f"{name}, by trigger {plan.trigger_id}"


def approve(
    session: Session,
    plan: PlanArgument,
    reason: ReasonOption,
    signed: HashOption = None,
    yes: YesOption = False,
    idempotency_key: KeyOption = None,
) -> None:
    """Approve exactly what a plan says. An instance that waits for it goes on after the last approval.

    Shows the plan and asks before it writes. Needs the scope orchestration:approve; a person who has asked for the run
    cannot approve it.
    """
    _decide(session, plan, reason, signed, idempotency_key, is_approval=True, asks=not yes)


def reject(
    session: Session,
    plan: PlanArgument,
    reason: ReasonOption,
    signed: HashOption = None,
    yes: YesOption = False,
    idempotency_key: KeyOption = None,
) -> None:
    """Reject a plan for good. An instance that waits for it ends.

    Shows the plan and asks before it writes. Needs the scope orchestration:approve.
    """
    _decide(session, plan, reason, signed, idempotency_key, is_approval=False, asks=not yes)


def _decide(
    session: Session, plan_id: str, reason: str, signed: str | None, key: str | None, *, is_approval: bool, asks: bool
) -> None:
    from headrace.cli.documents import document
    from headrace.cli.plan_text import total_texts

    found: Json = json.loads(session.ext.get_plan(plan_id=plan_id).raw)["data"]
    if asks:
        require_yes(_whole(found), total_texts(found), is_approval=is_approval)
    call = session.ext.approve_plan if is_approval else session.ext.reject_plan
    body = {"hash": signed or found["hash"], "reason": reason}
    decided = call(plan_id=found["id"], request_body=body, idempotency_key=key).data
    text = _approved(decided) if is_approval else _rejected(decided)
    session.show({"plan": document(decided)}, text, ids=[decided.id])


def _approved(plan: DecidedPlan) -> str:
    """The effect of an approval, which may be the repetition of an earlier one."""
    given = sum(each.verdict == "approve" for each in plan.approvals.given)
    match plan.state:
        case "used" if plan.instance is not None:
            return f"Approved: instance {plan.instance} goes on."
        case "used":
            return f"Approved before: it has started instance {plan.instance_id}."
        case "rejected" | "expired":
            return f"Approved before: the plan is {plan.state}, and can no longer be used."
        case _ if given < plan.approvals.needed:
            return f"Approved by {given} of {plan.approvals.needed} persons."
        case _ if plan.undo is not None:
            return f"Approved: `headrace instances undo {plan.undo} --plan {plan.id} --reason TEXT` does it."
        case _ if plan.redrive is not None:
            return f"Approved: `headrace instances redrive {plan.redrive} --plan {plan.id} --reason TEXT` does it."
        case _:
            return f"Approved: `headrace run --plan {plan.id}` runs it."


def _rejected(plan: DecidedPlan) -> str:
    if plan.instance is None:
        return "Rejected: this plan can never run. Only a rule or a stage `approve` keeps another run from the same."
    return f"Rejected: instance {plan.instance} has ended."


def require_yes(shown: list[str], sums: list[str], *, is_approval: bool) -> None:
    """Show what is decided about on standard error, and wait for a yes to its sums. Raises Failure without one."""
    for line in shown:
        display.note(line)
    if not sys.stdin.isatty():
        raise Failure("this needs a yes, and there is no terminal to ask on: add --yes", code=USAGE)
    verdict = "APPROVE exactly this" if is_approval else "REJECT this"
    amounts = f" ({display.printable('; '.join(sums))})" if sums else ""
    if not typer.confirm(f"{verdict}{amounts}? This is final.", err=True):
        raise Failure("nothing was stored")
