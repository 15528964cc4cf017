"""`headrace triggers`: create, list, show, delete, test, and `triggers occurrences list`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from headrace.cli import display
from headrace.cli.exits import USAGE, Failure
from headrace.cli.groups import add_group, command, new_group
from headrace.cli.session import KeyOption, OutputOption, ServerOption, session_of

Json = dict[str, Any]

group = new_group("Create, list, show, delete, test, occurrences list.")
occurrences = new_group("What came of each event that a trigger matched.")

TriggerId = Annotated[str, typer.Argument(metavar="TRIGGER", help="Id of the trigger.")]


@command(group, "create", "cr", "c")
def create(
    context: typer.Context,
    event: Annotated[str, typer.Argument(metavar="EVENT", help="Type of the events, such as SAVED_PAYMENT.")],
    workflow_id: Annotated[str, typer.Argument(metavar="WORKFLOW", help="Id of the workflow to start.")],
    name: Annotated[str | None, typer.Option("--name", help="A name for people.")] = None,
    filter_: Annotated[str | None, typer.Option("--filter", help="Expression that must be true.")] = None,
    given: Annotated[
        list[str] | None, typer.Option("--vars", metavar="NAME=EXPRESSION", help="A variable; repeatable.")
    ] = None,
    version: Annotated[str | None, typer.Option("--version", help="Only events of this version.")] = None,
    idempotency_key: KeyOption = None,
    server: ServerOption = None,
    output: OutputOption = None,
) -> None:
    """Start a workflow for every event of a type; prints the trigger's id."""
    from headrace.cli.wire import document

    session = session_of(context, server, output)
    with session.client() as client:
        answer = client.orchestration.v1.create_trigger(
            event=event,
            workflow_id=workflow_id,
            name=name or "",
            filter=filter_ or None,
            vars=_variables(given or []),
            version=version or None,
            idempotency_key=idempotency_key,
        )
    if session.is_json:
        display.store({"trigger": document(answer.data)})
    else:
        display.line(f"Trigger created with ID: {answer.data.id}")


@command(group, "list", "ls", "l")
def list_triggers(
    context: typer.Context,
    name: Annotated[str | None, typer.Option("--name", help="Only those whose name holds this.")] = None,
    server: ServerOption = None,
    output: OutputOption = None,
) -> None:
    """List the triggers, newest first."""
    from headrace.cli.wire import documents

    session = session_of(context, server, output)
    with session.client() as client:
        found = documents(client.orchestration.v1.list_triggers(name=name or None).data)
    if session.is_json:
        display.store({"workflowTriggers": found})
    elif not found:
        display.line("No triggers. Make one: headrace triggers create EVENT WORKFLOW")
    else:
        display.table(["ID", "Name", "Workflow ID", "Created at", "Event", "Filter"], [_row(each) for each in found])


@command(group, "show", "s")
def show(
    context: typer.Context, trigger_id: TriggerId, server: ServerOption = None, output: OutputOption = None
) -> None:
    """Show one trigger."""
    from headrace.cli.wire import document, inner

    session = session_of(context, server, output)
    with session.client() as client:
        trigger = document(client.orchestration.v1.read_trigger(trigger_id=trigger_id).data)
    if session.is_json:
        display.store({"trigger": trigger})
        return
    names = ("ID", "Name", "Workflow ID", "Created at", "Event", "Filter")
    display.facts([*zip(names, _row(trigger), strict=True), ("Version", trigger.get("version", ""))])
    variables = inner(trigger, "vars")
    if variables:
        display.line()
        display.table(["Variable", "Expression"], [[name, str(source)] for name, source in variables.items()])


@command(group, "delete", "del", "d")
def delete(
    context: typer.Context, trigger_id: TriggerId, server: ServerOption = None, output: OutputOption = None
) -> None:
    """Delete a trigger; what it has started goes on."""
    session = session_of(context, server, output)
    with session.client() as client:
        client.orchestration.v1.delete_trigger(trigger_id=trigger_id)
    if session.is_json:
        display.store({"success": True, "triggerID": trigger_id})
    else:
        display.line(f"Trigger {trigger_id} deleted.")


@command(group, "test", "t")
def try_out(
    context: typer.Context,
    trigger_id: TriggerId,
    payload: Annotated[str, typer.Argument(metavar="JSON|@FILE|-", help="An event's payload.")],
    server: ServerOption = None,
    output: OutputOption = None,
) -> None:
    """Evaluate a trigger's filter and variables over one event and show what was false; nothing is started."""
    from headrace.cli.direct import json_argument, post
    from headrace.cli.triggers_trial import explanation, lines
    from headrace.cli.wire import document

    session = session_of(context, server, output)
    event = json_argument(payload, "the payload")
    trial = post(session, f"/v2/triggers/{_path_part(trigger_id)}/test", event)
    with session.client() as client:
        trigger = document(client.orchestration.v1.read_trigger(trigger_id=trigger_id).data)
    reasons = explanation(trigger, event)
    if session.is_json:
        display.store({"trigger": trial} | ({"explanation": reasons} if reasons else {}))
        return
    outcome = trial["filter"]
    if "match" in outcome:
        display.line(f"Filter match  {'Yes' if outcome['match'] else 'No'}")
    if "error" in outcome:
        display.line(f"Filter error  {outcome['error']}")
    for each in lines(reasons) if reasons else ():
        display.line(each)
    rows = [[name, each.get("value", ""), each.get("error", "")] for name, each in trial["variables"].items()]
    if rows:
        display.line()
        display.table(["Key", "Value", "Error"], rows)


@command(occurrences, "list", "ls", "l")
def list_occurrences(
    context: typer.Context, trigger_id: TriggerId, server: ServerOption = None, output: OutputOption = None
) -> None:
    """List a trigger's occurrences, newest first."""
    from headrace.cli.wire import documents

    session = session_of(context, server, output)
    with session.client() as client:
        found = documents(client.orchestration.v1.list_triggers_occurrences(trigger_id=trigger_id).data)
    if session.is_json:
        display.store({"occurrences": found})
    elif not found:
        display.line("No occurrences: no event has matched yet.")
    else:
        columns = ["Workflow instance ID", "Date", "Terminated", "Terminated at", "Error"]
        display.table(columns, [_occurrence_row(each) for each in found])


add_group(group, occurrences, "occurrences", "occurrence", "oc", "o")


def _variables(given: list[str]) -> dict[str, str]:
    """A comma belongs to the expression here, unlike in `--variable`."""
    variables: dict[str, str] = {}
    for text in given:
        name, equals, source = text.partition("=")
        if not equals or not name.strip():
            raise Failure(f"--vars {text!r} is not NAME=EXPRESSION", code=USAGE)
        if name.strip() in variables:
            raise Failure(f"--vars {name.strip()} is given twice", code=USAGE)
        variables[name.strip()] = source
    return variables


def _path_part(text: str) -> str:
    from urllib.parse import quote

    return quote(text, safe="")


def _row(trigger: Json) -> list[str]:
    created = display.moment(trigger["createdAt"])
    event, source = trigger["event"], trigger.get("filter", "")
    return [trigger["id"], trigger.get("name", ""), trigger["workflowID"], created, event, source]


def _occurrence_row(occurrence: Json) -> list[str]:
    from headrace.cli.wire import inner

    instance = inner(occurrence, "workflowInstance")
    ended = display.moment(instance.get("terminatedAt"))
    is_ended = "" if not instance else "Yes" if instance["terminated"] else "No"
    error = occurrence.get("error") or instance.get("error", "")
    return [occurrence.get("workflowInstanceID", ""), display.moment(occurrence["date"]), is_ended, ended, error]
