"""`headrace workflows`: create, list, show, run, delete, validate, schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.cli import display, validation
from headrace.cli.exits import REFUSED, UNFINISHED, Failure
from headrace.cli.groups import command, new_group
from headrace.cli.session import KeyOption, OutputOption, ServerOption, Session, session_of

if TYPE_CHECKING:
    from headrace_client import Client

Json = dict[str, Any]

group = new_group("Create, list, show, run, delete, validate.")

WorkflowId = Annotated[str, typer.Argument(metavar="WORKFLOW", help="Id of the workflow.")]
DefinitionFile = Annotated[str, typer.Argument(metavar="FILE|-", help="YAML or JSON; - is standard input.")]


@command(group, "create", "cr", "c")
def create(
    context: typer.Context,
    file: DefinitionFile,
    name: Annotated[str | None, typer.Option("--name", help="Instead of the name in the file.")] = None,
    confirm: Annotated[bool, typer.Option("--confirm", hidden=True, help="Accepted, never needed.")] = False,
    idempotency_key: KeyOption = None,
    server: ServerOption = None,
    output: OutputOption = None,
) -> None:
    """Store a definition; prints the workflow's id."""
    from headrace.cli.definitions import read_definition

    session = session_of(context, server, output)
    config = read_definition(file).config
    with session.client() as client:
        workflow = client.orchestration.v1.create_workflow(
            name=name or config.name, stages=config.stages, idempotency_key=idempotency_key
        ).data
    if session.is_json:
        display.store({"workflowId": workflow.id})
    else:
        display.line(f"Workflow created with ID: {workflow.id}")


@command(group, "list", "ls", "l")
def list_workflows(context: typer.Context, server: ServerOption = None, output: OutputOption = None) -> None:
    """List the workflows, newest first."""
    from headrace.cli.wire import documents, members

    session = session_of(context, server, output)
    with session.client() as client:
        found = documents(client.orchestration.v1.list_workflows().data)
    if session.is_json:
        display.store({"workflows": [{**members(each, "id"), **_named(each)} for each in found]})
    elif not found:
        display.line("No workflows yet. Create one: headrace workflows create FILE")
    else:
        rows = [[w["id"], _name(w), display.moment(w["createdAt"]), display.moment(w["updatedAt"])] for w in found]
        display.table(["ID", "Name", "Created at", "Updated at"], rows)


@command(group, "show", "s")
def show(
    context: typer.Context, workflow_id: WorkflowId, server: ServerOption = None, output: OutputOption = None
) -> None:
    """Show one workflow and its definition."""
    from headrace.cli.wire import document

    session = session_of(context, server, output)
    with session.client() as client:
        workflow = document(client.orchestration.v1.get_workflow(flow_id=workflow_id).data)
    if session.is_json:
        display.store({"workflow": workflow})
        return
    display.facts(
        [
            ("ID", workflow["id"]),
            ("Name", _name(workflow)),
            ("Created at", display.moment(workflow["createdAt"])),
            ("Updated at", display.moment(workflow["updatedAt"])),
        ]
    )
    display.line()
    display.line(_yaml(workflow["config"]))


@command(group, "run", "r")
def run(
    context: typer.Context,
    workflow_id: WorkflowId,
    variable: Annotated[
        list[str] | None,
        typer.Option("--variable", metavar="NAME=VALUE", help="Repeatable; a comma separates several."),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", "-w", help="Wait until the instance has ended.")] = False,
    timeout: Annotated[float, typer.Option("--timeout", metavar="SECONDS", min=0, help="How long --wait waits.")] = 600,
    idempotency_key: KeyOption = None,
    server: ServerOption = None,
    output: OutputOption = None,
) -> None:
    """Start an instance; with --wait, the exit code is 0 only if it succeeded."""
    from headrace.cli.variables import read_variables

    session = session_of(context, server, output)
    variables = read_variables(variable or [])
    with session.client() as client:
        instance = client.orchestration.v1.run_workflow(
            workflow_id=workflow_id, request_body=variables, idempotency_key=idempotency_key
        ).data
        if not session.is_json:
            display.line(f"Workflow instance created with ID: {instance.id}")
        ended = _awaited(client, instance, timeout) if wait else instance
        _say_started(session, client, ended, has_waited=wait)


@command(group, "delete", "del", "d")
def delete(
    context: typer.Context,
    workflow_id: WorkflowId,
    idempotency_key: KeyOption = None,
    server: ServerOption = None,
    output: OutputOption = None,
) -> None:
    """Delete a workflow: no new runs; instances go on and stay readable."""
    session = session_of(context, server, output)
    with session.client() as client:
        client.orchestration.v1.delete_workflow(flow_id=workflow_id, idempotency_key=idempotency_key)
    if session.is_json:
        display.store({"workflowId": workflow_id, "success": True})
    else:
        display.line(f"Workflow {workflow_id} deleted.")


command(group, "validate", "v")(validation.validate)
command(group, "schema")(validation.schema)


def _awaited(client: Client, instance: Any, timeout_s: float) -> Any:
    from headrace_client import WaitTimeout

    with display.progress(f"{instance.id} runs") as update:

        def tell(now: Any) -> None:
            stage = now.current_stage
            update(f"{now.id} runs" + ("" if stage is None else f", stage {stage}"))

        try:
            return client.orchestration.v1.wait_for(instance, timeout_s=timeout_s, on_progress=tell)
        except WaitTimeout as error:
            hint = f"It goes on. Look at it: headrace instances describe {instance.id}"
            raise Failure(str(error), code=UNFINISHED, hint=hint) from None
        except KeyboardInterrupt:
            display.note(f"Not waiting any longer; the instance goes on: headrace instances describe {instance.id}")
            raise


def _say_started(session: Session, client: Client, instance: Any, *, has_waited: bool) -> None:
    from headrace.cli.stages import stage_rows
    from headrace.cli.wire import document

    found = document(instance)
    if session.is_json:
        display.store({"workflowInstance": found})
    elif has_waited:
        workflow = document(client.orchestration.v1.get_workflow(flow_id=instance.workflow_id).data)
        display.table(*stage_rows(found, workflow))
    if found.get("error"):
        hint = f"headrace instances describe {instance.id}"
        raise Failure(f"the instance ended with an error: {found['error']}", code=REFUSED, hint=hint)


def _named(workflow: Json) -> Json:
    return {"name": _name(workflow), "createdAt": workflow["createdAt"], "updatedAt": workflow["updatedAt"]}


def _name(workflow: Json) -> str:
    return workflow["config"].get("name") or ""


def _yaml(config: Json) -> str:
    import yaml

    named = {"name": config["name"]} if "name" in config else {}
    return yaml.safe_dump(named | config, sort_keys=False, allow_unicode=True).rstrip()
