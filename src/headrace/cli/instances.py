"""`headrace instances`: list, show, describe, send-event, abort, resolve, redrive, undo."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from headrace.cli import display
from headrace.cli.attention import resolve
from headrace.cli.completion import STATUSES, awaited_events, instance_ids, running_instance_ids, statuses, workflow_ids
from headrace.cli.errors import USAGE, Failure
from headrace.cli.graph import FORMATS, Format, show_graph
from headrace.cli.redrive import redrive
from headrace.cli.registration import command, new_group
from headrace.cli.session import KeyOption, Session
from headrace.cli.undo import undo

Json = dict[str, Any]

UNFINISHED = "unfinished"

group = new_group("List, show, describe, send-event, abort, resolve, redrive, undo.")

InstanceId = Annotated[str, typer.Argument(metavar="INSTANCE", help="Id of the instance.", autocompletion=instance_ids)]
RunningInstanceId = Annotated[
    str, typer.Argument(metavar="INSTANCE", help="Id of the instance.", autocompletion=running_instance_ids)
]
WatchOption = Annotated[
    bool, typer.Option("--watch", help="Repeat until it has ended; the exit code is 0 only if it succeeded.")
]


@command(group, "list", "ls", "l", has_ids=True)
def list_instances(
    session: Session,
    status: Annotated[
        str | None,
        typer.Option(
            "--status",
            metavar="STATUS",
            help="Only instances in this status: " + ", ".join(STATUSES) + ".",
            autocompletion=statuses,
        ),
    ] = None,
    workflow: Annotated[
        str | None,
        typer.Option(
            "--workflow",
            metavar="WORKFLOW",
            help="Only instances of this workflow: its id, or its name for all its versions.",
            autocompletion=workflow_ids,
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="AGE|TIME", help="Only instances created since: 90m, 12h, 7d, or a date-time."),
    ] = None,
    variable: Annotated[
        str | None,
        typer.Option("--variable", metavar="NAME=VALUE", help="Only instances that were started with this value."),
    ] = None,
    find: Annotated[
        str | None,
        typer.Option(
            "--find",
            metavar="TEXT",
            help="Only instances with this id or its end, value, account (users:42, users:*), payment, booking, or "
            "amount: '129.00 EUR', '> 1000 EUR'.",
        ),
    ] = None,
    error: Annotated[
        str | None,
        typer.Option("--error", metavar="CODE", help="Only instances with this error, such as INSUFFICIENT_FUND."),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="Show at most N instances.")] = 20,
    all_: Annotated[bool, typer.Option("--all", help="Show all instances.")] = False,
    running: Annotated[
        bool, typer.Option("--running", help="Only instances that have not ended; same as --status unfinished.")
    ] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Repeat, and show changes, until Ctrl-C.")] = False,
) -> None:
    """List instances, newest first.

    Without --find, --variable combines with --since only, and --error excludes --status: a search takes the same time
    at any size.
    """
    from headrace.cli import watch as watching
    from headrace.cli.instance_views import Found, InstancesLook, Search, list_lines
    from headrace.cli.names import workflow_ids_of
    from headrace.cli.periods import moment_since

    if running and status not in (None, UNFINISHED):
        raise Failure(f"--running and --status {status} exclude each other", code=USAGE)
    search = Search(
        workflow_ids=workflow_ids_of(session, workflow) if workflow else (),
        status=UNFINISHED if running else status,
        since=moment_since(since) if since else None,
        variable=variable,
        error_code=error,
        find=find,
        limit=None if all_ else limit,
    )
    if watch:
        watching.watch(InstancesLook(session, search), session.output)
        return
    found = Found(session, search)
    rows = found.rows()
    session.show(
        {"workflowInstances": rows},
        lambda: list_lines([rows]) if rows else [_none(search)],
        ids=(row["instanceId"] for row in rows),
    )
    if found.has_more:
        display.note(f"These are the newest {limit}; --limit N or --all shows more.")


def _none(search: Any) -> str:
    from headrace.cli.instance_views import Search

    if search == Search(limit=search.limit):
        return "No instances. Start one: headrace workflows run WORKFLOW"
    return "No matching instances."


@command(group, "show", "s", has_ids=True)
def show(session: Session, instance_id: InstanceId, watch: WatchOption = False) -> None:
    """Show one instance and its stages."""
    from headrace.cli.instance_views import ShowLook

    _show(session, ShowLook(session, instance_id), instance_id, is_watching=watch)


@command(group, "describe", "desc", "d")
def describe(
    session: Session,
    instance_id: InstanceId,
    watch: WatchOption = False,
    graph: Annotated[
        Format | None,
        typer.Option(
            "--graph",
            metavar="|".join(FORMATS),
            help="Instead: who pays whom, what has moved, is held, stuck or still to come.",
        ),
    ] = None,
) -> None:
    """Show the history of an instance.

    Shows each stage, its activities, their attempts and failures.
    """
    if graph is not None:
        if watch:
            raise Failure("--graph and --watch exclude each other", code=USAGE)
        show_graph(session, instance_id, graph)
        return
    from headrace.cli.instance_views import DescribeLook

    _show(session, DescribeLook(session, instance_id, is_watching=watch), instance_id, is_watching=watch)


@command(group, "send-event", "se")
def send_event(
    session: Session,
    instance_id: RunningInstanceId,
    event: Annotated[str, typer.Argument(metavar="EVENT", help="Name of the event.", autocompletion=awaited_events)],
    idempotency_key: KeyOption = None,
) -> None:
    """Send an event to an instance.

    The event is kept until the instance waits for it.
    """
    session.v1.send_event(instance_id=instance_id, name=event, idempotency_key=idempotency_key)
    session.show({"success": True, "instanceId": instance_id, "event": event}, f"Event '{event}' sent")


@command(group, "abort", "stop", "cancel")
def abort(
    session: Session,
    instance_id: RunningInstanceId,
    reason: Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Why; it is stored.")] = None,
    idempotency_key: KeyOption = None,
) -> None:
    """Abort an instance: nothing new begins. An abort is final.

    What has been booked stays booked.
    """
    if reason is None:
        session.v1.cancel_event(instance_id=instance_id, idempotency_key=idempotency_key)
    else:
        body = {"reason": reason}
        session.ext.abort_instance(instance_id=instance_id, request_body=body, idempotency_key=idempotency_key)
    session.show({"success": True, "instanceId": instance_id}, f"Instance {instance_id} aborted.")


command(group, "resolve")(resolve)
command(group, "redrive", has_ids=True)(redrive)
command(group, "undo", has_ids=True)(undo)


def _show(session: Session, look: Any, instance_id: str, *, is_watching: bool) -> None:
    """Show the instance once, or until it has ended; its error then becomes the command's."""
    from headrace.cli.stages import failed
    from headrace.cli.watch import watch

    if not is_watching:
        view = look()
        session.show(view.value, lambda: view.picture, ids=[instance_id])
        return
    watch(look, session.output)
    if look.instance.get("error"):
        raise failed(look.instance)
