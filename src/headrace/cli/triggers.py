"""`headrace triggers`: create, list, show, delete, test, and `triggers occurrences list`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from headrace.cli import display
from headrace.cli.completion import event_types, trigger_ids, trigger_names, workflow_ids
from headrace.cli.errors import USAGE, Failure
from headrace.cli.registration import add_group, command, new_group
from headrace.cli.session import KeyOption, Session

Json = dict[str, Any]

group = new_group("Create, list, show, delete, test, occurrences list.")
occurrences = new_group("Show the result of each event that a trigger matched.")

TriggerId = Annotated[
    str, typer.Argument(metavar="TRIGGER", help="Id of the trigger, or its name.", autocompletion=trigger_ids)
]


@command(group, "create", "cr", "c", has_ids=True)
def create(
    session: Session,
    event: Annotated[
        str,
        typer.Argument(metavar="EVENT", help="Type of the events, such as SAVED_PAYMENT.", autocompletion=event_types),
    ],
    workflow_id: Annotated[
        str,
        typer.Argument(
            metavar="WORKFLOW", help="The workflow to start: its id, or its name.", autocompletion=workflow_ids
        ),
    ],
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="Name of the trigger, for people.")] = None,
    filter_: Annotated[
        str | None, typer.Option("--filter", metavar="EXPRESSION", help="Condition on the event.")
    ] = None,
    given: Annotated[
        list[str] | None,
        typer.Option("--vars", metavar="NAME=EXPRESSION", help="Variable; repeatable."),
    ] = None,
    version: Annotated[
        str | None, typer.Option("--version", metavar="VERSION", help="Only events of this version.")
    ] = None,
    idempotency_key: KeyOption = None,
) -> None:
    """Start a workflow for every event of a type.

    Prints the trigger's id. A name with versions needs --name: each event then starts the version that is current, and
    the trigger is kept under that name.
    """
    from headrace.cli.documents import document
    from headrace.cli.names import named_workflow, workflow_id_of

    if (named := named_workflow(session, workflow_id)) is not None:
        if not name:
            hint = "Or give the id of one version: it then starts that one, whatever becomes current."
            raise Failure(f"{named.name} is a name with versions: give --name, too", code=USAGE, hint=hint)
        wanted: Json = {"event": event, "workflow": named.name, "ifRevision": 0}
        wanted |= {"filter": filter_} if filter_ else {}
        wanted |= {"vars": _variables(given)} if given else {}
        wanted |= {"version": version} if version else {}
        kept = session.ext.put_trigger(name=name, request_body=wanted, idempotency_key=idempotency_key).data
        session.show({"trigger": document(kept)}, f"Trigger created with ID: {kept.id}", ids=[kept.id])
        _remark(session, event, filter_)
        return
    trigger = session.v1.create_trigger(
        event=event,
        workflow_id=workflow_id_of(session, workflow_id),
        name=name or "",
        filter=filter_ or None,
        vars=_variables(given or []),
        version=version or None,
        idempotency_key=idempotency_key,
    ).data
    session.show({"trigger": document(trigger)}, f"Trigger created with ID: {trigger.id}", ids=[trigger.id])
    _remark(session, event, filter_)


@command(group, "list", "ls", "l", has_ids=True)
def list_triggers(
    session: Session,
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="TEXT", help="Only names that contain TEXT.", autocompletion=trigger_names),
    ] = None,
) -> None:
    """List the triggers, newest first."""
    from headrace.cli.documents import documents

    found = documents(session.v1.list_triggers(name=name or None).data)
    session.show({"workflowTriggers": found}, lambda: _table(found), ids=(each["id"] for each in found))


@command(group, "show", "s", has_ids=True)
def show(session: Session, trigger_id: TriggerId) -> None:
    """Show one trigger."""
    from headrace.cli.documents import document
    from headrace.cli.names import trigger_id_of

    trigger = document(session.v1.read_trigger(trigger_id=trigger_id_of(session, trigger_id)).data)
    session.show({"trigger": trigger}, lambda: _shown(trigger), ids=[trigger["id"]])


@command(group, "delete", "del", "d")
def delete(session: Session, trigger_id: TriggerId, idempotency_key: KeyOption = None) -> None:
    """Delete a trigger. Instances that it started continue."""
    from headrace.cli.names import trigger_id_of

    trigger_id = trigger_id_of(session, trigger_id)
    session.v1.delete_trigger(trigger_id=trigger_id, idempotency_key=idempotency_key)
    session.show({"success": True, "triggerID": trigger_id}, f"Trigger {trigger_id} deleted.")


@command(group, "test", "t")
def try_out(
    session: Session,
    trigger_id: TriggerId,
    payload: Annotated[str, typer.Argument(metavar="JSON|@FILE|-", help="Payload of an event.")],
) -> None:
    """Test a trigger with an event; nothing is started.

    Evaluates its filter and variables, and shows which condition was false.
    """
    from headrace.cli.documents import document
    from headrace.cli.json_arguments import json_object
    from headrace.cli.names import trigger_id_of
    from headrace.cli.triggers_trial import explanation, hints
    from headrace_client import ClientError

    event = json_object(payload, "the payload")
    trigger_id = trigger_id_of(session, trigger_id)
    v2 = session.client.orchestration.v2
    try:
        outcome = v2.test_trigger(trigger_id=trigger_id, request_body=event).data
    except ClientError as error:
        error.idempotency_key = None  # a test has no effect, so a repeat needs no key
        raise
    trial = document(outcome)
    trial.setdefault("variables", {})
    trigger = document(session.v1.read_trigger(trigger_id=trigger_id).data)
    reasons, advice = explanation(trigger, event), hints(trigger, event)
    told = {"trigger": trial} | ({"explanation": reasons} if reasons else {}) | ({"hints": advice} if advice else {})
    session.show(told, lambda: _tried(trial, reasons, advice))


@command(occurrences, "list", "ls", "l")
def list_occurrences(session: Session, trigger_id: TriggerId) -> None:
    """List a trigger's occurrences, newest first."""
    from headrace.cli.documents import documents
    from headrace.cli.names import trigger_id_of

    found = documents(session.v1.list_triggers_occurrences(trigger_id=trigger_id_of(session, trigger_id)).data)
    session.show({"occurrences": found}, lambda: _occurrences_table(found))


add_group(group, occurrences, "occurrences", "occurrence", "oc", "o")


def _remark(session: Session, event: str, filter_: str | None) -> None:
    from headrace.cli.event_types import remark_on_type
    from headrace.triggers.filter_warnings import remark_on_filter

    for remark in (remark_on_type(session, event), remark_on_filter(filter_) if filter_ else None):
        if remark:
            session.warn(remark)


def _variables(given: list[str]) -> dict[str, str]:
    """Parse NAME=EXPRESSION. Unlike in `--variable`, a comma belongs to the expression."""
    variables: dict[str, str] = {}
    for text in given:
        name, equals, source = text.partition("=")
        if not equals or not name.strip():
            raise Failure(f"--vars {text!r} is not NAME=EXPRESSION", code=USAGE)
        if name.strip() in variables:
            raise Failure(f"--vars {name.strip()} is given twice", code=USAGE)
        variables[name.strip()] = source
    return variables


_COLUMNS = ["ID", "Name", "Workflow ID", "Created at", "Event", "Filter"]


def _table(triggers: list[Json]) -> list[str]:
    if not triggers:
        return ["No triggers. Create one: headrace triggers create EVENT WORKFLOW"]
    return display.table_lines(_COLUMNS, [_row(each) for each in triggers], spare="Created at")


def _shown(trigger: Json) -> list[str]:
    from headrace.cli.documents import inner

    facts = [*zip(_COLUMNS, _row(trigger), strict=True), ("Version", trigger.get("version", ""))]
    rows = [[name, str(source)] for name, source in inner(trigger, "vars").items()]
    table = ["", *display.table_lines(["Variable", "Expression"], rows)] if rows else []
    return [*display.fact_lines([(name, value) for name, value in facts if value]), *table]


def _tried(trial: Json, reasons: Json | None, advice: list[str]) -> list[str]:
    from headrace.cli.triggers_trial import lines

    outcome = trial.get("filter", {})
    texts = [f"Filter match  {'Yes' if outcome['match'] else 'No'}"] if "match" in outcome else []
    texts += [f"Filter error  {outcome['error']}"] if "error" in outcome else []
    texts += [f"Hint          {hint}" for hint in advice if hint not in outcome.get("error", "")]
    texts += lines(reasons) if reasons else []
    rows = [[name, each.get("value", ""), each.get("error", "")] for name, each in trial["variables"].items()]
    return texts + (["", *display.table_lines(["Key", "Value", "Error"], rows)] if rows else [])


def _occurrences_table(found: list[Json]) -> list[str]:
    if not found:
        return ["No occurrences: no event has matched yet."]
    columns = ["Workflow instance ID", "Date", "Ended", "Ended at", "Error"]
    return display.table_lines(columns, [_occurrence_row(each) for each in found])


def _row(trigger: Json) -> list[str]:
    created = display.moment(trigger["createdAt"])
    event, source = trigger["event"], trigger.get("filter", "")
    return [trigger["id"], trigger.get("name", ""), trigger["workflowID"], created, event, source]


def _occurrence_row(occurrence: Json) -> list[str]:
    from headrace.cli.documents import inner

    instance = inner(occurrence, "workflowInstance")
    ended = display.moment(instance.get("terminatedAt"))
    is_ended = "" if not instance else "Yes" if instance["terminated"] else "No"
    error = occurrence.get("error") or instance.get("error", "")
    return [occurrence.get("workflowInstanceID", ""), display.moment(occurrence["date"]), is_ended, ended, error]
