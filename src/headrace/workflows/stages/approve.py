"""`approve`: go on when persons have approved a plan of the rest of the run, from this stage on."""

from __future__ import annotations

from headrace.workflows.activities import Json
from headrace.workflows.commands import WaitApproval
from headrace.workflows.durations import duration_us
from headrace.workflows.stages.formats import APPROVALS, DURATION, LABEL
from headrace.workflows.stages.shape import Leaf, Object
from headrace.workflows.stages.stage import Display, StageContext, StageRun, StageType

APPROVE = Object(
    "Go on when persons have approved what the run would do from here on, and do exactly that. Headrace only: other "
    "servers of the Orchestration API do not know it.",
    {
        "title": Leaf(
            LABEL, "A few words for those who approve; the plan has the amounts.", examples=("Pay out to ${merchant}",)
        ),
        "approvals": Leaf(
            APPROVALS,
            "How many persons have to approve. None of them has started the run.",
            default=1,
            examples=(2, "${approvals}"),
        ),
        "timeout": Leaf(
            DURATION,
            "For how long they may, from the start of the stage: after it the run fails as `expired`. Without it the "
            "run waits without a limit.",
            examples=("3d", "${patience}"),
        ),
    },
    name="Approve",
)


class ApproveStage(StageType):
    keyword = "approve"
    shape = APPROVE
    about = (
        "Goes on when persons have approved a plan of the rest of the run, and keeps the run to that plan: it does "
        "what they have seen, or stops. Time never approves. A person who has started the run, or created its trigger, "
        "cannot approve it. `headrace plan --instance INSTANCE` shows the rest, `headrace approve PLAN` approves it; "
        "[Approve runs](../how-to/approve.md) has the whole. Headrace only: `headrace workflows strip` refuses a "
        "workflow that has it, as money would move without it."
    )
    example = (
        "name: payout\nstages:\n  - approve: {title: Pay out to the merchant, approvals: 2, timeout: 3d}\n"
        '  - send: {source: {account: {id: "merchants:4711", ledger: main}}, amount: {amount: 2500, asset: EUR/2}, '
        'destination: {account: {id: "payouts:out", ledger: main}}}'
    )
    label = "wait for approvals"
    color, pale = "#a0447e", "#f4dcea"
    dark_color, dark_pale = "#d77fb8", "#43213a"
    headline = "title"
    is_portable = False

    def run(self, body: Json, context: StageContext) -> StageRun:
        timeout = body.get("timeout")
        timeout_us = None if timeout is None else duration_us(timeout, "timeout")
        yield WaitApproval(body.get("approvals", 1), timeout_us)

    def sentence(self, body: Json) -> str:
        needed = body.get("approvals") or 1
        title = f": {body['title']}" if body.get("title") else ""
        limit = f", {body['timeout']} at most" if body.get("timeout") else ""
        return f"Wait for {needed} approval{'' if str(needed) == '1' else 's'}{title}{limit}"

    def describe(self, body: Json, display: Display) -> list[str]:
        state = "Approved!" if display.has_succeeded else "Not approved."
        needed = body.get("approvals", 1)
        title = f" '{body['title']}'" if body.get("title") else ""
        return [f"Waiting for {needed} approval{'' if needed == 1 else 's'}{title}", state]
