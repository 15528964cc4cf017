"""`headrace plan`: what a run would do, before anything is booked."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from headrace.cli.completion import instance_ids, workflow_ids
from headrace.cli.errors import REFUSED, USAGE, Failure
from headrace.cli.session import KeyOption, Session

Json = dict[str, Any]

FILE_ENDINGS = (".yaml", ".yml", ".json")


def plan(
    session: Session,
    subject: Annotated[
        str | None,
        typer.Argument(
            metavar="[WORKFLOW|FILE|-]",
            help="Id or name of a workflow, or the file of a definition; - is standard input.",
            autocompletion=workflow_ids,
        ),
    ] = None,
    variable: Annotated[
        list[str] | None,
        typer.Option("--variable", "--var", metavar="NAME=VALUE", help="Repeatable; a comma separates several."),
    ] = None,
    trigger: Annotated[
        str | None, typer.Option("--trigger", metavar="TRIGGER", help="Plan the run that it would start for --event.")
    ] = None,
    event: Annotated[
        str | None, typer.Option("--event", metavar="FILE|-", help="The payload of an event, in JSON.")
    ] = None,
    redrive: Annotated[
        str | None,
        typer.Option(
            "--redrive",
            metavar="INSTANCE",
            help="Plan what a redrive of this failed instance would do.",
            autocompletion=instance_ids,
        ),
    ] = None,
    instance: Annotated[
        str | None,
        typer.Option(
            "--instance",
            metavar="INSTANCE",
            help="Plan what this instance, which waits for approvals, would do from there on.",
            autocompletion=instance_ids,
        ),
    ] = None,
    undo: Annotated[
        str | None,
        typer.Option(
            "--undo",
            metavar="INSTANCE",
            help="Plan what an undo of this ended instance would do.",
            autocompletion=instance_ids,
        ),
    ] = None,
    external: Annotated[
        str | None,
        typer.Option(
            "--external", metavar="keep|reverse", help="With --undo: keep a payout that is paid, or reverse it."
        ),
    ] = None,
    books: Annotated[
        str | None,
        typer.Option(
            "--books", metavar="FILE", help="Plan over these ledgers, wallets and payments, without a server."
        ),
    ] = None,
    expires: Annotated[
        str | None, typer.Option("--expires", metavar="DURATION", help="How long it can be used.  [default: 24h]")
    ] = None,
    out: Annotated[str | None, typer.Option("--out", metavar="FILE", help="Also write the plan to this file.")] = None,
    idempotency_key: KeyOption = None,
) -> None:
    """Show what a run would do: who pays whom, balances before and after, what it waits for.

    Nothing is booked. The server stores the plan; with --books, no server is asked. The exit code is 1 if the run would
    fail.
    """
    from headrace.cli.plan_text import plan_lines, stored_lines
    from headrace.cli.variables import read_variables, remarks_on_variables

    subjects = {"trigger": trigger, "redrive": redrive, "undo": undo, "instance": instance}
    named = [name for name, value in subjects.items() if value is not None]
    if len(named) + (subject is not None) != 1 or (trigger is None) != (event is None):
        raise Failure(
            "give a workflow or a file, or --trigger with --event, or --redrive, --undo or --instance", code=USAGE
        )
    if external is not None and undo is None:
        raise Failure("--external needs --undo", code=USAGE)
    variables = read_variables(variable or [])
    if named and (variables or books):
        raise Failure(f"--{named[0]} takes neither --variable nor --books", code=USAGE)
    definition = _definition(subject) if subject is not None and (books or _is_file(subject)) else None
    for remark in remarks_on_variables(definition["stages"], variables) if definition else ():
        session.warn(remark)
    if books is not None and definition is not None:
        made = asyncio.run(planned_over(definition, variables, _given_in(books)))
    else:
        wanted: Json = {} if expires is None else {"expiresIn": expires}
        if external is not None:
            wanted["external"] = external
        if named and trigger is None:
            wanted[named[0]] = subjects[named[0]]
        elif trigger is not None and event is not None:
            wanted |= {"triggerID": _trigger_id(session, trigger), "event": _event(event)}
        elif definition is not None:
            wanted |= {"definition": definition, "variables": variables}
        else:
            wanted |= {"workflowID": _workflow_id(session, subject or ""), "variables": variables}
        result = session.ext.create_plan(plan=wanted, idempotency_key=idempotency_key)
        made = json.loads(result.raw)["data"]
    if out is not None:
        Path(out).write_text(json.dumps(made, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    session.show({"plan": made}, lambda: [*plan_lines(made), *stored_lines(made)])
    if made["verdict"] != "succeeds":
        raise typer.Exit(REFUSED)


def _is_file(subject: str) -> bool:
    """True for the name of a file; a workflow can have any other name."""
    return subject == "-" or subject.endswith(FILE_ENDINGS) or "/" in subject


def _workflow_id(session: Session, subject: str) -> str:
    from headrace.cli.names import workflow_id_of

    return workflow_id_of(session, subject)


def _trigger_id(session: Session, trigger: str) -> str:
    from headrace.cli.names import trigger_id_of

    return trigger_id_of(session, trigger)


def _event(file: str) -> Json:
    from headrace.cli.json_arguments import json_object

    return json_object(file if file == "-" else f"@{file}", "--event")


def _definition(file: str) -> Json:
    from headrace.cli.definitions import read_definition

    return read_definition(file).config.definition


async def planned_over(definition: Json, variables: dict[str, str], books: Any) -> Json:
    """Plan over a sandbox in memory that holds these books, as a file of tests gives them. Raises InvalidValue."""
    from headrace.clock import RandomIds, SystemClock
    from headrace.planning.planner import Subject, Terms, plan
    from headrace.sandbox import Sandbox
    from headrace.sandbox.given import read_given
    from headrace.usecases.asking import answered
    from headrace.usecases.plans import check_variables_of

    check_variables_of(definition["stages"], variables)
    given = read_given(books, "books")
    clock = SystemClock()
    sandbox = Sandbox(None, clock=clock, ids=RandomIds())
    try:
        sandbox.fill(given)
        return await answered(plan(Subject(definition, variables), Terms(clock.now_at())), sandbox, clock)
    finally:
        await sandbox.close()


def _given_in(file: str) -> Any:
    """The books of a file: its member `given`, as in a test of workflows, or all of it."""
    from headrace import json_text
    from headrace.api import yaml

    body = Path(file).read_bytes()
    try:
        document: Any = json_text.decode(body) if file.endswith(".json") else yaml.decode(body).value
    except json_text.Malformed as malformed:
        raise Failure(f"{file}: {malformed.reason}", code=USAGE) from None
    if isinstance(document, dict):
        members = cast("Json", document)
        return members.get("given", members)
    return document
