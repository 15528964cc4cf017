"""`headrace workflows`: create, list, show, run, versions, delete, validate, schema, strip, graph."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from headrace.cli import display, graph, strip, validation
from headrace.cli.completion import variable_names, workflow_ids
from headrace.cli.errors import USAGE, Failure
from headrace.cli.registration import command, new_group
from headrace.cli.session import KeyOption, Session

Json = dict[str, Any]

group = new_group("Create, list, show, run, versions, delete, validate, schema, strip, graph.")

WorkflowId = Annotated[
    str, typer.Argument(metavar="WORKFLOW", help="Id of the workflow, or its name.", autocompletion=workflow_ids)
]
DefinitionFile = Annotated[str, typer.Argument(metavar="FILE|-", help="YAML or JSON; - is standard input.")]


@command(group, "create", "cr", "c", has_ids=True)
def create(
    session: Session,
    file: DefinitionFile,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="Instead of the name in the file.")] = None,
    confirm: Annotated[bool, typer.Option("--confirm", hidden=True, help="Accepted, never needed.")] = False,
    idempotency_key: KeyOption = None,
) -> None:
    """Store a definition and print the workflow's id.

    A YAML file may hold several documents: unless all are valid, none is stored. Each becomes a workflow.
    """
    from headrace.cli.definitions import read_definitions

    definitions = read_definitions(file)
    if len(definitions) > 1 and (name or idempotency_key):
        option = "--name" if name else "--idempotency-key"
        raise Failure(f"{option} is for one definition, and {file} holds {len(definitions)}", code=USAGE)
    ids: list[str] = []
    for definition in definitions:
        config = definition.config
        workflow = session.v1.create_workflow(
            name=name or config.name,
            stages=config.stages,
            on_failure=config.on_failure,
            idempotency_key=idempotency_key,
        ).data
        session.show_text(f"Workflow created with ID: {workflow.id}")
        ids.append(workflow.id)
    answer: Json = {"workflowId": ids[0]} if len(ids) == 1 else {"workflows": [{"workflowId": each} for each in ids]}
    session.show(answer, list, ids=ids)


@command(group, "list", "ls", "l", has_ids=True)
def list_workflows(session: Session) -> None:
    """List the workflows, newest first, with the versions that they are of their names."""
    from headrace.cli.documents import documents
    from headrace.cli.names import named_workflows

    numbers: dict[str, Json] = {}
    for named in named_workflows(session):
        for each in named.versions:
            numbers[each.workflow_id] = {"version": each.version, "isCurrent": each.version == named.version}
    found = [{**_listed(each), **numbers.get(each["id"], {})} for each in documents(session.v1.list_workflows().data)]
    session.show({"workflows": found}, lambda: _table(found), ids=(each["id"] for each in found))


@command(group, "show", "s", has_ids=True)
def show(session: Session, workflow_id: WorkflowId) -> None:
    """Show one workflow and its definition."""
    from headrace.cli.documents import document
    from headrace.cli.names import workflow_id_of

    workflow = document(session.v1.get_workflow(flow_id=workflow_id_of(session, workflow_id)).data)
    session.show({"workflow": workflow}, lambda: _shown(workflow), ids=[workflow["id"]])


@command(group, "run", "r", has_ids=True)
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
    timeout: Annotated[float, typer.Option("--timeout", metavar="SECONDS", min=0, help="Time limit of --wait.")] = 600,
    idempotency_key: KeyOption = None,
) -> None:
    """Start an instance; with --wait, wait for its end.

    With --wait, the exit code is 0 only if the instance succeeded.
    """
    from headrace.cli.starts import start

    start(session, workflow_id, variable or [], wait=wait, timeout_s=timeout, idempotency_key=idempotency_key)


@command(group, "versions", has_ids=True)
def versions(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name with versions.", autocompletion=workflow_ids)],
) -> None:
    """List the versions of a name, newest first.

    The current one is what starts by name. To go back to an earlier one, apply its file again.
    """
    from headrace.cli.documents import document

    named = document(session.ext.get_named_workflow(name=name).data)
    session.show(named, lambda: _versions_table(named), ids=(each["workflowID"] for each in named["versions"]))


@command(group, "delete", "del", "d")
def delete(session: Session, workflow_id: WorkflowId, idempotency_key: KeyOption = None) -> None:
    """Delete a workflow: no new instances can start.

    Its instances continue and stay readable. A name with versions is deleted with all of them.
    """
    from headrace.cli.names import named_workflow, workflow_id_of

    if (named := named_workflow(session, workflow_id)) is not None:
        session.ext.delete_named_workflow(name=named.name, idempotency_key=idempotency_key)
        count = "its version" if len(named.versions) == 1 else f"its {len(named.versions)} versions"
        session.show({"name": named.name, "success": True}, f"Workflow {named.name} deleted with {count}.")
        return
    workflow_id = workflow_id_of(session, workflow_id)
    session.v1.delete_workflow(flow_id=workflow_id, idempotency_key=idempotency_key)
    session.show({"workflowId": workflow_id, "success": True}, f"Workflow {workflow_id} deleted.")


command(group, "validate", "v")(validation.validate)
command(group, "schema")(validation.schema)
command(group, "strip")(strip.strip)
command(group, "graph")(graph.graph)


def _table(workflows: list[Json]) -> list[str]:
    if not workflows:
        return ["No workflows yet. Create one: headrace workflows create FILE"]
    rows = [
        [w["id"], w["name"], _version_text(w), display.moment(w["createdAt"]), display.moment(w["updatedAt"])]
        for w in workflows
    ]
    return display.table_lines(["ID", "Name", "Version", "Created at", "Updated at"], rows, spare="Updated at")


def _version_text(workflow: Json) -> str:
    """The number of its version; `*` marks the current one of a name."""
    return f"{workflow['version']}{' *' if workflow['isCurrent'] else ''}" if "version" in workflow else ""


def _versions_table(named: Json) -> list[str]:
    rows = [
        [
            f"{each['version']}{' *' if each['version'] == named['version'] else ''}",
            each["workflowID"] + (" (deleted)" if each.get("deleted") else ""),
            each["hash"].removeprefix("sha256:")[:12],
            display.moment(each["createdAt"]),
            each["createdBy"],
        ]
        for each in named["versions"]
    ]
    return display.table_lines(["Version", "Workflow ID", "Hash", "Created at", "By"], rows, spare="By")


def _listed(workflow: Json) -> Json:
    from headrace.cli.documents import members

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
