"""`headrace instances`: list, show, describe, send-event, stop."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from headrace.cli.completion import awaited_events, instance_ids, running_instance_ids, workflow_ids
from headrace.cli.groups import command, new_group
from headrace.cli.session import KeyOption, Session

Json = dict[str, Any]

group = new_group("List, show, describe, send-event, stop.")

InstanceId = Annotated[str, typer.Argument(metavar="INSTANCE", help="Id of the instance.", autocompletion=instance_ids)]
RunningInstanceId = Annotated[
    str, typer.Argument(metavar="INSTANCE", help="Id of the instance.", autocompletion=running_instance_ids)
]
WatchOption = Annotated[
    bool, typer.Option("--watch", help="Go on until it has ended; the exit code is 0 only if it succeeded.")
]


@command(group, "list", "ls", "l")
def list_instances(
    session: Session,
    workflow: Annotated[
        str | None,
        typer.Option(
            "--workflow", metavar="WORKFLOW", help="Only those of this workflow.", autocompletion=workflow_ids
        ),
    ] = None,
    running: Annotated[bool, typer.Option("--running", help="Only those that have not ended.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Go on, and tell what changes, until Ctrl-C.")] = False,
) -> None:
    """List the instances, newest first."""
    from headrace.cli import watch as watching
    from headrace.cli.instance_views import InstancesLook, list_lines, listed

    look = InstancesLook(session, workflow, is_running_only=running)
    if watch:
        watching.watch(look, session.output)
        return
    found = look.instances()
    session.tell({"workflowInstances": [listed(each) for each in found]}, lambda: list_lines(found))


@command(group, "show", "s")
def show(session: Session, instance_id: InstanceId, watch: WatchOption = False) -> None:
    """Show one instance and its stages."""
    from headrace.cli.instance_views import ShowLook

    _tell(session, ShowLook(session, instance_id), is_watching=watch)


@command(group, "describe", "desc", "d")
def describe(session: Session, instance_id: InstanceId, watch: WatchOption = False) -> None:
    """Tell what an instance did.

    Each stage, its activities, their attempts and failures.
    """
    from headrace.cli.instance_views import DescribeLook

    _tell(session, DescribeLook(session, instance_id, is_watching=watch), is_watching=watch)


@command(group, "send-event", "se")
def send_event(
    session: Session,
    instance_id: RunningInstanceId,
    event: Annotated[str, typer.Argument(metavar="EVENT", help="Name of the event.", autocompletion=awaited_events)],
    idempotency_key: KeyOption = None,
) -> None:
    """Send an event to an instance.

    It is kept until the instance waits for it.
    """
    session.v1.send_event(instance_id=instance_id, name=event, idempotency_key=idempotency_key)
    session.tell({"success": True, "instanceId": instance_id, "event": event}, f"Event '{event}' sent")


@command(group, "stop", "abort", "cancel")
def stop(session: Session, instance_id: RunningInstanceId, idempotency_key: KeyOption = None) -> None:
    """Abort an instance for good: nothing new begins.

    What has been booked stays booked.
    """
    session.v1.cancel_event(instance_id=instance_id, idempotency_key=idempotency_key)
    session.tell({"success": True, "instanceId": instance_id}, f"Workflow instance {instance_id} canceled.")


def _tell(session: Session, look: Any, *, is_watching: bool) -> None:
    """Once, or until the instance has ended; then its error is the command's."""
    from headrace.cli.stages import failed
    from headrace.cli.watch import watch

    if not is_watching:
        view = look()
        session.tell(view.value, lambda: view.picture)
        return
    watch(look, session.output)
    if look.instance.get("error"):
        raise failed(look.instance)
