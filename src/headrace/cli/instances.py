"""`headrace instances`: list, show, describe, send-event, stop."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from headrace.cli import display
from headrace.cli.groups import command, new_group
from headrace.cli.session import KeyOption, OutputOption, ServerOption, session_of

Json = dict[str, Any]

group = new_group("List, show, describe, send-event, stop.")

InstanceId = Annotated[str, typer.Argument(metavar="INSTANCE", help="Id of the instance.")]


@command(group, "list", "ls", "l")
def list_instances(
    context: typer.Context,
    workflow: Annotated[str | None, typer.Option("--workflow", help="Only those of this workflow.")] = None,
    running: Annotated[bool, typer.Option("--running", help="Only those that have not ended.")] = False,
    server: ServerOption = None,
    output: OutputOption = None,
) -> None:
    """List the instances, newest first."""
    from headrace.cli.wire import documents

    session = session_of(context, server, output)
    with session.client() as client:
        answer = client.orchestration.v1.list_instances(workflow_id=workflow, running=running or None)
    found = documents(answer.data)
    if session.is_json:
        display.store({"workflowInstances": [_listed(instance) for instance in found]})
    elif not found:
        display.line("No instances. Start one: headrace workflows run WORKFLOW")
    else:
        rows = [_row(instance) for instance in found]
        display.table(["ID", "Workflow ID", "Created at", "Updated at", "Terminated at", "Error"], rows)


@command(group, "show", "s")
def show(
    context: typer.Context, instance_id: InstanceId, server: ServerOption = None, output: OutputOption = None
) -> None:
    """Show one instance and its stages."""
    from headrace.cli.stages import stage_rows
    from headrace.cli.wire import document

    session = session_of(context, server, output)
    with session.client() as client:
        instance = document(client.orchestration.v1.get_instance(instance_id=instance_id).data)
        workflow = document(client.orchestration.v1.get_workflow(flow_id=instance["workflowID"]).data)
    if session.is_json:
        display.store({"workflowInstance": instance, "workflow": workflow})
        return
    display.facts(_facts(instance, workflow))
    display.line()
    display.table(*stage_rows(instance, workflow))


@command(group, "describe", "desc", "d")
def describe(
    context: typer.Context, instance_id: InstanceId, server: ServerOption = None, output: OutputOption = None
) -> None:
    """Tell what an instance did: each stage, its activities, their attempts and failures."""
    from headrace.cli.sentences import stage_lines
    from headrace.cli.wire import documents

    session = session_of(context, server, output)
    with session.client() as client:
        v1 = client.orchestration.v1
        stages = documents(v1.get_instance_history(instance_id=instance_id).data)
        activities = [
            documents(v1.get_instance_stage_history(instance_id=instance_id, number=number).data)
            for number in range(len(stages))
        ]
    if session.is_json:
        display.store({"workflowInstanceHistory": stages, "workflowInstanceStageHistories": activities})
        return
    if not stages:
        display.line("No stage has started yet.")
    for number, stage in enumerate(stages):
        if number:
            display.line()
        display.heading(f"Stage {number} : {stage['name']}")
        for text in stage_lines(stage, activities[number]):
            display.line(text)


@command(group, "send-event", "se")
def send_event(
    context: typer.Context,
    instance_id: InstanceId,
    event: Annotated[str, typer.Argument(metavar="EVENT", help="Name of the event.")],
    idempotency_key: KeyOption = None,
    server: ServerOption = None,
    output: OutputOption = None,
) -> None:
    """Send an event to an instance; it is kept until the instance waits for it."""
    session = session_of(context, server, output)
    with session.client() as client:
        client.orchestration.v1.send_event(instance_id=instance_id, name=event, idempotency_key=idempotency_key)
    if session.is_json:
        display.store({"success": True, "instanceId": instance_id, "event": event})
    else:
        display.line(f"Event '{event}' sent")


@command(group, "stop", "abort", "cancel")
def stop(
    context: typer.Context,
    instance_id: InstanceId,
    idempotency_key: KeyOption = None,
    server: ServerOption = None,
    output: OutputOption = None,
) -> None:
    """Abort an instance for good: nothing new begins. What has been booked stays booked."""
    session = session_of(context, server, output)
    with session.client() as client:
        client.orchestration.v1.cancel_event(instance_id=instance_id, idempotency_key=idempotency_key)
    if session.is_json:
        display.store({"success": True, "instanceId": instance_id})
    else:
        display.line(f"Workflow instance {instance_id} canceled.")


def _listed(instance: Json) -> Json:
    from headrace.cli.wire import members

    return {
        "instanceId": instance["id"],
        "workflowId": instance["workflowID"],
        **members(instance, "createdAt", "updatedAt", "terminatedAt", "error"),
    }


def _row(instance: Json) -> list[str]:
    times = [display.moment(instance.get(name)) for name in ("createdAt", "updatedAt", "terminatedAt")]
    return [instance["id"], instance["workflowID"], *times, instance.get("error", "")]


def _facts(instance: Json, workflow: Json) -> list[tuple[str, str]]:
    facts = [("ID", instance["id"]), ("Workflow", f"{workflow['config'].get('name', '')} {workflow['id']}".strip())]
    facts.append(("Created at", display.moment(instance["createdAt"])))
    facts.append(("Updated at", display.moment(instance["updatedAt"])))
    if instance["terminated"]:
        facts.append(("Terminated at", display.moment(instance.get("terminatedAt"))))
    if instance.get("error"):
        facts.append(("Error", instance["error"]))
    return facts
