"""`headrace workflows`: create, list, show, run, delete, validate, schema."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from headrace.cli import display, validation
from headrace.cli.completion import variable_names, workflow_ids
from headrace.cli.exits import UNFINISHED, Failure
from headrace.cli.groups import command, new_group
from headrace.cli.session import KeyOption, Session

Json = dict[str, Any]

group = new_group("Create, list, show, run, delete, validate, schema.")

WorkflowId = Annotated[str, typer.Argument(metavar="WORKFLOW", help="Id of the workflow.", autocompletion=workflow_ids)]
DefinitionFile = Annotated[str, typer.Argument(metavar="FILE|-", help="YAML or JSON; - is standard input.")]


@command(group, "create", "cr", "c")
def create(
    session: Session,
    file: DefinitionFile,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="Instead of the name in the file.")] = None,
    confirm: Annotated[bool, typer.Option("--confirm", hidden=True, help="Accepted, never needed.")] = False,
    idempotency_key: KeyOption = None,
) -> None:
    """Store a definition; prints the workflow's id."""
    from headrace.cli.definitions import read_definition

    config = read_definition(file).config
    workflow = session.v1.create_workflow(
        name=name or config.name, stages=config.stages, idempotency_key=idempotency_key
    ).data
    session.tell({"workflowId": workflow.id}, f"Workflow created with ID: {workflow.id}")


@command(group, "list", "ls", "l")
def list_workflows(session: Session) -> None:
    """List the workflows, newest first."""
    from headrace.cli.wire import documents

    found = [_listed(each) for each in documents(session.v1.list_workflows().data)]
    session.tell({"workflows": found}, lambda: _table(found))


@command(group, "show", "s")
def show(session: Session, workflow_id: WorkflowId) -> None:
    """Show one workflow and its definition."""
    from headrace.cli.wire import document

    workflow = document(session.v1.get_workflow(flow_id=workflow_id).data)
    session.tell({"workflow": workflow}, lambda: _shown(workflow))


@command(group, "run", "r")
def run(
    session: Session,
    workflow_id: WorkflowId,
    variable: Annotated[
        list[str] | None,
        typer.Option(
            "--variable",
            metavar="NAME=VALUE",
            help="Repeatable; a comma separates several.",
            autocompletion=variable_names,
        ),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", "-w", help="Wait until the instance has ended.")] = False,
    timeout: Annotated[float, typer.Option("--timeout", metavar="SECONDS", min=0, help="How long --wait waits.")] = 600,
    idempotency_key: KeyOption = None,
) -> None:
    """Start an instance, and --wait for its end.

    With --wait, the exit code is 0 only if it succeeded.
    """
    from headrace.cli.variables import read_variables

    instance = session.v1.run_workflow(
        workflow_id=workflow_id, request_body=read_variables(variable or []), idempotency_key=idempotency_key
    ).data
    session.say(f"Workflow instance created with ID: {instance.id}")
    _tell_started(session, _awaited(session, instance, timeout) if wait else instance, has_waited=wait)


@command(group, "delete", "del", "d")
def delete(session: Session, workflow_id: WorkflowId, idempotency_key: KeyOption = None) -> None:
    """Delete a workflow: no new runs.

    Its instances go on and stay readable.
    """
    session.v1.delete_workflow(flow_id=workflow_id, idempotency_key=idempotency_key)
    session.tell({"workflowId": workflow_id, "success": True}, f"Workflow {workflow_id} deleted.")


command(group, "validate", "v")(validation.validate)
command(group, "schema")(validation.schema)


def _awaited(session: Session, instance: Any, timeout_s: float) -> Any:
    from headrace_client import WaitTimeout

    with display.progress(f"{instance.id} runs") as update:

        def tell(now: Any) -> None:
            stage = now.current_stage
            update(f"{now.id} runs" + ("" if stage is None else f", stage {stage}"))

        try:
            return session.v1.wait_for(instance, timeout_s=timeout_s, on_progress=tell)
        except WaitTimeout as error:
            hint = f"It goes on. Look at it: headrace instances describe {instance.id}"
            raise Failure(str(error), code=UNFINISHED, hint=hint) from None
        except KeyboardInterrupt:
            display.note(f"Not waiting any longer; the instance goes on: headrace instances describe {instance.id}")
            raise


def _tell_started(session: Session, instance: Any, *, has_waited: bool) -> None:
    from headrace.cli.stages import failed, stage_lines
    from headrace.cli.wire import document

    found = document(instance)

    def stages() -> list[str]:
        return stage_lines(found, document(session.v1.get_workflow(flow_id=instance.workflow_id).data))

    session.tell({"workflowInstance": found}, stages if has_waited else list)
    if found.get("error"):
        raise failed(found)


def _table(workflows: list[Json]) -> list[str]:
    if not workflows:
        return ["No workflows yet. Create one: headrace workflows create FILE"]
    rows = [[w["id"], w["name"], display.moment(w["createdAt"]), display.moment(w["updatedAt"])] for w in workflows]
    return display.table_lines(["ID", "Name", "Created at", "Updated at"], rows, spare="Updated at")


def _listed(workflow: Json) -> Json:
    from headrace.cli.wire import members

    name = workflow["config"].get("name") or ""
    return {**members(workflow, "id"), "name": name, **members(workflow, "createdAt", "updatedAt")}


def _shown(workflow: Json) -> list[str]:
    from headrace.cli.yaml_text import yaml_text

    config = workflow["config"]
    facts = [
        ("ID", workflow["id"]),
        ("Name", config.get("name") or ""),
        ("Created at", display.moment(workflow["createdAt"])),
        ("Updated at", display.moment(workflow["updatedAt"])),
    ]
    named = {"name": config["name"]} if config.get("name") else {}
    return [*display.fact_lines(facts), "", *yaml_text(named | config).split("\n")]
