"""`headrace batch`: run, redrive, undo or abort many at once, with one preview and one yes."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from headrace.cli import display
from headrace.cli.approvals import HashOption, require_yes
from headrace.cli.approvals import ReasonOption as DecisionReasonOption
from headrace.cli.approvals import YesOption as DecisionYesOption
from headrace.cli.completion import instance_ids, workflow_ids
from headrace.cli.errors import REFUSED, UNFINISHED, USAGE, Failure
from headrace.cli.registration import command, new_group
from headrace.cli.session import KeyOption, Session

Json = dict[str, Any]

LOOK_S = 0.3
SHOWN_ITEMS = 10
UNDER_WAY = ("running", "previewing")

group = new_group("Run, redrive, undo or abort many at once: preview, one yes, progress.")

ReasonOption = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is stored.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Start what the preview includes, and do not ask.")]
RateOption = Annotated[int, typer.Option("--rate", metavar="N", min=1, help="Items that start in a second.")]
OpenOption = Annotated[int, typer.Option("--max-open", metavar="N", min=1, help="Items under way at once.")]
StopOption = Annotated[int, typer.Option("--stop-after", metavar="N", min=1, help="Failures in a row that pause it.")]
WorkflowOption = Annotated[
    str | None,
    typer.Option("--workflow", metavar="WORKFLOW", help="Its id or its name.", autocompletion=workflow_ids),
]
FailedOption = Annotated[
    str | None,
    typer.Option("--failed-since", metavar="AGE|TIME", help="Only those that failed since: 9h, 7d, or a date-time."),
]
StartedOption = Annotated[
    str | None, typer.Option("--started-since", metavar="AGE|TIME", help="Only those started since.")
]
StageOption = Annotated[
    int | None, typer.Option("--stage", metavar="N", min=0, help="Only those whose last stage has this number.")
]
CodeOption = Annotated[
    str | None, typer.Option("--code", metavar="CODE", help="Only those refused with this code: INSUFFICIENT_FUND.")
]
StateOption = Annotated[
    str | None, typer.Option("--state", metavar="STATE", help="Only those in this state, as `instances list` has it.")
]
InstancesArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="[INSTANCE]..", help="These, in place of a search.", autocompletion=instance_ids),
]
BatchArgument = Annotated[str, typer.Argument(metavar="BATCH", help="Id of the batch.")]


@command(group, "redrive", has_ids=True)
def redrive(
    session: Session,
    reason: ReasonOption,
    instances: InstancesArgument = None,
    failed_since: FailedOption = None,
    workflow: WorkflowOption = None,
    stage: StageOption = None,
    code: CodeOption = None,
    started_since: StartedOption = None,
    rate: RateOption = 20,
    max_open: OpenOption = 100,
    stop_after: StopOption = 10,
    yes: YesOption = False,
) -> None:
    """Continue many instances that have failed. Shows count, amounts and exclusions, and asks; then watches."""
    chosen = _chosen(session, instances, workflow, stage, code, None, failed_since, started_since)
    _carry_out(session, _body("redrive", reason, rate, max_open, stop_after, chosen), yes=yes)


@command(group, "undo", has_ids=True)
def undo(
    session: Session,
    reason: ReasonOption,
    instances: InstancesArgument = None,
    failed_since: FailedOption = None,
    workflow: WorkflowOption = None,
    stage: StageOption = None,
    code: CodeOption = None,
    state: StateOption = None,
    started_since: StartedOption = None,
    rate: RateOption = 20,
    max_open: OpenOption = 100,
    stop_after: StopOption = 10,
    yes: YesOption = False,
) -> None:
    """Undo the cases of many instances. Payouts that are paid are kept."""
    chosen = _chosen(session, instances, workflow, stage, code, state, failed_since, started_since)
    _carry_out(session, _body("undo", reason, rate, max_open, stop_after, chosen), yes=yes)


@command(group, "abort", has_ids=True)
def abort(
    session: Session,
    reason: ReasonOption,
    instances: InstancesArgument = None,
    workflow: WorkflowOption = None,
    stage: StageOption = None,
    state: StateOption = None,
    started_since: StartedOption = None,
    rate: RateOption = 20,
    max_open: OpenOption = 100,
    stop_after: StopOption = 10,
    yes: YesOption = False,
) -> None:
    """Abort many instances that have not ended. What may have been sent is still settled."""
    chosen = _chosen(session, instances, workflow, stage, None, state, None, started_since)
    _carry_out(session, _body("abort", reason, rate, max_open, stop_after, chosen), yes=yes)


@command(group, "run", has_ids=True)
def run(
    session: Session,
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE|-",
            help="A line of JSON for each run: its variables, or without --workflow {workflowID, variables}.",
        ),
    ],
    reason: ReasonOption,
    workflow: WorkflowOption = None,
    rate: RateOption = 20,
    max_open: OpenOption = 100,
    stop_after: StopOption = 10,
    yes: YesOption = False,
) -> None:
    """Start an instance for each line of a file."""
    from headrace.cli.names import workflow_id_of

    workflow_id = None if workflow is None else workflow_id_of(session, workflow)
    runs = [_run(line, number, workflow_id) for number, line in enumerate(_lines_of(file), 1) if line.strip()]
    _carry_out(session, _body("run", reason, rate, max_open, stop_after, {"runs": runs}), yes=yes)


@command(group, "list", "ls", has_ids=True)
def list_batches(
    session: Session,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=1_000, help="Show at most N batches.")] = 20,
) -> None:
    """List batches, newest first."""
    from headrace.cli.documents import documents

    page = session.ext.list_batches(page_size=limit).data
    rows = documents(page.data)
    session.show(
        {"batches": rows},
        lambda: (
            display.table_lines(
                ["ID", "KIND", "STATE", "ITEMS", "CREATED", "REASON"],
                [
                    [
                        each["id"],
                        each["kind"],
                        each["state"],
                        f"{each['items']:,}",
                        display.moment(each["createdAt"])[:16],
                        each["reason"],
                    ]
                    for each in rows
                ],
                spare="REASON",
            )
            if rows
            else ["There are no batches."]
        ),
        ids=(each["id"] for each in rows),
    )
    if page.has_more:
        display.note(f"These are the newest {limit}; --limit N shows more.")


@command(group, "show")
def show(
    session: Session,
    batch_id: BatchArgument,
    watch: Annotated[bool, typer.Option("--watch", help="Repeat until it is over, or paused.")] = False,
) -> None:
    """Show a batch: what its preview found, and its progress."""
    from headrace.cli.batch_text import batch_lines

    if watch:
        _watched(session, batch_id)
        return
    batch = _read(session, batch_id)
    session.show({"batch": batch}, lambda: batch_lines(batch, _troubled(session, batch)))


@command(group, "items", has_ids=True)
def items(
    session: Session,
    batch_id: BatchArgument,
    state: Annotated[
        str | None, typer.Option("--state", metavar="STATE", help="Only items in this state, such as failed.")
    ] = None,
    after: Annotated[int, typer.Option("--after", metavar="N", min=0, help="Only items after this number.")] = 0,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=1_000, help="Show at most N items.")] = 100,
) -> None:
    """List the items of a batch, in their order."""
    from headrace.cli.documents import documents

    found = documents(session.ext.list_batch_items(batch_id=batch_id, state=state, after=after, limit=limit).data)
    session.show(
        {"items": found},
        lambda: (
            display.table_lines(
                ["N", "STATE", "INSTANCE", "RESULT", "CODE"],
                [
                    [str(each["n"]), each["state"], *(each.get(name, "") for name in ("instance", "result", "code"))]
                    for each in found
                ],
                spare="INSTANCE",
            )
            if found
            else ["There are no such items."]
        ),
        ids=(each.get("result") or each.get("instance") or str(each["n"]) for each in found),
    )
    if len(found) == limit:
        display.note(f"The next ones: --after {found[-1]['n']}")


@command(group, "start")
def start(session: Session, batch_id: BatchArgument, yes: YesOption = False) -> None:
    """Start a batch that is ready, as after an interruption: shows its preview, asks, and watches."""
    _start(session, _until_previewed(session, batch_id), yes=yes)


@command(group, "approve")
def approve(
    session: Session,
    batch_id: BatchArgument,
    reason: DecisionReasonOption,
    signed: HashOption = None,
    yes: DecisionYesOption = False,
    idempotency_key: KeyOption = None,
) -> None:
    """Approve exactly the preview of a batch, as a whole. Its items do not ask again.

    Shows the preview and asks before it writes. Needs the scope orchestration:approve; a person who has asked for the
    batch cannot approve it.
    """
    _decide(session, batch_id, reason, signed, idempotency_key, is_approval=True, asks=not yes)


@command(group, "reject")
def reject(
    session: Session,
    batch_id: BatchArgument,
    reason: DecisionReasonOption,
    signed: HashOption = None,
    yes: DecisionYesOption = False,
    idempotency_key: KeyOption = None,
) -> None:
    """Reject a batch that has not started, for good: nothing of it starts.

    Shows the preview and asks before it writes. Needs the scope orchestration:approve.
    """
    _decide(session, batch_id, reason, signed, idempotency_key, is_approval=False, asks=not yes)


def _decide(
    session: Session, batch_id: str, reason: str, signed: str | None, key: str | None, *, is_approval: bool, asks: bool
) -> None:
    from headrace.cli.batch_text import batch_lines, sum_texts

    batch = _read(session, batch_id)
    if "hash" not in batch:
        raise Failure(f"the batch is {batch['state']}: there is no preview to decide about")
    if asks:
        require_yes(batch_lines(batch, []), sum_texts(batch), is_approval=is_approval)
    call = session.ext.approve_batch if is_approval else session.ext.reject_batch
    body = {"hash": signed or batch["hash"], "reason": reason}
    decided = _document(call(batch_id=batch_id, request_body=body, idempotency_key=key).data)["batch"]
    given = sum(each["verdict"] == "approve" for each in decided["approvals"]["given"])
    if not is_approval:
        text = "Rejected: nothing of it starts."
    elif decided["state"] == "ready":
        text = f"Approved by {given} of {decided['approvals']['needed']} persons."
    elif decided["state"] == "approved":
        text = f"Approved: `headrace batch start {batch_id}` starts it."
    else:
        text = f"Approved before: the batch is {decided['state']}."
    session.show({"batch": decided}, text, ids=[batch_id])


@command(group, "pause")
def pause(session: Session, batch_id: BatchArgument) -> None:
    """Start no more items; those that have started go on."""
    batch = session.ext.pause_batch(batch_id=batch_id).data
    session.show(_document(batch), f"Paused. Go on with: headrace batch resume {batch.id}")


@command(group, "resume")
def resume(session: Session, batch_id: BatchArgument) -> None:
    """Go on with a batch that is paused."""
    batch = session.ext.resume_batch(batch_id=batch_id).data
    session.show(_document(batch), f"Running. Watch it with: headrace batch show {batch.id} --watch")


@command(group, "cancel")
def cancel(session: Session, batch_id: BatchArgument) -> None:
    """Start no more items, ever; those that have started go on, and the rest is skipped."""
    batch = session.ext.cancel_batch(batch_id=batch_id).data
    session.show(_document(batch), "Canceled. What has started goes on.")


def _document(batch: Any) -> Json:
    from headrace.cli.documents import document

    return {"batch": document(batch)}


def _read(session: Session, batch_id: str) -> Json:
    return _document(session.ext.get_batch(batch_id=batch_id).data)["batch"]


# what it is about


def _body(kind: str, reason: str, rate: int, max_open: int, stop_after: int, chosen: Json) -> Json:
    limits = {"rate": rate, "maxOpen": max_open, "stopAfter": stop_after}
    return {"kind": kind, "reason": reason, **limits, **chosen}


def _chosen(
    session: Session,
    instances: list[str] | None,
    workflow: str | None,
    stage: int | None,
    code: str | None,
    state: str | None,
    failed_since: str | None,
    started_since: str | None,
) -> Json:
    """The member of a request that says what it is about. Raises Failure where nothing does."""
    from headrace.cli.names import named_workflow, workflow_id_of
    from headrace.cli.periods import moment_since

    found: Json = {"stage": stage, "code": code, "state": state}
    if workflow is not None:
        found["workflow"] = workflow if named_workflow(session, workflow) else workflow_id_of(session, workflow)
    if failed_since is not None:
        found |= {"endedAfter": moment_since(failed_since).isoformat(), "state": state or "failed"}
    if started_since is not None:
        found["startedAfter"] = moment_since(started_since).isoformat()
    found = {name: value for name, value in found.items() if value is not None}
    if instances and found:
        raise Failure("give ids of instances or options of a search, not both", code=USAGE)
    if not instances and not found:
        raise Failure("give ids of instances, or say which ones: --workflow, --failed-since, ..", code=USAGE)
    return {"instances": instances} if instances else {"filter": found}


def _lines_of(file: str) -> list[str]:
    try:
        return (sys.stdin.read() if file == "-" else Path(file).read_text("utf-8")).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"{file} cannot be read: {error}", code=USAGE) from None


def _run(line: str, number: int, workflow_id: str | None) -> Json:
    """The start of an instance, from a line of a file."""
    try:
        found: Any = json.loads(line)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Failure(f"line {number}: is no JSON object", code=USAGE)
    members = cast("Json", found)
    return members if workflow_id is None else {"workflowID": workflow_id, "variables": members}


# preview, yes, progress


def _carry_out(session: Session, body: Json, *, yes: bool) -> None:
    made = session.ext.create_batch(batch=body).data
    _start(session, _until_previewed(session, made.id), yes=yes)


def _until_previewed(session: Session, batch_id: str) -> Json:
    """Wait for the preview of a batch, and show its progress."""
    from headrace.cli.batch_text import progress_line

    batch = _read(session, batch_id)
    with display.progress(progress_line(batch), is_shown=session.is_for_people) as tell:
        while batch["state"] == "previewing":
            time.sleep(LOOK_S)
            batch = _read(session, batch_id)
            if batch["state"] == "previewing":
                tell(progress_line(batch))
    return batch


def _start(session: Session, batch: Json, *, yes: bool) -> None:
    """Show the preview, wait for a yes, start the batch and watch it. Raises Failure where it is not started."""
    from headrace.cli.batch_text import VERBS, preview_lines

    if batch["state"] not in ("ready", "approved"):
        raise Failure(f"the batch is {batch['state']}")
    if session.is_for_people:
        for line in preview_lines(batch):
            display.note(line)
    if not batch["included"]:
        session.ext.cancel_batch(batch_id=batch["id"])
        raise Failure("nothing is left to start")
    if batch["state"] == "ready" and "rule" in batch.get("approvals", {}):
        _tell_of_approvals(session, batch)
        return
    if not yes:
        if not sys.stdin.isatty():
            later = f"it is ready: headrace batch start {batch['id']} --yes"
            raise Failure("this needs a yes, and there is no terminal to ask on: add --yes", code=USAGE, hint=later)
        verb = VERBS[batch["kind"]].lower()
        if not typer.confirm(f"This {verb} {batch['included']:,} items. Continue?", err=True):
            if batch["state"] == "ready":
                session.ext.cancel_batch(batch_id=batch["id"])
            raise Failure("nothing was started")
    session.ext.start_batch(batch_id=batch["id"], request_body={"hash": batch["hash"]})
    if session.is_quiet:
        session.show({"batch": batch}, "", ids=[batch["id"]])
        return
    session.show_text(f"Batch started with ID: {batch['id']}")
    _watched(session, batch["id"])


def _tell_of_approvals(session: Session, batch: Json) -> None:
    """Say that other persons have to approve a batch before it starts, and end with the code of what is unfinished."""
    needed, rule = batch["approvals"]["needed"], batch["approvals"]["rule"]
    persons = "1 person has" if needed == 1 else f"{needed} persons have"
    text = [
        f"Rule {rule}: {persons} to approve it before it starts:",
        f"  headrace batch approve {batch['id']} --reason TEXT",
        f"Then: headrace batch start {batch['id']}",
    ]
    session.show({"batch": batch}, lambda: text, ids=[batch["id"]])
    raise typer.Exit(UNFINISHED)


def _watched(session: Session, batch_id: str) -> None:
    """Watch a batch until it is over or paused. The exit code is 0 only if all items have succeeded."""
    from headrace.cli.watch import watch

    look = _BatchLook(session, batch_id)
    watch(look, session.output)
    batch = look.batch
    if batch["state"] == "paused":
        display.note(f"Go on with: headrace batch resume {batch_id}")
        raise typer.Exit(UNFINISHED)
    counts = batch.get("counts", {})
    if batch["state"] == "canceled" or counts.get("failed") or counts.get("skipped"):
        raise typer.Exit(REFUSED)


class _BatchLook:
    """One look at a batch after the other."""

    def __init__(self, session: Session, batch_id: str) -> None:
        self._session = session
        self._id = batch_id
        self._last = ""
        self.batch: Json = {}

    def __call__(self) -> Any:
        from headrace.cli.batch_text import batch_lines, progress_line
        from headrace.cli.watch import View

        batch = self.batch = _read(self._session, self._id)
        line = progress_line(batch)
        is_over = batch["state"] not in UNDER_WAY and not (batch["state"] != "paused" and batch["openItems"])
        picture = batch_lines(batch, _troubled(self._session, batch))
        news = picture if is_over else [line]
        has_changed, self._last = line != self._last, line
        return View(batch, picture, news, has_changed=has_changed or is_over, is_over=is_over)


def _troubled(session: Session, batch: Json) -> list[Json]:
    """The first items that have failed or were skipped."""
    from headrace.cli.documents import documents

    counts = batch.get("counts", {})
    found: list[Json] = []
    for state in ("failed", "skipped"):
        if counts.get(state) and batch["state"] != "canceled":
            found += documents(session.ext.list_batch_items(batch_id=batch["id"], state=state, limit=SHOWN_ITEMS).data)
    return found[:SHOWN_ITEMS]
